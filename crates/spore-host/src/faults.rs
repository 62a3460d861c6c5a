//! Bad radio for nodes on a good network: faults that befall the datagrams that come in.
//!
//! [`Faulty`] is one more implementation of the trait that the sockets have, around one of them, so
//! the shell does not know of it. Faults belong to the receiver: each of a broadcast's receivers
//! has a chance of its own to miss it, and a datagram meets them once on its way, not at both ends.

use edge_nal::UdpReceive;
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::ErrorType;
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

/// How many datagrams may be on their way to one socket. A further one is lost, as in a switch
/// whose queue is full. At 100 ms of jitter that is 5,000 datagrams a second; a node of a quiet
/// cluster gets some 4.
const QUEUE: usize = 256;

/// What befalls the datagrams that come in at a node. The default is nothing, and costs nothing.
///
/// HTTP is spared: it runs over TCP, which would repeat what gets lost. A probability below 0 counts
/// as 0, one above 1 as 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// The probability from 0 to 1 that a datagram to this node alone is lost.
    pub loss: f64,
    /// The probability from 0 to 1 that a datagram to all nodes is lost here. An ESP8266 misses
    /// about half of them.
    pub broadcast_loss: f64,
    /// The probability from 0 to 1 that a datagram that is not lost arrives twice.
    pub duplication: f64,
    /// Each datagram is held up for a time from zero to this, each as likely as another, so that
    /// datagrams overtake each other that come closer together than that.
    pub jitter: std::time::Duration,
    /// What all chance comes from. The same datagrams in the same order meet the same fate.
    pub seed: u64,
}

impl Faults {
    /// Whether nothing befalls anything.
    pub fn is_none(&self) -> bool {
        let Self { loss, broadcast_loss, duplication, jitter, seed: _ } = *self;
        [loss, broadcast_loss, duplication] == [0.0; 3] && jitter.is_zero()
    }
}

/// Which socket of a node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    /// The one that hears what is said to this node alone.
    Unicast,
    /// One that hears what is said to all; if there are several, they have different numbers.
    Broadcast(u8),
}

/// A socket at which datagrams arrive late, twice, in another order, or not at all.
pub(crate) struct Faulty<S> {
    socket: S,
    loss: f64,
    duplication: f64,
    jitter: Duration,
    rng: Rng,
    /// Those that have come and are not there yet. The first to be handed out is the largest.
    held: BinaryHeap<Reverse<Held>>,
    /// How many have come: keeps the order of those that are due at the same time.
    sequence: u64,
}

/// A datagram on its way, in the order in which they are due.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    sequence: u64,
    from: SocketAddr,
    /// Its length, which may be more than there are `bytes` if the caller's buffer was short.
    len: usize,
    bytes: Box<[u8]>,
}

impl<S> Faulty<S> {
    /// `socket` under these faults.
    pub(crate) fn new(socket: S, faults: &Faults, hears: Hears) -> Self {
        // The sockets of one node must not lose the same ones of their datagrams.
        let (loss, stream) = match hears {
            Hears::Unicast => (faults.loss, 0),
            Hears::Broadcast(number) => (faults.broadcast_loss, 1 + u64::from(number)),
        };
        let mut rng = Rng::with_seed(faults.seed);
        (0..stream).for_each(|_| rng = rng.fork());
        Self {
            socket,
            loss,
            duplication: faults.duplication,
            jitter: Duration::from_micros(faults.jitter.as_micros().try_into().unwrap_or(u64::MAX)),
            rng,
            held: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Decides what becomes of a datagram that has just come.
    fn take(&mut self, from: SocketAddr, len: usize, bytes: &[u8]) {
        if self.rng.f64() < self.loss {
            return;
        }
        let copies = if self.rng.f64() < self.duplication { 2 } else { 1 };
        for _ in 0..copies {
            if self.held.len() >= QUEUE {
                return;
            }
            let delay = Duration::from_micros(self.rng.u64(..=self.jitter.as_micros()));
            let due = Instant::now().checked_add(delay).unwrap_or(Instant::MAX);
            self.sequence += 1;
            let sequence = self.sequence;
            self.held.push(Reverse(Held { due, sequence, from, len, bytes: bytes.into() }));
        }
    }

    /// Hands out the next datagram that is due.
    fn give(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let Reverse(first) = self.held.peek()?;
        if first.due > Instant::now() {
            return None;
        }
        let Reverse(Held { from, len, bytes, .. }) = self.held.pop()?;
        let fits = bytes.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&bytes[..fits]);
        Some((len, from))
    }
}

impl<S: ErrorType> ErrorType for Faulty<S> {
    type Error = S::Error;
}

impl<S: UdpReceive> UdpReceive for Faulty<S> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), S::Error> {
        loop {
            if let Some(datagram) = self.give(buffer) {
                return Ok(datagram);
            }
            // Both futures may be dropped at any await: a socket that was not ready has given
            // nothing yet.
            let heard = match self.held.peek() {
                None => self.socket.receive(buffer).await,
                Some(Reverse(next)) => {
                    match select(self.socket.receive(buffer), Timer::at(next.due)).await {
                        Either::First(heard) => heard,
                        Either::Second(()) => continue,
                    }
                }
            };
            let (len, from) = heard?;
            let bytes = &buffer[..len.min(buffer.len())];
            self.take(from, len, bytes);
            // A socket that is never empty must not keep the others from their turn.
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests;
