//! What holds for every command: JSON as its schema says, no commands to a terminal where none is wanted.

use crate::canned::{Canned, said};
use crate::ota::{Fleet, program};
use crate::schema::Schemas;
use crate::support::{Corner, Running, stderr, wait};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Every command to a terminal begins with it.
const ESCAPE: &str = "\u{1B}";

/// How a command is run, and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// By a program that wants JSON.
    Json,
    /// By a program that wants text.
    Pipe,
    /// By somebody at a terminal who wants no colours: `NO_COLOR`.
    Terminal,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Done,
    /// When all nodes are there again: some were restarted, or given another network.
    DoneSoon,
    /// Where there is nothing to do any more, with 1 and a line.
    Any,
    /// As `Any`; but the node that is asked may be one that restarts.
    AnySoon,
    /// With Ctrl-C.
    Asked,
}
use Ends::{Any, AnySoon, Asked, Done, DoneSoon};

/// Every command with what it does here, in this order. {n} is another number in each mode, {1} and {2} are nodes that take
/// updates, {3} has a radio, {port} is theirs; {at 9} is an address that is free.
const COMMANDS: &[(&str, &str, Ends)] = &[
    ("up", "--nodes 1 --base {at 40} --port {port} --http-port {port} --key-file up.key", Asked),
    ("node", "--bind {at 41} --port {port} --http-port {port} --forget --unclaimed", Asked),
    // Its broker is not there, which it takes as it comes.
    (
        "gateway",
        "--bind {at 43} --port {port} --http-port {port} --forget --broker {at 43}:{port} --metrics 127.0.0.1:0 --history past.db",
        Asked,
    ),
    ("history", "--file past.db", Done),
    ("history", "events --since 1d --limit 5 --file past.db", Done),
    (
        "launch",
        "--slots own{n} --program first -- node --bind {at 42} --port {port} --http-port {port} --forget --unclaimed",
        Asked,
    ),
    // What was done last in the mode before restarts the second one, and the canary, which may be the first.
    ("members", "", DoneSoon),
    ("status", "", Done),
    ("status", "n2", DoneSoon),
    ("services", "", Done),
    ("sprockets", "", Done),
    ("sprockets", "sensor", Done),
    ("new-sprocket", "bell{n}", Done),
    ("call", "upper hello", Done),
    ("call", "upper hello --all", Done),
    ("config get", "", Done),
    ("config get", "hostname", Done),
    ("config set", "hostname=n1", Done),
    ("logs", "", Done),
    ("logs", "--follow", Asked),
    ("pub", "a/b on", Done),
    ("sub", "--all -n 1", Done),
    ("tasks", "", Done),
    ("tasks pause", "tick", Done),
    ("tasks resume", "tick", Done),
    ("tasks run", "tick", Done),
    ("tasks interval", "tick 5s", Done),
    ("network", "--node {3}", Done),
    ("network status", "--node {3}", Done),
    ("network scan", "--node {3}", Done),
    ("network wifi", "home --open --no-wait --node {3}", Done),
    ("claim", "c{n}.flash --no-wifi", Done),
    ("repair", "node3", Done),
    ("doctor", "--serial /dev/null --bind {at 1} --port {port}", DoneSoon),
    ("key new", "--key-file {n}.key", Done),
    ("key new", "release --release-key-file {n}-release.key", Done),
    ("key show", "", Done),
    ("key show", "release", Done),
    ("key export", "--stdout", Done),
    ("key export", "--output {n}.export", Done),
    ("key import", "{n}.export --key-file imported{n}.key", Done),
    ("key sign-release", "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29", Done),
    ("key enroll", "", Done),
    ("key rotate", "", Done),
    ("image build", "--program first --sequence 3 --output b{n}.spore", Done),
    ("image inspect", "b{n}.spore", Done),
    ("image sign", "b{n}.spore", Done),
    ("image verify", "b{n}.spore", Done),
    ("image fetch", "{2} --output f{n}.spore", Done),
    ("sign", "/api/node/config", Done),
    ("sign", "--query /api/node/config", Done),
    ("sim", "--nodes 3", Done),
    ("sim", "--nodes 3 --seeds 2", Done),
    ("openapi", "", Done),
    ("openapi", "--output api{n}.json", Done),
    ("schema", "", Done),
    ("schema", "ota update", Done),
    ("completions", "bash", Done),
    ("man", "", Done),
    ("man", "--output man{n}", Done),
    ("ota status", "", Done),
    // Newer than what the canary of the mode before runs; it may still be on trial.
    ("ota update", "n2 image-3{n}.spore --hold", DoneSoon),
    ("ota all", "image-3{n}.spore --plan plan{n}", Done),
    ("ota all", "image-20.spore --no-wait --gate 1h", Any),
    ("ota halt", "", AnySoon),
    ("restart", "n2", DoneSoon),
];

