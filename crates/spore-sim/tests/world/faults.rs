//! Each fault of the network does what it says, and whole clusters bear it.

use crate::rollout;
use crate::{scenario, secs, simulation, whole};
use fastrand::Rng;
use spore_sim::network::{
    Corruption, Duplication, Fault, Flight, Latency, Loss, Partition, Passage, Reordering, Replay,
};
use spore_sim::scenario::{Conditions, Fleet, Nature, Work};
use spore_sim::{Command, Scenario, images};
use std::rc::Rc;
use std::time::Duration;

const UNICAST: Passage = Passage { from: 0, to: 1, broadcast: false };
const BROADCAST: Passage = Passage { from: 0, to: 1, broadcast: true };

/// What is left of 10,000 datagrams after `fault`.
fn befallen(fault: &mut dyn Fault, passage: Passage) -> Vec<Flight> {
    let mut rng = Rng::with_seed(1);
    let mut all = Vec::new();
    for _ in 0..10_000 {
        let mut flights = vec![Flight { delay: Duration::ZERO, bytes: Rc::from([7; 50]) }];
        fault.befall(&passage, &mut flights, &mut rng);
        all.append(&mut flights);
    }
    all
}

#[test]
fn losses_of_unicasts_and_broadcasts_are_apart() {
    let mut loss = Loss { unicast: 0.1, broadcast: 0.5 };
    assert!((8_800..9_200).contains(&befallen(&mut loss, UNICAST).len()));
    assert!((4_800..5_200).contains(&befallen(&mut loss, BROADCAST).len()));
    let mut total = Loss { unicast: 1.0, broadcast: 0.0 };
    assert_eq!(befallen(&mut total, UNICAST).len(), 0);
    assert_eq!(befallen(&mut total, BROADCAST).len(), 10_000);
}

#[test]
fn duplication_and_corruption_are_as_frequent_as_asked() {
    assert!((10_900..11_100).contains(&befallen(&mut Duplication(0.1), UNICAST).len()));
    let flights = befallen(&mut Corruption(0.1), UNICAST);
    let wrong = flights.iter().filter(|flight| *flight.bytes != [7; 50]).count();
    assert!((850..1_050).contains(&wrong), "{wrong}");
}

#[test]
fn replays_and_reordering_are_as_frequent_and_as_late_as_asked() {
    let within = Duration::from_secs(30);
    let flights = befallen(&mut Replay { part: 0.1, within }, UNICAST);
    assert!((10_900..11_100).contains(&flights.len()), "{}", flights.len());
    assert_eq!(flights.iter().filter(|flight| flight.delay.is_zero()).count(), 10_000);
    assert!(flights.iter().all(|flight| flight.delay <= within && *flight.bytes == [7; 50]));
    let late = |flights: &[Flight], at| flights.iter().filter(|flight| flight.delay > at).count();
    assert!((400..600).contains(&late(&flights, within / 2)), "{}", late(&flights, within / 2));

    let by = Duration::from_millis(500);
    let flights = befallen(&mut Reordering { part: 0.2, by }, UNICAST);
    assert_eq!(flights.len(), 10_000, "nothing is lost or copied");
    let held_up = late(&flights, Duration::ZERO);
    assert!((1_900..2_100).contains(&held_up), "{held_up}");
    assert!(flights.iter().all(|flight| flight.delay <= by));
    assert!((900..1_100).contains(&late(&flights, by / 2)), "{}", late(&flights, by / 2));
}

#[test]
fn latencies_have_the_distribution_asked_for() {
    let (min, max) = (Duration::from_millis(1), Duration::from_millis(3));
    let flights = befallen(&mut Latency::Uniform { min, max }, UNICAST);
    assert!(flights.iter().all(|flight| (min..=max).contains(&flight.delay)));
    let (base, mean) = (Duration::from_millis(5), Duration::from_millis(20));
    let flights = befallen(&mut Latency::Tail { base, mean }, UNICAST);
    assert!(flights.iter().all(|flight| flight.delay >= base));
    let sum: Duration = flights.iter().map(|flight| flight.delay).sum();
    let measured = (sum / 10_000).as_secs_f64();
    assert!((0.0245..0.0255).contains(&measured), "{measured}");
}

