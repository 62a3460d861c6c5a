use super::{Bridge, INBOX, Message};
use crate::api::{Answer, Frame};
use crate::cluster::tests::{figures, list};
use crate::events::Sent;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// A broker that keeps what is retained.
#[derive(Default)]
struct Broker {
    retained: BTreeMap<String, String>,
    log: Vec<(String, String)>,
}

impl Broker {
    fn take(&mut self, message: &Message) {
        let payload = String::from_utf8(message.payload.clone()).unwrap();
        self.log.push((message.topic.clone(), payload.clone()));
        if message.retained && payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if message.retained {
            self.retained.insert(message.topic.clone(), payload);
        }
    }

    fn connect(&self, bridge: &mut Bridge) {
        bridge.connected();
        for (topic, payload) in &self.retained {
            assert_eq!(bridge.message(topic, payload.as_bytes(), true, Instant::now()), None);
        }
    }

    /// Takes all that the bridge has to say, and tells it back as a broker does.
    fn drain(&mut self, bridge: &mut Bridge) {
        while let Some(message) = bridge.next() {
            assert_eq!(bridge.next(), None, "one at a time");
            self.take(&message);
            bridge.acknowledged();
            bridge.message(&message.topic, &message.payload, false, Instant::now());
            assert!(self.log.len() < 1_000);
        }
    }

    /// The topics that are retained about a member.
    fn about(&self, id: &str) -> Vec<&str> {
        let level = format!("/{id}/");
        self.retained.keys().filter(|topic| topic.contains(&level)).map(String::as_str).collect()
    }

    fn events(&self) -> Vec<(&str, &str)> {
        let about = |(topic, payload): &'_ (String, String)| {
            topic.contains("/event/").then_some(payload.len())
        };
        let events = self.log.iter().filter(|entry| about(entry).is_some());
        events
            .map(|(topic, payload)| (topic.trim_start_matches("spore/home/event/"), &**payload))
            .collect()
    }
}

fn bridge(sent: Sent) -> Bridge {
    Bridge::new("home".parse().unwrap(), true, sent)
}

fn event(number: u32) -> Frame {
    let data = json!({ "topic": "x", "publisher": "2", "retained": false, "epoch": 1, "number": number, "payload": number });
    Frame { id: None, event: "x".into(), data: data.to_string() }
}

fn members(bridge: &mut Bridge, members: &[(&str, &str)]) {
    let list = list(members);
    bridge.learn(|cluster| cluster.members(list, Instant::now()));
}

fn settle(bridge: &mut Bridge, members: &[(&str, &str)]) {
    let list = list(members);
    bridge.learn(|cluster| cluster.witness(list, Instant::now()));
}

#[test]
fn who_leaves_leaves_nothing_behind() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    members(&mut bridge, &[("1", "active"), ("2", "active")]);
    settle(&mut bridge, &[("1", "active")]);
    bridge.learn(|cluster| cluster.figures("2", figures(Some((6, "confirmed")))));
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    assert_eq!(broker.about("2").len(), 4, "{:?}", broker.about("2"));
    members(&mut bridge, &[("1", "active"), ("2", "left")]);
    broker.drain(&mut bridge);
    assert!(broker.about("2").is_empty(), "{:?}", broker.about("2"));
    assert_eq!(broker.about("1").len(), 3);
}

