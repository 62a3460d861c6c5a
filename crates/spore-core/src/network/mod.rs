//! The network manager: which WiFi the node is in, and what happens while it is in none.
//!
//! It decides; the radio and its driver are the body's. Commands go out with
//! [`Action::Radio`](crate::Action::Radio), and what the radio does comes in with
//! [`Node::handle_radio`](crate::Node::handle_radio). Without a
//! [`RadioConfig`] the node is wired, and there is nothing to decide.
//!
//! ```text
//!              ┌─────────── pause is over ───────────┐
//!              ▼                                     │
//!   start ─▶ Connecting ──── failed, too late ───▶ Waiting ◀──┐
//!              │    ▲                                         │
//!              │    └── half a second ── Changing ◀── new credentials, in any state
//!              │ address                                      │
//!              └────────────▶ Online ──── lost ───────────────┘
//! ```
//!
//! *Station first*: attempts follow each other, with pauses that grow, for as long as it takes: no
//! number of failures ends them, and nothing of an earlier attempt, such as the channel, is kept for the
//! next. *Access point*: it opens when the station has been offline for 30 seconds, and closes
//! when it is back. *Trial*: credentials that were changed through the API are kept only if the
//! node gets an address with them; else the old ones return. `docs/network.md` is for people.
//!
//! That an address is enough to keep them, and no peer need be heard, is on purpose: when a cluster moves to another
//! network, one node after the other does, and the first one hears nobody there.

mod access_point;
mod credentials;
mod scan;
mod station;
mod trial;

pub use credentials::{Credentials, InvalidPassword, InvalidSsid, Password, Ssid};
pub use scan::Seen;

use crate::api::Error;
use crate::cluster::Cluster;
use crate::node::Event;
use crate::random;
use crate::settings::Claim;
use crate::store::Storing;
use crate::time::{Duration, Instant, earliest};
use access_point::AccessPoint;
use core::net::Ipv4Addr;
use heapless::VecView;
use scan::Scan;
use station::Station;
use trial::Trial;

/// After a failed attempt to store the credentials it is tried again in so long.
const STORE_RETRY: Duration = Duration::from_secs(10);

/// What there is of a radio.
#[derive(Clone, Debug)]
pub struct RadioConfig {
    /// Which one.
    pub kind: Radio,
    /// The password of the node's own access point, unless its [`Claim`] has one. Without either there is no access point:
    /// it is never an open one.
    pub password: Option<Password>,
    /// What to connect with as long as nothing was set through the API, and the [`Claim`] has nothing.
    pub credentials: Option<Credentials>,
}

/// A kind of radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radio {
    /// A model of one: nothing is on the air.
    Modelled,
    /// That of an ESP8266.
    Esp8266,
}

impl Radio {
    /// The kind as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modelled => "modelled",
            Self::Esp8266 => "esp8266",
        }
    }
}

/// What the radio is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioCommand {
    /// Drop what connection there is, and make one attempt with [`Node::station`](crate::Node::station), on whichever
    /// channel. Exactly one [`RadioEvent::Address`] or [`RadioEvent::Disconnected`] is to follow,
    /// unless another command about the station comes first. The SDK's own reconnecting must be off.
    Connect,
    /// Drop the connection, or give up the attempt. Nothing is to be reported of either any more.
    Disconnect,
    /// Open the access point, [`Node::access_point`](crate::Node::access_point).
    OpenAccessPoint,
    /// Close it. Its clients are not reported any more.
    CloseAccessPoint,
    /// Look for networks, and report each, then the end.
    Scan,
}

/// What the radio has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioEvent {
    /// The attempt has got as far as an association: an address is to follow.
    Associated,
    /// The station has an address, a new one or the same once more.
    Address(Lease),
    /// The attempt has failed, or the connection is lost.
    Disconnected(Reason),
    /// How strong the network is, in dBm.
    Signal(i8),
    /// A client has joined the access point.
    ClientJoined,
    /// A client has left the access point.
    ClientLeft,
    /// The scan has found a network.
    Scanned(Seen),
    /// The scan has ended, or has failed.
    ScanDone,
}

/// An address in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The node's.
    pub address: Ipv4Addr,
    /// How many of its bits are the network's, 0 to 32.
    pub prefix_len: u8,
    /// The router's, if it told one.
    pub gateway: Option<Ipv4Addr>,
}

/// Why the station is not in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No network of this name is heard.
    NotFound,
    /// The network does not take the password.
    WrongPassword,
    /// The network is gone, or does not answer any more.
    Lost,
    /// Somebody else has the address. The radio must not use it.
    AddressConflict,
    /// Something else, by the SDK's number for it.
    Other(u8),
    /// The attempt took too long. Only the engine says so.
    Timeout,
    /// Other credentials are to be tried. Only the engine says so.
    Changed,
}

