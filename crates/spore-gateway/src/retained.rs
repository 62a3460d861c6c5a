//! What is retained on the broker, and what should be.

use crate::home_assistant;
use std::collections::BTreeMap;

/// The retained messages of the cluster: those that there should be, and those that the broker is known to have.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    wanted: BTreeMap<String, String>,
    known: BTreeMap<String, String>,
    /// What the broker does not bear, by topic: it counts as known until something else is to be there.
    refused: BTreeMap<String, String>,
}

impl Shelf {
    /// From now on there should be these.
    pub(crate) fn want(&mut self, wanted: BTreeMap<String, String>) {
        self.wanted = wanted;
        let wanted = &self.wanted;
        self.refused.retain(|topic, payload| payload.is_empty() != wanted.contains_key(topic));
    }

    /// The broker has told what is at a topic below ours. What should be there is known from having sent it; so it is
    /// not fought over with whoever writes something else there.
    pub(crate) fn heard(&mut self, topic: &str, payload: &str) {
        if self.wanted.contains_key(topic) {
            return;
        }
        if payload.is_empty() {
            self.known.remove(topic);
        } else {
            self.known.insert(topic.to_owned(), payload.to_owned());
        }
    }

    /// The next message that brings the broker nearer to what should be, with an empty payload for what should not be there, unless that
    /// `stays`.
    pub(crate) fn next(&self, stays: impl Fn(&str) -> bool) -> Option<(String, String)> {
        let missing = self.wanted.iter().find_map(|(topic, wanted)| {
            let known = self.known.get(topic);
            if known == Some(wanted) {
                return None;
            }
            let payload = known.and_then(|known| home_assistant::transition(known, wanted));
            let payload = payload.unwrap_or_else(|| wanted.clone());
            (!self.is_refused(topic, &payload)).then(|| (topic.clone(), payload))
        });
        missing.or_else(|| {
            let mut strangers = self.known.keys().filter(|topic| !self.wanted.contains_key(*topic));
            strangers
                .find(|topic| !stays(topic) && !self.is_refused(topic, ""))
                .map(|topic| (topic.clone(), String::new()))
        })
    }

    /// What should be at a topic, if the broker is not known to have it.
    pub(crate) fn missing(&self, topic: &str) -> Option<String> {
        let wanted = self.wanted.get(topic)?;
        let is_there = self.known.get(topic) == Some(wanted) || self.is_refused(topic, wanted);
        (!is_there).then(|| wanted.clone())
    }

    /// The broker does not bear this message.
    pub(crate) fn refuse(&mut self, topic: String, payload: String) {
        self.refused.insert(topic, payload);
    }

    fn is_refused(&self, topic: &str, payload: &str) -> bool {
        self.refused.get(topic).is_some_and(|refused| refused == payload)
    }

    /// Whether the broker still has what should be there is not known any more.
    pub(crate) fn doubt(&mut self) {
        self.known.retain(|topic, _| !self.wanted.contains_key(topic));
    }

    /// The broker has taken a message.
    pub(crate) fn done(&mut self, topic: &str, payload: &str) {
        self.refused.remove(topic);
        if payload.is_empty() {
            self.known.remove(topic);
        } else {
            self.known.insert(topic.to_owned(), payload.to_owned());
        }
    }

    /// Nothing is known any more of the topics that `which` holds for.
    pub(crate) fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.known.retain(|topic, _| !which(topic));
    }
}

#[cfg(test)]
mod tests {
    use super::Shelf;
    use std::collections::BTreeMap;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(topic, payload)| ((*topic).into(), (*payload).into())).collect()
    }

    /// All that is sent until there is nothing to send.
    fn sent(shelf: &mut Shelf, removes: bool) -> Vec<(String, String)> {
        let mut sent = Vec::new();
        while let Some((topic, payload)) = shelf.next(|_| !removes) {
            shelf.done(&topic, &payload);
            sent.push((topic, payload));
            assert!(sent.len() < 20, "{sent:?}");
        }
        sent
    }

    #[test]
    fn what_is_missing_or_different_is_sent_once() {
        let mut shelf = Shelf::default();
        shelf.want(map(&[("a", "1"), ("b", "2")]));
        assert_eq!(sent(&mut shelf, false), Vec::from_iter(map(&[("a", "1"), ("b", "2")])));
        shelf.heard("a", "1");
        shelf.want(map(&[("a", "1"), ("b", "3")]));
        assert_eq!(sent(&mut shelf, false), Vec::from_iter(map(&[("b", "3")])));
        shelf.forget(|topic| topic == "a");
        assert_eq!(sent(&mut shelf, false), Vec::from_iter(map(&[("a", "1")])));
    }

    #[test]
    fn what_should_not_be_there_is_emptied_once_that_is_certain() {
        let mut shelf = Shelf::default();
        shelf.heard("old", "x");
        shelf.heard("older", "y");
        shelf.heard("older", "");
        shelf.want(map(&[("a", "1")]));
        assert_eq!(sent(&mut shelf, false), Vec::from_iter(map(&[("a", "1")])));
        assert_eq!(sent(&mut shelf, true), Vec::from_iter(map(&[("old", "")])));
        // What was ours is emptied, too, and the echo of both changes nothing.
        shelf.want(map(&[]));
        assert_eq!(sent(&mut shelf, true), Vec::from_iter(map(&[("a", "")])));
        shelf.heard("a", "");
        assert!(sent(&mut shelf, true).is_empty());
    }

    #[test]
    fn whoever_empties_what_is_ours_is_not_answered_for_ever() {
        let mut shelf = Shelf::default();
        shelf.want(map(&[("a", "1")]));
        assert_eq!(sent(&mut shelf, true).len(), 1);
        shelf.heard("a", "");
        assert!(sent(&mut shelf, true).is_empty());
    }
}