/// Nodes of each kind, and what commands need.
struct World {
    fleet: Fleet,
    _nodes: Vec<Running>,
}

impl World {
    fn new() -> Self {
        let fleet = Fleet::new(3);
        let corner = &fleet.corner;
        let put = |name: &str, text: &str| fs::write(corner.path().join(name), text).unwrap();
        put("air", "home:\n");
        for sequence in [20, 30, 31, 32] {
            fleet.image(sequence, &program("next"), &[]);
        }
        let offer = [
            "--service",
            "upper:open=tr a-z A-Z",
            "--task",
            "tick=60:true",
            "--sprocket",
            "sensor",
        ];
        let nodes = vec![
            fleet.launch_with(1, &offer),
            fleet.launch_with(2, &offer),
            corner.node(3, &["--radio", "air", "--wifi", "home:"]),
        ];
        wait("all know all", 30 * SECOND, || (1..=3).all(|n| corner.members(n).len() == 3));
        Self { fleet, _nodes: nodes }
    }

    fn command(&self, words: &str, mode: Mode, number: usize) -> Command {
        let corner = &self.fleet.corner;
        let mut text = words.replace("{n}", &number.to_string());
        text = text.replace("{port}", &corner.port.to_string());
        for n in 1..=3 {
            text = text.replace(&format!("{{{n}}}"), &corner.api(n));
        }
        for n in [1, 40, 41, 42, 43] {
            text = text.replace(&format!("{{at {n}}}"), &corner.address(n).to_string());
        }
        let mut arguments: Vec<&str> = text.split_whitespace().collect();
        if mode == Mode::Json {
            // What follows -- is for another program.
            let end = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
            arguments.insert(end, "--json");
        }
        let mut command = corner.command(&arguments);
        command.env("API_NODE", corner.api(1));
        command
    }
}

/// What came of a command: its exit code, and what it wrote.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        Self { code: output.status.code(), stdout, stderr: stderr(&output) }
    }
}

fn run(mut command: Command, mode: Mode, ends: Ends) -> Ran {
    match (mode, ends) {
        (Mode::Terminal, Asked) => {
            let (code, stdout) = Corner::at_a_terminal(command.env("NO_COLOR", "1"), SECOND);
            Ran { code, stdout, stderr: String::new() }
        }
        (Mode::Terminal, _) => {
            let (code, stdout) = Corner::at_a_terminal(command.env("NO_COLOR", "1"), Duration::MAX);
            Ran { code, stdout, stderr: String::new() }
        }
        // A launcher speaks before its node does, which can be asked to end only then.
        (_, Asked) if command.get_args().any(|word| word == "launch") => {
            run_until(command, |said| said.contains("/api/node/status"))
        }
        (_, Asked) => run_until(command, |said| !said.is_empty()),
        _ => command.output().unwrap().into(),
    }
}

/// Runs a command that is asked to end when it has said enough.
fn run_until(mut command: Command, enough: impl Fn(&str) -> bool) -> Ran {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut stdout = String::new();
    while !enough(&stdout) && out.read_line(&mut stdout).unwrap() > 0 {}
    std::thread::sleep(SECOND / 2);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    out.read_to_string(&mut stdout).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran { stdout, ..output.into() }
}

#[test]
fn every_command_prints_what_its_schema_says_and_nothing_that_a_terminal_would_obey() {
    let world = World::new();
    let schemas = Schemas::new(&world.fleet.corner);
    for (number, mode) in [Mode::Json, Mode::Pipe, Mode::Terminal].into_iter().enumerate() {
        for &(verb, words, ends) in COMMANDS {
            let words = format!("{verb} {words}");
            let mut ran = run(world.command(&words, mode, number), mode, ends);
            // What comes first is done, also where it may find nothing to do later.
            let may_fail = matches!(ends, Any | AnySoon) && mode != Mode::Json;
            let soon = matches!(ends, DoneSoon | AnySoon) && !may_fail;
            if soon && ran.code != Some(0) {
                wait(&words, 30 * SECOND, || {
                    ran = run(world.command(&words, mode, number), mode, ends);
                    ran.code == Some(0)
                });
            }
            let Ran { code, stdout, stderr } = &ran;
            let told = format!("spore {words} ({mode:?}): {code:?}\n{stdout}{stderr}");
            assert!(*code == Some(0) || may_fail && *code == Some(1), "{told}");
            assert!(!stdout.contains(ESCAPE) && !stderr.contains(ESCAPE), "{told}");
            let quiet = ["pub", "launch"].contains(&verb);
            assert!(!stdout.is_empty() || mode != Mode::Json && quiet, "{told}");
            if mode == Mode::Json {
                // The node that was launched speaks as well.
                let lines = stdout.lines().filter(|line| verb != "launch" || line.starts_with('{'));
                for line in lines {
                    schemas.check(verb, line);
                }
            }
        }
    }
    let known: BTreeSet<_> = COMMANDS.iter().map(|(verb, ..)| (*verb).to_owned()).collect();
    let all: BTreeSet<_> = schemas.commands().into_iter().collect();
    assert_eq!(known, all, "a command that nobody tries here");
}

