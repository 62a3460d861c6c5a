//! foca over a socket.

use super::{Peer, tell};
use crate::engine::{self, Output};
use anyhow::{Context as _, Result};
use spore_core::Destination;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long it waits for a datagram at least, so that it never spins.
const LEAST: Duration = Duration::from_micros(100);

pub(super) fn run(peer: &Peer) -> Result<()> {
    let socket = UdpSocket::bind(peer.address())
        .with_context(|| format!("cannot have {}", peer.address()))?;
    let begin = Instant::now();
    let mut engine =
        engine::start(peer.contender, Duration::ZERO, peer.node, peer.nodes, peer.seed);
    let (mut out, mut buf) = (Output::default(), vec![0; 65_536]);
    loop {
        let now = begin.elapsed();
        match engine.deadline() {
            Some(at) if at <= now => engine.wake(now, &mut out),
            deadline => {
                socket.set_read_timeout(deadline.map(|at| (at - now).max(LEAST)))?;
                match socket.recv_from(&mut buf) {
                    Ok((len, SocketAddr::V4(from))) => {
                        engine.receive(begin.elapsed(), from, &mut buf[..len], &mut out);
                    }
                    Ok(_) => (),
                    Err(error) if is_transient(error.kind()) => (),
                    Err(error) => return Err(error).context("cannot receive"),
                }
            }
        }
        out.changes.drain(..).for_each(tell);
        for (destination, bytes) in out.datagrams.drain(..) {
            if let Destination::Unicast(to) = destination {
                // As lost as on any network.
                let _ = socket.send_to(&bytes, to);
            }
        }
    }
}

/// Whether nothing has come, or somebody was not there.
fn is_transient(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(kind, WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}