impl Reason {
    /// The reason as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::WrongPassword => "wrong_password",
            Self::Lost => "lost",
            Self::AddressConflict => "address_conflict",
            Self::Other(_) => "other",
            Self::Timeout => "timeout",
            Self::Changed => "changed",
        }
    }
}

/// What there is to tell of the network, but for names and what a scan has found.
pub(crate) struct Status {
    pub(crate) radio: Option<Radio>,
    /// As the API names it.
    pub(crate) state: &'static str,
    pub(crate) lease: Option<Lease>,
    /// Since when there is a lease, or is none.
    pub(crate) since: Instant,
    pub(crate) attempts: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) rssi: Option<i8>,
    /// What has become of the credentials, as the API names it.
    pub(crate) fate: Option<&'static str>,
    /// Whether the access point is open, and how many are on it.
    pub(crate) open: bool,
    pub(crate) clients: u8,
}

/// The network manager of one node.
#[derive(Debug)]
pub(crate) struct Network {
    /// `None` on a wired node, which is always connected.
    radio: Option<Radio>,
    /// The access point's, never an empty one; `None` if there is no access point.
    password: Option<Password>,
    trial: Trial,
    storing: Storing,
    station: Station,
    /// There is one while the station is connected, and only then.
    lease: Option<Lease>,
    /// Since when it is connected, or is not.
    since: Instant,
    /// How many attempts it has made since it was last connected.
    attempts: u16,
    /// What the last attempt failed for.
    reason: Option<Reason>,
    /// In dBm; `None` if it is not known.
    rssi: Option<i8>,
    access_point: AccessPoint,
    scan: Scan,
    commands: Commands,
}

/// What the network manager needs of the rest of the node.
pub(crate) struct Around<'c, 'a> {
    pub(crate) now: Instant,
    pub(crate) cluster: &'c mut Cluster<'a>,
    pub(crate) rng: &'c mut fastrand::Rng,
    /// What the last scan has found, strongest first.
    pub(crate) seen: &'c mut VecView<Seen>,
}

impl Around<'_, '_> {
    fn notify(&mut self, event: Event) {
        self.cluster.notify(self.now, event);
    }

    /// Between three and five quarters of `span`: after a power cut all nodes would else try at the
    /// same time.
    fn jitter(&mut self, span: Duration) -> Duration {
        let quarter = span.as_micros() / 4;
        let extra = random::up_to(self.rng, quarter.saturating_mul(2));
        Duration::from_micros(quarter.saturating_mul(3).saturating_add(extra))
    }
}

/// A set of commands that wait to be handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Commands(u8);

impl Commands {
    /// All, in the order in which they are handed out: the channel is given up before it is taken.
    const ORDER: [(u8, RadioCommand); 5] = [
        (1, RadioCommand::Disconnect),
        (2, RadioCommand::CloseAccessPoint),
        (4, RadioCommand::OpenAccessPoint),
        (8, RadioCommand::Connect),
        (16, RadioCommand::Scan),
    ];

    const fn bit(command: RadioCommand) -> u8 {
        match command {
            RadioCommand::Disconnect => 1,
            RadioCommand::CloseAccessPoint => 2,
            RadioCommand::OpenAccessPoint => 4,
            RadioCommand::Connect => 8,
            RadioCommand::Scan => 16,
        }
    }

    /// Adds a command, in place of those that it makes void.
    fn add(&mut self, command: RadioCommand) {
        let void = match command {
            RadioCommand::Connect => RadioCommand::Disconnect,
            RadioCommand::Disconnect => RadioCommand::Connect,
            RadioCommand::OpenAccessPoint => RadioCommand::CloseAccessPoint,
            RadioCommand::CloseAccessPoint => RadioCommand::OpenAccessPoint,
            RadioCommand::Scan => RadioCommand::Scan,
        };
        self.0 = self.0 & !Self::bit(void) | Self::bit(command);
    }

    /// Whether one about the station waits: what is reported of it now is of the past.
    const fn concern_the_station(self) -> bool {
        self.0 & (Self::bit(RadioCommand::Connect) | Self::bit(RadioCommand::Disconnect)) != 0
    }

    fn take(&mut self) -> Option<RadioCommand> {
        let (bit, command) = Self::ORDER.into_iter().find(|(bit, _)| self.0 & bit != 0)?;
        self.0 &= !bit;
        Some(command)
    }
}

