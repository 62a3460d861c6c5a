use super::{Clock, MEET, Recorder};
use crate::api::Frame;
use crate::cluster::Cluster;
use crate::cluster::tests::{figures, list, rollout};
use crate::history::{Batch, Entry};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A recorder, what it has said should be known, and a clock.
struct Desk {
    recorder: Recorder,
    known: BTreeMap<String, String>,
    start: Instant,
    seconds: u64,
}

impl Desk {
    fn new() -> Self {
        let start = Instant::now();
        Self { recorder: Recorder::default(), known: BTreeMap::new(), start, seconds: 0 }
    }

    fn clock(&self) -> Clock {
        let wall_ms = 1_700_000_000_000 + i64::try_from(self.seconds).unwrap() * 1_000;
        Clock { wall_ms, now: self.start + Duration::from_secs(self.seconds) }
    }

    fn pass(&mut self, seconds: u64) -> &mut Self {
        self.seconds += seconds;
        self
    }

    /// Another gateway goes on.
    fn restart(&mut self) {
        self.recorder = Recorder::new(&self.known);
    }

    fn take(&mut self) -> Vec<Entry> {
        let Batch { entries, known, lost } = self.recorder.take();
        assert_eq!(lost, 0);
        for (name, value) in known {
            match value {
                Some(value) => drop(self.known.insert(name, value)),
                None => drop(self.known.remove(&name)),
            }
        }
        entries
    }

    /// What is noted at a look, in words.
    fn look(&mut self, cluster: &Cluster) -> Vec<String> {
        self.recorder.look(cluster, self.clock());
        let word =
            |entry: Entry| format!("{} {}", entry.node.as_deref().unwrap_or("-"), entry.what);
        self.take().into_iter().map(word).collect()
    }

    /// A member list, and then a look.
    fn list(&mut self, cluster: &mut Cluster, members: &[(&str, &str)]) -> Vec<String> {
        cluster.members(list(members), self.clock().now);
        self.look(cluster)
    }

    /// What a member of this uptime says, and then a look.
    fn hear(&mut self, cluster: &mut Cluster, id: &str, uptime: u64) -> Vec<String> {
        let mut says = figures(None);
        (says.at, says.status.uptime_ms) = (self.clock().now, uptime * 1_000);
        cluster.figures(id, says);
        self.look(cluster)
    }
}

#[test]
fn who_comes_and_goes_is_noted_once() {
    let (mut desk, mut cluster) = (Desk::new(), Cluster::default());
    let (both, one) = ([("1", "active"), ("2", "active")], [("1", "active")]);
    assert_eq!(desk.list(&mut cluster, &both), ["1 joined", "2 joined"]);
    assert!(desk.pass(1).list(&mut cluster, &both).is_empty());
    let with = |status| [("1", "active"), ("2", status)];
    assert_eq!(desk.list(&mut cluster, &with("suspect")), ["2 suspect"]);
    assert_eq!(desk.list(&mut cluster, &both), ["2 recovered"]);
    assert_eq!(desk.list(&mut cluster, &with("dead")), ["2 died"]);
    assert_eq!(desk.list(&mut cluster, &both), ["2 rejoined"]);
    assert_eq!(desk.list(&mut cluster, &with("left")), ["2 left"]);
    assert!(desk.list(&mut cluster, &one).is_empty());
    assert_eq!(desk.list(&mut cluster, &both), ["2 rejoined"]);
    // The gateway's own node has restarted, and lists nobody.
    assert_eq!(desk.list(&mut cluster, &one), ["2 died"]);
}

#[test]
fn the_next_gateway_goes_on_with_what_the_last_one_knew() {
    let (mut desk, mut cluster) = (Desk::new(), Cluster::default());
    let all = [("1", "active"), ("2", "active"), ("3", "active"), ("4", "dead")];
    assert_eq!(desk.list(&mut cluster, &all).len(), 3, "nobody knows when 4 died");
    for id in ["1", "2", "3"] {
        assert!(desk.hear(&mut cluster, id, 100).is_empty());
    }
    desk.pass(3_600).restart();
    let mut cluster = Cluster::default();
    assert!(desk.list(&mut cluster, &all[..1]).is_empty(), "it has met nobody yet");
    let told = [("1", "active"), ("2", "active"), ("3", "left"), ("4", "active")];
    assert_eq!(desk.list(&mut cluster, &told), ["4 joined", "3 left"]);
    // 1 has restarted while there was no gateway, 2 has not.
    assert_eq!(desk.hear(&mut cluster, "1", 200), ["1 restarted"]);
    assert!(desk.hear(&mut cluster, "2", 3_705).is_empty());
    desk.pass(MEET.as_secs()).restart();
    let mut cluster = Cluster::default();
    assert!(desk.list(&mut cluster, &all[..1]).is_empty());
    assert_eq!(desk.pass(MEET.as_secs()).list(&mut cluster, &all[..1]), ["2 died", "4 died"]);
}

