//! The network manager, against a radio that does what each test says.

use super::pieces::{get, read};
use super::world::{config, configured};
use crate::api::{Entrance, Method, Request};
use crate::network::{
    Credentials, Lease, Password, Radio, RadioCommand, RadioConfig, RadioEvent, Reason, Seen, Ssid,
};
use crate::profile::Esp01;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::Rumor;
use crate::{Action, Completion, Config, Event, Key, Node, Storage, Stored};
use core::net::Ipv4Addr;
use serde_json::Value;
use std::format;
use std::string::String;
use std::vec::Vec;

pub(super) const LEASE: Lease =
    Lease { address: Ipv4Addr::new(192, 168, 1, 20), prefix_len: 24, gateway: None };

/// Where the page on the access point is.
const OWN: &str = "192.168.4.1";
const ACCESS_POINT: Entrance = Entrance::AccessPoint(OWN);

const OLD: &str = r#"{"ssid":"old","password":"old-password"}"#;
const NEW: &str = r#"{"ssid":"new","password":"new-password"}"#;

pub(super) fn credentials(name: &str) -> Credentials {
    let password = format!("{name}-password");
    Credentials { ssid: name.parse().unwrap(), password: password.parse().unwrap() }
}

pub(super) fn radio(credentials: Option<Credentials>) -> RadioConfig {
    let password = Password::new(b"the board's own").unwrap();
    RadioConfig { kind: Radio::Modelled, password, credentials }
}

/// An unclaimed node with a radio, which does what the test says.
struct Rig {
    now: Instant,
    node: Node<'static>,
    initial: Option<Credentials>,
    /// Whether scans end as soon as they begin.
    scans: bool,
    /// The value of [`Key::Network`], as it was stored last.
    stored: Vec<u8>,
    commands: Vec<(Instant, RadioCommand)>,
    events: Vec<Event>,
}

impl Rig {
    fn new(initial: Option<Credentials>) -> Self {
        Self::with_scans(initial, true)
    }

    fn with_scans(initial: Option<Credentials>, scans: bool) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let node = Self::boot(now, initial, &[]);
        let mut rig = Self {
            now,
            node,
            initial,
            scans,
            stored: Vec::new(),
            commands: Vec::new(),
            events: Vec::new(),
        };
        rig.settle();
        rig
    }

    fn boot(now: Instant, initial: Option<Credentials>, network: &[u8]) -> Node<'static> {
        let config = Config { key: None, radio: Some(radio(initial)), ..config(1) };
        configured(now, 1, &config, &Stored { network, ..Stored::default() })
    }

    /// Loses its power and has it back.
    fn restart(&mut self) {
        self.node = Self::boot(self.now, self.initial, &self.stored);
        self.commands.clear();
        self.events.clear();
        self.settle();
    }

    /// Does what the node wants done after a verb.
    fn settle(&mut self) {
        while let Some(action) = self.node.poll_action(self.now) {
            match action {
                Action::Radio(command) => {
                    self.commands.push((self.now, command));
                    if self.scans && command == RadioCommand::Scan {
                        self.node.handle_radio(self.now, RadioEvent::ScanDone);
                    }
                }
                Action::Store(key) => {
                    if key == Key::Network {
                        let mut value = [0; MAX_VALUE];
                        let len = self.node.value(key, &mut value);
                        self.stored = value[..len].to_vec();
                    }
                    self.node.handle_completion(self.now, Completion::Store(key, Ok(())));
                }
                other => panic!("{other:?}"),
            }
        }
        self.events.extend(core::iter::from_fn(|| self.node.poll_event()));
        assert!(self.node.poll_timeout().is_none_or(|at| at > self.now), "it would never rest");
    }

    /// Lets time pass, waking the node when it wants to be, and no more often.
    fn run(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.node.handle_timeout(at);
            self.settle();
        }
        self.now = end;
    }

    fn radio(&mut self, event: RadioEvent) {
        self.node.handle_radio(self.now, event);
        self.settle();
    }

    fn fail(&mut self, reason: Reason) {
        self.radio(RadioEvent::Disconnected(reason));
    }

    /// Runs until the next attempt, which must come within so many seconds. How long it took.
    #[track_caller]
    fn attempt(&mut self, secs: u64) -> u64 {
        let start = self.now;
        let count = self.attempts();
        for _ in 0..secs * 10 {
            if self.attempts() > count {
                return self.now.since(start).as_millis();
            }
            let end = self.now + Duration::from_millis(100);
            while let Some(at) = self.node.poll_timeout().filter(|at| *at <= end) {
                self.now = at;
                self.node.handle_timeout(at);
                self.settle();
            }
            self.now = end;
        }
        panic!("no attempt within {secs} s: {:?}", self.commands);
    }

    fn attempts(&self) -> usize {
        self.count(RadioCommand::Connect)
    }

    fn count(&self, command: RadioCommand) -> usize {
        self.commands.iter().filter(|(_, given)| *given == command).count()
    }

    fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    fn status(&mut self) -> Value {
        get(&mut self.node, self.now, "/api/network/status")
    }

    fn put(&mut self, entrance: Entrance, body: &str) -> (u16, Value) {
        let request = Request {
            body: body.as_bytes(),
            entrance,
            host: OWN,
            ..Request::new(Method::Put, "/api/network/wifi")
        };
        let response = self.node.handle_request(self.now, &request);
        let status = response.status;
        let document = serde_json::from_str(&read(&self.node, self.now, response)).unwrap();
        self.settle();
        (status, document)
    }

    /// Sets credentials, as the page on the access point does.
    fn change(&mut self, body: &str) {
        let (status, document) = self.put(ACCESS_POINT, body);
        assert_eq!(status, 202, "{document}");
    }

    fn ssid(&self) -> Option<&str> {
        self.node.station().map(|credentials| credentials.ssid.as_str())
    }
}

