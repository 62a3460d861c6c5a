//! Which of several gateways of one cluster speaks to a broker, while the others stand by.
//!
//! The broker is the judge: at a topic of its own is retained who speaks, and whoever has written there last does. That it goes is told by its last
//! will, as to everybody else; and since a broker that was killed forgets that, who stands by asks now and then. No I/O, no clock.

use std::time::{Duration, Instant};

/// What is retained has come so long after it was asked for.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// Who speaks says so again within this, when it is asked, or somebody has said that nobody does.
const GRACE: Duration = Duration::from_secs(3);

/// Between two questions of who stands by.
pub(crate) const ASK: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no connection.
    Away,
    /// Nobody may be there who speaks; then it is decided.
    Undecided {
        until: Instant,
    },
    Speaks,
    StandsBy {
        ask: Instant,
    },
}

/// What this gateway is for the broker.
#[derive(Debug)]
pub(crate) struct Role {
    /// The id of its node.
    own: String,
    /// Who has claimed to speak, last.
    speaker: Option<String>,
    /// Whether the broker says that a gateway is there.
    is_taken: bool,
    state: State,
}

impl Role {
    pub(crate) fn new() -> Self {
        Self { own: String::new(), speaker: None, is_taken: false, state: State::Away }
    }

    /// There is a connection, of which nothing is known.
    pub(crate) fn connected(&mut self, own: &str, now: Instant) {
        let state = State::Undecided { until: now + SETTLE };
        *self = Self { own: own.to_owned(), state, ..Self::new() };
    }

    /// There is none. What comes meanwhile is kept by all, since nobody knows who will speak.
    pub(crate) fn disconnected(&mut self) {
        self.state = State::Away;
    }

    /// A gateway claims to speak; or it did, if that is `stale`.
    pub(crate) fn claimed(&mut self, by: &str, stale: bool, now: Instant) {
        self.speaker = Some(by.to_owned());
        if stale || self.state == State::Away {
            return;
        }
        // All hear all claims in one order, their own among them.
        self.state = match by == self.own {
            true => State::Speaks,
            false => State::StandsBy { ask: now + ASK },
        };
    }

    /// The broker says whether a gateway is there.
    pub(crate) fn heard(&mut self, is_there: bool, now: Instant) {
        self.is_taken = is_there;
        if self.stands_by() && !is_there {
            self.state = State::Undecided { until: now + GRACE };
        }
    }

    /// Decides, when it is time. Whether to ask who speaks, and who is thought to.
    pub(crate) fn look(&mut self, now: Instant) -> Option<&str> {
        match self.state {
            State::Undecided { until } if now >= until => {
                let other = self.speaker.as_ref().is_some_and(|speaker| *speaker != self.own);
                self.state = match self.is_taken && other {
                    true => State::StandsBy { ask: now },
                    false => State::Speaks,
                };
            }
            _ => (),
        }
        match self.state {
            State::StandsBy { ask } if now >= ask => {
                self.is_taken = false;
                self.state = State::Undecided { until: now + GRACE };
                self.speaker.as_deref()
            }
            _ => None,
        }
    }

    pub(crate) fn speaks(&self) -> bool {
        self.state == State::Speaks
    }

    pub(crate) fn stands_by(&self) -> bool {
        matches!(self.state, State::StandsBy { .. })
    }

    /// Who has claimed to speak, last.
    pub(crate) fn speaker(&self) -> Option<&str> {
        self.speaker.as_deref()
    }

    /// The id of the gateway's node, when there was a connection.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }
}

#[cfg(test)]
mod tests {
    use super::{ASK, GRACE, Role, SETTLE};
    use std::time::Instant;

    /// A broker that tells all who are connected, and itself keeps it.
    struct Broker {
        now: Instant,
        roles: Vec<(Role, bool)>,
    }

    impl Broker {
        fn new(ids: &[&str]) -> Self {
            let now = Instant::now();
            let connected = |id: &&str| {
                let mut role = Role::new();
                role.connected(id, now);
                (role, false)
            };
            Self { now, roles: ids.iter().map(connected).collect() }
        }

