//! Whom to ask when: everyone once in an interval, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between two members.
const GAP: Duration = Duration::from_millis(250);

/// When each member was asked last.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    asked: BTreeMap<String, Instant>,
    last: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, asked: BTreeMap::new(), last: None }
    }

    /// Which of these members to ask now, if any: newcomers first, then whose turn it is.
    pub(crate) fn next(&mut self, members: &[String], now: Instant) -> Option<String> {
        let all: BTreeSet<_> = members.iter().collect();
        self.asked.retain(|id, _| all.contains(id));
        if self.last.is_some_and(|last| now.duration_since(last) < GAP) {
            return None;
        }
        let next = all.into_iter().min_by_key(|id| self.asked.get(*id).copied())?;
        let asked = self.asked.get(next);
        if asked.is_some_and(|asked| now.duration_since(*asked) < self.interval) {
            return None;
        }
        self.last = Some(now);
        self.asked.insert(next.clone(), now);
        Some(next.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{GAP, Pace};
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    #[test]
    fn each_of_64_is_asked_once_a_minute_and_no_two_at_once() {
        let members: Vec<_> = (0..64).map(|n| format!("{n:02}")).collect();
        let (mut pace, start) = (Pace::new(Duration::from_secs(60)), Instant::now());
        let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for step in 0..18_000 {
            let now = Duration::from_millis(10) * step;
            if let Some(id) = pace.next(&members, start + now) {
                times.entry(id).or_default().push(now);
            }
        }
        assert_eq!(times.len(), 64);
        for of_one in times.values() {
            assert_eq!(of_one.len(), 3);
            assert!(of_one.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(60)));
        }
        let mut all: Vec<_> = times.into_values().flatten().collect();
        all.sort();
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= GAP));
    }

    #[test]
    fn who_comes_is_asked_at_once_and_who_comes_again_too() {
        let (mut pace, start) = (Pace::new(Duration::from_secs(60)), Instant::now());
        let both = ["a".to_owned(), "b".to_owned()];
        assert_eq!(pace.next(&both[..1], start).as_deref(), Some("a"));
        assert_eq!(pace.next(&both, start), None);
        assert_eq!(pace.next(&both, start + GAP).as_deref(), Some("b"));
        assert_eq!(pace.next(&both, start + 2 * GAP), None);
        assert_eq!(pace.next(&both[1..], start + 2 * GAP), None);
        assert_eq!(pace.next(&both, start + 3 * GAP).as_deref(), Some("a"));
    }
}
