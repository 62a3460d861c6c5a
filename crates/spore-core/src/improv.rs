//! Improv over the serial line (<https://www.improv-wifi.com/serial/>, version 1): who has a node that knows no WiFi at a serial port tells it one.
//!
//! A packet is `IMPROV`, version, type, length, data and the sum of all bytes before; on the line it is among the lines of the log. A node takes credentials as
//! long as it has none that it would lose: so nobody who is at the port of a board that is in use
//! moves it into another network. [`Improv`] has bytes come in and go out; the port is the body's.

use crate::network::{Credentials, Password, Radio, Seen, Ssid};
use crate::node::Node;
use crate::text::{decimal, dotted};
use crate::time::Instant;

/// How a packet begins, and how one with a command does.
const HEADER: [u8; 7] = *b"IMPROV\x01";
const HEAD: [u8; 8] = *b"IMPROV\x01\x03";
/// The longest command: the longest name and the longest password.
const DATA: usize = 2 + 1 + Ssid::MAX + 1 + Password::MAX;

/// Types of packets.
const CURRENT_STATE: u8 = 1;
const ERROR_STATE: u8 = 2;
const RPC_RESULT: u8 = 4;

/// Commands.
const SEND_WIFI: u8 = 1;
const GET_STATE: u8 = 2;
const GET_INFO: u8 = 3;
const GET_NETWORKS: u8 = 4;

/// States.
const READY: u8 = 2;
const PROVISIONING: u8 = 3;
const PROVISIONED: u8 = 4;

/// Errors.
const NO_ERROR: u8 = 0;
const INVALID_PACKET: u8 = 1;
const UNKNOWN_COMMAND: u8 = 2;
const UNABLE_TO_CONNECT: u8 = 3;

/// What has come over the serial line, and what is to be answered.
#[derive(Debug)]
pub struct Improv {
    data: [u8; DATA],
    /// The next byte's place in its packet.
    at: u8,
    length: u8,
    sum: u8,
    /// What waits for credentials to be kept, or for a scan to end.
    connecting: bool,
    scanning: bool,
}

impl Improv {
    /// Nothing has come yet.
    pub const NEW: Self =
        Self { data: [0; DATA], at: 0, length: 0, sum: 0, connecting: false, scanning: false };

    /// A byte has come; what there is to answer goes to `put`.
    pub fn handle_byte(
        &mut self,
        node: &mut Node<'_>,
        now: Instant,
        byte: u8,
        put: &mut impl FnMut(u8),
    ) {
        if self.is_whole(byte) {
            self.answer(node, now, put);
        }
    }

    /// Says what has become of what was asked for. To be called some ten times a second.
    pub fn handle_timeout(&mut self, node: &Node<'_>, put: &mut impl FnMut(u8)) {
        if self.scanning && !node.network.scan().0 {
            self.scanning = false;
            for Seen { ssid, rssi, secure, .. } in &*node.seen {
                let digits = decimal(u32::from(rssi.unsigned_abs()));
                let secure = if *secure { "YES" } else { "NO" };
                result(put, GET_NETWORKS, &[(ssid.as_str(), ""), ("-", &digits), (secure, "")]);
            }
            result(put, GET_NETWORKS, &[]);
        }
        if self.connecting && !node.network.is_on_trial() {
            self.connecting = false;
            if !node.is_connected() {
                packet(put, ERROR_STATE, &[UNABLE_TO_CONNECT], &[]);
            }
            self.tell(node, SEND_WIFI, put);
        }
    }

    /// Takes a byte into the packet; whether that is whole now.
    fn is_whole(&mut self, byte: u8) -> bool {
        let at = usize::from(self.at);
        let sum = if at == 0 { 0 } else { self.sum };
        (self.at, self.sum) = (self.at.saturating_add(1), sum.wrapping_add(byte));
        let fits = match at.checked_sub(HEAD.len()) {
            None => HEAD.get(at) == Some(&byte),
            Some(0) => {
                self.length = byte;
                usize::from(byte) <= DATA
            }
            Some(place) if place <= usize::from(self.length) => {
                if let Some(free) = self.data.get_mut(place.saturating_sub(1)) {
                    *free = byte;
                }
                true
            }
            Some(_) => {
                self.at = 0;
                return sum == byte;
            }
        };
        if !fits {
            // It may be the first of another one.
            self.at = u8::from(HEAD.first() == Some(&byte));
            self.sum = byte;
        }
        false
    }

