//! Events over HTTP: what is published, what a stream carries, and where it begins and ends.

use super::pieces::read;
use super::world::{World, act};
use crate::api::{Error, Method, Request, Response, STREAM_PIECE};
use crate::events::Scope;
use crate::security::request::{Credentials, Signed, SigningKey};
use crate::time::Instant;
use crate::{ClusterKey, Node};
use serde_json::{Value, json};
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

const FORMED: u64 = 3_000;

/// Signs `request` and hands it in.
fn ask(node: &mut Node<'_>, now: Instant, request: &Request<'_>) -> Response {
    let nonce = node.handle_request(now, &Request::new(Method::Get, "/api/auth/nonce"));
    let nonce: Value = serde_json::from_str(&read(node, now, nonce)).unwrap();
    let nonce = nonce["nonce"].as_str().unwrap().parse().unwrap();
    let key = SigningKey::derive(&ClusterKey::from_bytes([7; 32]));
    let Request { method, path, query, body, .. } = *request;
    let mac = key.sign(&Signed { method: method.name(), path, query, nonce, body });
    let field = Credentials { nonce, mac }.to_string();
    node.handle_request(now, &Request { authorization: Some(&field), ..*request })
}

fn post(node: &mut Node<'_>, now: Instant, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let request = Request { body: body.as_bytes(), ..Request::new(Method::Post, "/api/events") };
    let response = ask(node, now, &request);
    let status = response.status;
    (status, serde_json::from_str(&read(node, now, response)).unwrap())
}

/// A stream being read.
struct Reader {
    response: Response,
    query: &'static str,
}

/// An event as it came: id, name, document.
type Frame = (Option<String>, String, Value);

impl Reader {
    fn open(node: &mut Node<'_>, now: Instant, query: &'static str, seen: Option<&str>) -> Self {
        let request = Request::new(Method::Get, "/api/events");
        let response = ask(node, now, &Request { query, last_event_id: seen, ..request });
        assert!(response.is_stream(), "{}", response.status);
        assert_eq!((response.status, response.content_type), (200, "text/event-stream"));
        Self { response, query }
    }

    /// What there is now; `None` at the end.
    fn poll(&mut self, node: &Node<'_>) -> Option<Vec<Frame>> {
        let mut buf = [0; STREAM_PIECE];
        let mut text = String::new();
        loop {
            match node.poll_stream(self.query, &mut self.response.body, &mut buf) {
                None if text.is_empty() => return None,
                None | Some(0) => break,
                Some(len) => text.push_str(str::from_utf8(&buf[..len]).unwrap()),
            }
        }
        Some(text.split_terminator("\n\n").map(frame).collect())
    }

    fn topics(&mut self, node: &Node<'_>) -> Vec<String> {
        self.poll(node).unwrap().into_iter().map(|(_, topic, _)| topic).collect()
    }
}

fn frame(text: &str) -> Frame {
    let (mut id, mut event, mut data) = (None, None, None);
    for line in text.split('\n') {
        let (name, value) = line.split_once(": ").unwrap();
        let place = match name {
            "id" => &mut id,
            "event" => &mut event,
            "data" => &mut data,
            _ => panic!("{line}"),
        };
        assert_eq!(place.replace(value.to_string()), None, "{text}");
    }
    (id, event.unwrap(), serde_json::from_str(&data.unwrap()).unwrap())
}

