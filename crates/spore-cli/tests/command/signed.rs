//! Commands that sign, against a node that checks.

use crate::canned::{Asked, Canned, Said, check, nonce, refusal, said};
use crate::support::{Corner, stderr};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use serde_json::{Value, json};
use spore_core::ClusterKey;
use std::process::Command;
use std::sync::Mutex;

/// The cluster key of the corner, which is made.
fn key(corner: &Corner) -> ClusterKey {
    let made = corner.run(&["key", "new"]);
    assert!(made.status.success(), "{}", stderr(&made));
    corner.json(&["key", "show", "--json"])["key"].as_str().unwrap().parse().unwrap()
}

/// A node with settings that can be read and written by holders of `key`.
fn node(key: ClusterKey, release_key: Value) -> Canned {
    let document = Mutex::new(json!({
        "version": 7, "hostname": "old", "release_key": release_key, "claimed": true,
    }));
    Canned::start(move |asked| match (asked.method.as_str(), asked.target.as_str()) {
        ("GET", "/api/auth/nonce") => nonce(),
        ("GET", "/api/node/config") => {
            check(asked, &key).err().unwrap_or_else(|| said(200, &document.lock().unwrap()))
        }
        ("PUT", "/api/node/config") => {
            check(asked, &key).err().unwrap_or_else(|| put(&document, asked))
        }
        ("GET", "/api/node/crash") => {
            check(asked, &key).err().unwrap_or_else(|| said(200, &crash()))
        }
        ("POST", "/api/node/restart") => {
            check(asked, &key).err().unwrap_or_else(|| said(202, &json!({ "restarting": true })))
        }
        _ => refusal(404, "not_found"),
    })
}

fn crash() -> Value {
    json!({
        "cause": "exception", "exception": 29, "pc": "0x40212345", "address": "0x00000000",
        "uptime_ms": 7000, "version": "0.1.0", "message": null, "stack": ["0x40201234"],
    })
}