    fn answer(&mut self, node: &mut Node<'_>, now: Instant, put: &mut impl FnMut(u8)) {
        let data = self.data.get(..usize::from(self.length)).unwrap_or_default();
        let error = match data {
            [SEND_WIFI, _, rest @ ..] if node.wants_credentials() => match credentials(rest) {
                Some(wanted) if node.network.change(now, wanted).is_ok() => {
                    self.connecting = true;
                    packet(put, CURRENT_STATE, &[PROVISIONING], &[]);
                    NO_ERROR
                }
                _ => INVALID_PACKET,
            },
            [GET_STATE, ..] => {
                self.tell(node, GET_STATE, put);
                return;
            }
            [GET_INFO, ..] => {
                let chip = match node.network.status().radio {
                    Some(Radio::Esp8266) => "ESP8266",
                    _ => "Linux",
                };
                let name = node.hostname().map_or("", |name| name.as_str());
                let parts = [("SPORE", ""), (node.facts.version, ""), (chip, ""), (name, "")];
                result(put, GET_INFO, &parts);
                return;
            }
            [GET_NETWORKS, ..] => {
                // Without a radio there is none, and that is told.
                let _ = node.look_for_networks(now);
                self.scanning = true;
                return;
            }
            _ => UNKNOWN_COMMAND,
        };
        packet(put, ERROR_STATE, &[error], &[]);
    }

    /// Tells the state, and where the node is if it is in its network.
    fn tell(&self, node: &Node<'_>, command: u8, put: &mut impl FnMut(u8)) {
        let lease = node.network.status().lease;
        let state = match lease {
            _ if self.connecting => PROVISIONING,
            Some(_) => PROVISIONED,
            None => READY,
        };
        packet(put, CURRENT_STATE, &[state], &[]);
        if let Some(lease) = lease.filter(|_| state == PROVISIONED) {
            result(put, command, &[("http://", &dotted(lease.address))]);
        }
    }
}

/// The credentials in the data of a command: two texts, each behind its length.
fn credentials(data: &[u8]) -> Option<Credentials> {
    let (len, rest) = data.split_first()?;
    let (ssid, rest) = rest.split_at_checked(usize::from(*len))?;
    let (len, rest) = rest.split_first()?;
    let password = rest.get(..usize::from(*len))?;
    Some(Credentials { ssid: Ssid::new(ssid).ok()?, password: Password::new(password).ok()? })
}

/// Sends the result of a command: texts, each of two pieces.
fn result(put: &mut impl FnMut(u8), command: u8, texts: &[(&str, &str)]) {
    packet(put, RPC_RESULT, &[command, length(0, texts)], texts);
}

/// Sends a packet, on a line of its own.
fn packet(put: &mut impl FnMut(u8), kind: u8, data: &[u8], texts: &[(&str, &str)]) {
    let mut sum = 0_u8;
    let mut send = |byte: u8| {
        sum = sum.wrapping_add(byte);
        put(byte);
    };
    let mut send_all = |bytes: &[u8]| bytes.iter().for_each(|byte| send(*byte));
    send_all(&HEADER);
    send_all(&[kind, length(data.len(), texts)]);
    send_all(data);
    for text @ (a, b) in texts {
        send_all(&[length(0, &[*text]).saturating_sub(1)]);
        send_all(a.as_bytes());
        send_all(b.as_bytes());
    }
    put(sum);
    put(b'\n');
}

/// How many bytes texts take, each behind its length, and so many others.
fn length(others: usize, texts: &[(&str, &str)]) -> u8 {
    let add = |sum: usize, (a, b): &(&str, &str)| {
        sum.saturating_add(a.len()).saturating_add(b.len()).saturating_add(1)
    };
    u8::try_from(texts.iter().fold(others, add)).unwrap_or(u8::MAX)
}