impl Network {
    /// The network manager of a node that starts now. `stored` is the value of
    /// [`Key::Network`](crate::Key::Network); what was claimed holds before what is configured. Without a `claim`, since
    /// that is damaged, the access point's password is lost, too.
    pub(crate) fn new(
        now: Instant,
        (config, claim): (Option<&RadioConfig>, Option<&Claim>),
        stored: &[u8],
    ) -> Self {
        let initial = claim.and_then(|claim| claim.wifi);
        let initial = initial.or_else(|| config.and_then(|config| config.credentials));
        let password = claim.and_then(|claim| {
            let configured = || config.and_then(|config| config.password);
            claim.access_point.or_else(configured).filter(|it| !it.is_open())
        });
        let trial = Trial::new(now, stored, initial);
        Self {
            radio: config.map(|config| config.kind),
            password,
            trial,
            storing: Storing::Idle,
            station: Station::Off,
            lease: None,
            since: now,
            attempts: 0,
            reason: None,
            rssi: None,
            access_point: AccessPoint::CLOSED,
            scan: Scan::NEVER,
            commands: Commands::default(),
        }
    }

    /// The first verb after [`new`](Self::new).
    pub(crate) fn start(&mut self, around: &mut Around<'_, '_>) {
        if self.radio.is_none() {
            return;
        }
        if self.trial.is_under_way() {
            self.storing.want();
        }
        if self.trial.current().is_some() {
            self.station = Station::Waiting { until: around.now };
        }
        self.advance(around);
    }

    /// What there is to tell.
    pub(crate) fn status(&self) -> Status {
        Status {
            radio: self.radio,
            state: if self.radio.is_some() { self.station.name() } else { "wired" },
            lease: self.lease,
            since: self.since,
            attempts: self.attempts,
            reason: self.reason,
            rssi: self.rssi.filter(|_| self.lease.is_some()),
            fate: self.trial.name(),
            open: self.access_point.open,
            clients: self.access_point.clients,
        }
    }

    /// Whether the node can be reached, and can reach others.
    pub(crate) const fn is_connected(&self) -> bool {
        self.radio.is_none() || self.lease.is_some()
    }

    /// The radio has done something.
    pub(crate) fn handle_radio(&mut self, around: &mut Around<'_, '_>, event: RadioEvent) {
        if self.radio.is_none() {
            return;
        }
        match event {
            RadioEvent::Associated => self.associated(around),
            RadioEvent::Address(lease) => self.addressed(around, lease),
            RadioEvent::Disconnected(reason) => self.disconnected(around, reason),
            RadioEvent::Signal(dbm) => self.rssi = Some(dbm),
            RadioEvent::ClientJoined => self.client_joined(around),
            RadioEvent::ClientLeft => self.client_left(around),
            RadioEvent::Scanned(seen) => self.scanned(around.seen, seen),
            RadioEvent::ScanDone => self.scan_ended(around.now),
        }
        self.advance(around);
    }

    /// Does all that is due, or has become possible.
    pub(crate) fn advance(&mut self, around: &mut Around<'_, '_>) {
        if self.radio.is_some() {
            self.expire_scan(around.now);
            self.advance_station(around);
            self.advance_access_point(around);
            self.advance_scan(around);
        }
    }

    /// When something is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.radio?;
        earliest(&[
            self.station_due(),
            self.trial.due(),
            self.access_point_due(),
            self.scan.due(),
            self.storing.poll_timeout(),
        ])
    }

    /// The next command for the radio.
    pub(crate) fn poll_command(&mut self) -> Option<RadioCommand> {
        self.commands.take()
    }

    /// Whether the credentials are to be stored now.
    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        self.storing.poll(now)
    }

    /// The storing of the credentials was tried.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) {
        self.storing.finish(now, success, STORE_RETRY);
    }

    /// Writes the credentials to be stored into `buf`. Returns the length.
    pub(crate) fn value(&self, buf: &mut [u8]) -> usize {
        self.trial.value(buf)
    }

    /// Whether credentials are on trial.
    pub(crate) const fn is_on_trial(&self) -> bool {
        self.trial.is_under_way()
    }

    /// Whether there are credentials that a trial of others would return to.
    pub(crate) fn has_kept(&self) -> bool {
        if self.trial.is_under_way() {
            self.trial.has_previous()
        } else {
            self.credentials().is_some()
        }
    }

    /// What to connect with.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.trial.current()
    }

    /// The password of the access point, if there is to be one.
    pub(crate) const fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Tries other credentials, as soon as the answer had time to leave.
    ///
    /// # Errors
    ///
    /// [`Error::NoRadio`] on a wired node.
    pub(crate) fn change(&mut self, now: Instant, wanted: Credentials) -> Result<(), Error> {
        if self.radio.is_none() {
            return Err(Error::NoRadio);
        }
        self.trial.prepare(wanted);
        self.storing.want();
        self.station = Station::Changing { until: now + station::CHANGE_DELAY };
        Ok(())
    }
}
