//! What a node says of itself, and of the cluster.

use super::{Check, State};
use crate::client::{Member, NodeStatus, Request, Signer, Target, parse};
use crate::key_file::KeyFile;
use anyhow::Result;
use std::collections::BTreeMap;
use std::thread;

/// So many members are asked at the same time.
const AT_ONCE: usize = 8;

/// With more than this part of what came dropped, something is wrong with who sends, or with the air.
const DROPPED: f64 = 0.05;

/// A member, and what it says of itself.
type Heard = (Member, Result<NodeStatus>);

pub(super) fn checks(target: &Target, key: &KeyFile, port: u16) -> Vec<Check> {
    let node = target.node();
    let status = target.get(&node, "/api/node/status").and_then(|body| parse(&body));
    let status: NodeStatus = match status {
        Ok(status) => status,
        Err(error) if target.is_chosen() => {
            let advice = "is it on, and is this the right address? `spore doctor --node ADDRESS` asks another one";
            return vec![Check::bad(State::Wrong, "node", format!("{error:#}"), advice)];
        }
        Err(_) => {
            return vec![Check::bad(
                State::Absent,
                "node",
                format!("none at {node}, where one is looked for"),
                "`spore up` starts a cluster here; --node or API_NODE names another node",
            )];
        }
    };
    let found = format!("{} at {node}, version {}", status.hostname, status.version);
    let mut checks = vec![Check::ok("node", found)];
    checks.extend(key_fits(target, key));
    let members = match target.members() {
        Ok(list) => ask(target, list.members),
        Err(error) => {
            let found = format!("{node} does not list them: {error:#}");
            checks.push(Check::bad(State::Wrong, "members", found, "try again"));
            return checks;
        }
    };
    checks.push(reached(&node, &members, port));
    let heard: Vec<_> = members.iter().filter_map(|(_, status)| status.as_ref().ok()).collect();
    checks.push(versions(&heard));
    checks.push(datagrams(&heard));
    checks.push(health(&heard));
    checks
}

/// Whether the node takes the key of this machine; nothing if there is none.
fn key_fits(target: &Target, key: &KeyFile) -> Option<Check> {
    const CHECK: &str = "key fits";
    let (signer, node) = (Signer::new(key).ok()?, target.node());
    let request = Request::get("/api/node/config");
    let wrong = |found: String, advice: &str| Check::bad(State::Wrong, CHECK, found, advice);
    Some(match target.client().exchange_signed(&node, &request, &signer) {
        Ok(answer) if answer.is_success() => Check::ok(CHECK, format!("{node} takes your key")),
        Ok(answer) if answer.is_refusal("unclaimed") => Check::bad(
            State::Warning,
            CHECK,
            format!("{node} has no cluster key yet"),
            "flash it with --claim, or give it the file of `spore claim`",
        ),
        Ok(answer) => wrong(
            format!("{:#}", signer.error(&answer, &node, &request)),
            "take over the key of the cluster: `spore key export` there, `spore key import` here",
        ),
        Err(unanswered) => wrong(format!("{:#}", unanswered.error), "try again"),
    })
}

/// Asks all members for their status, some at a time; those that have left are left out.
fn ask(target: &Target, mut members: Vec<Member>) -> Vec<Heard> {
    members.retain(|member| member.status != "left");
    let status = |member: &Member| {
        target.get(&member.api(), "/api/node/status").and_then(|body| parse(&body))
    };
    let mut heard = Vec::new();
    for some in members.chunks(AT_ONCE) {
        heard.extend(thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|it| scope.spawn(move || status(it))).collect();
            let told = asked.into_iter().map(|it| it.join().expect("asking panics not"));
            some.iter().cloned().zip(told).collect::<Vec<_>>()
        }));
    }
    heard
}

/// Whether who is there is heard in both ways.
fn reached(node: &str, members: &[Heard], port: u16) -> Check {
    const CHECK: &str = "members";
    let names = |wanted: &dyn Fn(&Heard) -> bool| {
        let names = members.iter().filter(|it| wanted(it)).map(|(member, _)| &*member.hostname);
        names.collect::<Vec<_>>().join(", ")
    };
    let deaf = names(&|(member, status)| !member.is_live() && status.is_ok());
    if !deaf.is_empty() {
        return Check::bad(
            State::Wrong,
            CHECK,
            format!("{deaf}: there, since this machine reaches it, but {node} hears nothing of it"),
            format!(
                "something between them stops UDP {port}: a firewall, or a router that keeps its clients apart"
            ),
        );
    }
    let silent = names(&|(member, status)| member.is_live() && status.is_err());
    if !silent.is_empty() {
        return Check::bad(
            State::Warning,
            CHECK,
            format!("{silent}: a member, but its API does not answer this machine"),
            "is this machine on the same network, and is TCP let through?",
        );
    }
    let dead = names(&|(member, _)| !member.is_live());
    if !dead.is_empty() {
        let advice = "switch it on; who is gone for good is forgotten by itself";
        return Check::bad(State::Warning, CHECK, format!("{dead}: dead"), advice);
    }
    Check::ok(CHECK, format!("{}, all there", members.len()))
}

/// Whether all run the same version.
fn versions(heard: &[&NodeStatus]) -> Check {
    const CHECK: &str = "versions";
    let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for status in heard {
        by_version.entry(&status.version).or_default().push(&status.hostname);
    }
    let told: Vec<_> = by_version
        .iter()
        .map(|(version, names)| format!("{version}: {}", names.join(", ")))
        .collect();
    match by_version.len() {
        0 | 1 => {
            let version = by_version.keys().next().copied().unwrap_or("-");
            Check::ok(CHECK, format!("{version} on all {}", heard.len()))
        }
        _ => Check::bad(
            State::Warning,
            CHECK,
            told.join("; "),
            "`spore ota all` updates the others; unless that is under way, they may not know all of each other's words",
        ),
    }
}

