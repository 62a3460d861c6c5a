//! Services: who offers them, and calling them, against nodes that say what the test wants.

use crate::canned::{Asked, Canned, Said, check, nonce, refusal, said};
use crate::support::{Corner, stderr};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

/// FNV-1a of "relay", as another implementation has it.
const RELAY: &str = "16b481c2";

/// A member that lists `providers` of a service whose name it does not know.
fn directory(providers: &[Value]) -> Canned {
    let list = json!({ "services": [{ "id": RELAY, "name": null, "providers": providers }] });
    Canned::start(move |asked| match asked.target.as_str() {
        "/api/cluster/services" => said(200, &list),
        _ => refusal(404, "not_found"),
    })
}

/// A member that offers the service, and says `what`.
fn provider(what: &'static str) -> Canned {
    Canned::start(move |asked| (200, "text/plain", format!("{what} {}", echo(asked)).into()))
}

fn echo(asked: &Asked) -> String {
    let Asked { method, target, content_type, body, .. } = asked;
    let content_type = content_type.as_deref().unwrap_or("-");
    format!("{method} {target} {content_type} {}", String::from_utf8_lossy(body))
}

fn text(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn names_that_the_node_does_not_know_are_asked_from_a_provider() {
    let corner = Corner::new();
    let status = json!({
        "id": "1", "hostname": "a", "address": "127.0.0.1", "http_port": 1, "board": "host",
        "version": "0.1.0", "chip_id": 1, "reset_reason": "-", "uptime_ms": 1, "free_memory": 1,
        "flash_size": 1, "services": [
            { "name": "other", "policy": "open", "summary": "" },
            { "name": "relay", "policy": "open", "summary": "" }],
        "endpoints": [],
    });
    let a = Canned::start(move |_| said(200, &status));
    let node = directory(&[a.entry("a", "active")]);
    let table = text(&corner.run(&["services", "--node", &node.api]));
    assert!(table.contains(&format!("relay  {RELAY}  a")), "{table}");
    let list = corner.json(&["services", "--json", "--node", &node.api]);
    assert_eq!(list["services"][0]["name"], "relay");
    let bare = corner.json(&["services", "--json", "--no-resolve", "--node", &node.api]);
    assert_eq!(bare["services"][0]["name"], Value::Null);
    assert_eq!(a.asked().len(), 2);
}

#[test]
fn a_body_is_a_text_a_file_or_stdin_and_arrives_as_it_is() {
    let corner = Corner::new();
    let a = provider("a:");
    let node = directory(&[a.entry("a", "active")]);
    let call = |more: &[&str]| {
        corner.command(&[&["call", "relay"], more, &["--node", &node.api]].concat())
    };
    let run = |more: &[&str]| text(&call(more).output().unwrap());
    assert_eq!(run(&[]), "a: GET /api/services/relay - ");
    let plain = "text/plain; charset=utf-8";
    assert_eq!(run(&["on"]), format!("a: POST /api/services/relay {plain} on"));
    fs::write(corner.path().join("b.json"), "{\"on\": true}\n").unwrap();
    let put = run(&["@b.json", "--method", "put", "--path", "2?x=1"]);
    assert_eq!(put, "a: PUT /api/services/relay/2?x=1 application/json {\"on\": true}\n");
    let mut child = call(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"7 ").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output), "a: POST /api/services/relay application/json 7 ");
    let answer: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(answer["body"], "a: GET /api/services/relay - ");
    assert_eq!((&answer["node"]["hostname"], &answer["status"]), (&json!("a"), &json!(200)));
    for wrong in [&["call", "a/b"][..], &["call", "relay", "--path", "a b"]] {
        let output = corner.run(&[wrong, &["--node", &node.api]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn the_next_one_is_asked_where_one_is_gone_busy_or_offers_something_else() {
    let corner = Corner::new();
    let gone = json!({
        "id": "3", "hostname": "gone", "address": "127.0.0.1", "http_port": 1, "status": "active",
    });
    let other = Canned::start(|_| refusal(404, "not_found"));
    let busy = Canned::start(|_| refusal(503, "busy"));
    let a = provider("a:");
    let node = directory(&[
        gone.clone(),
        other.entry("other", "active"),
        busy.entry("busy", "active"),
        a.entry("a", "suspect"),
        provider("never").entry("dead", "dead"),
    ]);
    for _ in 0..8 {
        let answer = text(&corner.run(&["call", "relay", "on", "--node", &node.api]));
        assert!(answer.starts_with("a: POST"), "{answer}");
    }
    // With one chosen, nobody else is asked.
    let output = corner.run(&["call", "relay", "--provider", "other", "--node", &node.api]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("(404, not_found)"), "{}", stderr(&output));
    let output = corner.run(&["call", "relay", "--provider", "who", "--node", &node.api]);
    assert!(stderr(&output).contains("who does not offer \"relay\""), "{}", stderr(&output));
    let output = corner.run(&["call", "nothing", "--node", &node.api]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nobody who offers \"nothing\""), "{}", stderr(&output));
}

#[test]
fn what_may_have_been_done_is_not_done_again_elsewhere() {
    let corner = Corner::new();
    // It takes the request, and gives no answer.
    let silent = Canned::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(5));
        refusal(500, "too_late")
    });
    let a = provider("a:");
    let node = directory(&[silent.entry("silent", "active"), a.entry("a", "active")]);
    let call = |body: &[&str]| {
        let line = ["--timeout", "2", "--node", &node.api];
        corner.run(&[&["call", "relay"], body, &line].concat())
    };
    for _ in 0..40 {
        if !silent.asked().is_empty() {
            break;
        }
        let before = a.asked().len();
        let output = call(&["on"]);
        if silent.asked().is_empty() {
            assert!(output.status.success());
            continue;
        }
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains("silent may have done it, so nobody else was asked"), "{text}");
        assert_eq!(a.asked().len(), before);
    }
    assert_eq!(silent.asked().len(), 1);
    // To read twice is to read once.
    for _ in 0..40 {
        assert!(text(&call(&[])).starts_with("a: GET"));
        if silent.asked().len() > 1 {
            return;
        }
    }
    panic!("it was never asked");
}

