//! Every event of a run, and the hash over all of them.

use crate::scenario::Command;
use spore_core::tasks::TaskRun;
use spore_core::wire::EventKey;
use spore_core::{Destination, Event, NodeId};
use std::fmt;
use std::net::SocketAddrV4;
use std::time::Duration;

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A node sends a datagram. Not part of the hash, as what comes of it is.
    Sent {
        /// The sender's address.
        from: SocketAddrV4,
        /// To whom.
        to: Destination,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Something is done to the world. Not part of the hash, as what comes of it is.
    Obeyed(&'a Command),
    /// A node started, under this identity.
    Started(usize, NodeId),
    /// A node was killed.
    Killed(usize),
    /// A node begins to leave.
    Leaving(usize),
    /// A node stalls.
    Stalled(usize),
    /// A stalled node goes on.
    Resumed(usize),
    /// The network's conditions or partitions were changed.
    NetworkChanged,
    /// A datagram reached a node.
    Delivered {
        /// The sender's address, as the receiver sees it.
        from: SocketAddrV4,
        /// The receiver.
        to: usize,
        /// The bytes, as they arrived.
        bytes: &'a [u8],
    },
    /// A node's request for another one's status reached that one.
    Asked {
        /// Who asks.
        from: usize,
        /// Who is asked, and answers.
        to: usize,
    },
    /// A node has answered a request, of another one or from outside.
    Answered {
        /// Which node.
        node: usize,
        /// The status code.
        status: u16,
        /// The body.
        body: &'a [u8],
    },
    /// A node has published an event for the cluster.
    Published {
        /// Which node.
        node: usize,
        /// The event's key.
        key: EventKey,
    },
    /// A node has delivered an event of the cluster, its own ones included.
    EventDelivered {
        /// Which node.
        node: usize,
        /// The event's key.
        key: EventKey,
    },
    /// A node begins to run a task.
    TaskBegan {
        /// Who.
        node: usize,
        /// Which task, and which run of it.
        run: &'a TaskRun,
    },
    /// A node's engine noted something about a member.
    Membership {
        /// Whose engine.
        observer: usize,
        /// What.
        event: Event,
    },
}

/// Where entries go besides the hash.
pub type Sink = Box<dyn FnMut(Duration, &Entry<'_>)>;

/// Hashes entries, and shows them to whoever wants to see them.
#[derive(Default)]
pub(crate) struct Log {
    hash: Fnv,
    sink: Option<Sink>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Log {
    pub(crate) fn set_sink(&mut self, sink: Sink) {
        self.sink = Some(sink);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }

    /// Shows an entry that is not part of the hash.
    pub(crate) fn show(&mut self, at: Duration, entry: &Entry<'_>) {
        if let Some(sink) = &mut self.sink {
            sink(at, entry);
        }
    }

    pub(crate) fn add(&mut self, at: Duration, entry: &Entry<'_>) {
        self.hash.number(at.as_micros());
        self.hash.entry(entry);
        self.show(at, entry);
    }
}

/// FNV-1a with 64 bits (draft-eastlake-fnv). All numbers go in with a fixed width and order of
/// bytes, so the hash is the same on every machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(pub(crate) u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn number(&mut self, value: u128) {
        self.bytes(&value.to_be_bytes()[8..]);
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        match *entry {
            Entry::Sent { .. } | Entry::Obeyed(_) => {}
            Entry::Started(node, NodeId(id)) => self.tagged(1, node, &id),
            Entry::Killed(node) => self.tagged(2, node, &[]),
            Entry::Stalled(node) => self.tagged(3, node, &[]),
            Entry::Resumed(node) => self.tagged(4, node, &[]),
            Entry::NetworkChanged => self.tagged(5, 0, &[]),
            Entry::Leaving(node) => self.tagged(34, node, &[]),
            Entry::Delivered { from, to, bytes } => {
                self.tagged(6, to, &from.ip().octets());
                self.number(u128::from(from.port()));
                self.number(bytes.len() as u128);
                self.bytes(bytes);
            }
            Entry::Asked { from, to } => {
                self.tagged(35, to, &[]);
                self.number(from as u128);
            }
            Entry::Answered { node, status, body } => {
                self.tagged(36, node, &status.to_be_bytes());
                self.number(body.len() as u128);
                self.bytes(body);
            }
            Entry::Published { node, key } => self.event(23, node, &key),
            Entry::EventDelivered { node, key } => self.event(24, node, &key),
            Entry::TaskBegan { node, run } => {
                self.tagged(25, node, run.task.name().as_bytes());
                self.number(u128::from(run.id.number));
            }
            Entry::Membership { observer, event } => {
                let (kind, NodeId(id)) = match event {
                    Event::MemberJoined(id) => (7, id),
                    Event::MemberSuspected(id) => (8, id),
                    Event::MemberReturned(id) => (9, id),
                    Event::MemberDied(id) => (10, id),
                    Event::MemberLeft(id) => (11, id),
                    Event::MemberForgotten(id) => (12, id),
                    Event::SettingsChanged => (13, NodeId([0; 6])),
                    Event::RestartAsked => (14, NodeId([0; 6])),
                    Event::RequestsRefused(_) => (15, NodeId([0; 6])),
                    Event::NetworkConnected => (16, NodeId([0; 6])),
                    Event::NetworkDisconnected(_) => (17, NodeId([0; 6])),
                    Event::AccessPointOpened => (18, NodeId([0; 6])),
                    Event::AccessPointClosed => (19, NodeId([0; 6])),
                    Event::CredentialsKept => (20, NodeId([0; 6])),
                    Event::CredentialsReturned => (21, NodeId([0; 6])),
                    Event::EventsMissed { publisher, .. } => (22, publisher),
                    Event::TaskOverrun { .. } => (26, NodeId([0; 6])),
                    Event::UpdateStarted => (27, NodeId([0; 6])),
                    Event::UpdateProgress(_) => (28, NodeId([0; 6])),
                    Event::UpdateRefused => (29, NodeId([0; 6])),
                    Event::UpdateInstalled(_) => (30, NodeId([0; 6])),
                    Event::UpdateEnded(_) => (31, NodeId([0; 6])),
                    Event::Rollout(..) => (32, NodeId([0; 6])),
                    Event::SafeMode => (33, NodeId([0; 6])),
                };
                self.tagged(kind, observer, &id);
                self.particulars(event);
            }
        }
    }

    /// What an event says besides its kind and whom it is about.
    fn particulars(&mut self, event: Event) {
        match event {
            Event::EventsMissed { epoch, from, to, .. } => {
                [epoch, from, to].iter().for_each(|number| self.bytes(&number.to_be_bytes()));
            }
            Event::RequestsRefused(number) | Event::UpdateInstalled(number) => {
                self.number(number.into());
            }
            Event::UpdateProgress(percent) => self.number(percent.into()),
            Event::UpdateEnded(outcome) => {
                self.number(outcome.image.into());
                self.bytes(outcome.failure.map_or("", |failure| failure.name()).as_bytes());
            }
            Event::Rollout(number, ended) => {
                self.number(number.into());
                self.bytes(ended.name().as_bytes());
            }
            Event::NetworkDisconnected(reason) => self.bytes(reason.name().as_bytes()),
            Event::TaskOverrun { task, micros } => {
                self.bytes(task.name().as_bytes());
                self.number(micros.into());
            }
            _ => {}
        }
    }

    fn event(&mut self, kind: u8, node: usize, key: &EventKey) {
        self.tagged(kind, node, &key.publisher.0);
        self.bytes(&key.clock.to_be_bytes());
        self.bytes(&key.epoch.to_be_bytes());
        self.bytes(&key.seq.to_be_bytes());
    }

    fn tagged(&mut self, kind: u8, node: usize, rest: &[u8]) {
        self.bytes(&[kind]);
        self.number(node as u128);
        self.bytes(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Fnv};
    use spore_core::ota::announcement::Ended;
    use spore_core::ota::{Failure, Outcome};
    use spore_core::wire::U24;
    use spore_core::{Event, NodeId};
    use std::collections::HashSet;

    #[test]
    fn what_differs_has_different_hashes() {
        let nothing: &[u8] = &[];
        let id = NodeId([0; 6]);
        let number = |number| U24::new(number).unwrap();
        let missed = |epoch, from, to| {
            let [epoch, from, to] = [epoch, from, to].map(number);
            Event::EventsMissed { publisher: id, epoch, from, to }
        };
        let ended = |image, failure| Event::UpdateEnded(Outcome { image, failure });
        let events = [
            Event::SettingsChanged,
            missed(1, 1, 2),
            missed(1, 2, 2),
            missed(1, 1, 3),
            missed(2, 1, 2),
            Event::UpdateProgress(1),
            Event::UpdateProgress(2),
            Event::UpdateInstalled(1),
            Event::UpdateInstalled(2),
            ended(1, None),
            ended(2, None),
            ended(1, Some(Failure::NoPeer)),
            Event::Rollout(1, Ended::No),
            Event::Rollout(1, Ended::Halted),
            Event::Rollout(2, Ended::No),
        ];
        let mut entries = vec![
            Entry::Leaving(0),
            Entry::Asked { from: 0, to: 0 },
            Entry::Answered { node: 0, status: 200, body: nothing },
            Entry::Answered { node: 0, status: 404, body: nothing },
            Entry::Answered { node: 0, status: 200, body: b"{}" },
        ];
        entries.extend(events.map(|event| Entry::Membership { observer: 0, event }));
        let hash = |entry: &Entry<'_>| {
            let mut hash = Fnv::default();
            hash.entry(entry);
            hash.0
        };
        assert_eq!(entries.iter().map(hash).collect::<HashSet<_>>().len(), entries.len());
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of the draft, appendix C.
        for (text, expected) in [
            ("", 0xCBF2_9CE4_8422_2325_u64),
            ("a", 0xAF63_DC4C_8601_EC8C),
            ("foobar", 0x8594_4171_F739_67E8),
        ] {
            let mut hash = Fnv::default();
            hash.bytes(text.as_bytes());
            assert_eq!(hash.0, expected, "{text:?}");
        }
    }
}
