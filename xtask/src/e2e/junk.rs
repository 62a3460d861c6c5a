//! Datagrams and requests that nobody should send, sent.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use spore_core::ClusterKey;

use super::api::Api;
use crate::emu::secret::Secret;

/// Between two datagrams. A board takes about a thousand in a second; faster, it would drop most
/// of them unseen.
const DATAGRAM_PACE: Duration = Duration::from_millis(2);

/// How long one connection may take, with all of the server's own timeouts.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A board refuses connections while all its seats are taken, which is no longer than a connection; then the next try may succeed.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The simulator's junk, over real sockets.
pub(crate) struct Junk(spore_sim::junk::Junk);

impl Junk {
    /// Junk from `seed`; some of it is sealed with `key`.
    pub(crate) fn new(seed: u64, key: &Secret) -> Self {
        Self(spore_sim::junk::Junk::new(seed).with_key(&ClusterKey::from_bytes(*key)))
    }

    /// Sends `count` datagrams to the cluster's port of a node, some of them made from `recording`.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub(crate) fn send_datagrams(
        &mut self,
        to: (Ipv4Addr, u16),
        count: usize,
        recording: &[Vec<u8>],
    ) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("no UDP socket")?;
        for _ in 0..count {
            let datagram = self.0.datagram(recording);
            socket.send_to(&datagram, to).context("cannot send a datagram")?;
            std::thread::sleep(DATAGRAM_PACE);
        }
        Ok(())
    }

    /// Sends `count` requests to a node, each on a connection of its own, and counts how many of
    /// them were answered. Each is repeated while the node refuses the connection.
    ///
    /// # Errors
    /// When a connection hangs, or one is refused for too long.
    pub(crate) fn send_requests(&mut self, to: &Api, count: usize) -> Result<usize> {
        let mut answered = 0;
        for number in 0..count {
            let request = self.0.http_request();
            let answer = exchange_patiently(to, &request)
                .with_context(|| format!("request {number} to {}", to.name))?;
            answered += usize::from(answer.starts_with(b"HTTP/1."));
        }
        Ok(answered)
    }
}

/// An exchange that must come to an end. A reset is an end: a server that was sent more than it
/// wants to read may close hard.
fn exchange_patiently(to: &Api, request: &[u8]) -> Result<Vec<u8>> {
    let begun = Instant::now();
    loop {
        let start = Instant::now();
        match to.exchange(request, CONNECTION_TIMEOUT) {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                use std::io::ErrorKind::{
                    BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected,
                };
                match kind {
                    Some(ConnectionRefused) if begun.elapsed() < CONNECTION_TIMEOUT => {
                        std::thread::sleep(RETRY_PAUSE);
                    }
                    Some(ConnectionReset | BrokenPipe | NotConnected) => return Ok(Vec::new()),
                    _ => {
                        let after = start.elapsed().as_secs_f32();
                        return Err(error.context(format!("no end after {after:.1} s")));
                    }
                }
            }
        }
    }
}
