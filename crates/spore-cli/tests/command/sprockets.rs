//! Sprockets on Linux: the examples in `spore node`, and a project of one's own.

use crate::support::{Corner, DEAD, Running, stderr, wait};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A corner with a key, and a node in it that has these sprockets.
fn keyed() -> Corner {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    corner
}

fn sprocket(corner: &Corner, n: u8, name: &str) -> Value {
    let document = corner.json(&["sprockets", "--json", "--node", &corner.api(n)]);
    let all = document["sprockets"].as_array().unwrap();
    all.iter().find(|sprocket| sprocket["name"] == name).unwrap().clone()
}

fn text(corner: &Corner, arguments: &[&str]) -> String {
    let output = corner.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_examples_run_are_called_and_are_set_and_what_was_set_stays() {
    let corner = keyed();
    let (api, file) = (corner.api(1), corner.path().join("value"));
    fs::write(&file, "21").unwrap();
    let sensor = format!("sensor={}", file.display());
    let all = ["--sprocket", "blink", "--sprocket", "relay", "--sprocket", &sensor];
    let node = corner.node(1, &all);
    let call = |said: &str| text(&corner, &["call", "relay", said, "--node", &api]);
    assert_eq!(call("on").trim(), r#"{"on":true}"#);
    assert_eq!(text(&corner, &["call", "relay", "--node", &api]).trim(), r#"{"on":true}"#);
    assert_eq!(call("toggle").trim(), r#"{"on":false}"#);
    let refused = corner.run(&["call", "relay", "now", "--node", &api]);
    assert!(stderr(&refused).contains("say on, off or toggle"), "{}", stderr(&refused));
    wait("it blinks", SOON, || sprocket(&corner, 1, "blink")["runs"].as_u64() > Some(3));
    assert_eq!(sprocket(&corner, 1, "relay")["state"], "running");

    let set = |wanted: &str| corner.run(&["sprockets", "sensor", wanted, "--node", &api]);
    let output = set("limit=20");
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = text(&corner, &["sprockets", "sensor", "--node", &api]);
    assert!(shown.contains("limit    20     30       -100 to 1000"), "{shown}");
    for (wrong, code) in [("limit=5000", "invalid_field"), ("other=1", "unknown_field")] {
        let output = set(wrong);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(code), "{}", stderr(&output));
    }
    let nobody = corner.run(&["sprockets", "door", "--node", &api]);
    assert!(stderr(&nobody).contains("has no sprocket \"door\""), "{}", stderr(&nobody));
    assert_eq!(corner.run(&["sprockets", "a/b", "--node", &api]).status.code(), Some(2));
    let nothing = text(&corner, &["sprockets", "relay", "--node", &api]);
    assert_eq!(nothing, "relay has nothing that can be set.\n");
    let refused = stderr(&set("limit=warm"));
    assert!(refused.contains("limit takes a whole number from -100 to 1000"), "{refused}");
    node.kill();
    let _node = corner.node(1, &all);
    let again = corner.json(&["sprockets", "sensor", "--json", "--node", &api]);
    assert_eq!(again["settings"][0]["value"], 20);
    let twice =
        corner.run(&["node", "--bind", "127.0.0.1", "--sprocket", "blink", "--sprocket", "blink"]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(stderr(&twice).contains("\"blink\""), "{}", stderr(&twice));
}

/// A project that `spore new-sprocket` has made, in a corner of its own.
struct Project {
    corner: Corner,
    folder: PathBuf,
}

impl Project {
    fn new(name: &str) -> Self {
        let corner = keyed();
        assert!(corner.run(&["new-sprocket", name]).status.success());
        let folder = corner.path().join(name);
        Self { corner, folder }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).unwrap();
    }

    /// Runs cargo in it, with the target folder of these tests, where most is compiled already.
    fn cargo(&self, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).arg("--offline").current_dir(&self.folder);
        command.env("CARGO_TARGET_DIR", target()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }

    /// Starts one of its programs as a node at `address(n)`, which prints into the file `n`.
    fn start(&self, program: &str, n: u8) -> Running {
        let (bind, port) = (self.corner.address(n).to_string(), self.corner.port.to_string());
        let program = target().join("debug").join(program);
        let arguments = ["--bind", &bind, "--port", &port, "--http-port", &port];
        let printed = fs::File::create(self.corner.path().join(n.to_string())).unwrap();
        let mut command = self.corner.program(&program, &arguments);
        let child = command.stdout(printed).spawn().unwrap();
        Running { child, first_line: String::new() }
    }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_spore")).ancestors().nth(2).unwrap().to_owned()
}

/// The tutorial's files, by name.
fn tutorial() -> Vec<(String, String)> {
    let text = include_str!("../../../../docs/sprockets.md");
    let blocks = text.split("```rust,file=").skip(1);
    let files = blocks.map(|block| block.split("```").next().unwrap().split_once('\n').unwrap());
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// A sprocket that does what it is told, whatever that is.
const NAUGHTY: &str = r#"
use doorbell::Doorbell;
use spore_host::{HostSprockets, PrintedPin};
use spore_node::sprocket::*;
use std::{process::ExitCode, thread::sleep, time};

struct Naughty;

impl Sprocket for Naughty {
    const MANIFEST: Manifest = Manifest::new("naughty")
        .offers(&[open("naughty", &[Method::Post], "Does as it is told")])
        .runs(&[clustered(Duration::from_millis(500), "work", "Is done somewhere")]);

    fn call(&mut self, call: &Call<'_>, node: &mut NodeContext<'_>, reply: &mut Reply<'_>) {
        match call.body {
            b"flood" => {
                let taken = (0..100).filter(|_| node.publish_locally("naughty/x", true)).count();
                reply.json(taken as i32);
            }
            b"slow" => sleep(time::Duration::from_millis(150)),
            b"hang" => loop {
                std::hint::spin_loop();
            },
            _ => panic!("as I was told"),
        }
    }
}

fn main() -> ExitCode {
    spore_cli::node(HostSprockets::new(|| {
        if std::env::var_os("NAUGHTY").is_some() {
            panic!("not \"made\"");
        }
        (Naughty, Doorbell { lamp: PrintedPin::new("lamp"), left: 0 })
    }))
}
"#;

#[test]
fn a_new_project_builds_and_so_does_the_tutorial_and_misbehaviour_ends_where_it_is() {
    let project = Project::new("doorbell");
    project.cargo(&["test"]);
    for (file, text) in tutorial() {
        project.write(&file, &text);
    }
    fs::create_dir(project.folder.join("src/bin")).unwrap();
    project.write("src/bin/naughty.rs", NAUGHTY);
    project.cargo(&["test"]);
    project.cargo(&["build"]);
    let lock = fs::read_to_string(project.folder.join("Cargo.lock")).unwrap();
    let takes = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
    assert!(takes("spore-cli") && !takes("spore-gateway"), "a node of one's own has a gateway");
    ringing(&project);
    panicking(&project);
    misbehaving(&project);
}

/// What the tutorial does: ring, and see it on two nodes.
fn ringing(project: &Project) {
    let corner = &project.corner;
    let (node, _other) = (project.start("doorbell", 1), project.start("doorbell", 2));
    let printed = |n: u8, what: &str| {
        let text = fs::read_to_string(corner.path().join(n.to_string())).unwrap();
        text.lines().any(|line| line == what)
    };
    wait("they know each other", SOON, || {
        let output = corner.run(&["members", "--node", &corner.api(2)]);
        String::from_utf8_lossy(&output.stdout).matches("active").count() == 2
    });
    let ring = ["call", "doorbell", "--method", "post", "--node", &corner.api(2)];
    wait("it is found", SOON, || corner.run(&ring).status.success());
    wait("both are lit", SOON, || (1..=2).all(|n| printed(n, "pin lamp: high")));
    wait("both are put out", SOON, || (1..=2).all(|n| printed(n, "pin lamp: low")));
    let set = ["sprockets", "doorbell", "seconds=20", "--node", &corner.api(1)];
    assert!(text(corner, &set).contains("seconds  20"));
    node.kill();
}

/// A call that makes a sprocket panic ends it where it is, and nowhere else.
fn panicking(project: &Project) {
    let corner = &project.corner;
    let _nodes = [project.start("naughty", 1), project.start("naughty", 2)];
    let tell = |what: &str| corner.run(&["call", "naughty", what, "--node", &corner.api(1)]);
    let providers = |n: u8| {
        let list = corner.json(&["services", "--json", "--node", &corner.api(n)]);
        let services = list["services"].as_array().unwrap();
        let naughty = services.iter().find(|service| service["name"] == "naughty");
        naughty.map_or(0, |service| service["providers"].as_array().unwrap().len())
    };
    wait("both offer it", SOON, || {
        corner.run(&["services", "--node", &corner.api(1)]).status.success() && providers(1) == 2
    });
    let told = tell("panic");
    assert_eq!(told.status.code(), Some(1));
    assert!(stderr(&told).contains("(500, sprocket_failed)"), "{}", stderr(&told));
    let states = [1, 2].map(|n| sprocket(corner, n, "naughty")["state"].clone());
    assert_eq!(states.iter().filter(|state| *state == "running").count(), 1, "{states:?}");
    // Also before the other one knows of it.
    for _ in 0..6 {
        assert!(tell("flood").status.success());
    }
    wait("one offers it", SOON, || (1..=2).all(|n| providers(n) == 1));
    let failed = if states[0] == "failed" { 1 } else { 2 };
    let status = text(corner, &["status", "--node", &corner.api(failed)]);
    assert!(status.contains("  naughty              failed      as I was told\n"), "{status}");
}

/// What is on record of the last crash of node 1.
fn crash(corner: &Corner) -> Value {
    corner.json(&["logs", "--crash", "--json", "--node", &corner.api(1)])
}

fn misbehaving(project: &Project) {
    let corner = &project.corner;
    let api = corner.api(1);
    crashing(project);
    let _node = project.start("naughty", 1);
    let tell =
        |what: &str| corner.run(&["call", "naughty", what, "--node", &api, "--timeout", "3"]);
    let state = || sprocket(corner, 1, "naughty");
    wait("it is found", SOON, || tell("flood").status.success());
    assert!(tell("slow").status.success());
    let so_far = state();
    // On a busy machine another one may have been slow as well.
    assert!(so_far["refused"].as_u64() >= Some(92), "{so_far}");
    assert!(so_far["slow"].as_u64() >= Some(1), "{so_far}");
    assert!(so_far["longest_us"].as_u64() >= Some(150_000), "{so_far}");

    // It panics: the rest goes on.
    let told = tell("panic");
    assert!(stderr(&told).contains("sprocket_failed"), "{}", stderr(&told));
    let (failed, bell) = (state(), sprocket(corner, 1, "doorbell"));
    assert_eq!((&failed["state"], &failed["message"]), (&json!("failed"), &json!("as I was told")));
    assert_eq!(bell["state"], "running");
    let ring = ["call", "doorbell", "--method", "post", "--node", &api];
    assert!(corner.run(&ring).status.success());
    assert!(corner.run(&["restart", "--node", &api]).status.success());
    wait("it has another chance", SOON, || {
        let output = corner.run(&["sprockets", "--node", &api]);
        output.status.success() && state()["state"] == "running"
    });

    // It does not return: the process starts again, the third time without it.
    for restarts in 1..=3 {
        // Once: it may be back before anybody sees that it was gone.
        wait("it is told", SOON, || {
            let said = stderr(&tell("hang"));
            !["nobody who offers", "refuses the connection"].iter().any(|it| said.contains(it))
        });
        wait("the node is back", SOON, || {
            corner.run(&["sprockets", "--node", &api]).status.success()
                && state()["restarts"] == restarts
        });
    }
    assert_eq!(state()["state"], "quarantined");
    assert_eq!(sprocket(corner, 1, "doorbell")["state"], "running");
    let status = corner.json(&["status", "--json", "--node", &api]);
    assert_eq!(status["reset_reason"], "watchdog");
    let found = crash(corner);
    assert_eq!(
        (&found["cause"], &found["message"]),
        (&json!("watchdog"), &json!("naughty does not return"))
    );
    let refused = tell("flood");
    assert!(stderr(&refused).contains("nobody who offers"), "{}", stderr(&refused));
}

/// A panic outside of its sprockets ends the node. The next run has it on record, and so have those after it.
fn crashing(project: &Project) {
    let corner = &project.corner;
    let (bind, port) = (corner.address(1).to_string(), corner.port.to_string());
    let program = target().join("debug/naughty");
    let arguments = ["--bind", &bind, "--port", &port, "--http-port", &port];
    let watcher = corner.node(3, &["--forget"]);
    let crash_at_start = || {
        let output = corner.program(&program, &arguments).env("NAUGHTY", "").output().unwrap();
        assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
    };
    let answers = || corner.run(&["status", "--node", &corner.api(1)]).status.success();
    let mut told =
        corner.command(&["sub", "node/crashed", "-n", "1", "--json", "--node", &corner.api(3)]);
    let told = told.stdout(Stdio::piped()).spawn().unwrap();

    let node = project.start("naughty", 1);
    wait("it answers", SOON, answers);
    let none = corner.run(&["logs", "--crash", "--node", &corner.api(1)]);
    assert!(stderr(&none).contains("no crash"), "{}", stderr(&none));
    assert_eq!(none.status.code(), Some(1));
    node.kill();

    crash_at_start();
    let node = project.start("naughty", 1);
    wait("it answers again", SOON, answers);
    let found = crash(corner);
    let message = found["message"].as_str().unwrap();
    assert!(message.contains("naughty.rs:") && message.ends_with(": not ?made?"), "{found}");
    assert_eq!(found["cause"], "panic");
    assert!(found["uptime_ms"].as_u64().is_some_and(|ms| ms < 60_000), "{found}");
    let status = corner.json(&["status", "--json", "--node", &corner.api(1)]);
    assert_eq!(status["reset_reason"], "panic");
    let event: Value = serde_json::from_slice(&told.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(
        event["payload"],
        json!({ "cause": "panic", "pc": null, "safe_mode": false }),
        "{event}"
    );
    assert_eq!(event["publisher"], status["id"]);
    let text = text(corner, &["logs", "--crash", "--node", &corner.api(1)]);
    assert!(text.starts_with("cause    panic\nmessage  "), "{text}");
    node.kill();

    let node = project.start("naughty", 1);
    wait("it answers once more", SOON, answers);
    assert_eq!(crash(corner), found);
    let status = corner.json(&["status", "--json", "--node", &corner.api(1)]);
    assert_eq!(status["reset_reason"], "start");
    node.kill();
    safe_mode(project, crash_at_start);
    watcher.kill();
}

/// After four crashes in a row nothing of what the program adds is started, until a restart is asked for.
fn safe_mode(project: &Project, crash_at_start: impl Fn()) {
    let corner = &project.corner;
    let api = corner.api(1);
    let status = || corner.json(&["status", "--json", "--node", &api]);
    let answers = || corner.run(&["status", "--node", &api]).status.success();
    (0..4).for_each(|_| crash_at_start());
    let node = project.start("naughty", 1);
    wait("it answers in safe mode", SOON, answers);
    let safe = status();
    assert_eq!((&safe["safe_mode"], &safe["services"]), (&json!(true), &json!([])), "{safe}");
    let sprockets = safe["sprockets"].as_array().unwrap();
    assert!(!sprockets.is_empty() && sprockets.iter().all(|it| it["state"] == "suspended"));
    assert!(sprockets.iter().all(|it| it["runs"] == 0), "{safe}");
    let said = text(corner, &["status", "--node", &api]);
    assert!(said.contains("in safe mode"), "{said}");
    let log = corner.json(&["logs", "--json", "--node", &api]);
    assert!(log.to_string().contains("node/safe-mode"), "{log}");
    wait("it is a member", SOON, || corner.members(3).len() == 2);
    let restart = corner.run(&["restart", "--node", &api]);
    assert!(restart.status.success(), "{}", stderr(&restart));
    wait("it is itself again", SOON, || answers() && status()["safe_mode"] == false);
    assert!(status()["sprockets"].as_array().unwrap().iter().all(|it| it["state"] == "running"));
    node.kill();
}

/// The task `name` of node `n`; null while the node does not answer.
fn task(corner: &Corner, n: u8, name: &str) -> Value {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(corner.api(n))?;
        let host = corner.address(n);
        write!(stream, "GET /api/tasks HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        std::io::read_to_string(stream)
    };
    let answer = ask().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("null", |(_, body)| body);
    let list: Value = serde_json::from_str(body).unwrap_or_default();
    let tasks = list["tasks"].as_array().cloned().unwrap_or_default();
    tasks.into_iter().find(|task| task["name"] == name).unwrap_or_default()
}

#[test]
fn one_node_looks_after_the_alarm_and_another_takes_over() {
    let corner = keyed();
    let (cold, warm) = (corner.path().join("cold"), corner.path().join("warm"));
    fs::write(&cold, "20").unwrap();
    fs::write(&warm, "21").unwrap();
    let options = [&cold, &warm].map(|file| format!("sensor={}", file.display()));
    let mut nodes: Vec<_> = (1..=2u8)
        .zip(&options)
        .map(|(n, sensor)| (n, corner.node(n, &["--sprocket", sensor])))
        .collect();
    let runs = |n| task(&corner, n, "alarm")["runs"].as_u64().unwrap_or(0);
    let owner = |n| task(&corner, n, "alarm")["owner"].clone();
    wait("they agree whose it is", SOON, || {
        corner.run(&["members", "--node", &corner.api(1)]).status.success()
            && owner(1).is_string()
            && owner(1) == owner(2)
            && corner.members(1).len() == 2
    });
    // A node that has just started keeps out of it for ten seconds.
    wait("somebody runs it", SOON, || runs(1) + runs(2) > 1);
    let both = [runs(1), runs(2)];
    assert!(both.contains(&0), "one of them does: {both:?}");
    let at = nodes.iter().position(|(n, _)| runs(*n) > 0).unwrap();
    let (_, first) = nodes.swap_remove(at);
    let (other, _) = nodes[0];
    first.kill();
    wait("the other one takes over", DEAD, || runs(other) > 0);
}
