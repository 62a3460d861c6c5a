//! What holds at every step of every world, whatever befalls it. A world in which it does not hold panics, with the seed.
//!
//! That nonces are used once is looked at in [`nonces`](crate::nonces), that events are delivered once and in order in
//! [`ledger`](crate::ledger). Here is what else needs nobody's knowledge but the simulator's: lists against the truth, and limits.
//! That an engine's memory is constant needs no check at run time: it has no allocator, which the linker proves
//! (`cargo xtask purity`), and its lists have capacities, which are limits here.

use crate::simulation::Simulation;
use spore_core::cluster::{Member, Status};
use spore_core::events::{RETAINED, WINDOW};
use spore_core::ota::Wanted;
use spore_core::ota::state::UpdateState;
use spore_core::store::MAX_VALUE;
use spore_core::wire::{Hostname, Incarnation, Record, Rumor};
use spore_core::{Key, Node, NodeId};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The latest incarnation under which each id was ever in use, and what each said of itself in each of its incarnations.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    latest: HashMap<NodeId, Incarnation>,
    /// What is told of itself may change within an incarnation.
    said: HashMap<(NodeId, Incarnation), Vec<Said>>,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    address: Ipv4Addr,
    http_port: u16,
    status_version: u16,
    update: UpdateState,
    hostname: Hostname,
}

impl Said {
    fn by(own: &Record) -> Option<Self> {
        let Rumor::Alive { address, http_port, status_version, update, hostname, .. } = &own.rumor
        else {
            return None;
        };
        let (address, http_port, status_version) = (*address, *http_port, *status_version);
        Some(Self {
            address,
            http_port,
            status_version,
            update: *update,
            hostname: hostname.clone(),
        })
    }

    fn of(member: &Member) -> Self {
        Self {
            address: member.address(),
            http_port: member.http_port(),
            status_version: member.status_version(),
            update: member.update(),
            hostname: member.hostname().clone(),
        }
    }
}

impl Truth {
    /// A node is this now.
    pub(crate) fn note(&mut self, own: &Record) {
        let latest = self.latest.entry(own.id).or_insert(own.incarnation);
        *latest = own.incarnation.max(*latest);
        let Some(now) = Said::by(own) else { return };
        let said = self.said.entry((own.id, own.incarnation)).or_default();
        if said.last() != Some(&now) {
            said.push(now);
        }
    }

    /// What of a member list cannot be: somebody who never was, or who has not said yet what is known of him, or who is active
    /// and never said that.
    pub(crate) fn contradicts(&self, members: &[Member]) -> Option<String> {
        members.iter().find_map(|member| self.denies(member))
    }

    fn denies(&self, member: &Member) -> Option<String> {
        let (id, incarnation) = (member.id(), member.incarnation());
        let Some(latest) = self.latest.get(&id) else {
            return Some(format!("lists {id}, who never was"));
        };
        if incarnation > *latest {
            return Some(format!("lists {id} in {incarnation:?}, which had {latest:?} at most"));
        }
        if member.status() != Status::Active {
            return None;
        }
        let (listed, said) = (Said::of(member), self.said.get(&(id, incarnation)));
        let is_so = said.is_some_and(|said| said.contains(&listed));
        (!is_so)
            .then(|| format!("lists {id} as {listed:?} in {incarnation:?}, which said {said:?}"))
    }
}

/// The limit that a node has passed which may list so many others, if there is one.
pub(crate) fn passed_limit(node: &Node<'_>, most: usize) -> Option<String> {
    let (rows, events) = (node.members().len(), node.window_keys().count());
    if rows > most {
        return Some(format!("lists {rows} members, {most} at most"));
    }
    (events > WINDOW)
        .then(|| format!("keeps {events} events, {WINDOW} at most, {RETAINED} retained"))
}

/// So often a node may be woken at one moment. It does one thing at a time, and has never so many to do.
const MOST_TURNS: u32 = 1_000;

/// How often a node was woken in a row at one moment.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    at: Duration,
    count: u32,
}

impl Turns {
    /// It is woken now. Whether there will be no end of that: it asks for a moment that has passed, and does nothing then, so that virtual
    /// time stands still.
    pub(crate) fn are_endless(&mut self, now: Duration) -> bool {
        if self.at != now {
            *self = Self { at: now, count: 0 };
        }
        self.count += 1;
        self.count > MOST_TURNS
    }
}

