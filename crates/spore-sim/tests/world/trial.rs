//! Scenarios as people write them.

use spore_sim::Command;
use spore_sim::log::Entry;
use spore_sim::trial::{Plan, PlanError, Trial};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The repository's scenarios, by name.
fn files() -> Vec<(String, Plan)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("there are some").map(|it| it.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let plan = Plan::parse(&fs::read_to_string(&path).unwrap());
        let plan = plan.unwrap_or_else(|error| panic!("{name}: {error}"));
        plan.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, plan)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn what_the_repositorys_scenarios_promise_is_so() {
    let files = files();
    assert!(files.len() > 10);
    for (name, plan) in files.iter().filter(|(name, _)| !name.starts_with("scale-")) {
        let outcome = Trial::new(plan, 1).unwrap().run();
        assert_eq!(outcome.failures, [""; 0], "{name}");
        println!("{name}: {:?} virtual, log {:016x}", outcome.report.now, outcome.report.log_hash);
    }
}

#[test]
fn a_promise_that_is_not_kept_is_a_failure_and_says_what() {
    for (text, expected) in [
        ("nodes = 4\n[network]\nloss = 1.0\nbroadcast_loss = 1.0", "not whole after 120s"),
        ("nodes = 8\nduration = \"10s\"\n[expect]\ndatagrams = 0.1", "datagrams a node and second"),
        (
            "nodes = 8\nduration = \"60s\"\n[expect]\nfalse_deaths = 0\n[[step]]\nisolate = [0]",
            "running nodes were declared dead",
        ),
        ("nodes = 8\nkill = 1\n[expect]\ndeaths_within = \"1s\"", "a death was not known to all"),
        (
            "nodes = 4\n[rollout]\nimage = \"good\"\n[expect]\nrollout_within = \"5s\"",
            "the rollout has not ended",
        ),
        (
            "nodes = 8\nduration = \"20s\"\n[events]\nrate = 2.0\n[expect]\nevent_p99 = \"1ms\"",
            "events took",
        ),
        (
            "nodes = 6\nduration = \"20s\"\n[chaos]\npartitions = 20.0\n[liveness]\nwithin = \"0s\"",
            "does not agree",
        ),
    ] {
        let plan = Plan::parse(text).unwrap();
        let failures = Trial::new(&plan, 1).unwrap().run().failures;
        assert!(failures.iter().any(|it| it.contains(expected)), "{text}: {failures:?}");
    }
}

#[test]
fn what_is_no_scenario_is_refused_with_the_reason() {
    for (text, expected) in [
        ("nodes = 8\nlos = 1", "unknown field `los`"),
        ("[network]\nloss = \"much\"", "loss"),
        ("nodes = 0", "0 nodes cannot"),
        ("[network]\nloss = 1.5", "1.5 is no probability for unicast loss"),
        ("[network]\nreplay = -1.0", "-1 is no probability for replay"),
        ("duration = \"soon\"", "\"soon\" is no span of time"),
        ("kill = 32", "kill: choose 0 to 31"),
        ("kill = 1\n[liveness]", "kill: choose 0 where only a core heals"),
        ("[cpu]\nslow = 33", "cpu.slow: choose 0 to 32"),
        ("sample = 0", "sample: choose 1ms at least"),
        ("[events]\nrate = -1.0", "events.rate: choose"),
        ("[events]\nbytes = 257", "events.bytes: choose"),
        ("[chaos]\nkills = 1e9", "chaos.kills: choose"),
        ("[chaos]\nstall = [\"2s\", \"1s\"]", "chaos.stall: choose the least first"),
        ("[clock]\nfrom = 2\nto = 1", "exchange them"),
        ("[[step]]\nat = 1", "what happens: choose one of start"),
        ("[[step]]\nkill = [1]\nstart = [2]", "what happens: choose one of start"),
        ("[[step]]\nkill = [32]", "there is no node 32"),
        ("[[step]]\nkill = \"all\"", "a range such as"),
        ("[[step]]\nstall = [1]", "by: choose how long"),
        ("[rollout]\nwaves = [100, 30]", "rollout.waves: choose"),
        ("[rollout]\nwaves = []", "rollout.waves: choose"),
        ("nodes = 1\n[rollout]", "nodes: choose 2 at least"),
        ("[liveness]\ncore = 33", "liveness.core: choose 0 to 32"),
    ] {
        let error = Plan::parse(text).and_then(|plan| plan.validate().map(|()| plan));
        let error = error.expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Plan::parse("nodes = 8\nlos = 1").unwrap_err();
    assert!(matches!(&error, PlanError::Syntax(it) if it.contains("line 2")), "{error}");
}

#[test]
fn a_step_does_what_it_says() {
    let text = "nodes = 4\nduration = \"60s\"\n[[step]]\nat = 5\nkill = [1]\n[[step]]\nat = 20\nstart = [1]\n[[step]]\nat = 30\nleave = [2]";
    let outcome = Trial::new(&Plan::parse(text).unwrap(), 3).unwrap().run();
    assert_eq!(outcome.failures, [""; 0]);
    let lives = |node| outcome.report.lives.iter().filter(move |life| life.node == node).count();
    assert_eq!([0, 1, 2, 3].map(lives), [1, 2, 1, 1]);
    assert!(outcome.report.last_life(2).unwrap().ended.is_some(), "it has left, and stays away");
    let fewest = outcome.samples.iter().skip(10).map(|it| it.running).min();
    assert_eq!(fewest, Some(3));
}

/// What is done to the world of a plan while it runs.
fn obeyed(text: &str) -> Vec<Command> {
    let plan = Plan::parse(text).unwrap();
    let mut trial = Trial::new(&plan, 1).unwrap();
    let commands = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&commands);
    trial.world.set_sink(Box::new(move |_, entry| {
        if let Entry::Obeyed(command) = entry {
            sink.borrow_mut().push((*command).clone());
        }
    }));
    assert_eq!(trial.run().failures, [""; 0], "{text}");
    commands.take()
}