        fn tell(&mut self, claim: Option<&str>, is_there: Option<bool>) {
            for (role, _) in &mut self.roles {
                claim.into_iter().for_each(|claim| role.claimed(claim, false, self.now));
                is_there.into_iter().for_each(|is_there| role.heard(is_there, self.now));
            }
        }

        /// All look at the clock; who begins to speak says so. Who speaks then.
        fn look(&mut self) -> Vec<String> {
            let mut asked = false;
            for n in 0..self.roles.len() {
                let (role, claimed) = &mut self.roles[n];
                if role.look(self.now).is_some() {
                    asked = true;
                }
                let begins = role.speaks() && !std::mem::replace(claimed, role.speaks());
                let own = role.own().to_owned();
                if begins {
                    self.tell(Some(&own), Some(true));
                }
            }
            let speaker = self.roles.iter().find(|(role, _)| role.speaks());
            if let Some(own) = speaker.map(|(role, _)| role.own().to_owned()).filter(|_| asked) {
                self.tell(Some(&own), None);
            }
            let speakers = self.roles.iter().filter(|(role, _)| role.speaks());
            speakers.map(|(role, _)| role.own().to_owned()).collect()
        }
    }

    #[test]
    fn of_two_that_come_at_once_the_broker_chooses_one() {
        let mut broker = Broker::new(&["a", "b"]);
        assert!(broker.look().is_empty(), "nobody knows yet");
        broker.now += SETTLE;
        // The first one has claimed it before the second one has decided.
        assert_eq!(broker.look(), ["a"]);
        let mut broker = Broker::new(&["a", "b"]);
        broker.now += SETTLE;
        broker.roles.iter_mut().for_each(|(role, _)| assert!(role.look(broker.now).is_none()));
        broker.tell(Some("a"), Some(true));
        broker.tell(Some("b"), Some(true));
        assert_eq!(broker.look(), ["b"], "both had decided, and the second claim is the last one");
    }

    #[test]
    fn who_stands_by_takes_over_when_nobody_is_there_and_not_when_that_was_a_mistake() {
        let mut broker = Broker::new(&["a", "b"]);
        broker.now += SETTLE;
        assert_eq!(broker.look(), ["a"]);
        // The will of a third one, which stood by.
        broker.tell(None, Some(false));
        assert_eq!(broker.look(), ["a"]);
        broker.tell(None, Some(true));
        broker.now += GRACE;
        assert_eq!(broker.look(), ["a"]);
        broker.roles[0].0.disconnected();
        broker.tell(None, Some(false));
        assert!(broker.look().is_empty());
        broker.now += GRACE;
        assert_eq!(broker.look(), ["b"]);
        // The first one comes back, and finds what is retained.
        let now = broker.now;
        broker.roles[0].0.connected("a", now);
        broker.roles[0].1 = false;
        broker.roles[0].0.claimed("b", true, now);
        broker.roles[0].0.heard(true, now);
        broker.now += SETTLE;
        assert_eq!(broker.look(), ["b"]);
        assert!(broker.roles[0].0.stands_by(), "it was answered");
        broker.now += ASK;
        assert_eq!(broker.look(), ["b"]);
        assert!(broker.roles[0].0.stands_by(), "it was answered again");
    }

    #[test]
    fn who_is_gone_without_a_word_does_not_answer() {
        let mut broker = Broker::new(&["b"]);
        let now = broker.now;
        broker.roles[0].0.claimed("a", true, now);
        broker.roles[0].0.heard(true, now);
        broker.now += SETTLE;
        assert!(broker.look().is_empty());
        broker.now += GRACE;
        assert_eq!(broker.look(), ["b"]);
    }

    #[test]
    fn who_was_killed_and_comes_again_speaks_again() {
        let mut broker = Broker::new(&["a"]);
        let now = broker.now;
        broker.roles[0].0.claimed("a", true, now);
        broker.roles[0].0.heard(true, now);
        broker.now += SETTLE;
        assert_eq!(broker.look(), ["a"]);
        broker.tell(None, Some(false));
        assert_eq!(broker.look(), ["a"]);
    }
}
