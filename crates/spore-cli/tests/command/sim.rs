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
        (2, &["sim", "--set", "network.los=1"]),
        (2, &["sim", "--set", "nodes"]),
        (2, &["sim", "--duration", "soon"]),
        (2, &["sim", "nowhere.toml"]),
        (2, &["sim", "vopr", "--nodes", "3"]),
        (2, &["sim", "--seeds", "2", "--trace", "x"]),
        (2, &["sim", "--sweep", "nodes=4,none"]),
        (1, &["sim", "--loss", "1", "--limit", "10"]),
    ] {
        let output = corner.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).starts_with("spore: "), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_scenario_is_a_file_and_a_mistake_in_it_is_told_with_its_line() {
    let corner = Corner::new();
    let file = corner.state.path().join("one.toml");
    std::fs::write(&file, "nodes = 6\nduration = \"20s\"\n[chaos]\nkills = 6.0\n").unwrap();
    let report = corner.json(&["sim", "one.toml", "--nodes", "5", "--seed", "3", "--json"]);
    assert!(report["done"]["kills"].as_u64().unwrap() > 0, "{report}");
    assert!(report["healed_ms"].is_number(), "{report}");
    let nodes = report["lives"].as_array().unwrap().iter().map(|it| it["node"].as_u64().unwrap());
    assert_eq!(nodes.max(), Some(4));
    std::fs::write(&file, "nodes = 6\nduratoin = 3\n").unwrap();
    let output = corner.run(&["sim", "one.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 2") && stderr(&output).contains("duratoin"));
}

#[test]
fn many_seeds_make_a_table_whatever_the_number_of_jobs_and_a_failing_one_tells_its_command() {
    let corner = Corner::new();
    let run = |jobs| {
        corner.json(&["sim", "--sweep", "nodes=4,8", "--seeds", "6", "--jobs", jobs, "--json"])
    };
    let table = run("1");
    assert_eq!(run("2"), table);
    let groups = table.as_array().unwrap();
    assert_eq!(groups.len(), 2);
    assert!(
        groups
            .iter()
            .all(|group| group["runs"] == 6 && group["spans"]["whole_after"]["count"] == 6)
    );
    let arguments =
        ["sim", "--loss", "1", "--broadcast-loss", "1", "--limit", "5s", "--seeds", "2"];
    let output = corner.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    let command = told.lines().find(|line| line.contains("--replay 2")).expect("it repeats one");
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let repeated = corner.run(&words);
    assert_eq!(repeated.status.code(), Some(1), "{}", stderr(&repeated));
    assert!(stderr(&repeated).contains("not whole after 5s"), "{}", stderr(&repeated));
}

#[test]
fn a_run_leaves_a_trace_a_capture_and_a_picture() {
    let corner = Corner::new();
    let read = |name: &str| std::fs::read(corner.state.path().join(name)).unwrap();
    let run = |more: &[&str]| {
        let arguments = [&["sim", "--nodes", "4", "--kill", "1", "--replay", "5"], more].concat();
        let output = corner.run(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&["--trace", "run.txt", "--plot", "run.svg"]);
    assert!(
        told.contains("node 3 loses its power") && told.contains("node/died")
            || told.contains("died")
    );
    let text = String::from_utf8(read("run.txt")).unwrap();
    assert!(["sends ping", "gets ack", "command: Kill(3)"].iter().all(|it| text.contains(it)));
    assert!(read("run.svg").starts_with(b"<svg"));
    run(&["--trace", "run.pcap"]);
    let capture = read("run.pcap");
    assert_eq!(capture[..4], [0xD4, 0xC3, 0xB2, 0xA1]);
    // Frame after frame, to the end.
    let (mut at, mut frames) = (24, 0);
    while at < capture.len() {
        let length = u32::from_le_bytes(capture[at + 8..at + 12].try_into().unwrap());
        at += 16 + length as usize;
        frames += 1;
    }
    assert_eq!(at, capture.len());
    assert_eq!(frames, text.lines().filter(|line| line.contains(" sends ")).count());
}