#[test]
fn what_is_published_on_one_node_is_streamed_by_another() {
    let mut world = World::new(2);
    world.run(FORMED);
    let now = world.now;
    let mut reader = Reader::open(world.node(2), now, "topic=kitchen/%23", None);
    assert!(reader.topics(world.node(2)).is_empty());
    let body = json!({ "topic": "kitchen/lamp", "payload": { "on": true } });
    let (status, published) = post(world.node(1), now, &body);
    assert_eq!((status, &published["number"]), (202, &json!(1)));
    let publisher = published["publisher"].as_str().unwrap().to_string();
    assert_eq!(publisher, world.node(1).own().id.to_string());
    post(world.node(1), now, &json!({ "topic": "cellar", "payload": 1 }));
    world.run(500);
    let frames = reader.poll(world.node(2)).unwrap();
    let [(id, event, data)] = &frames[..] else { panic!("{frames:?}") };
    let own = world.node(2).own();
    let (seq, epoch) = (&data["seq"], own.incarnation.epoch.get());
    assert_eq!(id.as_deref(), Some(&*format!("{}-{epoch}-{seq}", own.id)));
    assert_eq!(event, "kitchen/lamp");
    assert!(data["uptime_ms"].as_u64().unwrap() >= FORMED - 70, "{data}");
    let wanted = json!({
        "topic": "kitchen/lamp", "publisher": publisher, "scope": "cluster", "retained": false,
        "epoch": published["epoch"], "number": 1, "seq": seq, "uptime_ms": data["uptime_ms"],
        "payload": { "on": true },
    });
    assert_eq!(*data, wanted);
    assert!(reader.topics(world.node(2)).is_empty());
}

#[test]
fn a_local_event_stays_here_and_system_events_are_streamed_too() {
    let mut world = World::new(2);
    let now = world.now;
    act(world.node(1), now);
    let mut reader = Reader::open(world.node(1), now, "", None);
    world.run(FORMED);
    let local = json!({ "topic": "a", "payload": "x", "scope": "local" });
    let now = world.now;
    let (status, published) = post(world.node(1), now, &local);
    assert_eq!(
        (status, &published["number"], &published["epoch"]),
        (202, &json!(null), &json!(null))
    );
    world.run(500);
    let frames = reader.poll(world.node(1)).unwrap();
    let [(_, joined, member), (_, topic, data)] = &frames[..] else { panic!("{frames:?}") };
    let other = world.node(2).own().id.to_string();
    assert_eq!(joined, "cluster/member/joined");
    assert_eq!(member["payload"], json!({ "id": other, "hostname": "node-2" }));
    assert_eq!((&**topic, &data["scope"], &data["payload"]), ("a", &json!("local"), &json!("x")));
    assert_eq!(data["publisher"], published["publisher"]);
    assert_eq!(data["seq"], published["seq"]);
    let all = Reader::open(world.node(2), now, "after=0", None).topics(world.node(2));
    assert!(!all.contains(&"a".to_string()), "{all:?}");
}

#[test]
fn a_reader_begins_with_what_is_retained_or_goes_on_where_it_was() {
    let mut world = World::new(1);
    world.run(100);
    let now = world.now;
    let node = world.node(1);
    let mut publish = |topic: &str, retained| {
        let body = json!({ "topic": topic, "payload": topic, "retained": retained });
        assert_eq!(post(node, now, &body).0, 202);
    };
    publish("a/1", false);
    publish("a/2", true);
    publish("b", true);
    publish("b", true);
    publish("a/3", false);
    let mut begun = Reader::open(node, now, "topic=a/%2B", None);
    let frames = begun.poll(node).unwrap();
    let [(id, topic, data)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((&**topic, &data["retained"]), ("a/2", &json!(true)));
    // What comes next comes once, retained or not.
    node.publish(now, Scope::Cluster, "a/4", b"4", true).unwrap();
    assert_eq!(begun.topics(node), ["a/4"]);

    let id = id.as_deref().unwrap();
    let of = |node: &mut Node<'_>, query, seen| Reader::open(node, now, query, seen).topics(node);
    assert_eq!(of(node, "", Some(id)), ["b", "b", "a/3", "a/4"]);
    assert_eq!(of(node, "topic=a/%2B", Some(id)), ["a/3", "a/4"]);
    let all = ["a/1", "a/2", "b", "b", "a/3", "a/4"];
    // Of each topic only the newest is retained.
    assert_eq!(of(node, "topic=b", None), ["b"]);
    assert_eq!(of(node, "after=0", None), all);
    // The field is newer than what the query said at first.
    assert_eq!(of(node, "after=0", Some(id)), ["b", "b", "a/3", "a/4"]);
    // Ids of another node, of another boot, of what has not happened, and what is none.
    let (own, rest) = id.split_once('-').unwrap();
    let (epoch, seq) = rest.split_once('-').unwrap();
    let later: u32 = epoch.parse::<u32>().unwrap() + 1;
    for foreign in [
        format!("0123456789ab-{rest}"),
        format!("{own}-{later}-{seq}"),
        format!("{own}-{epoch}-4000000000"),
        "what is this".into(),
    ] {
        let mut reader = Reader::open(node, now, "", Some(&foreign));
        assert_eq!(reader.topics(node), all, "{foreign}");
    }
}

#[test]
fn who_reads_too_slowly_is_told_how_many_are_gone() {
    let mut world = World::new(1);
    world.run(100);
    let now = world.now;
    let node = world.node(1);
    let mut reader = Reader::open(node, now, "topic=wanted", None);
    let publish = |node: &mut Node<'_>, topic, count: usize| {
        for _ in 0..count {
            node.publish(now, Scope::Local, topic, b"1", false).unwrap();
        }
    };
    let kept = {
        let mut world = World::new(1);
        let node = world.node(1);
        publish(node, "x", 2_000);
        let topics = Reader::open(node, now, "after=0&topic=x", None).topics(node);
        topics.iter().filter(|topic| *topic == "x").count()
    };
    publish(node, "wanted", 1);
    publish(node, "other", kept + 5);
    publish(node, "wanted", 1);
    let frames = reader.poll(node).unwrap();
    let names: Vec<&str> = frames.iter().map(|(_, name, _)| &**name).collect();
    assert_eq!(names, ["events/lost", "wanted"]);
    assert_eq!(frames[0].2, json!({ "count": 7 }));
    assert_eq!(frames[0].0, None);
    // Who reads in time loses nothing, however many do not match.
    for _ in 0..kept {
        publish(node, "other", 2);
        assert!(reader.topics(node).is_empty());
    }
    // All of them are gone when the reader looks again.
    publish(node, "other", 3 * kept);
    let frames = reader.poll(node).unwrap();
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!(frames[0].2, json!({ "count": 2 * kept }));
}

