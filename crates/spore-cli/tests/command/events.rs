//! Events between real nodes: published through one, followed through another, and through breaks.

use crate::support::{Corner, Running, stderr, wait};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is read line by line.
struct Reading {
    child: Child,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

impl Reading {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = pump(child.stdout.take().unwrap());
        let notes = pump(child.stderr.take().unwrap());
        Self { child, lines, notes }
    }

    fn follow(corner: &Corner, n: u8, more: &[&str]) -> Self {
        let api = corner.api(n);
        let mut line = vec!["sub", "--json", "--node", &api];
        line.extend(more);
        Self::start(corner.command(&line))
    }

    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("one more line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    fn note(&self, text: &str) {
        let start = Instant::now();
        while let Ok(note) = self.notes.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            if note.contains(text) {
                return;
            }
        }
        panic!("no note says {text}");
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pump(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(from).lines().map_while(Result::ok);
        lines.map(|line| sender.send(line)).take_while(Result::is_ok).count()
    });
    receiver
}

fn publish(corner: &Corner, n: u8, more: &[&str]) -> Output {
    let api = corner.api(n);
    let mut line = vec!["pub", "--node", &api];
    line.extend(more);
    corner.run(&line)
}

fn published(corner: &Corner, n: u8, more: &[&str]) {
    let output = publish(corner, n, more);
    assert!(output.status.success(), "{more:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty());
}

/// Two nodes that know each other.
fn pair(corner: &Corner) -> [Running; 2] {
    assert!(corner.run(&["key", "new"]).status.success());
    let nodes = [1, 2].map(|n| corner.node(n, &["--hostname", &format!("n{n}")]));
    wait("they know each other", PATIENCE, || corner.members(2).len() == 2);
    nodes
}

/// Publishes until a reader that has just been started gets it, and nothing of it is still to come.
fn settle(corner: &Corner, n: u8, reader: &Reading, topic: &str) {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let start = Instant::now();
    loop {
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        // Too many in a row are refused.
        let output = publish(corner, n, &[topic, &number.to_string(), "--local"]);
        while let Ok(line) = reader.lines.recv_timeout(Duration::from_millis(500)) {
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["payload"] == number {
                return;
            }
        }
        assert!(start.elapsed() < PATIENCE, "nothing is read: {}", stderr(&output));
    }
}

#[test]
fn what_is_published_on_one_node_is_shown_by_another() {
    let corner = Corner::new();
    let _nodes = pair(&corner);
    let reader = Reading::follow(&corner, 2, &["kitchen/#"]);
    settle(&corner, 2, &reader, "kitchen/settled");
    published(&corner, 1, &["kitchen/lamp", r#"{ "on" : true }"#]);
    let event = reader.next();
    assert_eq!((&event["topic"], &event["scope"]), (&json!("kitchen/lamp"), &json!("cluster")));
    assert_eq!(event["payload"], json!({ "on": true }));
    assert_eq!(event["number"], 1);
    published(&corner, 1, &["cellar/lamp", "1"]);
    published(&corner, 1, &["kitchen/lamp", "off"]);
    assert_eq!(reader.next()["payload"], "off");
    // For people, with the publisher's name; and an end.
    let api = corner.api(2);
    let line = ["sub", "kitchen/lamp", "--all", "-n", "1", "--node", &api];
    let output = corner.run(&line);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().rev().take(3).collect();
    assert_eq!(words, [r#"{"on":true}"#, "n1", "kitchen/lamp"], "{text}");
}

#[test]
fn a_retained_event_is_there_for_who_comes_later() {
    let corner = Corner::new();
    let _nodes = pair(&corner);
    published(&corner, 1, &["mode", "\"away\"", "--retained"]);
    published(&corner, 1, &["mode", "home", "--retained"]);
    let get = || {
        let reader = Reading::follow(&corner, 2, &["+", "-n", "1"]);
        reader.next()["payload"].clone()
    };
    wait("it has spread", PATIENCE, || get() == "home");
    // The one that it has replaced does not come, though the node still has it.
    assert_eq!(get(), "home");
}

#[test]
fn a_reader_goes_on_when_its_node_is_killed_and_comes_back() {
    let corner = Corner::new();
    let [_one, two] = pair(&corner);
    let reader = Reading::follow(&corner, 2, &["count"]);
    settle(&corner, 2, &reader, "count");
    published(&corner, 1, &["count", "1"]);
    assert_eq!(reader.next()["payload"], 1);
    two.kill();
    reader.note("the stream of");
    published(&corner, 1, &["count", "2"]);
    let _two = corner.node(2, &["--hostname", "n2"]);
    reader.note("answers again");
    // What happened meanwhile comes, and what was shown before does not come again.
    assert_eq!(reader.next()["payload"], 2);
    published(&corner, 1, &["count", "3"]);
    assert_eq!(reader.next()["payload"], 3);
}

#[test]
fn curl_follows_a_stream_and_goes_on_behind_an_event() {
    let corner = Corner::new();
    let _nodes = pair(&corner);
    let url = |target: &str| {
        let output = corner.run(&["sign", "--query", target, "--node", &corner.api(1)]);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let curl = |more: &[&str], url: &str| {
        let mut command = Command::new("curl");
        command.args(["-s", "-S", "-N", "--max-time", "60"]).args(more).arg(url);
        Reading::start(command)
    };
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("curl is not installed: nothing was compared");
        return;
    }
    let first = curl(&["-i"], &url("/api/events?topic=a%2F%2B&after=0"));
    for n in 1..=3 {
        published(&corner, 1, &["a/b", &n.to_string()]);
    }
    // curl keeps the head to itself until something follows it.
    assert_eq!(first.lines.recv_timeout(PATIENCE).unwrap().trim_end(), "HTTP/1.1 200 OK");
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let line = first.lines.recv_timeout(PATIENCE).unwrap();
        ids.extend(line.strip_prefix("id: ").map(str::to_owned));
    }
    let seen = format!("Last-Event-ID: {}", ids[1]);
    let again = curl(&["-H", &seen], &url("/api/events?topic=a%2F%2B"));
    let line = || again.lines.recv_timeout(PATIENCE).unwrap();
    assert_eq!([line(), line()], [format!("id: {}", ids[2]), "event: a/b".to_owned()]);
    let data = line();
    assert!(data.starts_with("data: {") && data.ends_with(r#""payload":3}"#), "{data}");
}

#[test]
fn what_cannot_be_is_said() {
    let corner = Corner::new();
    let _nodes = pair(&corner);
    for (line, code, text) in [
        (&["a//b", "1"][..], 2, "1 to 48 bytes"),
        (&["a/#", "1"], 2, "1 to 48 bytes"),
        (&["a", "1", "--local", "--retained"], 2, "cannot be used with"),
        (&["node/x", "1"], 2, "the system's own"),
        (&["a", "1", "--key-file", "none"], 1, "none"),
        (&["a", &"x".repeat(255)], 2, "at most 256 bytes of JSON; this has 257"),
    ] {
        let output = publish(&corner, 1, line);
        assert_eq!(output.status.code(), Some(code), "{line:?}");
        assert!(stderr(&output).contains(text), "{line:?}: {}", stderr(&output));
    }
    // All at once: one after the other they may come slowly enough.
    let told: Vec<_> = thread::scope(|scope| {
        let flood = || publish(&corner, 1, &["flood", "1", "--timeout", "20"]);
        let all: Vec<_> = (0..16).map(|_| scope.spawn(flood)).collect();
        all.into_iter().map(|one| stderr(&one.join().unwrap())).collect()
    });
    assert!(told.iter().any(|text| text.contains("(429, too_many_events)")), "{told:?}");
    let api = corner.api(1);
    for (line, code, text) in [
        (&["sub", "a/#/b", "--node", &api][..], 2, "filter"),
        (&["sub", "-n", "0", "--node", &api], 2, "0"),
        (&["sub", "--node", &corner.api(9)], 1, "refuses the connection"),
    ] {
        let output = corner.run(line);
        assert_eq!(output.status.code(), Some(code), "{line:?}");
        assert!(stderr(&output).contains(text), "{line:?}: {}", stderr(&output));
    }
}

/// As many streams as there may be, one more, and whoever asks for something else.
#[test]
fn streams_are_limited_and_others_are_served() {
    let corner = Corner::new();
    let _nodes = pair(&corner);
    let streams: Vec<_> = (0..8).map(|_| Reading::follow(&corner, 1, &["x"])).collect();
    // All of them: which one is the last to be there is chance.
    streams.iter().for_each(|stream| settle(&corner, 1, stream, "x"));
    let mut more = Reading::follow(&corner, 1, &["--timeout", "5"]);
    more.note("(503, busy)");
    assert_eq!(more.child.wait().unwrap().code(), Some(1));
    assert_eq!(corner.members(1).len(), 2);
    drop(streams);
    let reader = || {
        let line = ["sub", "cluster/#", "--all", "-n", "1", "--node", &corner.api(1)];
        corner.run(&line).status.success()
    };
    wait("there is room again", PATIENCE, reader);
}

#[test]
fn ctrl_c_and_a_reader_that_goes_are_no_failure() {
    let corner = Corner::new();
    let _nodes = pair(&corner);
    let mut reader = Reading::follow(&corner, 1, &["x"]);
    settle(&corner, 1, &reader, "x");
    let id = reader.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    assert_eq!(reader.child.wait().unwrap().code(), Some(0));
    let api = corner.api(1);
    let mut command = corner.command(&["sub", "x", "--json", "--node", &api]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        published(&corner, 1, &["x", "1", "--local"]);
        assert!(start.elapsed() < PATIENCE, "it goes on though nobody reads");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
