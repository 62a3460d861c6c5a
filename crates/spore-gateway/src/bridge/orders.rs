//! What the broker says, and what is to be done in the cluster because of that.

use super::{Bridge, Call, Message};
use crate::api::Answer;
use crate::events;
use crate::state;
use crate::topics::Subject;
use log::warn;
use serde_json::json;
use std::time::Instant;

/// So many events of the broker wait until the cluster takes them; more are refused.
pub(super) const INBOX: usize = 64;

/// So many answers of services wait for the broker; more push out the oldest.
const ANSWERS: usize = 64;

const STALE: &str = "it is retained, and may be of the past";
const UNDECIDED: &str = "it was not known yet which gateway speaks";

/// How many orders came while it was not known who speaks, since that was known last.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    fresh: u64,
    /// Retained ones. Nobody takes them, and who speaks counts them.
    stale: u64,
}

impl Undecided {
    fn came(&mut self, stale: bool) {
        *if stale { &mut self.stale } else { &mut self.fresh } += 1;
    }

    /// What is retained comes again with the next connection; what was said does not.
    pub(super) fn disconnected(&mut self) {
        self.stale = 0;
    }

    /// How many are refused for what, if it is this gateway that speaks.
    pub(super) fn refused(&self) -> [(u64, &'static str); 2] {
        [(self.fresh, UNDECIDED), (self.stale, STALE)]
    }
}

impl Bridge {
    /// Tells of what was refused, now that it is known that nobody else has taken it.
    pub(super) fn refuse_undecided(&mut self) {
        for (count, why) in std::mem::take(&mut self.undecided).refused() {
            if count > 0 {
                warn!("{count} orders are refused: {why}");
                self.counters.refused += count;
            }
        }
    }

    /// A message of the broker. `stale` is what was retained there: an order from the past is none.
    pub(crate) fn message(
        &mut self,
        topic: &str,
        payload: &[u8],
        stale: bool,
        now: Instant,
    ) -> Option<Call> {
        let topics = self.topics.clone();
        match topics.subject(topic) {
            Subject::Retained => self.shelf.heard(topic, &String::from_utf8_lossy(payload)),
            Subject::Member { id, leaf } => {
                // None of ours has other bytes.
                self.shelf.heard(topic, &String::from_utf8_lossy(payload));
                if let Some(member) =
                    state::member(id, payload).filter(|_| stale && leaf == "state")
                {
                    self.learn(|cluster| cluster.adopt(member, now));
                }
            }
            Subject::Gateway => {
                let is_there = payload == state::ONLINE.as_bytes();
                self.role.heard(is_there, now);
                // It was the will of another one.
                if !is_there {
                    self.shelf.forget(|it| it == topic);
                }
            }
            Subject::Speaker => {
                let by = String::from_utf8_lossy(payload);
                self.change_role(|role| role.claimed(&by, stale, now));
            }
            // It is said again.
            Subject::Question => self.shelf.forget(|it| it == topics.speaker()),
            Subject::Birth if payload == state::ONLINE.as_bytes() && !stale => {
                let start = "homeassistant/";
                self.shelf.forget(|topic| topic.starts_with(start));
            }
            Subject::Publish { .. } | Subject::Call { .. } | Subject::Foreign { .. }
                if self.role.stands_by() => {}
            // What is retained was an event when it came.
            Subject::Foreign { .. } if stale => (),
            Subject::Publish { .. } | Subject::Call { .. } | Subject::Foreign { .. }
                if !self.role.speaks() =>
            {
                self.undecided.came(stale);
            }
            Subject::Publish { .. } | Subject::Call { .. } if stale => {
                self.refuse(topic, STALE);
            }
            Subject::Publish { topic: about } => self.publish(topic, about, payload),
            Subject::Foreign { cluster, topic: about } => {
                self.publish(topic, &format!("{cluster}/{about}"), payload);
            }
            Subject::Call { member, service } => return self.call(topic, member, service, payload),
            Subject::Birth | Subject::Other => (),
        }
        None
    }

    /// What was said at a topic of the broker becomes an event, soon.
    fn publish(&mut self, topic: &str, about: &str, payload: &[u8]) {
        match events::incoming(about, payload) {
            Ok(_) if self.inbox.len() == INBOX => {
                self.refuse(topic, "too many events wait for the cluster");
            }
            Ok(body) => self.inbox.push_back(body),
            Err(error) => self.refuse(topic, &error),
        }
    }

    fn refuse(&mut self, topic: &str, why: &str) {
        warn!("{topic} is refused: {why}");
        self.counters.refused += 1;
    }

    fn call(&mut self, topic: &str, member: &str, service: &str, body: &[u8]) -> Option<Call> {
        let node = self.cluster.node(member).filter(|node| node.member.is_live());
        let Some(api) = node.map(|node| node.member.api()) else {
            self.refuse(topic, "no such member is there");
            self.answer(member, service, 404, "no such member is there");
            return None;
        };
        let (member, service) = (member.to_owned(), service.to_owned());
        Some(Call { member, service, api, body: body.to_vec() })
    }

    /// Tells the broker what a service has answered.
    pub(crate) fn answer(&mut self, member: &str, service: &str, status: u16, body: &str) {
        let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        let payload = json!({ "status": status, "body": body }).to_string().into_bytes();
        let topic = self.topics.answer(member, service);
        // The first one may be under way.
        if self.answers.len() == ANSWERS {
            self.answers.remove(1);
        }
        self.answers.push_back(Message { topic, payload, retained: false });
    }

    /// What the gateway's own node is to publish next, as the body of the request.
    pub(crate) fn order(&self) -> Option<&str> {
        self.inbox.front().map(String::as_str)
    }

    /// The node's answer to that. Whether the next one can follow at once: a cluster that is busy, or a node that is, gets the same again.
    pub(crate) fn ordered(&mut self, answer: &Answer) -> bool {
        if matches!(answer.status, 429 | 503) {
            return false;
        }
        self.inbox.pop_front();
        if answer.is_success() {
            self.counters.taken += 1;
            self.outbox.published(&answer.body);
        } else {
            warn!("the cluster refuses an event of the broker: {}", answer.body);
            self.counters.refused += 1;
        }
        true
    }
}
