//! The network manager, against a radio that does what each test says.

mod improv;
mod scan;
mod trial;

use super::pieces::{get, read};
use super::world::{config, configured};
use crate::api::{Entrance, Method, Request};
use crate::network::{
    Credentials, Lease, Password, Radio, RadioCommand, RadioConfig, RadioEvent, Reason,
};
use crate::profile::Esp01;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::Rumor;
use crate::{Action, Completion, Config, Event, Key, Node, Storage, Stored};
use core::net::Ipv4Addr;
use serde_json::Value;
use std::format;
use std::vec::Vec;

pub(super) const LEASE: Lease =
    Lease { address: Ipv4Addr::new(192, 168, 1, 20), prefix_len: 24, gateway: None };

/// Where the page on the access point is.
const OWN: &str = "192.168.4.1";
const ACCESS_POINT: Entrance = Entrance::AccessPoint(OWN);

const NEW: &str = r#"{"ssid":"new","password":"new-password"}"#;

pub(super) fn credentials(name: &str) -> Credentials {
    let password = format!("{name}-password");
    Credentials { ssid: name.parse().unwrap(), password: password.parse().unwrap() }
}

pub(super) fn radio(credentials: Option<Credentials>) -> RadioConfig {
    let password = Some(Password::new(b"the board's own").unwrap());
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
fn without_a_password_there_is_no_access_point() {
    for password in [None, Some(Password::OPEN)] {
        let mut rig = Rig::new(None);
        let radio = Some(RadioConfig { password, ..radio(None) });
        let config = Config { key: None, radio, ..config(1) };
        rig.node = configured(rig.now, 1, &config, &Stored::default());
        rig.commands.clear();
        rig.run(100);
        assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 0);
        assert!(rig.node.access_point().is_none() && rig.status()["access_point"].is_null());
    }
}

#[test]
fn the_access_point_opens_after_30_seconds_without_a_network_and_closes_with_one() {
    let mut rig = Rig::new(Some(credentials("old")));
    rig.fail(Reason::NotFound);
    rig.run(29);
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 0);
    rig.run(1);
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 1);
    let (ssid, password) = rig.node.access_point().unwrap();
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
fn the_network_manager_takes_at_most_700_bytes_on_a_board() {
    let network = size_of::<crate::network::Network>();
    let list = size_of::<<Esp01 as crate::Profile>::Networks>();
    assert!(network + list <= 700, "{network} and {list}");
    assert!(size_of::<Storage<Esp01>>() > list);
}