#[test]
fn a_request_that_nobody_answers_does_not_go_round() {
    let corner = Corner::new();
    // As if it ended whoever takes it: to read twice is to read once, and three times is enough.
    let silent: Vec<_> = (0..4)
        .map(|_| {
            Canned::start(|_| {
                std::thread::sleep(std::time::Duration::from_secs(5));
                refusal(500, "too_late")
            })
        })
        .collect();
    let entries: Vec<_> =
        silent.iter().enumerate().map(|(n, node)| node.entry(&n.to_string(), "active")).collect();
    let node = directory(&entries);
    let output = corner.run(&["call", "relay", "--timeout", "2", "--node", &node.api]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(silent.iter().map(|node| node.asked().len()).sum::<usize>(), 2);
}

#[test]
fn all_are_asked_and_one_that_does_not_do_it_is_a_failure() {
    let corner = Corner::new();
    let (a, b) = (provider("a:"), provider("b:"));
    let broken = Canned::start(|_| refusal(500, "broken"));
    let both = [b.entry("b", "active"), a.entry("a", "active")];
    let node = directory(&both);
    let shown = text(&corner.run(&["call", "relay", "--all", "--node", &node.api]));
    let expected = format!(
        "a ({})\na: GET /api/services/relay - \nb ({})\nb: GET /api/services/relay - \n",
        a.api, b.api
    );
    assert_eq!(shown, expected);
    let [b_entry, a_entry] = both;
    let node = directory(&[b_entry, broken.entry("broken", "active"), a_entry]);
    let output = corner.run(&["call", "relay", "--all", "--json", "--node", &node.api]);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = document["answers"].as_array().unwrap();
    let hosts: Vec<_> = answers.iter().map(|answer| &answer["node"]["hostname"]).collect();
    assert_eq!(hosts, ["a", "b", "broken"]);
    assert!(answers[2]["error"].as_str().unwrap().contains("because of broken"));
    assert!(stderr(&output).contains("1 of 3 did not do it"), "{}", stderr(&output));
}

#[test]
fn a_service_for_holders_of_the_key_is_called_with_a_signature() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new"]).status.success());
    let key = corner.json(&["key", "show", "--json"])["key"].as_str().unwrap().parse().unwrap();
    let a = Canned::start(move |asked| {
        if asked.target == "/api/auth/nonce" {
            return nonce();
        }
        let done = |()| -> Said { (200, "text/plain", echo(asked).into_bytes()) };
        check(asked, &key).map_or_else(|refused| refused, done)
    });
    let node = directory(&[a.entry("a", "active")]);
    let line = ["call", "relay", "on", "--path", "x?y=z", "--node", &node.api];
    let answer = text(&corner.run(&line));
    assert_eq!(answer, "POST /api/services/relay/x?y=z text/plain; charset=utf-8 on");
    assert_eq!(a.asked().len(), 1, "nothing of it was refused first");
    let output = corner.run(&[&line[..], &["--key-file", "none.key"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("wants POST"), "{}", stderr(&output));
    assert!(stderr(&output).contains("`spore key new --key-file none.key`"), "{}", stderr(&output));
}