#[test]
fn every_help_is_plain_where_that_is_wanted() {
    let corner = Corner::new();
    for verb in Schemas::new(&corner).commands().iter().map(String::as_str).chain([""]) {
        let words: Vec<_> = verb.split_whitespace().chain(["--help"]).collect();
        let piped: Ran = corner.run(&words).into();
        assert_eq!(piped.code, Some(0), "{verb}");
        assert!(!piped.stdout.contains(ESCAPE), "{verb}: {}", piped.stdout);
        assert!(piped.stdout.contains("Exit code"), "{verb}: {}", piped.stdout);
        let shown = run(corner.command(&words), Mode::Terminal, Done);
        assert_eq!(shown.code, Some(0), "{verb}");
        assert!(!shown.stdout.contains(ESCAPE), "{verb}: {}", shown.stdout);
    }
    // Else none of this would say anything.
    let (_, coloured) = Corner::at_a_terminal(&mut corner.command(&["--help"]), Duration::MAX);
    assert!(coloured.contains(ESCAPE), "{coloured}");
}

#[test]
fn what_is_watched_comes_again_and_again() {
    let corner = Corner::new();
    let _up = corner.up(2);
    let schemas = Schemas::new(&corner);
    let api = corner.api(1);
    for verb in ["members", "tasks", "services", "ota status"] {
        let words: Vec<_> =
            verb.split_whitespace().chain(["--watch=0.1", "--node", &api]).collect();
        let json = [&words[..], &["--json"]].concat();
        let ran = run_until(corner.command(&json), |said| said.lines().count() > 2);
        assert_eq!(ran.code, Some(0), "{verb}: {}", ran.stderr);
        assert!(ran.stdout.lines().count() > 2, "{verb}: {}", ran.stdout);
        ran.stdout.lines().for_each(|line| schemas.check(verb, line));

        let ran = run_until(corner.command(&words), |said| said.split("\n\n").count() > 2);
        assert_eq!(ran.code, Some(0), "{verb}: {}", ran.stderr);
        assert!(ran.stdout.split("\n\n").count() > 2, "{verb}: {}", ran.stdout);
        assert!(!ran.stdout.contains(ESCAPE), "{verb}: {}", ran.stdout);

        // On a terminal the next one takes the place of the one before.
        let again = |shown: &str| shown.matches("\u{1B}[H").count() > 2;
        let mut command = corner.command(&words);
        let (code, shown) = Corner::at_a_terminal_until(&mut command, again, Duration::ZERO);
        assert_eq!(code, Some(0), "{verb}: {shown}");
        assert!(again(&shown), "{verb}: {shown}");
        let ran = run(corner.command(&words), Mode::Terminal, Asked);
        assert!(ran.code == Some(0) && !ran.stdout.contains(ESCAPE), "{verb}: {}", ran.stdout);
    }
    let wrong = corner.run(&["tasks", "--watch", "pause", "probe", "--node", &api]);
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
}

#[test]
fn what_a_node_says_moves_no_cursor_and_is_json_or_an_error() {
    let evil = "a\u{1B}[2J\u{9B}1A\r\u{7}";
    let member = json!({
        "id": "0123456789ab", "hostname": evil, "address": "10.0.0.1", "http_port": 80,
        "status": "active", "status_version": 1, "last_seen_ms": 1, "rtt_us": 1, "self": false,
    });
    let node = Canned::start(move |_| said(200, &json!({ "members": [member] })));
    let corner = Corner::new();
    let words = ["members", "--node", &node.api];
    for text in [
        Ran::from(corner.run(&words)).stdout,
        Corner::at_a_terminal(&mut corner.command(&words), Duration::MAX).1.replace("\r\n", "\n"),
    ] {
        assert!(text.contains("active"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
    let other = Canned::start(|_| (200, "application/json", b"<html>\x1b[2J".to_vec()));
    for more in [&["--json"][..], &[]] {
        let ran = Ran::from(corner.run(&[&["members", "--node", &other.api], more].concat()));
        assert!(ran.code == Some(1) && ran.stdout.is_empty(), "{}", ran.stdout);
        assert!(ran.stderr.contains("not what a SPORE node gives"), "{}", ran.stderr);
    }
}