/// All that somebody without a key might want to change at a node: what it is, its member list, what it believed, what of events and rollouts
/// it knows, its settings, and what it has sent.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    own: Record,
    /// As it shows itself: rows of lists are not to be compared otherwise.
    members: String,
    accepted: u32,
    sent: u32,
    window: u32,
    rollout: Option<spore_core::ota::announcement::Announcement>,
    settings: spore_core::settings::Settings,
    /// All that it would store: credentials, the claim and its key, settings and rollout as flash has them, ….
    values: Vec<(Key, Vec<u8>)>,
    /// The number of the image that runs.
    image: Option<u32>,
    /// What an image that is coming is taken for, and one that is fetched; and how far that is.
    wanted: (Option<Wanted>, Wanted),
    progress: Option<(u16, u16)>,
    /// Who carries each of its tasks.
    owners: Vec<Option<NodeId>>,
}

impl Simulation {
    /// What a node is and knows, to be compared; `None` if it does not run. Panics if there is no such node.
    pub fn state(&self, node: usize) -> Option<State> {
        let node = self.node(node)?;
        let spore_core::node::Traffic { accepted, sent, .. } = node.traffic();
        Some(State {
            own: node.own().clone(),
            members: format!("{:?}", node.members()),
            accepted,
            sent,
            window: node.window_digest(),
            rollout: node.rollout().cloned(),
            settings: node.settings().clone(),
            values: Key::ALL.iter().map(|key| (*key, value(node, *key))).collect(),
            image: node.image(),
            wanted: (node.upload(), node.wanted_image()),
            progress: node.image_progress(),
            owners: (0..=u8::MAX)
                .take(node.tasks().specs().len())
                .map(|index| node.task_owner(index))
                .collect(),
        })
    }
}

fn value(node: &Node<'_>, key: Key) -> Vec<u8> {
    let mut buf = [0; MAX_VALUE];
    let len = node.value(key, &mut buf);
    buf[..len].to_vec()
}

#[cfg(test)]
mod tests {
    use crate::{Scenario, Simulation};
    use spore_core::wire::{Record, Rumor};
    use std::time::Duration;

    fn world() -> Simulation {
        let mut sim = Simulation::new(Scenario { nodes: 3, ..Scenario::default() }).unwrap();
        assert!(sim.run_until_complete(Duration::from_secs(30)).is_some());
        sim
    }

    #[test]
    fn a_list_that_says_more_than_there_is_is_noticed() {
        let sim = world();
        let members = sim.node(0).unwrap().members().to_vec();
        assert_eq!(sim.truth.contradicts(&members), None);
        assert!(super::Truth::default().contradicts(&members).unwrap().contains("never was"));
        let mut early = super::Truth::default();
        for node in 1..3 {
            let own = sim.node(node).unwrap().own();
            early
                .note(&spore_core::wire::Record { incarnation: Default::default(), ..own.clone() });
        }
        assert!(early.contradicts(&members).unwrap().contains("at most"));
    }

    #[test]
    fn a_list_that_says_what_nobody_ever_said_is_noticed() {
        type Change = fn(&mut Rumor);
        let changes: [Change; 4] = [
            |rumor| {
                if let Rumor::Alive { address, .. } = rumor {
                    *address = [10, 0, 9, 9].into();
                }
            },
            |rumor| {
                if let Rumor::Alive { http_port, .. } = rumor {
                    *http_port += 1;
                }
            },
            |rumor| {
                if let Rumor::Alive { status_version, .. } = rumor {
                    *status_version += 1;
                }
            },
            |rumor| {
                if let Rumor::Alive { hostname, .. } = rumor {
                    *hostname = spore_core::Hostname::new("another").unwrap();
                }
            },
        ];
        let sim = world();
        let members = sim.node(0).unwrap().members().to_vec();
        for change in changes {
            let mut other = super::Truth::default();
            for node in 1..3 {
                let mut own: Record = sim.node(node).unwrap().own().clone();
                change(&mut own.rumor);
                other.note(&own);
            }
            assert!(other.contradicts(&members).unwrap().contains("which said"));
        }
    }

    #[test]
    fn whoever_passes_a_limit_is_noticed() {
        let sim = world();
        let node = sim.node(0).unwrap();
        assert_eq!(super::passed_limit(node, 2), None);
        assert!(super::passed_limit(node, 1).unwrap().contains("lists 2 members, 1 at most"));
    }

    #[test]
    fn whoever_is_woken_at_one_moment_for_ever_is_noticed() {
        let mut turns = super::Turns::default();
        for at in [1, 2].map(Duration::from_micros) {
            assert!((0..super::MOST_TURNS).all(|_| !turns.are_endless(at)));
        }
        assert!(turns.are_endless(Duration::from_micros(2)), "one more");
        assert!(!turns.are_endless(Duration::from_micros(3)), "time goes on");
    }

    #[test]
    fn a_state_is_the_same_until_something_is_believed() {
        let mut sim = world();
        let before = sim.state(0);
        assert_eq!(sim.state(0), before);
        sim.run_for(Duration::from_secs(5));
        assert_ne!(sim.state(0), before);
    }
}