/// A node that is connected with the old credentials.
fn connected() -> Rig {
    let mut rig = Rig::new(Some(credentials("old")));
    assert_eq!(rig.attempts(), 1, "at once");
    rig.run(1);
    rig.radio(RadioEvent::Associated);
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(rig.events(), [Event::NetworkConnected]);
    rig
}

/// A node that tries the new credentials.
fn on_trial() -> Rig {
    let mut rig = connected();
    rig.change(NEW);
    rig.run(1);
    assert_eq!(rig.attempts(), 2);
    assert_eq!(rig.events(), [Event::NetworkDisconnected(Reason::Changed)]);
    rig
}

#[test]
fn a_wired_node_has_no_radio_and_says_so() {
    let mut node = configured(Instant::ZERO, 1, &config(1), &Stored::default());
    assert!(node.is_connected());
    let status = get(&mut node, Instant::ZERO, "/api/network/status");
    assert_eq!((&status["radio"], &status["access_point"]), (&Value::Null, &Value::Null));
    assert_eq!(status["state"], "wired");
    let scan = get(&mut node, Instant::ZERO, "/api/network/scan");
    assert_eq!(scan["error"]["code"], "no_radio");
    node.handle_radio(Instant::ZERO, RadioEvent::Disconnected(Reason::Lost));
    assert!(node.is_connected());
}

#[test]
fn pauses_grow_to_a_limit_and_attempts_never_end() {
    let mut rig = Rig::new(Some(credentials("old")));
    let mut pauses = Vec::new();
    for _ in 0..2_000 {
        rig.fail(Reason::NotFound);
        pauses.push(rig.attempt(60));
    }
    for (pause, expected) in pauses.iter().zip([1_000, 2_000, 4_000, 8_000]) {
        assert!(
            (expected * 3 / 4..=expected * 5 / 4 + 200).contains(pause),
            "{pause} for {expected}"
        );
    }
    let (least, most) = (pauses[4..].iter().min(), pauses[4..].iter().max());
    assert!(least >= Some(&7_500) && most <= Some(&12_700), "{least:?} to {most:?}");
    assert_eq!(rig.status()["attempts"], 2_001);
    rig.radio(RadioEvent::Address(LEASE));
    assert!(rig.node.is_connected());
}

