//! Nodes with radios: routers that go and come back, credentials that are wrong, power cuts.

use crate::{heals, lossy, promise, run_until, scenario, secs, simulation};
use fastrand::Rng;
use spore_core::api::{Method, Request};
use spore_core::network::Credentials;
use spore_core::security::request::{Credentials as Signature, Signed, SigningKey};
use spore_sim::scenario::{Conditions, Router, Wifi};
use spore_sim::{Command, Memory, Scenario, Simulation, Spread};
use std::time::Duration;

const HOME: &str = "home:home-password";

fn router(line: &str) -> Router {
    line.parse().expect("the test's routers are some")
}

fn credentials(line: &str) -> Credentials {
    let Router { ssid, password, .. } = router(line);
    Credentials { ssid, password }
}

/// So many nodes which know the network at home, where these routers are on the air.
fn at_home(nodes: usize, seed: u64, routers: Vec<Router>) -> Scenario {
    let password = router("x:board password").password;
    let wifi = Wifi { routers, credentials: Some(credentials(HOME)), password };
    Scenario { wifi: Some(wifi), ..scenario(nodes, seed) }
}

fn apply(sim: &mut Simulation, command: Command) {
    sim.apply(command).expect("the test's commands are possible");
}

/// Turns the router off, or on again with a change.
fn air(sim: &mut Simulation, on: bool, change: impl FnOnce(&mut Router)) {
    let mut home = Router { on, ..router(HOME) };
    change(&mut home);
    apply(sim, Command::Air(vec![home]));
}

fn connected(sim: &Simulation, node: usize) -> bool {
    sim.node(node).is_some_and(spore_core::Node::is_connected)
}

/// Runs until the node is connected, which must come within `limit`. How long it took.
#[track_caller]
fn connects(sim: &mut Simulation, node: usize, limit: Duration, what: &str) -> Duration {
    let start = sim.now();
    while !connected(sim, node) {
        assert!(sim.now() < start + limit, "{what}: not connected after {limit:?}");
        sim.run_for(Duration::from_millis(100));
    }
    sim.now() - start
}

fn status(sim: &mut Simulation, node: usize) -> serde_json::Value {
    let (_, body) = sim.get(node, "/api/network/status").expect("it runs");
    serde_json::from_str(&body).expect("it is JSON")
}

/// Sets credentials by a signed request.
fn set(sim: &mut Simulation, node: usize, line: &str) {
    let Credentials { ssid, password } = credentials(line);
    let body = serde_json::json!({ "ssid": ssid.as_str(), "password": password.as_str() });
    let (body, path) = (body.to_string(), "/api/network/wifi");
    let (_, nonce) = sim.get(node, "/api/auth/nonce").expect("it runs");
    let nonce: serde_json::Value = serde_json::from_str(&nonce).expect("it is JSON");
    let nonce = nonce["nonce"].as_str().and_then(|nonce| nonce.parse().ok()).expect("a nonce");
    let signed = Signed { method: "PUT", path, query: "", nonce, body: body.as_bytes() };
    let mac = SigningKey::derive(sim.key()).sign(&signed);
    let field = Signature { nonce, mac }.to_string();
    let request = Request {
        authorization: Some(&field),
        body: body.as_bytes(),
        ..Request::new(Method::Put, path)
    };
    let (status, body) = sim.request(node, &request).expect("it runs");
    assert_eq!(status, 202, "{body}");
}

#[test]
fn a_cluster_on_wifi_finds_itself_and_its_access_points_stay_closed() {
    let mut sim = simulation(Scenario {
        conditions: lossy(0.05),
        esp01: 8,
        ..at_home(16, 1, vec![router(HOME)])
    });
    heals(&mut sim, secs(30), "at the start");
    for node in 0..16 {
        let status = status(&mut sim, node);
        assert_eq!(status["state"], "connected");
        assert_eq!(status["radio"], "modelled");
        assert_eq!(status["access_point"]["open"], false);
    }
}