#[test]
fn who_left_while_there_was_no_gateway_leaves_nothing_behind_and_the_dead_stay() {
    let (mut first, mut broker) = (bridge(Sent::default()), Broker::default());
    members(&mut first, &[("1", "active"), ("2", "active"), ("3", "active")]);
    broker.connect(&mut first);
    broker.drain(&mut first);
    let mut second = bridge(Sent::default());
    members(&mut second, &[("1", "active")]);
    broker.connect(&mut second);
    broker.drain(&mut second);
    assert_eq!((broker.about("2").len(), broker.about("3").len()), (3, 3), "nobody knows yet");
    assert_eq!(broker.retained["spore/home/member/3/availability"], "online");
    // The other one has restarted, and has not heard of who died before.
    let device = broker.retained["homeassistant/device/spore-home/3/config"].clone();
    settle(&mut second, &[("1", "active"), ("2", "left")]);
    broker.drain(&mut second);
    assert_eq!((broker.about("2").len(), broker.about("3").len()), (0, 3));
    assert_eq!(broker.retained["spore/home/member/3/availability"], "offline");
    assert!(broker.retained["spore/home/member/3/state"].contains(r#""status":"dead""#));
    assert_eq!(broker.retained["homeassistant/device/spore-home/3/config"], device);
    members(&mut second, &[("1", "active"), ("3", "left")]);
    broker.drain(&mut second);
    assert!(broker.about("3").is_empty());
}

#[test]
fn a_broker_that_is_gone_for_a_while_misses_no_event_and_gets_none_twice() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    broker.connect(&mut bridge);
    bridge.event(&event(1));
    broker.drain(&mut bridge);
    // The second one is sent, and nobody knows whether it has arrived; the third one waits.
    bridge.event(&event(2));
    assert!(bridge.next().is_some());
    bridge.disconnected();
    bridge.event(&event(3));
    assert_eq!(bridge.next(), None);
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    assert_eq!(broker.events(), [("x", "1"), ("x", "2"), ("x", "3")]);
    assert_eq!(bridge.counters().connections, 2);
    // A restart of the gateway, which hears the whole window again.
    let mut again = self::bridge(bridge.sent().clone());
    broker.connect(&mut again);
    (1..=4).for_each(|number| again.event(&event(number)));
    broker.drain(&mut again);
    assert_eq!(broker.events().last(), Some(&("x", "4")));
    assert_eq!(broker.events().len(), 4);
}

#[test]
fn a_broker_that_has_forgotten_everything_gets_it_again() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    members(&mut bridge, &[("1", "active"), ("2", "active")]);
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    let before = std::mem::take(&mut broker.retained);
    bridge.disconnected();
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    assert_eq!(broker.retained, before);
}

#[test]
fn home_assistant_gets_its_devices_again_when_it_has_started() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    members(&mut bridge, &[("1", "active")]);
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    broker.log.clear();
    for (payload, stale, again) in
        [("offline", false, 0), ("online", true, 0), ("online", false, 2)]
    {
        bridge.message("homeassistant/status", payload.as_bytes(), stale, Instant::now());
        broker.drain(&mut bridge);
        assert_eq!(broker.log.len(), again, "{payload}");
    }
    assert!(broker.log.iter().all(|(topic, _)| topic.ends_with("/config")));
}

#[test]
fn events_of_the_broker_reach_the_cluster_once_and_do_not_come_back() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    broker.connect(&mut bridge);
    bridge.message("spore/home/publish/x", b"9", false, Instant::now());
    let busy = Answer { status: 429, body: String::new() };
    assert!(!bridge.ordered(&busy) && bridge.order().is_some());
    let body = r#"{"seq":1,"publisher":"2","epoch":1,"number":9}"#.to_owned();
    assert!(bridge.ordered(&Answer { status: 202, body }));
    assert_eq!(bridge.order(), None);
    bridge.event(&event(9));
    bridge.event(&event(10));
    broker.drain(&mut bridge);
    assert_eq!(broker.events(), [("x", "10")]);
    assert_eq!((bridge.counters().taken, bridge.counters().refused), (1, 0));
}

#[test]
fn bad_orders_are_refused_and_counted() {
    let mut bridge = bridge(Sent::default());
    bridge.message("spore/home/publish/node/x", b"1", false, Instant::now());
    bridge.message("spore/home/publish/x", b"1", true, Instant::now());
    assert_eq!(bridge.message("spore/home/call/9/relay", b"", false, Instant::now()), None);
    assert_eq!((bridge.order(), bridge.counters().refused), (None, 3));
    for _ in 0..INBOX + 2 {
        bridge.message("spore/home/publish/x", b"1", false, Instant::now());
    }
    assert_eq!(bridge.counters().refused, 5);
    let no = Answer { status: 400, body: "no".into() };
    assert!(bridge.ordered(&no), "it is not tried again");
    assert_eq!(bridge.counters().refused, 6);
}

#[test]
fn a_service_is_called_and_its_answer_told() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    members(&mut bridge, &[("1", "active"), ("3", "dead")]);
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    broker.log.clear();
    let call = bridge.message("spore/home/call/1/relay", b"on", false, Instant::now()).unwrap();
    assert_eq!((&*call.api, &*call.service, &*call.body), ("10.0.0.1:80", "relay", &b"on"[..]));
    bridge.answer(&call.member, &call.service, 200, r#"{"on":true}"#);
    assert_eq!(bridge.message("spore/home/call/3/relay", b"on", false, Instant::now()), None);
    broker.drain(&mut bridge);
    let answers = [
        ("spore/home/answer/1/relay", r#"{"body":{"on":true},"status":200}"#),
        ("spore/home/answer/3/relay", r#"{"body":"no such member is there","status":404}"#),
    ];
    let said: Vec<_> = broker.log.iter().map(|(topic, payload)| (&**topic, &**payload)).collect();
    assert_eq!(said, answers);
    assert!(broker.retained.keys().all(|topic| !topic.contains("/answer/")));
}
