use super::orders::INBOX;
use super::{ATTEMPTS, Bridge, Message, STAND_BY};
use crate::api::{Answer, Frame};
use crate::cluster::tests::{figures, list};
use crate::events::Sent;
use crate::role::{ASK, SETTLE};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
        bridge.connected("1", Instant::now());
        for (topic, payload) in &self.retained {
            assert_eq!(bridge.message(topic, payload.as_bytes(), true, Instant::now()), None);
        }
        bridge.look(Instant::now() + SETTLE);
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
    Bridge::new("home".parse().unwrap(), vec!["garage".parse().unwrap()], true, sent)
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
    bridge.event(&event(1), Instant::now());
    broker.drain(&mut bridge);
    // The second one is sent, and nobody knows whether it has arrived; the third one waits.
    bridge.event(&event(2), Instant::now());
    assert!(bridge.next().is_some());
    bridge.disconnected();
    bridge.event(&event(3), Instant::now());
    assert_eq!(bridge.next(), None);
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    assert_eq!(broker.events(), [("x", "1"), ("x", "2"), ("x", "3")]);
    assert_eq!(bridge.counters().connections, 2);
    // A restart of the gateway, which hears the whole window again.
    let mut again = self::bridge(bridge.sent().clone());
    broker.connect(&mut again);
    (1..=4).for_each(|number| again.event(&event(number), Instant::now()));
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
    bridge.event(&event(9), Instant::now());
    bridge.event(&event(10), Instant::now());
    broker.drain(&mut bridge);
    assert_eq!(broker.events(), [("x", "10")]);
    assert_eq!((bridge.counters().taken, bridge.counters().refused), (1, 0));
}