/// A cluster of 16 whose router is away for ten minutes: how long it took after the router's return
/// until all were active for all, and how many deaths of running nodes were declared meanwhile.
fn outage(seed: u64, conditions: Conditions) -> (Duration, usize) {
    let mut sim = simulation(Scenario { conditions, ..at_home(16, seed, vec![router(HOME)]) });
    heals(&mut sim, secs(60), "at the start");
    sim.run_for(secs(30));
    air(&mut sim, false, |_| ());
    sim.run_for(secs(600));
    sim.clear_counters();
    air(&mut sim, true, |home| home.channel = 11);
    let healed = heals(&mut sim, secs(300), &format!("seed {seed}"));
    let deaths = sim.report().false_deaths.len();
    sim.run_for(secs(60));
    assert!(sim.is_complete(), "seed {seed}: it stays whole");
    assert_eq!(sim.report().false_deaths.len(), deaths, "seed {seed}: nobody dies afterwards");
    (healed, deaths)
}

#[test]
fn after_ten_minutes_without_a_router_all_are_active_within_30_seconds_of_its_return() {
    let runs: Vec<_> = (0..10).map(|seed| outage(seed, lossy(0.05))).collect();
    let deaths: usize = runs.iter().map(|(_, deaths)| deaths).sum();
    let spread = Spread::of(runs.into_iter().map(|(span, _)| span)).expect("there are seeds");
    println!("back after a router's outage, N=16: {spread}; {deaths} false deaths");
    let (p99, max) = (spread.p99.as_secs_f64(), spread.max.as_secs_f64());
    promise("N1", &[("p99", p99), ("max", max), ("false_deaths", deaths as f64)]);
    assert!(spread.max <= secs(30), "{spread}");
    assert_eq!(deaths, 0);
}

#[test]
#[ignore = "takes minutes"]
fn after_ten_minutes_without_a_router_all_are_active_1000_seeds_long() {
    let runs: Vec<_> = (0..1000).map(|seed| outage(seed, lossy(0.05))).collect();
    let deaths: usize = runs.iter().map(|(_, deaths)| deaths).sum();
    let spread = Spread::of(runs.into_iter().map(|(span, _)| span)).expect("there are seeds");
    println!("back after a router's outage, N=16: {spread}; {deaths} false deaths");
    let (p99, max) = (spread.p99.as_secs_f64(), spread.max.as_secs_f64());
    promise("N1", &[("p99", p99), ("max", max), ("false_deaths", deaths as f64)]);
    assert!(spread.max <= secs(30), "{spread}");
}

/// So many outages of random lengths, after each of which the router may have another channel and give out
/// other addresses. Returns the longest time until the node was connected again.
fn outages(seed: u64, count: usize) -> Duration {
    let mut sim = simulation(at_home(1, seed, vec![router(HOME)]));
    let mut rng = Rng::with_seed(seed);
    let mut longest = Duration::ZERO;
    connects(&mut sim, 0, secs(30), "at the start");
    for n in 0..count {
        air(&mut sim, false, |_| ());
        // From a hiccup that nobody notices to several minutes.
        sim.run_for(Duration::from_millis(1 << rng.u32(5..=17)));
        sim.run_for(Duration::from_millis(rng.u64(..1_000)));
        let (channel, pool) = (rng.u8(1..=13), rng.u8(..3));
        air(&mut sim, true, |home| (home.channel, home.pool) = (channel, pool));
        // Without this, it may not have noticed yet that it was away.
        sim.run_for(Duration::from_millis(rng.u64(..10_000)));
        let took = connects(&mut sim, 0, secs(40), &format!("seed {seed}, outage {n}"));
        longest = longest.max(took);
    }
    longest
}