/// Whether what comes to nodes is the cluster's.
fn datagrams(heard: &[&NodeStatus]) -> Check {
    const CHECK: &str = "datagrams";
    let about = |status: &&NodeStatus| {
        let it = status.datagrams;
        let dropped = u64::from(it.unauthentic) + u64::from(it.malformed);
        let all = dropped + u64::from(it.accepted);
        let much = dropped as f64 > DROPPED * all as f64 && dropped > 20;
        much.then(|| format!("{}: {dropped} of {all} dropped", status.hostname))
    };
    let told: Vec<_> = heard.iter().filter_map(about).collect();
    match told.is_empty() {
        true => Check::ok(CHECK, "what nodes hear is of this cluster"),
        false => Check::bad(
            State::Warning,
            CHECK,
            told.join("; "),
            "somebody with another key, or of another version, speaks on the same network and port: give one of the clusters another --port",
        ),
    }
}

/// Whether nodes are well.
fn health(heard: &[&NodeStatus]) -> Check {
    const CHECK: &str = "nodes";
    let mut ills = Vec::new();
    for status in heard {
        let name = &status.hostname;
        if status.claim_damaged {
            ills.push((
                format!("{name}: it has lost whose it is"),
                "`spore repair` at its machine, or flash it with --claim",
            ));
        }
        if status.safe_mode {
            ills.push((
                format!("{name}: in safe mode after crashes"),
                "`spore logs NODE --crash` shows the last one; `spore restart NODE` tries again",
            ));
        }
        for sprocket in status.sprockets.iter().filter(|sprocket| sprocket.state != "running") {
            let found = format!("{name}: its sprocket {} is {}", sprocket.name, sprocket.state);
            ills.push((found, "`spore sprockets --node NODE` says why"));
        }
    }
    if ills.is_empty() {
        return Check::ok(CHECK, "none has crashed too often, or lost anything");
    }
    let (found, advice): (Vec<_>, Vec<_>) = ills.into_iter().unzip();
    Check::bad(State::Wrong, CHECK, found.join("; "), advice.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{Heard, Member, NodeStatus, State, datagrams, health, reached, versions};
    use anyhow::anyhow;
    use serde_json::{Value, json};

    fn member(hostname: &str, status: &str) -> Member {
        serde_json::from_value(json!({
            "id": "1", "hostname": hostname, "address": "10.0.0.1", "http_port": 80,
            "status": status, "status_version": 1, "last_seen_ms": null, "rtt_us": null,
        }))
        .unwrap()
    }

    fn status(hostname: &str, changes: Value) -> NodeStatus {
        let mut status = json!({
            "id": "0123", "hostname": hostname, "address": "10.0.0.1", "http_port": 80, "board": "host",
            "version": "1.0.0", "chip_id": 255, "reset_reason": "power_on", "uptime_ms": 61_000,
            "free_memory": 20_000, "flash_size": 1_048_576, "endpoints": [],
        });
        for (name, value) in changes.as_object().unwrap() {
            status[name] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn who_answers_and_is_held_for_dead_is_not_heard() {
        let there = |name, is| -> Heard { (member(name, is), Ok(status(name, json!({})))) };
        let gone = |name, is| -> Heard { (member(name, is), Err(anyhow!("no answer"))) };
        let state = |members: &[Heard]| reached("n", members, 4210).state;
        assert_eq!(state(&[there("a", "active"), there("b", "active")]), State::Ok);
        assert_eq!(state(&[there("a", "active"), gone("b", "dead")]), State::Warning);
        assert_eq!(state(&[there("a", "active"), gone("b", "active")]), State::Warning);
        let deaf = reached("n", &[there("a", "active"), there("b", "dead")], 4210);
        assert!(deaf.state == State::Wrong && deaf.found.starts_with("b: "), "{deaf:?}");
    }

    #[test]
    fn versions_that_differ_and_foreign_datagrams_and_ills_are_told() {
        let good = status("a", json!({}));
        let newer = status("b", json!({ "version": "1.1.0" }));
        assert_eq!(versions(&[&good, &good]).state, State::Ok);
        let differ = versions(&[&good, &newer]);
        assert_eq!((differ.state, &*differ.found), (State::Warning, "1.0.0: a; 1.1.0: b"));

        let counts = |unauthentic: u32| json!({ "datagrams": { "accepted": 1_000, "unauthentic": unauthentic, "malformed": 1 } });
        assert_eq!(datagrams(&[&good, &status("b", counts(10))]).state, State::Ok);
        let foreign = datagrams(&[&good, &status("b", counts(99))]);
        assert_eq!((foreign.state, &*foreign.found), (State::Warning, "b: 100 of 1100 dropped"));

        assert_eq!(health(&[&good]).state, State::Ok);
        let sprockets = json!([{ "name": "door", "state": "failed", "message": null }]);
        for ill in [
            json!({ "claim_damaged": true }),
            json!({ "safe_mode": true }),
            json!({ "sprockets": sprockets }),
        ] {
            let check = health(&[&good, &status("b", ill)]);
            assert!(check.state == State::Wrong && check.found.starts_with("b: "), "{check:?}");
        }
    }
}