#[test]
fn events_of_another_cluster_become_events_below_its_name_and_no_later_gateway_sends_them_back() {
    let (mut first, mut broker) = (bridge(Sent::default()), Broker::default());
    broker.connect(&mut first);
    let hear = |bridge: &mut Bridge, topic: &str, stale| {
        bridge.message(topic, b"1", stale, Instant::now());
        bridge.order().map(ToOwned::to_owned)
    };
    assert_eq!(hear(&mut first, "spore/garage/event/x", true), None, "it is retained");
    assert_eq!(hear(&mut first, "spore/shed/event/x", false), None, "nobody has asked for it");
    assert_eq!(first.counters().refused, 0);
    let body = hear(&mut first, "spore/garage/event/x", false).unwrap();
    assert!(body.contains(r#""topic":"garage/x""#), "{body}");
    let answer = r#"{"seq":9,"publisher":"2","epoch":1,"number":7}"#;
    assert!(first.ordered(&Answer { status: 202, body: answer.into() }));
    first.event(&event(7), Instant::now());
    broker.drain(&mut first);
    let mut second = bridge(first.sent().clone());
    second.event(&event(7), Instant::now());
    broker.connect(&mut second);
    broker.drain(&mut second);
    assert!(broker.events().is_empty(), "{:?}", broker.events());
}

#[test]
fn a_message_that_the_broker_does_not_bear_is_left_out_and_counted() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    bridge.event(&event(1), Instant::now());
    bridge.event(&event(2), Instant::now());
    for _ in 0..ATTEMPTS {
        broker.connect(&mut bridge);
        while let Some(message) = bridge.next().filter(|it| !it.topic.contains("/event/")) {
            broker.take(&message);
            bridge.acknowledged();
        }
        bridge.disconnected();
    }
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    assert_eq!(broker.events(), [("events/lost", r#"{"count":1}"#), ("x", "2")]);
}

#[test]
fn a_retained_message_that_the_broker_does_not_bear_holds_up_nothing_until_it_changes() {
    let (mut bridge, mut broker) = (bridge(Sent::default()), Broker::default());
    members(&mut bridge, &[("1", "active")]);
    let bad = "homeassistant/device/spore-home/1/config";
    // Takes all but the bad one, at which the connection ends. How often that was sent.
    let bear = |bridge: &mut Bridge, broker: &mut Broker| {
        let mut tried = 0;
        for _ in 0..ATTEMPTS + 2 {
            broker.connect(bridge);
            while let Some(message) = bridge.next().filter(|it| it.topic != bad) {
                broker.take(&message);
                bridge.acknowledged();
            }
            tried += u8::from(bridge.is_waiting());
            bridge.disconnected();
        }
        tried
    };
    assert_eq!(bear(&mut bridge, &mut broker), ATTEMPTS);
    assert_eq!(broker.retained["spore/home/member/1/availability"], "online");
    assert!(!broker.retained.contains_key(bad));
    bridge.learn(|cluster| cluster.figures("1", figures(Some((6, "confirmed")))));
    assert_eq!(bear(&mut bridge, &mut broker), ATTEMPTS, "it is another one");
    // What is too much for it to remove is left there.
    broker.retained.insert(bad.to_owned(), "old".to_owned());
    broker.connect(&mut bridge);
    members(&mut bridge, &[("1", "left")]);
    settle(&mut bridge, &[]);
    assert!(bear(&mut bridge, &mut broker) <= ATTEMPTS);
    broker.connect(&mut bridge);
    broker.drain(&mut bridge);
    assert_eq!(broker.about("1"), [bad]);
}

#[test]
fn an_order_that_comes_while_it_is_not_known_who_speaks_is_refused_by_who_speaks_then() {
    let (mut bridge, now) = (bridge(Sent::default()), Instant::now());
    members(&mut bridge, &[("1", "active")]);
    let order = |bridge: &mut Bridge| {
        for topic in ["publish/x", "call/1/relay"] {
            assert_eq!(bridge.message(&format!("spore/home/{topic}"), b"1", false, now), None);
        }
        assert_eq!(bridge.order(), None);
        bridge.counters().refused
    };
    bridge.connected("1", now);
    assert_eq!(order(&mut bridge), 0);
    bridge.look(now + SETTLE);
    assert!(bridge.speaks() && bridge.counters().refused == 2);
    // Another one speaks: it takes orders, and gives the answers.
    bridge.answer("1", "relay", 200, "1");
    bridge.message("spore/home/speaker", b"9", false, now);
    assert_eq!(order(&mut bridge), 2);
    bridge.look(now);
    // Once a minute it is asked whether it is still there. It is, and has taken what came meanwhile.
    bridge.look(now + ASK);
    let asked = bridge.next().map(|it| it.topic);
    assert_eq!((bridge.speaks(), asked.as_deref()), (false, Some("spore/home/speaker/ask")));
    bridge.acknowledged();
    assert_eq!(order(&mut bridge), 2);
    bridge.message("spore/home/speaker", b"9", false, now);
    bridge.look(now);
    assert_eq!(bridge.counters().refused, 2);
    bridge.message("spore/home/speaker", b"1", false, now);
    let mut broker = Broker::default();
    broker.drain(&mut bridge);
    assert!(broker.log.iter().all(|(topic, _)| !topic.contains("/answer/")), "{:?}", broker.log);
}

#[test]
fn an_order_is_refused_for_what_it_is_and_once_however_often_the_connection_breaks() {
    let (mut bridge, now) = (bridge(Sent::default()), Instant::now());
    let hear = |bridge: &mut Bridge, topic: &str, stale| {
        assert_eq!(bridge.message(&format!("spore/home/{topic}"), b"1", stale, now), None);
        bridge.undecided.refused().map(|(count, _)| count)
    };
    bridge.connected("1", now);
    hear(&mut bridge, "publish/kept", true);
    assert_eq!(hear(&mut bridge, "publish/x", false), [1, 1]);
    bridge.disconnected();
    bridge.connected("1", now);
    assert_eq!(hear(&mut bridge, "publish/kept", true), [1, 1], "it is the same one");
    assert_eq!(hear(&mut bridge, "call/1/relay", false), [2, 1]);
    let [(_, undecided), (_, stale)] = bridge.undecided.refused();
    assert!(undecided.contains("not known yet") && stale.contains("retained"));
    bridge.look(now + SETTLE);
    assert_eq!((bridge.speaks(), bridge.order(), bridge.counters().refused), (true, None, 3));
    // Had another one spoken, it would have taken what was said, and counted what is retained.
    bridge.disconnected();
    bridge.connected("1", now);
    assert_eq!(hear(&mut bridge, "publish/x", false), [1, 0]);
    bridge.disconnected();
    bridge.connected("1", now);
    bridge.message("spore/home/speaker", b"9", false, now);
    assert_eq!((hear(&mut bridge, "publish/kept", true), bridge.counters().refused), ([0, 0], 3));
}

#[test]
fn that_the_gateway_of_another_cluster_has_the_name_is_known() {
    let (mut bridge, now) = (bridge(Sent::default()), Instant::now());
    members(&mut bridge, &[("1", "active"), ("2", "active")]);
    bridge.connected("1", now);
    bridge.message("spore/home/speaker", b"9", false, now);
    assert_eq!(bridge.stranger(), None, "it may be a member that is not known yet");
    settle(&mut bridge, &[]);
    bridge.look(now);
    assert_eq!((bridge.stranger(), bridge.warned_of.as_deref()), (Some("9"), Some("9")));
    bridge.message("spore/home/speaker", b"2", false, now);
    assert_eq!(bridge.stranger(), None);
}

#[test]
fn who_stands_by_says_nothing_takes_no_orders_and_goes_on_where_the_other_one_was() {
    let (mut first, mut broker) = (bridge(Sent::default()), Broker::default());
    let (mut second, now) = (bridge(Sent::default()), Instant::now());
    members(&mut first, &[("1", "active"), ("2", "active")]);
    members(&mut second, &[("1", "active"), ("2", "active")]);
    broker.connect(&mut first);
    broker.drain(&mut first);
    let tell = |bridge: &mut Bridge, topic: &str, payload: &str, now| {
        bridge.message(&format!("spore/home/{topic}"), payload.as_bytes(), false, now)
    };
    second.connected("9", now);
    for (topic, payload) in [("gateway", "online"), ("speaker", "1")] {
        second.message(&format!("spore/home/{topic}"), payload.as_bytes(), true, now);
    }
    second.look(now + SETTLE);
    let question = second.next().unwrap();
    assert_eq!((&*question.topic, second.next()), ("spore/home/speaker/ask", None));
    second.acknowledged();
    tell(&mut first, "speaker/ask", "9", now);
    let claim = first.next().unwrap();
    assert_eq!((&*claim.topic, &*claim.payload), ("spore/home/speaker", &b"1"[..]));
    first.acknowledged();
    tell(&mut second, "speaker", "1", now + SETTLE);
    tell(&mut second, "publish/x", "1", now);
    assert_eq!(tell(&mut second, "call/2/relay", "on", now), None);
    second.event(&event(1), now);
    second.event(&event(2), now + STAND_BY);
    second.look(now + STAND_BY + SETTLE);
    assert!(second.order().is_none() && second.next().is_none() && !second.speaks());
    // The first one is gone: of its last events nobody knows.
    tell(&mut second, "gateway", "offline", now + STAND_BY);
    second.look(now + STAND_BY + Duration::from_secs(10));
    assert!(second.speaks());
    let told = broker.log.len();
    broker.drain(&mut second);
    assert_eq!(broker.log[told], ("spore/home/speaker".to_owned(), "9".to_owned()));
    assert_eq!(broker.events(), [("x", "2")]);
    // It comes back, and finds the second one.
    assert!(first.speaks());
    tell(&mut first, "speaker", "9", now);
    assert!(!first.speaks() && first.next().is_none());
}

#[test]
fn bad_orders_are_refused_and_counted() {
    let mut bridge = bridge(Sent::default());
    Broker::default().connect(&mut bridge);
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
