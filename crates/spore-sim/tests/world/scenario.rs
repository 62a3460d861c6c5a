//! What cannot be run is refused, in words.

use crate::{scenario, simulation};
use spore_core::Catalogue;
use spore_sim::network::{Latency, Loss};
use spore_sim::scenario::{Clocks, Conditions, Flash};
use spore_sim::{Command, Memory, Scenario, ScenarioError, Simulation};
use std::time::Duration;

fn refusal(change: impl FnOnce(&mut Scenario)) -> String {
    let mut scenario = scenario(4, 1);
    change(&mut scenario);
    Simulation::new(scenario).expect_err("this cannot be run").to_string()
}

#[test]
fn impossible_scenarios_are_refused_with_a_sentence() {
    type Change = fn(&mut Scenario);
    let cases: [(&str, Change); 11] = [
        ("3 is no probability for fetch", |s| s.fetch_failure = 3.0),
        ("0 nodes cannot", |s| s.nodes = 0),
        ("5000 nodes cannot", |s| s.nodes = 5000),
        ("5 nodes cannot be like", |s| s.esp01 = 5),
        ("1.5 is no probability for unicast loss", |s| s.conditions.loss.unicast = 1.5),
        ("NaN is no probability for broadcast", |s| s.conditions.loss.broadcast = f64::NAN),
        ("-0.1 is no probability for duplic", |s| s.conditions.duplication.0 = -0.1),
        ("2 is no probability for flash", |s| {
            s.flash = Flash { failure: 2.0, ..Flash::default() };
        }),
        ("exchange them", |s| {
            let (min, max) = (Duration::from_secs(1), Duration::ZERO);
            s.conditions.latency = Latency::Uniform { min, max };
        }),
        ("cannot drift by 1000000 ppm", |s| {
            s.clocks = Clocks { drift_ppm: 1_000_000, ..Clocks::default() };
        }),
        ("there is no node 4: the 4 nodes are numbered from 0 to 3", |s| {
            s.script.push((Duration::ZERO, Command::Isolate(vec![1, 4])));
        }),
    ];
    for (expected, change) in cases {
        let message = refusal(change);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn impossible_commands_are_refused_and_change_nothing() {
    let mut sim = simulation(scenario(2, 1));
    sim.run_for(Duration::from_secs(5));
    let before = sim.report();
    let error = ScenarioError::UnknownNode { node: 2, nodes: 2 };
    for command in [
        Command::Start(2),
        Command::Kill(2),
        Command::Restart(2, Memory::Kept),
        Command::Stall(2, Duration::ZERO),
        Command::Offer(2, Catalogue::EMPTY),
        Command::Block { from: vec![0], to: vec![2] },
    ] {
        assert_eq!(sim.apply(command), Err(error.clone()));
    }
    let loss = Loss { unicast: 2.0, broadcast: 0.0 };
    let conditions = Conditions { loss, ..Conditions::default() };
    assert!(sim.apply(Command::Conditions(conditions)).is_err());
    assert_eq!(sim.report(), before);
}

#[test]
fn a_node_that_does_not_run_gives_no_answer_and_one_that_runs_does() {
    let mut sim = simulation(scenario(3, 1));
    sim.run_for(Duration::from_secs(10));
    sim.apply(Command::Kill(2)).unwrap();
    assert_eq!(sim.get(2, "/api/cluster/members"), None);
    assert_eq!(sim.get(0, "/nowhere").map(|(status, _)| status), Some(404));
    let (status, body) = sim.get(0, "/api/cluster/members").unwrap();
    assert_eq!(status, 200);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let members = json["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|member| member["status"] == "active"), "{body}");
}
