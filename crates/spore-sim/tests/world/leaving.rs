//! Leaving on purpose is not death.

use crate::{heals, lossy, run_until, scenario, secs, whole};
use spore_core::cluster::Status;
use spore_core::{Destination, Event, NodeId};
use spore_sim::log::Entry;
use spore_sim::report::Life;
use spore_sim::{Command, Scenario, Simulation, Spread};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Counts the deaths of anybody that are noted from now on.
fn deaths(sim: &mut Simulation) -> Rc<Cell<u32>> {
    let deaths = Rc::new(Cell::new(0));
    let counter = Rc::clone(&deaths);
    sim.set_sink(Box::new(move |_, entry| {
        if matches!(entry, Entry::Membership { event: Event::MemberDied(_), .. }) {
            counter.set(counter.get() + 1);
        }
    }));
    deaths
}

fn status(sim: &Simulation, observer: usize, id: NodeId) -> Option<Status> {
    let members = sim.node(observer)?.members();
    members.iter().find(|member| member.id() == id).map(|member| member.status())
}

/// How long it took until nobody listed the leaver as live, for each seed.
fn departures(nodes: usize, loss: f64, seeds: u64) -> Spread {
    let gone = |report: &spore_sim::Report| report.last_life(0).and_then(Life::dead_after);
    let spans = (0..seeds).map(|seed| {
        let conditions = lossy(loss);
        let mut sim = whole(Scenario { conditions, ..scenario(nodes, seed) }, secs(60));
        sim.run_for(secs(5));
        let id = sim.node(0).expect("it runs").own().id;
        let died = deaths(&mut sim);
        sim.apply(Command::Leave(0)).expect("it exists");
        sim.run_for(secs(1));
        assert!(sim.node(0).is_none(), "seed {seed}: still there after a second");
        let report = run_until(&mut sim, secs(60), |report| gone(report).is_some());
        for observer in 1..nodes {
            assert_eq!(status(&sim, observer, id), Some(Status::Left), "seed {seed}");
        }
        sim.run_for(secs(20));
        assert_eq!(died.get(), 0, "seed {seed}: somebody was declared dead");
        gone(&report).expect("it was gone for all")
    });
    Spread::of(spans).expect("there are seeds")
}

#[test]
fn one_who_leaves_has_left_for_all_and_has_not_died() {
    for (nodes, loss) in [(2, 0.0), (5, 0.1), (32, 0.1)] {
        let spread = departures(nodes, loss, 10);
        println!("leaving at {loss} loss, N={nodes}: {spread}");
        assert!(spread.max <= secs(15), "N={nodes}: {spread}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn departures_under_loss_300_seeds_long() {
    for loss in [0.0, 0.1, 0.3] {
        println!("leaving at {loss} loss, N=32: {}", departures(32, loss, 300));
    }
}

#[test]
fn one_who_has_left_is_left_alone_and_may_come_back() {
    for seed in 0..3 {
        let recording = 100_000;
        let mut sim = whole(Scenario { recording, ..scenario(8, seed) }, secs(60));
        sim.run_for(secs(5));
        let before = sim.node(0).expect("it runs").own().clone();
        sim.apply(Command::Leave(0)).expect("it exists");
        sim.run_for(secs(30));
        let (from, to) = (sim.now() - secs(28), Destination::Unicast(sim.address(0)));
        let to_it = sim.recording().filter(|sent| sent.at >= from && sent.to == to);
        assert_eq!(to_it.count(), 0, "seed {seed}: it is still asked");
        sim.apply(Command::Start(0)).expect("it exists");
        heals(&mut sim, secs(10), &format!("seed {seed}"));
        let after = sim.node(0).expect("it runs").own();
        assert_eq!(after.id, before.id);
        assert_eq!(after.incarnation.epoch.get(), before.incarnation.epoch.get() + 1);
    }
}

#[test]
fn all_may_leave_at_once_and_a_lone_node_too() {
    let mut sim = whole(scenario(8, 1), secs(60));
    sim.run_for(secs(5));
    let died = deaths(&mut sim);
    for node in 0..8 {
        sim.apply(Command::Leave(node)).expect("it exists");
    }
    sim.run_for(Duration::from_millis(500));
    assert!((0..8).all(|node| sim.node(node).is_none()));
    assert_eq!(died.get(), 0);
    let mut alone = whole(scenario(1, 1), secs(60));
    alone.apply(Command::Leave(0)).expect("it exists");
    alone.run_for(Duration::from_millis(500));
    assert!(alone.node(0).is_none());
}