#[test]
fn a_step_comes_also_when_nothing_is_left_that_chance_may_befall() {
    let step = "[[step]]\nat = \"1001ms\"\nclock = [1]\nby = \"1h\"";
    let text = format!("nodes = 4\nduration = \"1s\"\n[liveness]\ncore = 4\n{step}");
    let is_step = |it: &Command| matches!(it, Command::StepClock(1, _));
    let commands = obeyed(&text);
    let healed = commands.iter().position(|it| matches!(it, Command::HealCore(_)));
    assert!(commands.iter().position(is_step) > healed && healed.is_some(), "{commands:?}");
}

#[test]
fn a_cut_is_between_some_and_others() {
    for chaos in ["flaps = 600.0", "partitions = 600.0"] {
        let text = format!(
            "nodes = 2\nduration = \"10s\"\n[chaos]\n{chaos}\nflap = [0, 1]\npartition = [0, 1]"
        );
        let mut cuts = 0;
        for command in obeyed(&text) {
            if let Command::Block { from, to } = command {
                assert!(!from.is_empty() && !to.is_empty(), "{chaos}: {from:?} from {to:?}");
                assert!(
                    from.iter().all(|node| !to.contains(node)),
                    "{chaos}: {from:?} from {to:?}"
                );
                cuts += 1;
            }
        }
        assert!(cuts > 50, "{chaos}: {cuts}");
    }
}

#[test]
fn an_image_that_hangs_is_halted_everywhere() {
    let text = "nodes = 4\n[rollout]\nimage = \"hangs\"\n[expect]\nrollout_within = \"120s\"";
    let outcome = Trial::new(&Plan::parse(text).unwrap(), 1).unwrap().run();
    assert_eq!(outcome.failures, [""; 0]);
    assert!(outcome.rollout.is_some());
}

#[test]
fn an_image_that_hangs_is_confirmed_by_no_clock_that_jumps() {
    // Past the time that an image must run before it is kept, again and again: also after it was started, and before it hangs.
    let step = |at: u32| format!("[[step]]\nat = {at}\nclock = [1]\nby = \"11s\"\n");
    let steps: String = (1..60).map(step).collect();
    let text = format!("nodes = 4\nduration = \"60s\"\n{steps}[rollout]\nimage = \"hangs\"");
    let plan = Plan::parse(&text).unwrap();
    for seed in 0..4 {
        let failures = Trial::new(&plan, seed).unwrap().run().failures;
        assert_eq!(failures, [""; 0], "seed {seed}");
    }
}
