//! `spore sim`.

use crate::support::{Corner, stderr};

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_does_not() {
    let corner = Corner::new();
    let run =
        |seed| corner.json(&["sim", "--nodes", "32", "--loss", "0.1", "--seed", seed, "--json"]);
    let first = run("7");
    assert_eq!(run("7"), first);
    assert_ne!(run("8")["log_hash"], first["log_hash"]);
    let lives = first["lives"].as_array().unwrap();
    assert_eq!(lives.len(), 32);
    assert!(lives.iter().all(|life| life["known_ms"].as_f64().unwrap() < 5_000.0), "{first}");
}

#[test]
fn a_death_is_known_to_all() {
    let corner = Corner::new();
    let report = corner.json(&["sim", "--nodes", "8", "--kill", "2", "--json"]);
    let dead = report["lives"].as_array().unwrap().iter().filter(|life| !life["dead_ms"].is_null());
    assert_eq!(dead.count(), 2, "{report}");
}

#[test]
fn what_cannot_be_simulated_is_refused_and_what_does_not_come_is_exit_code_1() {
    let corner = Corner::new();
    for (code, arguments) in [
        (2, &["sim", "--nodes", "0"][..]),
        (2, &["sim", "--nodes", "3", "--kill", "3"]),
        (2, &["sim", "--loss", "1.5"]),
        (2, &["sim", "--latency", "9", "3"]),
        (1, &["sim", "--loss", "1", "--limit", "10"]),
    ] {
        let output = corner.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).starts_with("spore: "), "{arguments:?}: {}", stderr(&output));
    }
}
