//! A slow processor delays all that its node does, also when nothing waits.

use crate::{scenario, secs, whole};
use spore_core::security::Sealer;
use spore_core::wire::{Kind, Message};
use spore_sim::network::Latency;
use spore_sim::scenario::Conditions;
use spore_sim::simulation::Recorded;
use spore_sim::{Command, Scenario, Simulation};
use std::time::Duration;

const PACE: Duration = Duration::from_millis(100);
const LATENCY: Duration = Duration::from_millis(1);

/// Two nodes, of which the second one becomes slow when they know each other.
fn world() -> Simulation {
    let latency = Latency::Uniform { min: LATENCY, max: LATENCY };
    let conditions = Conditions { latency, ..Conditions::default() };
    let mut sim = whole(Scenario { recording: 1_000, conditions, ..scenario(2, 1) }, secs(60));
    sim.run_for(secs(10));
    sim.apply(Command::Slow(1, PACE)).expect("it exists");
    sim
}

/// What a datagram is.
fn kind(sim: &Simulation, datagram: &Recorded) -> Kind {
    let mut bytes = datagram.bytes.to_vec();
    let (header, text) = Sealer::new(sim.key()).open(&mut bytes).expect("it is sealed");
    Message::parse(text, header.sender).expect("it is whole").kind
}

#[test]
fn the_answer_to_a_ping_comes_when_the_processor_has_had_its_time() {
    let mut sim = world();
    let start = sim.now();
    sim.run_for(secs(30));
    let later: Vec<&Recorded> = sim.recording().filter(|it| it.at > start).collect();
    let mut answered = 0;
    for (index, ping) in later.iter().enumerate().filter(|(_, it)| it.from == sim.address(0)) {
        let Kind::Ping(token) = kind(&sim, ping) else { continue };
        let mut answers = later[index..].iter().filter(|it| it.from == sim.address(1));
        let is_it = |it: &&&Recorded| matches!(kind(&sim, it), Kind::Ack(other) if other == token);
        let Some(ack) = answers.find(is_it) else { continue };
        assert!(ack.at >= ping.at + LATENCY + PACE, "{:?} to {:?}", ping.at, ack.at);
        answered += 1;
    }
    assert!(answered > 10, "{answered}");
    assert_eq!(sim.report().false_deaths, []);
}

#[test]
fn a_request_from_outside_takes_its_time_too() {
    let mut sim = world();
    let start = sim.now();
    assert!(sim.get(0, "/api/node/status").is_some() && sim.now() == start);
    assert!(sim.get(1, "/api/node/status").is_some());
    assert_eq!(sim.now(), start + PACE);
}

#[test]
fn what_comes_faster_than_the_processor_is_waits_and_is_lost_when_too_much_does() {
    let mut sim = world();
    sim.clear_counters();
    let received = |sim: &Simulation| sim.report().traffic[1].received;
    for _ in 0..40 {
        sim.inject(1, sim.address(0), b"junk");
    }
    sim.run_for(PACE - Duration::from_millis(1));
    assert_eq!(received(&sim), 0);
    sim.run_for(PACE * 3);
    assert!((1..=3).contains(&received(&sim)), "{}", received(&sim));
    sim.run_for(PACE * 26);
    assert!((16..=29).contains(&received(&sim)), "{}", received(&sim));
}