#[test]
fn an_attempt_that_nothing_is_heard_of_is_given_up() {
    let mut rig = Rig::new(Some(credentials("old")));
    rig.run(16);
    assert_eq!(rig.count(RadioCommand::Disconnect), 1);
    assert_eq!(rig.status()["reason"], "timeout");
    // What is associated has as long again for an address.
    rig.attempt(5);
    rig.run(14);
    rig.radio(RadioEvent::Associated);
    rig.run(14);
    assert_eq!(rig.count(RadioCommand::Disconnect), 1);
    rig.run(2);
    assert_eq!(rig.count(RadioCommand::Disconnect), 2);
}

#[test]
fn the_access_point_opens_after_30_seconds_without_a_network_and_closes_with_one() {
    let mut rig = Rig::new(Some(credentials("old")));
    rig.fail(Reason::NotFound);
    rig.run(29);
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 0);
    rig.run(1);
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 1);
    let (ssid, password) = rig.node.access_point();
    assert_eq!((ssid.as_str(), password.as_str()), ("SPORE-000001", "the board's own"));
    assert_eq!(rig.status()["access_point"]["open"], true);
    assert_eq!(rig.events(), [Event::AccessPointOpened]);
    let before = rig.attempts();
    rig.run(60);
    assert!(rig.attempts() > before, "the station goes on");
    rig.attempt(30);
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(rig.count(RadioCommand::CloseAccessPoint), 1, "nobody is on it");
    assert_eq!(rig.events(), [Event::NetworkConnected, Event::AccessPointClosed]);
}

#[test]
fn the_access_point_waits_for_its_clients_but_not_for_ever() {
    for leaves in [true, false] {
        let mut rig = Rig::with_scans(None, false);
        assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 1, "at once");
        rig.radio(RadioEvent::ClientJoined);
        rig.change(NEW);
        rig.run(1);
        assert_eq!(rig.attempts(), 0, "a scan was under way");
        rig.radio(RadioEvent::ScanDone);
        assert_eq!(rig.attempts(), 1);
        rig.radio(RadioEvent::Address(LEASE));
        rig.run(100);
        assert_eq!(rig.count(RadioCommand::CloseAccessPoint), 0);
        if leaves {
            rig.radio(RadioEvent::ClientLeft);
            rig.run(9);
            assert_eq!(rig.count(RadioCommand::CloseAccessPoint), 0);
            rig.run(2);
        } else {
            rig.run(201);
        }
        assert_eq!(rig.count(RadioCommand::CloseAccessPoint), 1, "{leaves}");
        assert_eq!(rig.status()["access_point"]["clients"], 0);
    }
}

#[test]
fn a_client_of_the_access_point_is_not_thrown_out_more_than_once_a_minute() {
    let mut rig = Rig::new(Some(credentials("old")));
    rig.fail(Reason::NotFound);
    rig.run(30);
    rig.fail(Reason::NotFound);
    rig.radio(RadioEvent::ClientJoined);
    let (attempts, scans) = (rig.attempts(), rig.count(RadioCommand::Scan));
    for _ in 0..60 {
        rig.run(10);
        rig.fail(Reason::NotFound);
        let _ = get(&mut rig.node, rig.now, "/api/network/scan");
        rig.settle();
    }
    assert!((7..=12).contains(&(rig.attempts() - attempts)), "{}", rig.attempts() - attempts);
    assert_eq!(rig.count(RadioCommand::Scan), scans);
    rig.radio(RadioEvent::ClientLeft);
    rig.attempt(11);
}

