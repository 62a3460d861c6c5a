//! Who lists whom: notes when nodes became known, when views became complete, and who is taken for
//! dead although he runs.
//!
//! This is the simulator's own, global knowledge. No engine sees it.

use crate::report::{FalseDeath, Life};
use spore_core::cluster::{Member, Status};
use spore_core::wire::{Record, U24};
use spore_core::{Event, NodeId};
use std::collections::HashMap;
use std::time::Duration;

/// How one node lists another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sight {
    /// Not at all, or as dead.
    #[default]
    Gone,
    /// As suspect, or as it was in a former boot.
    Live,
    /// As active, in its present boot.
    Active,
}

/// Somebody with an id of his own.
#[derive(Clone, Debug)]
struct Subject {
    /// His present or last life.
    life: usize,
    epoch: U24,
    running: bool,
    /// He says that he goes.
    leaving: bool,
    /// How many nodes list him as active, and how many as live, active ones included.
    active: usize,
    live: usize,
}

/// How one node sees the others.
#[derive(Clone, Debug, Default)]
struct View {
    /// By subject.
    sights: Vec<Sight>,
    /// How many running nodes it lists as active.
    active: usize,
    /// How many rows it lists as live, whoever they may be.
    live: usize,
    /// How many members it can list.
    rows: usize,
    /// Whether its node runs and it lists as many others as it can, and nobody who is not there.
    whole: bool,
}

#[derive(Debug)]
pub(crate) struct Watch {
    /// How many nodes are still to start for the first time.
    forming: usize,
    pub(crate) lives: Vec<Life>,
    subjects: Vec<Subject>,
    by_id: HashMap<NodeId, usize>,
    /// By node: as whom it runs.
    running: Vec<Option<usize>>,
    views: Vec<View>,
    /// How many nodes run.
    count: usize,
    /// How many running nodes have views that are whole.
    whole: usize,
    /// Lives of which something is still to be noted.
    pending: Vec<usize>,
    scratch: Vec<Sight>,
    pub(crate) false_deaths: Vec<FalseDeath>,
    pub(crate) false_suspicions: u64,
}

impl Watch {
    /// For nodes that can list so many members each, of which `forming` are still to start.
    pub(crate) fn new(rows: &[usize], forming: usize) -> Self {
        let view = |rows: &usize| View { rows: *rows, ..View::default() };
        Self {
            forming,
            lives: Vec::new(),
            subjects: Vec::new(),
            by_id: HashMap::new(),
            running: vec![None; rows.len()],
            views: rows.iter().map(view).collect(),
            count: 0,
            whole: 0,
            pending: Vec::new(),
            scratch: Vec::new(),
            false_deaths: Vec::new(),
            false_suspicions: 0,
        }
    }

    /// One of the first starts has come.
    pub(crate) fn formed(&mut self) {
        self.forming -= 1;
    }

    /// `node` starts as `own`. All views must be reviewed afterwards.
    pub(crate) fn started(&mut self, now: Duration, node: usize, own: &Record) {
        let life = self.lives.len();
        self.pending.push(life);
        self.lives.push(Life {
            node,
            id: own.id,
            started: now,
            known: None,
            complete: None,
            ended: None,
            dead: None,
        });
        self.enrol(node, life, own);
    }

    /// `node`, which runs, is `own` from now on. All views must be reviewed afterwards.
    pub(crate) fn renamed(&mut self, node: usize, own: &Record) {
        let Some(life) = self.last_life(node) else { return };
        let Some(subject) = self.running[node].take() else { return };
        self.count -= 1;
        // Another node may run under the same id: that is why this one gave it up.
        let other = self.running.iter().position(|as_whom| *as_whom == Some(subject));
        self.subjects[subject].running = other.is_some();
        if let Some(life) = other.and_then(|other| self.last_life(other)) {
            self.subjects[subject].life = life;
        }
        self.lives[life].id = own.id;
        self.enrol(node, life, own);
    }

