//! Datagrams and requests that nobody should send.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::api::Api;

/// Longest datagram that is sent: beyond the protocol's 512 bytes, within an Ethernet frame.
const DATAGRAM_MAX: usize = 1400;

/// Between two datagrams. A board takes about a thousand in a second; faster, it would drop most
/// of them unseen.
const DATAGRAM_PACE: Duration = Duration::from_millis(2);

/// How long one connection may take, with all of the server's own timeouts.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A board refuses connections while all its seats are taken; then the next try may succeed.
const TRIES: u32 = 50;
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Requests that are fine, for mutations of them.
const REQUESTS: [&[u8]; 5] = [
    b"GET /api/node/status HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n",
    b"GET /api/cluster/members HTTP/1.0\r\n\r\n",
    b"HEAD /api/node/status HTTP/1.1\r\nHost: node\r\nAccept: */*\r\n\r\n",
    b"POST /api/node/restart HTTP/1.1\r\nHost: node\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /api/events HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// Makes junk from a seed: the same seed makes the same.
pub(super) struct Junk(fastrand::Rng);

impl Junk {
    /// Junk from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Sends `count` datagrams to the cluster's port of a node: mutations of `samples` and random
    /// bytes, in turn.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub(super) fn send_datagrams(
        &mut self,
        to: (Ipv4Addr, u16),
        count: usize,
        samples: &[Vec<u8>],
    ) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("no UDP socket")?;
        for number in 0..count {
            let datagram = match self.0.choice(samples) {
                Some(sample) if number % 2 == 0 => self.mutated(sample, DATAGRAM_MAX),
                _ => self.random(DATAGRAM_MAX),
            };
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
    pub(super) fn send_requests(&mut self, to: &Api, count: usize) -> Result<usize> {
        let mut answered = 0;
        for number in 0..count {
            let request = match self.0.choice(REQUESTS) {
                Some(sample) if number % 4 != 0 => self.mutated(sample, 3000),
                _ => self.random(3000),
            };
            let answer = exchange_patiently(to, &request)
                .with_context(|| format!("request {number} to {}", to.name))?;
            answered += usize::from(answer.starts_with(b"HTTP/1."));
        }
        Ok(answered)
    }

    fn random(&mut self, max: usize) -> Vec<u8> {
        let len = self.0.usize(..=max);
        std::iter::repeat_with(|| self.0.u8(..)).take(len).collect()
    }

    /// `sample` after one to four changes: bytes altered, cut off, put in, or repeated.
    fn mutated(&mut self, sample: &[u8], max: usize) -> Vec<u8> {
        let mut bytes = sample.to_vec();
        for _ in 0..self.0.usize(1..=4) {
            let at = self.0.usize(..=bytes.len());
            match self.0.u8(..4) {
                0 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.0.u8(..8);
                    }
                }
                1 => bytes.truncate(at),
                2 => {
                    let more = self.random(64);
                    bytes.splice(at..at, more);
                }
                _ => {
                    let again = bytes[at..].repeat(self.0.usize(1..=8));
                    bytes.extend(again);
                }
            }
        }
        bytes.truncate(max);
        bytes
    }
}

/// An exchange that must come to an end. A reset is an end: a server that was sent more than it
/// wants to read may close hard.
fn exchange_patiently(to: &Api, request: &[u8]) -> Result<Vec<u8>> {
    for _ in 0..TRIES {
        let start = Instant::now();
        match to.exchange(request, CONNECTION_TIMEOUT) {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                use std::io::ErrorKind::{
                    BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected,
                };
                match kind {
                    Some(ConnectionRefused) => std::thread::sleep(RETRY_PAUSE),
                    Some(ConnectionReset | BrokenPipe | NotConnected) => return Ok(Vec::new()),
                    _ => {
                        let after = start.elapsed().as_secs_f32();
                        return Err(error.context(format!("hung for {after:.1} s")));
                    }
                }
            }
        }
    }
    bail!("refused {TRIES} times in a row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_makes_the_same_junk_within_limits() {
        let make = || {
            let mut junk = Junk::new(7);
            let made: Vec<Vec<u8>> =
                (0..200).map(|number| junk.mutated(REQUESTS[number % 5], 3000)).collect();
            made
        };
        let made = make();
        assert_eq!(made, make());
        assert!(made.iter().all(|bytes| bytes.len() <= 3000));
        let changed =
            made.iter().enumerate().filter(|(number, bytes)| bytes[..] != *REQUESTS[number % 5]);
        assert!(changed.count() > 190);
    }
}