#[test]
fn a_lost_network_is_looked_for_at_once_and_an_address_in_use_is_given_up_for_10_seconds() {
    let mut rig = connected();
    rig.run(1_000);
    rig.fail(Reason::Lost);
    assert_eq!(rig.events(), [Event::NetworkDisconnected(Reason::Lost)]);
    assert!(!rig.node.is_connected());
    assert!(rig.attempt(3) <= 1_300);
    rig.fail(Reason::AddressConflict);
    assert_eq!(rig.count(RadioCommand::Disconnect), 1);
    assert!(rig.attempt(20) >= 10_000);
    rig.radio(RadioEvent::Address(LEASE));
    rig.fail(Reason::AddressConflict);
    assert_eq!(rig.count(RadioCommand::Disconnect), 2);
    let expected = [Event::NetworkConnected, Event::NetworkDisconnected(Reason::AddressConflict)];
    assert_eq!(rig.events(), expected);
    assert_eq!(rig.status()["address"], Value::Null);
    assert!(rig.attempt(20) >= 10_000);
}

#[test]
fn credentials_that_lead_to_an_address_are_kept() {
    let mut rig = connected();
    rig.change(NEW);
    let status = rig.status();
    assert_eq!((&status["state"], &status["credentials"]), (&"changing".into(), &"trial".into()));
    assert!(rig.node.is_connected(), "the answer needs the network");
    rig.run(1);
    assert!(!rig.node.is_connected());
    rig.radio(RadioEvent::Associated);
    rig.run(5);
    rig.radio(RadioEvent::Address(LEASE));
    let status = rig.status();
    assert_eq!((&status["ssid"], &status["credentials"]), (&"new".into(), &"kept".into()));
    assert!(rig.events().ends_with(&[Event::NetworkConnected, Event::CredentialsKept]));
    rig.restart();
    assert_eq!((rig.ssid(), rig.attempts()), (Some("new"), 1));
    assert_eq!(rig.status()["credentials"], "kept");
}

#[test]
fn credentials_that_lead_nowhere_for_60_seconds_go_and_the_old_ones_return() {
    let mut rig = on_trial();
    rig.fail(Reason::NotFound);
    rig.run(59);
    assert_eq!(rig.ssid(), Some("new"));
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 0, "the old ones come first");
    rig.run(1);
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), [Event::CredentialsReturned]);
    assert_eq!(rig.status()["credentials"], "returned");
    assert_eq!(rig.commands.last().map(|(_, command)| *command), Some(RadioCommand::Connect));
    rig.run(1);
    rig.radio(RadioEvent::Address(LEASE));
    assert!(rig.node.is_connected());
    rig.restart();
    assert_eq!(rig.ssid(), Some("old"));
}

#[test]
fn a_password_that_is_wrong_three_times_is_given_up() {
    let mut rig = on_trial();
    rig.fail(Reason::WrongPassword);
    rig.attempt(2);
    rig.fail(Reason::WrongPassword);
    rig.attempt(3);
    assert_eq!(rig.ssid(), Some("new"));
    rig.fail(Reason::WrongPassword);
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), [Event::CredentialsReturned]);
}

#[test]
fn where_nothing_was_before_the_access_point_comes_back() {
    let mut rig = Rig::new(None);
    assert_eq!(rig.status()["state"], "unconfigured");
    rig.change(NEW);
    rig.run(62);
    assert_eq!(rig.ssid(), None);
    let status = rig.status();
    assert_eq!(status["credentials"], "returned");
    assert_eq!(status["access_point"]["open"], true);
    rig.restart();
    assert_eq!(rig.status()["state"], "unconfigured");
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 1);
}

#[test]
fn credentials_that_replace_some_on_trial_are_tried_and_the_ones_that_were_kept_return() {
    let mut rig = on_trial();
    rig.run(30);
    rig.change(r#"{"ssid":"third","password":""}"#);
    rig.run(59);
    assert_eq!(rig.ssid(), Some("third"), "it has a time of its own");
    rig.run(2);
    assert_eq!(rig.ssid(), Some("old"));
}

#[test]
fn what_the_radio_says_of_a_network_that_is_left_does_not_count() {
    let mut rig = connected();
    rig.change(NEW);
    rig.fail(Reason::WrongPassword);
    rig.radio(RadioEvent::Address(LEASE));
    assert!(!rig.node.is_connected(), "it is not the one that is to be tried");
    assert_eq!(rig.status()["credentials"], "trial");
    rig.run(1);
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(rig.status()["credentials"], "kept");
}

#[test]
fn a_trial_goes_on_after_a_restart_and_ends_in_the_third_boot_at_the_latest() {
    let mut rig = on_trial();
    for _ in 0..2 {
        rig.restart();
        assert_eq!((rig.ssid(), rig.attempts()), (Some("new"), 1));
        assert_eq!(rig.status()["credentials"], "trial");
    }
    rig.restart();
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), [Event::CredentialsReturned]);
    rig.restart();
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), []);

    let mut rig = on_trial();
    rig.restart();
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(rig.events(), [Event::NetworkConnected, Event::CredentialsKept]);
    rig.restart();
    assert_eq!(rig.ssid(), Some("new"));
    assert_eq!(rig.status()["credentials"], "kept");
}