    fn last_life(&self, node: usize) -> Option<usize> {
        self.lives.iter().rposition(|life| life.node == node)
    }

    fn enrol(&mut self, node: usize, life: usize, own: &Record) {
        let next = self.subjects.len();
        let subject = *self.by_id.entry(own.id).or_insert(next);
        if subject == next {
            let epoch = own.incarnation.epoch;
            let (running, leaving) = (true, false);
            self.subjects.push(Subject { life, epoch, running, leaving, active: 0, live: 0 });
        }
        let entry = &mut self.subjects[subject];
        (entry.life, entry.epoch, entry.running) = (life, own.incarnation.epoch, true);
        entry.leaving = false;
        self.running[node] = Some(subject);
        self.count += 1;
    }

    /// `node` begins to leave on purpose.
    pub(crate) fn leaves(&mut self, node: usize) {
        if let Some(subject) = self.running[node] {
            self.subjects[subject].leaving = true;
        }
    }

    /// `node` was killed. All views must be reviewed afterwards.
    pub(crate) fn ended(&mut self, now: Duration, node: usize) {
        self.look(node, &[]);
        let Some(subject) = self.running[node].take() else { return };
        self.count -= 1;
        let Subject { life, running, .. } = &mut self.subjects[subject];
        *running = false;
        self.lives[*life].ended = Some(now);
        if !self.pending.contains(life) {
            self.pending.push(*life);
        }
    }