#[test]
fn what_is_gone_before_a_stream_begins_is_told_once_and_what_goes_later_as_it_does() {
    let mut world = World::new(1);
    world.run(100);
    let now = world.now;
    let node = world.node(1);
    let publish = |node: &mut Node<'_>, topic, count: usize, retained| {
        for _ in 0..count {
            let scope = if retained { Scope::Cluster } else { Scope::Local };
            node.publish(now, scope, topic, b"1", retained).unwrap();
        }
    };
    // Retained ones stay, and the local ones between them go: two holes.
    publish(node, "a", 1, true);
    publish(node, "x", 1_000, false);
    publish(node, "b", 1, true);
    publish(node, "x", 1_000, false);
    let mut reader = Reader::open(node, now, "after=0", None);
    let holes = {
        let (mut after, mut holes) = (0, Vec::new());
        while let Some(delivery) = node.next_event(after, crate::events::Filter::ALL) {
            after = delivery.seq;
            holes.extend(Some(delivery.lost).filter(|lost| *lost > 0));
        }
        holes
    };
    assert_eq!(holes.len(), 2, "{holes:?}");
    let frames = reader.poll(node).unwrap();
    let lost: Vec<_> = frames.iter().filter(|(_, name, _)| name == "events/lost").collect();
    assert_eq!(lost.len(), 1, "{frames:?}");
    let gone: u32 = holes.iter().sum();
    assert_eq!((&frames[0].1, &frames[0].2), (&"events/lost".into(), &json!({ "count": gone })));
    assert_eq!(usize::try_from(gone).unwrap() + frames.len() - 1, 2_002);
    // From now on it is as with any other reader.
    publish(node, "x", 1_000, false);
    let frames = reader.poll(node).unwrap();
    let later = frames[0].2["count"].as_u64().unwrap();
    assert_eq!((&*frames[0].1, later), ("events/lost", 1_001 - frames.len() as u64));

    // What goes between the sum and its events is told on top of it.
    let mut reader = Reader::open(node, now, "after=0", None);
    let mut buf = [0; STREAM_PIECE];
    let first = node.poll_stream("after=0", &mut reader.response.body, &mut buf).unwrap();
    let first = String::from_utf8(buf[..first].to_vec()).unwrap();
    publish(node, "x", 1_000, false);
    let rest = reader.poll(node).unwrap();
    let all: Vec<Frame> = first.split_terminator("\n\n").map(frame).chain(rest).collect();
    let (lost, shown): (Vec<_>, Vec<_>) = all.iter().partition(|frame| frame.1 == "events/lost");
    let gone: u64 = lost.iter().map(|frame| frame.2["count"].as_u64().unwrap()).sum();
    assert_eq!((lost.len(), gone + shown.len() as u64), (2, 4_002), "{all:?}");
}