#[test]
fn an_unclaimed_node_takes_credentials_from_its_access_point_alone() {
    let mut rig = connected();
    let (status, document) = rig.put(Entrance::Network, NEW);
    assert_eq!((status, &document["error"]["code"]), (403, &"unclaimed".into()));
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.put(ACCESS_POINT, NEW).0, 202);

    let config = Config { radio: Some(radio(None)), ..config(1) };
    let mut claimed = configured(rig.now, 1, &config, &Stored::default());
    let request = Request {
        body: NEW.as_bytes(),
        entrance: ACCESS_POINT,
        host: OWN,
        ..Request::new(Method::Put, "/api/network/wifi")
    };
    let refused = claimed.handle_request(rig.now, &request);
    assert_eq!(refused.status, 401);
    assert_eq!(claimed.handle_head(rig.now, &request).map(|refused| refused.status), Some(401));
    assert_eq!(claimed.station(), None);
    // Other signed routes stay closed on the access point.
    let config = Config { key: None, ..config };
    let mut unclaimed = configured(rig.now, 1, &config, &Stored::default());
    assert!(unclaimed.handle_head(rig.now, &request).is_none());
    let request = Request { method: Method::Put, path: "/api/node/config", ..request };
    assert_eq!(unclaimed.handle_request(rig.now, &request).status, 403);
}