#[test]
fn a_restart_is_seen_by_the_uptime_with_its_reason() {
    let (mut desk, mut cluster) = (Desk::new(), Cluster::default());
    desk.list(&mut cluster, &[("1", "active")]);
    assert!(desk.hear(&mut cluster, "1", 5).is_empty());
    assert!(desk.pass(60).hear(&mut cluster, "1", 64).is_empty());
    // It has been up for less than it has been since it was heard last.
    desk.seconds += 60;
    let mut says = figures(None);
    (says.at, says.status.uptime_ms) = (desk.clock().now, 45_000);
    says.status.reset_reason = "watchdog".into();
    cluster.figures("1", says);
    desk.recorder.look(&cluster, desk.clock());
    let entry = desk.take().remove(0);
    assert_eq!((&*entry.what, entry.hostname.as_deref()), ("restarted", Some("node-1")));
    let detail = json!({ "reset_reason": "watchdog", "uptime_s": 45, "version": "0.1.0" });
    assert_eq!(entry.detail, detail);
    // Somebody sets the machine's clock.
    desk.start -= Duration::from_secs(86_400);
    desk.seconds += 86_400;
    assert!(desk.look(&cluster).is_empty());
}

#[test]
fn a_rollout_is_noted_with_each_node_and_ends_when_nobody_is_pending() {
    let (mut desk, mut cluster) = (Desk::new(), Cluster::default());
    desk.list(&mut cluster, &[("1", "active"), ("2", "active")]);
    let mut step = |desk: &mut Desk, state, row, pending: u32| {
        let mut update = rollout(state, row);
        update.counts["pending"] = pending.into();
        cluster.rollout(update);
        desk.look(&cluster)
    };
    assert_eq!(step(&mut desk, "running", "unheard", 2), ["- running"]);
    assert_eq!(step(&mut desk, "running", "fetching", 2), ["2 fetching"]);
    assert!(step(&mut desk, "running", "fetching", 1).is_empty());
    assert_eq!(step(&mut desk, "running", "on_trial", 1), ["2 on_trial"]);
    let end = step(&mut desk, "running", "updated", 0);
    assert_eq!(end, ["- done", "2 updated"]);
    // Another gateway has not heard of everyone yet, and then of a node that was away.
    desk.restart();
    assert!(step(&mut desk, "running", "unheard", 2).is_empty());
    assert!(step(&mut desk, "running", "updated", 0).is_empty());
    assert_eq!(step(&mut desk, "expired", "updated", 0), ["- expired"]);
}

#[test]
fn an_image_is_noted_when_the_cluster_knows_it() {
    use crate::documents::Running;
    let (mut desk, mut cluster) = (Desk::new(), Cluster::default());
    desk.list(&mut cluster, &[("1", "active"), ("2", "active")]);
    let mut step = |desk: &mut Desk, sequence, update| {
        let stage = "confirmed".to_owned();
        cluster.rollout(update);
        let mut says = figures(None);
        (says.image, says.at) = (Some(Running { sequence, stage }), desk.start);
        cluster.figures("2", says);
        desk.look(&cluster)
    };
    assert!(step(&mut desk, 6, Default::default()).is_empty());
    let running = step(&mut desk, 7, rollout("running", "on_trial"));
    assert_eq!(running, ["- running", "2 on_trial"], "it says 7 by itself");
    let end = step(&mut desk, 7, rollout("running", "updated"));
    assert_eq!(end, ["2 updated", "2 updated"], "as a member, and in the rollout");
}

#[test]
fn events_of_the_cluster_are_noted_once_and_so_is_that_some_were_missed() {
    let mut desk = Desk::new();
    let frame = |topic: &str, number: Option<u32>, rest: Value| {
        let mut data = json!({ "topic": topic, "publisher": "a", "retained": false,
                               "epoch": number.map(|_| 3), "number": number });
        data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Frame { id: None, event: topic.to_owned(), data: data.to_string() }
    };
    let frames = [
        frame("x/y", Some(1), json!({ "payload": 7 })),
        frame("x/y", Some(1), json!({ "payload": 7 })),
        frame("x/z", Some(2), json!({ "payload_hex": "00ff" })),
        frame("cluster/member/died", None, json!({ "payload": {} })),
        frame("events/missed", None, json!({ "payload": { "count": 2 } })),
        Frame { id: None, event: "events/lost".into(), data: r#"{"count":4}"#.into() },
    ];
    for frame in &frames {
        desk.recorder.event(frame, desk.clock());
    }
    let noted: Vec<_> = desk.take().into_iter().map(|it| (it.what, it.node, it.detail)).collect();
    let of = |what: &str, node: Option<&str>, detail: Value| {
        (what.to_owned(), node.map(ToOwned::to_owned), detail)
    };
    let wanted = [
        of("x/y", Some("a"), json!({ "retained": false, "payload": 7 })),
        of("x/z", Some("a"), json!({ "retained": false, "payload_hex": "00ff" })),
        of("events/missed", Some("a"), json!({ "retained": false, "payload": { "count": 2 } })),
        of("events/lost", None, json!({ "retained": false, "payload": { "count": 4 } })),
    ];
    assert_eq!(noted, wanted);
    // Of many publishers the file knows as many as the gateway.
    for n in 0..600 {
        let mut data: Value = serde_json::from_str(&frames[0].data).unwrap();
        data["publisher"] = format!("b{n:03}").into();
        let many = Frame { data: data.to_string(), ..frames[0].clone() };
        desk.recorder.event(&many, desk.clock());
    }
    assert_eq!((desk.take().len(), desk.known.len()), (600, 512));
    desk = Desk::new();
    for frame in &frames {
        desk.recorder.event(frame, desk.clock());
    }
    desk.take();
    // The node still has them when the next gateway comes.
    desk.restart();
    for frame in &frames[..3] {
        desk.recorder.event(frame, desk.clock());
    }
    assert!(desk.take().is_empty());
}