#[test]
fn a_stream_ends_with_the_node_and_tells_why() {
    let mut world = World::new(1);
    world.run(100);
    let now = world.now;
    let node = world.node(1);
    let mut reader = Reader::open(node, now, "", None);
    let response = ask(node, now, &Request::new(Method::Post, "/api/node/restart"));
    assert_eq!(response.status, 202);
    act_and_report(node, now);
    assert_eq!(reader.topics(node), ["node/restart/asked"]);
    assert_eq!(reader.poll(node), None);
    let mut world = World::new(2);
    world.run(FORMED);
    let now = world.now;
    let node = world.node(1);
    let mut reader = Reader::open(node, now, "", None);
    assert_eq!(reader.poll(node), Some(Vec::new()));
    node.leave(now);
    assert_eq!(reader.poll(node), None);
}

fn act_and_report(node: &mut Node<'_>, now: Instant) {
    act(node, now);
    while node.poll_event().is_some() {}
}

#[test]
fn what_cannot_be_published_or_followed_is_refused_by_name() {
    let mut world = World::new(1);
    world.run(100);
    let now = world.now;
    let node = world.node(1);
    for (body, field, says) in [
        (json!({ "topic": "a b" }), "topic", "printable ASCII"),
        (json!({ "topic": "x".repeat(49) }), "topic", "1 to 48 bytes"),
        (json!({ "topic": "cluster/member/died" }), "topic", "the system's own"),
        (json!({ "topic": "a", "payload": "x".repeat(255) }), "payload", "at most 256 bytes"),
        (json!({ "topic": "a", "scope": "local", "retained": true }), "retained", "wrong"),
    ] {
        let (status, answer) = post(node, now, &body);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid_field")), "{body}");
        assert_eq!(answer["error"]["field"], field, "{body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(says), "{answer}");
    }
    for (query, field) in [
        ("topic=a//b", "topic"),
        ("topic=%", "topic"),
        ("topic", "topic"),
        ("after=7", "after"),
        ("after=x-1-2", "after"),
        ("after=0&after=0", "after"),
        ("topics=a", "topics"),
        ("topic=a&all", "all"),
        ("=a", ""),
    ] {
        let request = Request { query, ..Request::new(Method::Get, "/api/events") };
        let response = ask(node, now, &request);
        assert_eq!(response.status, 400, "{query}");
        let answer: Value = serde_json::from_str(&read(node, now, response)).unwrap();
        assert_eq!(answer["error"]["field"], field, "{query}");
    }
    // The cluster carries no more than its window.
    let body = json!({ "topic": "a", "payload": 1 });
    let mut statuses = (0..30).map(|_| post(node, now, &body));
    let (status, answer) = statuses.find(|(status, _)| *status != 202).unwrap();
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("too_many_events")));
    assert_eq!(Response::error(Error::TooManyEvents).retry_after, Some(4));
}

#[test]
fn the_longest_event_fits_into_the_promised_room() {
    let mut world = World::new(1);
    world.run(100);
    let now = world.now;
    let node = world.node(1);
    let topic = "t".repeat(48);
    for payload in [[0xFF; 256], [b'"'; 256], [b'7'; 256]] {
        let mut reader = Reader::open(node, now, "", None);
        node.publish(now, Scope::Cluster, &topic, &payload, false).unwrap();
        let mut buf = [0; STREAM_PIECE];
        let len = node.poll_stream("", &mut reader.response.body, &mut buf).unwrap();
        // What the numbers may grow by: of ten digits twice, of eight twice, of the time twenty.
        let longest = len + 2 * 9 + 2 * 7 + 19;
        assert!(len > 256 && longest <= STREAM_PIECE, "{len}");
        assert!(reader.poll(node).unwrap().is_empty());
    }
}