#[test]
fn a_partition_blocks_the_direction_that_it_names() {
    let mut partition = Partition::default();
    partition.block(&[0], &[0, 1]);
    assert_eq!(befallen(&mut partition, UNICAST).len(), 0);
    assert_eq!(befallen(&mut partition, BROADCAST).len(), 0);
    let back = Passage { from: 1, to: 0, broadcast: false };
    assert_eq!(befallen(&mut partition, back).len(), 10_000);
    partition.heal();
    assert_eq!(befallen(&mut partition, UNICAST).len(), 10_000);
}

/// Lets every hundredth datagram through only.
#[derive(Debug)]
struct Jam(u32);

impl Fault for Jam {
    fn befall(&mut self, _: &Passage, flights: &mut Vec<Flight>, _: &mut Rng) {
        self.0 += 1;
        if !self.0.is_multiple_of(100) {
            flights.clear();
        }
    }
}

#[test]
fn faults_of_ones_own_compose_with_the_others() {
    let mut sim = simulation(scenario(8, 1));
    sim.add_fault(Box::new(Jam(0)));
    assert_eq!(sim.run_until_complete(secs(30)), None);
    // They are all alone, so all that they send is broadcasts to the seven others.
    let total = sim.report().total();
    assert!(total.received * 50 < total.sent * 7, "{total:?}");
}

#[test]
fn a_bad_network_of_all_faults_at_once_still_makes_a_whole_cluster() {
    let (base, mean) = (Duration::from_millis(2), Duration::from_millis(40));
    let conditions = Conditions {
        latency: Latency::Tail { base, mean },
        loss: Loss { unicast: 0.1, broadcast: 0.5 },
        duplication: Duplication(0.1),
        corruption: Corruption(0.1),
        ..Conditions::default()
    };
    for seed in 0..10 {
        whole(Scenario { conditions, ..scenario(16, seed) }, secs(60));
    }
}

#[test]
fn a_stalled_node_sends_nothing_and_goes_on_afterwards() {
    let mut sim = whole(scenario(3, 1), secs(60));
    sim.apply(Command::Stall(0, secs(2))).expect("it exists");
    sim.clear_counters();
    assert_eq!(sim.get(0, "/api/node/status"), None);
    sim.run_for(Duration::from_millis(1_990));
    assert_eq!(sim.report().traffic[0].sent, 0);
    assert_eq!(sim.report().traffic[0].received, 0);
    sim.run_for(secs(2));
    assert!(sim.report().traffic[0].sent > 0 && sim.report().traffic[0].received > 0);
    assert!(sim.get(0, "/api/node/status").is_some());
    assert_eq!(sim.report().false_deaths, []);
}

#[test]
fn a_board_that_is_stalled_while_its_flash_works_goes_on_with_neither() {
    let fleet = Fleet { work: Work::BOARD, ..rollout::fleet(Nature::Good) };
    let mut sim = whole(Scenario { fleet: Some(fleet), ..scenario(2, 1) }, secs(60));
    let image = sim.hold_image(0, &images::container(rollout::NEW));
    sim.serve_image(0, image);
    sim.fetch_image(1, image);
    let end = sim.now() + secs(30);
    while sim.is_free(1) {
        assert!(sim.now() < end, "its flash never works");
        sim.run_for(Duration::from_millis(1));
    }
    sim.apply(Command::Stall(1, secs(2))).expect("it exists");
    sim.clear_counters();
    sim.run_for(Duration::from_millis(1_990));
    let traffic = sim.report().traffic[1];
    assert_eq!((traffic.sent, traffic.received), (0, 0));
    sim.run_for(secs(30));
    assert!(sim.node(1).expect("it runs").has_image(image));
}