    /// Whether anything is to be noted that changes in views could bring.
    pub(crate) fn is_curious(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes note of the member list of `node`. True if it has changed in what matters here.
    pub(crate) fn look(&mut self, node: usize, members: &[Member]) -> bool {
        let mut sights = std::mem::take(&mut self.scratch);
        sights.clear();
        sights.resize(self.subjects.len(), Sight::Gone);
        let mut view = View { rows: self.views[node].rows, ..View::default() };
        for member in members.iter().filter(|member| member.status().is_live()) {
            view.live += 1;
            let Some(&subject) = self.by_id.get(&member.id()) else { continue };
            let Subject { running, epoch, .. } = self.subjects[subject];
            let present = running && member.incarnation().epoch >= epoch;
            let active = present && member.status() == Status::Active;
            view.active += usize::from(active);
            sights[subject] = if active { Sight::Active } else { Sight::Live };
        }
        let old = &mut self.views[node];
        let changed = (old.active, old.live) != (view.active, view.live) || old.sights != sights;
        if changed {
            for (index, subject) in self.subjects.iter_mut().enumerate() {
                let before = old.sights.get(index).copied().unwrap_or_default();
                subject.count(before, sights[index]);
            }
        }
        self.scratch = std::mem::replace(&mut old.sights, sights);
        (old.active, old.live) = (view.active, view.live);
        self.count_whole(node);
        changed
    }

    /// Notes what has come about.
    pub(crate) fn note(&mut self, now: Duration) {
        if self.forming > 0 {
            return;
        }
        let others = self.others();
        let Self { pending, lives, subjects, views, by_id, .. } = self;
        pending.retain(|index| {
            let life = &mut lives[*index];
            let subject = &subjects[by_id[&life.id]];
            if life.ended.is_some() {
                let reborn = subject.life != *index;
                if !reborn && subject.live == 0 {
                    life.dead = Some(now);
                }
                return !reborn && life.dead.is_none();
            }
            if life.known.is_none() && subject.active == others {
                life.known = Some(now);
            }
            let view = &views[life.node];
            if life.complete.is_none() && view.active == others.min(view.rows) {
                life.complete = Some(now);
            }
            life.known.is_none() || life.complete.is_none()
        });
    }

    /// Others run than before, so what a whole view is has changed.
    pub(crate) fn recount(&mut self) {
        (0..self.views.len()).for_each(|node| self.count_whole(node));
    }

    /// Takes note of whether the view of `node` is whole.
    fn count_whole(&mut self, node: usize) {
        let others = self.others();
        let view = &mut self.views[node];
        let wanted = others.min(view.rows);
        let whole = self.running[node].is_some() && (view.active, view.live) == (wanted, wanted);
        self.whole += usize::from(whole);
        self.whole -= usize::from(std::mem::replace(&mut view.whole, whole));
    }

    /// Whether every running node lists every other one as active, or as many as it can, and nobody else as live.
    pub(crate) fn is_complete(&self) -> bool {
        self.forming == 0 && self.whole == self.count
    }

    /// Of each running node: how many others it lists as active, and how many it would if its view were whole.
    pub(crate) fn views(&self) -> impl Iterator<Item = (usize, usize)> {
        let others = self.others();
        let running = self.running.iter().zip(&self.views).filter(|(as_whom, _)| as_whom.is_some());
        running.map(move |(_, view)| (view.active, view.rows.min(others)))
    }

    /// Whether these nodes run, and each lists each other one as active.
    pub(crate) fn agree(&self, nodes: &[usize]) -> bool {
        nodes.iter().all(|&node| {
            let sights = &self.views[node].sights;
            nodes.iter().filter(|other| **other != node).all(|&other| {
                let sight = self.running[other].and_then(|subject| sights.get(subject));
                sight == Some(&Sight::Active) && self.running[node].is_some()
            })
        })
    }

    /// Whether the last lives of these nodes are over, and were dead for all at some time.
    pub(crate) fn are_known_dead(&self, nodes: &[usize]) -> bool {
        nodes
            .iter()
            .all(|&node| self.last_life(node).is_some_and(|life| self.lives[life].dead.is_some()))
    }

    /// Takes note of what the engine of `observer`, with these members, has noticed.
    pub(crate) fn event(
        &mut self,
        now: Duration,
        observer: usize,
        event: Event,
        members: &[Member],
    ) {
        let (Event::MemberDied(id) | Event::MemberSuspected(id) | Event::MemberLeft(id)) = event
        else {
            return;
        };
        let Some(subject) = self.by_id.get(&id).map(|index| &self.subjects[*index]) else { return };
        let goes = matches!(event, Event::MemberLeft(_)) && subject.leaving;
        let of_now = |row: &&Member| row.id() == id && row.incarnation().epoch >= subject.epoch;
        if goes || !subject.running || members.iter().find(of_now).is_none() {
            return;
        }
        if !matches!(event, Event::MemberSuspected(_)) {
            let node = self.lives[subject.life].node;
            self.false_deaths.push(FalseDeath { at: now, observer, node });
        } else {
            self.false_suspicions += 1;
        }
    }

    /// How many other nodes run, as a running one sees it.
    fn others(&self) -> usize {
        self.count.saturating_sub(1)
    }
}

impl Subject {
    fn count(&mut self, before: Sight, after: Sight) {
        self.active += usize::from(after == Sight::Active);
        self.active -= usize::from(before == Sight::Active);
        self.live += usize::from(after != Sight::Gone);
        self.live -= usize::from(before != Sight::Gone);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Scenario, Simulation};
    use spore_core::Event;
    use std::time::Duration;

    #[test]
    fn who_runs_and_did_not_leave_is_declared_left_in_error() {
        let mut sim = Simulation::new(Scenario { nodes: 3, ..Scenario::default() }).unwrap();
        assert!(sim.run_until_complete(Duration::from_secs(30)).is_some());
        let (id, members) =
            (sim.node(1).unwrap().own().id, sim.node(0).unwrap().members().to_vec());
        let mut told = || {
            sim.watch.event(sim.now, 0, Event::MemberLeft(id), &members);
            let count = sim.watch.false_deaths.len();
            sim.watch.leaves(1);
            count
        };
        assert_eq!([told(), told()], [1, 1], "the second time it does leave");
    }
}
