use super::RadioModel;
use crate::Router;
use fastrand::Rng;
use spore_core::network::{Credentials, Lease, RadioCommand, RadioEvent, Reason};
use std::net::Ipv4Addr;
use std::time::Duration;

fn home() -> Router {
    "home:home-password".parse().unwrap()
}

fn credentials(line: &str) -> Credentials {
    let Router { ssid, password, .. } = line.parse().unwrap();
    Credentials { ssid, password }
}

fn lease(pool: u8) -> Lease {
    Lease { address: Ipv4Addr::new(10, pool, 0, 1), prefix_len: 16, gateway: None }
}

/// A radio, its world, and all that it has reported.
struct Rig {
    now: Duration,
    radio: RadioModel,
    air: Vec<Router>,
}

impl Rig {
    fn new(seed: u64, air: Vec<Router>) -> Self {
        let radio = RadioModel::new(Rng::with_seed(seed));
        Self { now: Duration::from_secs(1), radio, air }
    }

    fn connect(&mut self, line: &str) {
        self.radio.command(self.now, RadioCommand::Connect, Some(&credentials(line)));
    }

    /// Lets so many seconds pass: what is reported.
    fn run(&mut self, secs: u64) -> Vec<RadioEvent> {
        let (end, mut reports) = (self.now + Duration::from_secs(secs), Vec::new());
        while let Some(at) = self.radio.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            reports.extend(self.radio.poll(self.now, &self.air, lease));
        }
        self.now = end;
        reports
    }

    fn change(&mut self, change: impl FnOnce(&mut Router)) {
        change(&mut self.air[0]);
        self.radio.air_changed(self.now, &self.air);
    }
}

#[test]
fn an_attempt_ends_as_the_air_has_it() {
    for seed in 0..100 {
        let mut rig = Rig::new(seed, vec![home()]);
        rig.connect("home:home-password");
        let reports = rig.run(10);
        let expected =
            [RadioEvent::Associated, RadioEvent::Signal(-60), RadioEvent::Address(lease(0))];
        assert_eq!(reports, expected);
        assert!(rig.radio.carries(&rig.air));

        for (line, reason) in [
            ("home:another-password", Reason::WrongPassword),
            ("elsewhere:home-password", Reason::NotFound),
        ] {
            rig.connect(line);
            assert_eq!(rig.run(10), [RadioEvent::Disconnected(reason)]);
            assert_eq!(rig.radio.network(), None);
        }
        rig.change(|home| (home.conflict, home.channel) = (true, 11));
        rig.connect("home:home-password");
        let conflict = RadioEvent::Disconnected(Reason::AddressConflict);
        assert_eq!(rig.run(10), [RadioEvent::Associated, conflict]);
    }
}

#[test]
fn a_network_that_goes_is_missed_seconds_later_unless_it_is_back() {
    let mut rig = Rig::new(1, vec![home()]);
    rig.connect("home:home-password");
    rig.run(10);
    rig.change(|home| home.on = false);
    assert!(!rig.radio.carries(&rig.air) && rig.radio.network().is_some(), "it does not know");
    assert_eq!(rig.run(1), []);
    rig.change(|home| home.on = true);
    assert_eq!(rig.run(60), []);
    assert!(rig.radio.carries(&rig.air));
    rig.change(|home| home.on = false);
    assert_eq!(rig.run(10), [RadioEvent::Disconnected(Reason::Lost)]);
}

#[test]
fn a_weak_network_is_lost_and_found() {
    let mut rig = Rig::new(1, vec![Router { rssi: -90, ..home() }]);
    let (mut connected, mut failed) = (0, 0);
    for _ in 0..100 {
        rig.connect("home:home-password");
        match rig.run(130).last() {
            Some(RadioEvent::Disconnected(Reason::Lost)) => connected += 1,
            Some(RadioEvent::Disconnected(Reason::Other(2))) => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(connected > 20 && failed > 20, "{connected} and {failed}");
}

#[test]
fn nothing_is_reported_of_what_was_given_up() {
    let mut rig = Rig::new(1, vec![home()]);
    rig.connect("home:home-password");
    rig.run(1);
    rig.radio.command(rig.now, RadioCommand::Disconnect, None);
    assert_eq!(rig.run(60), []);
}

#[test]
fn clients_are_thrown_out_by_an_attempt_and_come_back() {
    let mut rig = Rig::new(1, vec![home()]);
    rig.radio.join(rig.now);
    assert_eq!(rig.run(60), [], "it is closed");
    rig.radio.command(rig.now, RadioCommand::OpenAccessPoint, None);
    assert_eq!(rig.run(10), [RadioEvent::ClientJoined]);
    rig.radio.command(rig.now, RadioCommand::Scan, None);
    let reports = rig.run(10);
    assert_eq!(reports.first(), Some(&RadioEvent::ClientLeft));
    assert_eq!(reports.last(), Some(&RadioEvent::ClientJoined));
    assert!(matches!(reports[1], RadioEvent::Scanned(seen) if seen.ssid == home().ssid));
    assert_eq!(reports[2], RadioEvent::ScanDone);
    rig.radio.leave();
    assert_eq!(rig.run(1), [RadioEvent::ClientLeft]);
    rig.radio.command(rig.now, RadioCommand::CloseAccessPoint, None);
    assert_eq!(rig.run(60), []);
}