#[test]
fn outages_of_random_lengths_end_connected() {
    let longest = (0..20).map(|seed| outages(seed, 50)).max().expect("there are seeds");
    println!("20 seeds of 50 outages: all end connected, after at most {longest:?}");
    promise("N1", &[("seeds", 20.0), ("longest", longest.as_secs_f64())]);
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_outages_end_connected_1000_of_1000_seeds_long() {
    let longest = (0..1000).map(|seed| outages(seed, 1000)).max().expect("there are seeds");
    println!("1000 of 1000 seeds of 1000 outages end connected, after at most {longest:?}");
    promise("N1", &[("seeds", 1000.0), ("longest", longest.as_secs_f64())]);
}

#[test]
fn wrong_credentials_are_found_out_and_the_old_ones_return() {
    for (line, limit) in [("home:wrong-password", 30), ("nowhere:whatever-else", 70)] {
        for seed in 0..10 {
            let mut sim = simulation(at_home(3, seed, vec![router(HOME)]));
            heals(&mut sim, secs(60), "at the start");
            set(&mut sim, 1, line);
            sim.run_for(secs(2));
            assert!(!connected(&sim, 1), "seed {seed}: it tries them");
            connects(&mut sim, 1, secs(limit + 10), &format!("seed {seed}, {line}"));
            let status = status(&mut sim, 1);
            assert_eq!(
                (&status["ssid"], &status["credentials"]),
                (&"home".into(), &"returned".into())
            );
            heals(&mut sim, secs(30), &format!("seed {seed}, {line}"));
        }
    }
}

#[test]
fn right_credentials_are_kept_and_a_cluster_moves_one_node_after_the_other() {
    let mut sim = simulation(at_home(6, 1, vec![router(HOME), router("attic:attic-password")]));
    heals(&mut sim, secs(60), "at the start");
    for node in 0..6 {
        set(&mut sim, node, "attic:attic-password");
        sim.run_for(secs(2));
        connects(&mut sim, node, secs(20), "in the attic");
        let status = status(&mut sim, node);
        assert_eq!((&status["ssid"], &status["credentials"]), (&"attic".into(), &"kept".into()));
        sim.run_for(secs(20));
    }
    heals(&mut sim, secs(60), "in the attic");
    for node in 0..6 {
        apply(&mut sim, Command::Restart(node, Memory::Kept));
    }
    heals(&mut sim, secs(60), "after a power cut");
    assert_eq!(status(&mut sim, 3)["ssid"], "attic");
}

/// Cuts the power again and again while credentials are on trial that lead nowhere, or to another
/// network, or are set anew meanwhile. In the end the node must be connected.
fn cuts(seed: u64) {
    let routers = vec![router(HOME), router("attic:attic-password")];
    let mut sim = simulation(at_home(1, seed, routers));
    connects(&mut sim, 0, secs(30), "at the start");
    sim.run_for(secs(5));
    let mut rng = Rng::with_seed(seed);
    let lines = ["home:wrong-password", "nowhere:whatever-else", "attic:attic-password"];
    for _ in 0..rng.usize(1..=3) {
        set(&mut sim, 0, lines[rng.usize(..lines.len())]);
        for _ in 0..rng.usize(1..=6) {
            // Within the store, the answer's time, an attempt, or the trial.
            let most = 1 << rng.u32(4..=17);
            sim.run_for(Duration::from_millis(rng.u64(..most)));
            apply(&mut sim, Command::Kill(0));
            sim.run_for(Duration::from_millis(rng.u64(..2_000)));
            apply(&mut sim, Command::Start(0));
        }
    }
    // Three boots of a trial may be left, and one of them is enough for its end.
    let took = connects(&mut sim, 0, secs(100), &format!("seed {seed}"));
    let status = status(&mut sim, 0);
    let ssid = status["ssid"].as_str().expect("it has credentials");
    assert!(["home", "attic"].contains(&ssid) && took <= secs(100), "{status}");
    sim.run_for(secs(120));
    apply(&mut sim, Command::Restart(0, Memory::Kept));
    connects(&mut sim, 0, secs(30), &format!("seed {seed}, in the end"));
}

#[test]
fn power_cuts_during_a_trial_leave_credentials_that_work() {
    (0..200).for_each(cuts);
    promise("N1", &[("connected", 200.0)]);
}

#[test]
#[ignore = "takes minutes"]
fn power_cuts_during_a_trial_leave_credentials_that_work_20000_seeds_long() {
    (0..20_000).for_each(cuts);
    println!("20000 of 20000 nodes are connected after power cuts in their trials");
    promise("N1", &[("connected", 20_000.0)]);
}

#[test]
fn an_address_in_use_is_not_used_and_asked_for_until_it_is_free() {
    let mut sim = simulation(at_home(3, 1, vec![Router { conflict: true, ..router(HOME) }]));
    sim.run_for(secs(120));
    for node in 0..3 {
        let status = status(&mut sim, node);
        assert_eq!(status["address"], serde_json::Value::Null);
        assert_eq!(status["access_point"]["open"], true);
        let attempts = status["attempts"].as_u64().expect("a number");
        assert!((5..=12).contains(&attempts), "{attempts}");
    }
    air(&mut sim, true, |_| ());
    heals(&mut sim, secs(40), "when it is free");
}

#[test]
fn a_router_that_gives_out_other_addresses_does_no_harm() {
    let mut sim = simulation(at_home(8, 1, vec![router(HOME)]));
    heals(&mut sim, secs(60), "at the start");
    air(&mut sim, false, |_| ());
    sim.run_for(secs(60));
    air(&mut sim, true, |home| home.pool = 7);
    let healed = heals(&mut sim, secs(60), "at other addresses");
    println!("back at other addresses, N=8: {healed:?}");
    sim.run_for(secs(30));
    for node in 0..8 {
        for member in sim.node(node).expect("it runs").members() {
            assert_eq!(member.address().octets()[1], 7, "as {node} sees it");
        }
    }
}

#[test]
fn a_client_of_the_access_point_stays_and_the_station_comes_back_all_the_same() {
    for seed in 0..10 {
        let mut sim = simulation(at_home(1, seed, vec![Router { on: false, ..router(HOME) }]));
        sim.run_for(secs(3));
        apply(&mut sim, Command::JoinAccessPoint(0));
        sim.run_for(secs(60));
        let on_it = |sim: &mut Simulation| status(sim, 0)["access_point"]["clients"] == 1;
        let there = (0..600).filter(|_| {
            sim.run_for(secs(1));
            on_it(&mut sim)
        });
        let there = there.count();
        assert!(there > 480, "seed {seed}: {there} of 600 s");
        air(&mut sim, true, |_| ());
        connects(&mut sim, 0, secs(90), &format!("seed {seed}"));
        sim.run_for(secs(20));
        assert!(on_it(&mut sim), "seed {seed}: it may see how it went");
        apply(&mut sim, Command::LeaveAccessPoint(0));
        sim.run_for(secs(15));
        assert_eq!(status(&mut sim, 0)["access_point"]["open"], false);
    }
}

#[test]
fn a_weak_network_is_used_as_far_as_it_goes() {
    let mut sim = simulation(at_home(1, 1, vec![Router { rssi: -90, ..router(HOME) }]));
    let there = (0..3_600).filter(|_| {
        sim.run_for(secs(1));
        connected(&sim, 0)
    });
    let there = there.count();
    println!("a weak network, lost every minute: connected {there} of 3600 s");
    assert!(there > 2_400, "{there}");
}

#[test]
fn the_same_seed_gives_the_same_run_with_radios_too() {
    let run = |seed| {
        let mut sim = simulation(at_home(4, seed, vec![router(HOME)]));
        sim.run_for(secs(20));
        air(&mut sim, false, |_| ());
        run_until(&mut sim, secs(60), |_| false);
        air(&mut sim, true, |_| ());
        run_until(&mut sim, secs(60), |_| false).log_hash
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