#[test]
fn the_record_of_a_crash_is_shown_and_a_file_that_is_no_program_is_refused_before_anybody_is_asked()
{
    let corner = Corner::new();
    let node = node(key(&corner), Value::Null);
    let shown = corner.run(&["logs", "--crash", "--node", &node.api]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    assert_eq!(
        String::from_utf8_lossy(&shown.stdout),
        "cause    exception 29: store prohibited\nat       0x40212345\naddress  0x00000000\n\
         uptime   7.0 s\nversion  0.1.0\nstack    0x40201234\n"
    );
    assert_eq!(corner.json(&["logs", "--crash", "--json", "--node", &node.api]), crash());
    let asked = node.asked().len();
    std::fs::write(corner.path().join("no.elf"), "no program").unwrap();
    for file in ["no.elf", "none.elf"] {
        let refused = corner.run(&["logs", "--crash", "--elf", file, "--node", &node.api]);
        assert!(
            !refused.status.success() && stderr(&refused).contains(file),
            "{}",
            stderr(&refused)
        );
    }
    assert_eq!(node.asked().len(), asked);
}

fn put(document: &Mutex<Value>, asked: &Asked) -> Said {
    assert_eq!(asked.content_type.as_deref(), Some("application/json"));
    let changes: Value = serde_json::from_slice(&asked.body).unwrap();
    let mut document = document.lock().unwrap();
    if changes.get("version").is_some_and(|version| *version != document["version"]) {
        return refusal(409, "conflict");
    }
    if changes["hostname"] == "refused" {
        return refusal(400, "bad_setting");
    }
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document["version"] = json!(document["version"].as_u64().unwrap() + 1);
    said(200, &document)
}

#[test]
fn settings_are_shown_and_changed_in_one_request() {
    let corner = Corner::new();
    let node = node(key(&corner), Value::Null);
    let run = |arguments: &[&str]| {
        let output = corner.run(&[arguments, &["--node", &node.api]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = run(&["config", "get"]);
    assert!(all.lines().any(|line| line == "hostname     old"), "{all}");
    assert!(all.lines().any(|line| line == "release-key  -"), "{all}");
    assert_eq!(run(&["config", "get", "hostname"]), "old\n");
    let new = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
    let before = node.asked().len();
    let release_key = format!("release-key={new}");
    let set = run(&["config", "set", "hostname=kitchen", &release_key, "--json"]);
    let set: Value = serde_json::from_str(&set).unwrap();
    assert_eq!((&set["hostname"], &set["version"]), (&json!("kitchen"), &json!(8)));
    let asked = node.asked();
    // The first look is for a release key that would have to sign.
    let methods: Vec<_> = asked[before..].iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["GET", "PUT"]);
    assert_eq!(run(&["config", "get", "release-key"]).trim(), new);
}

#[test]
fn what_a_node_has_against_a_setting_is_said_in_its_words() {
    let corner = Corner::new();
    let node = node(key(&corner), Value::Null);
    for (arguments, what) in [
        (&["hostname=refused"][..], "because of bad_setting (400, bad_setting)"),
        (&["hostname=a", "--if-version", "6"], "because of conflict (409, conflict)"),
    ] {
        let set = [&["config", "set", "--node", &node.api], arguments].concat();
        let output = corner.run(&set);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(what), "{}", stderr(&output));
    }
    for wrong in ["hostname", "hostname=-", "version=3", "claimed=false", "wifi=x"] {
        let output = corner.run(&["config", "set", wrong, "--node", &node.api]);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", stderr(&output));
    }
}

#[test]
fn a_release_key_is_replaced_with_the_signature_of_the_old_one() {
    let corner = Corner::new();
    let cluster_key = key(&corner);
    let made = corner.json(&["key", "new", "release", "--json"]);
    let old = made["public"].as_str().unwrap();
    assert_eq!(corner.json(&["key", "show", "release", "--json"])["public"], old);
    let new = corner.json(&["key", "new", "release", "--release-key-file", "new.key", "--json"]);
    let new = new["public"].as_str().unwrap();
    let other = node(cluster_key.clone(), json!(new));
    let node = node(cluster_key, json!(old));
    let setting = format!("release-key={new}");
    let done = corner.json(&["config", "set", &setting, "--json", "--node", &node.api]);
    assert_eq!(done["release_key"], new);
    let put = node.asked().pop().unwrap();
    let sent: Value = serde_json::from_slice(&put.body).unwrap();
    assert_eq!(sent["version"], 7, "the key that was looked at is the one that is replaced");
    let signature = sent["release_key_signature"].as_str().unwrap();
    let by_hand = corner.run(&["key", "sign-release", new]);
    assert_eq!(String::from_utf8_lossy(&by_hand.stdout).trim(), signature);
    let verifier = VerifyingKey::from_bytes(&bytes(old)).unwrap();
    let text = [b"SPORE release key 1".as_slice(), &bytes::<32>(new)].concat();
    assert!(verifier.verify(&text, &Signature::from_bytes(&bytes(signature))).is_ok());

    // A node with another release key than the one that is here.
    let setting = format!("release-key={old}");
    let output = corner.run(&["config", "set", &setting, "--node", &other.api]);
    assert_eq!(output.status.code(), Some(1));
    let text = format!("the node's release key is {new}, and the private key to it is not in");
    assert!(stderr(&output).contains(&text), "{}", stderr(&output));
    assert!(other.asked().iter().all(|asked| asked.method == "GET"), "nothing was sent");
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(byte)
}

#[test]
fn without_the_key_nothing_is_sent_and_with_another_one_its_file_is_named() {
    let corner = Corner::new();
    let other = corner.path().join("other.key");
    let other = other.to_str().unwrap();
    assert!(corner.run(&["key", "new", "--key-file", other]).status.success());
    let node = node(ClusterKey::from_bytes([9; 32]), Value::Null);
    for command in [&["config", "get"][..], &["restart"], &["sign", "/api/node/config"]] {
        let output = corner.run(&[command, &["--node", &node.api]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(stderr(&output).contains("`spore key new` makes one"), "{}", stderr(&output));
    }
    assert!(node.asked().is_empty() && node.nonces() == 0);
    for command in [&["config", "get"][..], &["restart"]] {
        let arguments = ["--node", &node.api, "--key-file", other];
        let output = corner.run(&[command, &arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        let text = format!("{} does not take the key in {other}", node.api);
        assert!(stderr(&output).contains(&text), "{}", stderr(&output));
    }
    assert_eq!(node.asked().len(), 2, "a wrong key is not tried twice");
}

#[test]
fn a_nonce_that_went_stale_is_replaced_once() {
    let corner = Corner::new();
    let key = key(&corner);
    for (stale, code, requests) in [(1, 0, 2), (9, 1, 2)] {
        let (left, key) = (Mutex::new(stale), key.clone());
        let node = Canned::start(move |asked| {
            if asked.target == "/api/auth/nonce" {
                return nonce();
            }
            if let Err(refused) = check(asked, &key) {
                return refused;
            }
            let mut left = left.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return refusal(401, "nonce_stale");
            }
            said(202, &json!({ "restarting": true }))
        });
        let output = corner.run(&["restart", "--node", &node.api]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert_eq!((node.asked().len(), node.nonces()), (requests, requests));
        assert_eq!(node.asked()[0].method, "POST");
    }
}

#[test]
fn curl_is_let_in_with_what_sign_prints() {
    let corner = Corner::new();
    let node = node(key(&corner), Value::Null);
    let shell = |script: &str| {
        let spore = env!("CARGO_BIN_EXE_spore");
        let script = format!("spore() {{ {spore} \"$@\" --node {0}; }}\n{script}", node.api);
        let mut command = Command::new("sh");
        command.arg("-euc").arg(script).env("XDG_STATE_HOME", corner.path());
        let output = command.current_dir(corner.path()).env_remove("SPORE_KEY_FILE").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let url = format!("http://{}/api/node/config", node.api);
    let read = shell(&format!("curl -s -H \"$(spore sign /api/node/config)\" {url}"));
    assert_eq!(read["hostname"], "old");
    let body = r#"{"hostname":"kitchen"}"#;
    let written = shell(&format!(
        "curl -s -X PUT -H 'content-type: application/json' --data-binary '{body}' \
         -H \"$(spore sign PUT /api/node/config --body '{body}')\" {url}"
    ));
    assert_eq!(written["hostname"], "kitchen");
    // Another body than the one that was signed.
    let refused = shell(&format!(
        "curl -s -X PUT -d '{{}}' -H \"$(spore sign PUT /api/node/config --body '{body}')\" {url}"
    ));
    assert_eq!(refused["error"]["code"], "credentials_invalid");
    let url = corner.json(&["sign", "--query", "/api/x?a=b", "--json", "--node", &node.api]);
    let start = format!("http://{}/api/x?a=b&auth-nonce=a1a1", node.api);
    assert!(url["url"].as_str().unwrap().starts_with(&start), "{url}");
}

#[test]
fn each_node_that_is_named_restarts_and_a_failure_of_one_is_no_others() {
    let corner = Corner::new();
    let key = key(&corner);
    let (b, c) =
        (node(key.clone(), Value::Null), node(ClusterKey::from_bytes([9; 32]), Value::Null));
    let list = json!({ "members": [b.entry("b", "active"), c.entry("c", "active")] });
    let a = Canned::start(move |_| said(200, &list));
    let output = corner.run(&["restart", "c", "b", "nobody", "--node", &a.api]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "b restarts.\n");
    let text = stderr(&output);
    assert!(text.contains("does not take the key") && text.contains("no member \"nobody\""));
    assert!(text.contains("2 of 3 did not restart"), "{text}");
    assert_eq!((b.asked().len(), c.asked().len()), (1, 1));
}