#[test]
fn what_are_no_credentials_is_refused_by_name() {
    let mut rig = connected();
    for (body, field) in [
        (r#"{"password":"12345678"}"#, "ssid"),
        (r#"{"ssid":"home"}"#, "password"),
        (r#"{"ssid":"home","password":"short"}"#, "password"),
        (r#"{"ssid":"home","password":"12345678","hidden":true}"#, "hidden"),
    ] {
        let (status, document) = rig.put(ACCESS_POINT, body);
        assert_eq!((status, &document["error"]["field"]), (400, &field.into()), "{body}");
    }
    assert_eq!(rig.put(ACCESS_POINT, r#"{"ssid":"home","password":""}"#).0, 202);
}

#[test]
fn passwords_are_never_told() {
    let mut rig = on_trial();
    let mut texts = std::vec![format!("{:?}", rig.node)];
    for path in ["status", "scan"] {
        let path = format!("/api/network/{path}");
        texts.push(format!("{}", get(&mut rig.node, rig.now, &path)));
    }
    for text in texts {
        assert!(!text.contains("old-password") && !text.contains("new-password"), "{text}");
        assert!(!text.contains("the board's own"), "{text}");
    }
}

fn seen(name: &str, rssi: i8) -> RadioEvent {
    let ssid = Ssid::new(name.as_bytes()).unwrap();
    RadioEvent::Scanned(Seen { ssid, rssi, channel: 6, secure: true })
}

#[test]
fn a_scan_lists_the_strongest_networks_once_each() {
    let mut rig = connected();
    rig.scans = false;
    rig.radio(seen("early", -10));
    let scan = |rig: &mut Rig| {
        let document = get(&mut rig.node, rig.now, "/api/network/scan");
        rig.settle();
        document
    };
    let first = scan(&mut rig);
    assert_eq!((&first["scanning"], &first["age_ms"]), (&true.into(), &Value::Null));
    assert_eq!(first["networks"], serde_json::json!([]));
    for n in 0..50_u8 {
        rig.radio(seen(&format!("n{}", n % 40), -30 - i8::try_from(n).unwrap()));
    }
    rig.radio(RadioEvent::ScanDone);
    rig.run(2);
    let second = scan(&mut rig);
    assert_eq!((&second["scanning"], &second["age_ms"]), (&false.into(), &2_000.into()));
    let names: Vec<&str> = second["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["ssid"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..32).map(|n| format!("n{n}")).collect();
    assert_eq!(names, expected);
    assert_eq!(rig.count(RadioCommand::Scan), 1, "what is known is new");
    rig.run(9);
    assert_eq!(scan(&mut rig)["scanning"], true);
    assert_eq!(rig.count(RadioCommand::Scan), 2);
    rig.run(15);
    assert_eq!(get(&mut rig.node, rig.now, "/api/network/status")["state"], "connected");
    assert!(!rig.node.network.scan().0, "one that does not end is over");
}

#[test]
fn a_scan_that_would_throw_out_a_client_is_refused_unless_there_was_one() {
    let mut rig = Rig::with_scans(Some(credentials("old")), false);
    rig.fail(Reason::NotFound);
    rig.attempt(2);
    rig.run(14);
    rig.radio(RadioEvent::Associated);
    rig.run(14);
    rig.radio(RadioEvent::Associated);
    rig.run(2);
    // The access point has opened in the middle of an attempt, and somebody is faster than the scan.
    rig.radio(RadioEvent::ClientJoined);
    let refused = get(&mut rig.node, rig.now, "/api/network/scan");
    assert_eq!(refused["error"]["code"], "access_point_in_use");

    let mut rig = Rig::with_scans(None, false);
    rig.radio(RadioEvent::ClientJoined);
    rig.radio(seen("home", -50));
    rig.radio(RadioEvent::ScanDone);
    rig.run(100);
    let known = get(&mut rig.node, rig.now, "/api/network/scan");
    assert_eq!((&known["scanning"], &known["age_ms"]), (&false.into(), &100_000.into()));
    assert_eq!(known["networks"][0]["ssid"], "home");
}

#[test]
fn a_new_address_is_told_to_the_cluster_and_the_same_one_is_not() {
    let mut rig = connected();
    let own = |rig: &Rig| match rig.node.own().rumor {
        Rumor::Alive { address, status_version, .. } => (address, status_version),
        _ => panic!("it is alive"),
    };
    let (address, version) = own(&rig);
    assert_eq!(address, LEASE.address);
    rig.radio(RadioEvent::Address(Lease { prefix_len: 16, ..LEASE }));
    rig.fail(Reason::Lost);
    rig.attempt(3);
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(own(&rig), (address, version));
    let other = Ipv4Addr::new(192, 168, 1, 21);
    rig.radio(RadioEvent::Address(Lease { address: other, ..LEASE }));
    assert_eq!(own(&rig), (other, version + 1));
}

#[test]
fn credentials_that_could_not_be_stored_are_stored_later() {
    let mut rig = connected();
    let request = Request {
        body: OLD.as_bytes(),
        entrance: ACCESS_POINT,
        host: OWN,
        ..Request::new(Method::Put, "/api/network/wifi")
    };
    assert_eq!(rig.node.handle_request(rig.now, &request).status, 202);
    assert_eq!(rig.node.poll_action(rig.now), Some(Action::Store(Key::Network)));
    let failed = Completion::Store(Key::Network, Err(crate::node::StoreFailed));
    rig.node.handle_completion(rig.now, failed);
    rig.settle();
    assert!(rig.stored.is_empty());
    rig.run(11);
    assert!(!rig.stored.is_empty());
}

#[test]
fn the_network_manager_takes_at_most_700_bytes_on_a_board() {
    let network = size_of::<crate::network::Network<'static>>();
    let list = size_of::<<Esp01 as crate::Profile>::Networks>();
    assert!(network + list <= 700, "{network} and {list}");
    assert!(size_of::<Storage<Esp01>>() > list);
}
