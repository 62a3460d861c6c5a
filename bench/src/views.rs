//! Who lists whom, as somebody sees it who sees all: when a joiner was known to all, when a death was, and who was
//! declared dead while it ran.

use crate::address;
use crate::engine::Change;
use fastrand::Rng;
use std::time::Duration;

/// A node is declared dead once, however many come to hear of it; what is said of it so much later is another time.
const EPISODE: Duration = Duration::from_secs(30);

/// One boot of one node.
#[derive(Clone, Copy, Debug)]
struct Life {
    since: Duration,
    /// When all others first listed it; once it has ended, when nobody did any more.
    settled: Option<Duration>,
}

/// A running node was declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FalseDeath {
    /// Who.
    pub(crate) node: usize,
    /// When it was last said. Another node noticing it within [`EPISODE`] prolongs it.
    pub(crate) last: Duration,
}

/// The lists of all nodes.
#[derive(Debug)]
pub(crate) struct Views {
    /// By observer, then by subject.
    listed: Vec<Vec<bool>>,
    /// By subject: how many running nodes list it.
    count: Vec<usize>,
    runs: Vec<bool>,
    running: usize,
    /// How many running nodes are listed by running nodes, and how many that do not run.
    right: usize,
    wrong: usize,
    lives: Vec<Option<Life>>,
    pub(crate) false_deaths: Vec<FalseDeath>,
}

impl Views {
    /// Of so many nodes, none of which runs.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            listed: vec![vec![false; nodes]; nodes],
            count: vec![0; nodes],
            runs: vec![false; nodes],
            running: 0,
            right: 0,
            wrong: 0,
            lives: vec![None; nodes],
            false_deaths: Vec::new(),
        }
    }

    /// A node starts, for the first time.
    pub(crate) fn started(&mut self, now: Duration, node: usize) {
        self.runs[node] = true;
        self.running += 1;
        self.wrong -= self.count[node];
        self.right += self.count[node];
        self.lives[node] = Some(Life { since: now, settled: None });
    }

    /// A node ends without a word.
    pub(crate) fn ended(&mut self, now: Duration, node: usize) {
        for subject in 0..self.runs.len() {
            self.set(node, subject, false);
        }
        self.runs[node] = false;
        self.running -= 1;
        self.right -= self.count[node];
        self.wrong += self.count[node];
        self.lives[node] = Some(Life { since: now, settled: None });
    }

    /// A node has changed its list. What it has to say after its end does not count.
    pub(crate) fn change(&mut self, now: Duration, observer: usize, change: Change) {
        let (Change::Up(subject) | Change::Down(subject)) = change;
        if !self.runs[observer] || subject == observer || subject >= self.runs.len() {
            return;
        }
        let up = matches!(change, Change::Up(_));
        if !up && self.runs[subject] && self.listed[observer][subject] {
            self.declared_dead(now, subject);
        }
        self.set(observer, subject, up);
        let others = self.running - 1;
        let settled = if self.runs[subject] {
            self.count[subject] == others
        } else {
            self.count[subject] == 0
        };
        if let Some(life) = self.lives[subject].as_mut().filter(|_| settled) {
            life.settled.get_or_insert(now);
        }
    }

    fn set(&mut self, observer: usize, subject: usize, up: bool) {
        let listed = &mut self.listed[observer][subject];
        if *listed == up {
            return;
        }
        *listed = up;
        let total = if self.runs[subject] { &mut self.right } else { &mut self.wrong };
        if up {
            self.count[subject] += 1;
            *total += 1;
        } else {
            self.count[subject] -= 1;
            *total -= 1;
        }
    }

    fn declared_dead(&mut self, now: Duration, node: usize) {
        let recent = |death: &&mut FalseDeath| death.node == node && now - death.last < EPISODE;
        match self.false_deaths.iter_mut().rev().find(recent) {
            Some(death) => death.last = now,
            None => self.false_deaths.push(FalseDeath { node, last: now }),
        }
    }

    /// Whether all that run list each other, and nobody else.
    pub(crate) fn is_whole(&self) -> bool {
        self.wrong == 0 && self.right == self.running * self.running.saturating_sub(1)
    }

    /// Whom a node lists, in the order of their numbers.
    pub(crate) fn listed(&self, observer: usize) -> Vec<usize> {
        (0..self.runs.len()).filter(|subject| self.listed[observer][*subject]).collect()
    }

    /// Whether a node runs.
    pub(crate) fn runs(&self, node: usize) -> bool {
        self.runs[node]
    }

    /// One of the nodes that run, drawn by chance; none of those whose addresses all know.
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        let running = (address::SEEDS..self.runs.len()).filter(|node| self.runs(*node));
        let candidates: Vec<usize> = running.collect();
        rng.choice(candidates).expect("there are more nodes than seeds")
    }

    /// How long it took from the start of a node until all others listed it, or from its end until none did.
    pub(crate) fn settled_after(&self, node: usize) -> Option<Duration> {
        let life = self.lives[node]?;
        life.settled.map(|at| at.saturating_sub(life.since))
    }
}

#[cfg(test)]
mod tests {
    use super::{EPISODE, Views};
    use crate::engine::Change::{Down, Up};
    use std::time::Duration;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn three() -> Views {
        let mut views = Views::new(3);
        (0..3).for_each(|node| views.started(secs(1), node));
        for (observer, subject) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0)] {
            views.change(secs(2), observer, Up(subject));
            assert!(!views.is_whole());
        }
        views.change(secs(4), 2, Up(1));
        views
    }

    #[test]
    fn a_joiner_is_known_when_the_last_one_lists_it() {
        let views = three();
        assert!(views.is_whole());
        let after: Vec<_> = (0..3).map(|node| views.settled_after(node)).collect();
        assert_eq!(after, [Some(secs(1)), Some(secs(3)), Some(secs(1))]);
    }

    #[test]
    fn a_death_is_known_when_nobody_lists_it_any_more() {
        let mut views = three();
        views.ended(secs(10), 2);
        assert!(!views.is_whole());
        views.change(secs(11), 0, Down(2));
        views.change(secs(11), 2, Down(1));
        assert_eq!(views.settled_after(2), None);
        views.change(secs(13), 1, Down(2));
        assert_eq!(views.settled_after(2), Some(secs(3)));
        assert!(views.is_whole() && views.false_deaths.is_empty());
    }

    #[test]
    fn the_living_are_declared_dead_once_however_many_hear_of_it() {
        let mut views = three();
        views.change(secs(10), 0, Down(1));
        views.change(secs(11), 2, Down(1));
        views.change(secs(11), 2, Down(1));
        assert_eq!(views.false_deaths.len(), 1);
        views.change(secs(12), 0, Up(1));
        views.change(secs(12) + EPISODE, 0, Down(1));
        assert_eq!(views.false_deaths.len(), 2);
        assert!(!views.is_whole());
    }
}
