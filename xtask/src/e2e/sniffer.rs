//! The cluster's datagrams as they pass on the bridge, to make junk of.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

use crate::emu::frame::{self, Datagram};

/// `ETH_P_ALL` of linux/if_ether.h.
const ALL_PROTOCOLS: u16 = 0x0003;
/// Longer than any frame on the bridge.
const FRAME_MAX: usize = 2048;

/// The latest datagrams are kept: old recordings are refused by every node without a closer look.
const KEPT: usize = 64;

/// Hears every frame in this network namespace.
pub(super) struct Sniffer {
    socket: Socket,
    port: u16,
    /// Whose datagrams are not the cluster's.
    ignored: Ipv4Addr,
    latest: VecDeque<Datagram>,
}

impl Sniffer {
    /// Listens for datagrams to UDP port `port` that `ignored` has not sent.
    ///
    /// # Errors
    /// When this process has no right to listen (CAP_NET_RAW in its network namespace).
    pub(super) fn new(port: u16, ignored: Ipv4Addr) -> Result<Self> {
        // packet(7): the protocol is in network byte order, and without an address all
        // interfaces are heard. With less than all protocols the bridge would come first, and
        // take what is not for us.
        let protocol = Protocol::from(i32::from(ALL_PROTOCOLS.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))
            .context("cannot listen to the test's bridge")?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, port, ignored, latest: VecDeque::new() })
    }

    /// Takes what has passed since the last call. To be called often: the socket's queue holds
    /// the traffic of seconds.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn listen(&mut self) -> Result<()> {
        let mut frame = [0; FRAME_MAX];
        loop {
            let len = match self.socket.read(&mut frame) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => bail!("cannot listen to the test's bridge: {error}"),
            };
            let Some(heard) = frame::datagram_in(&frame[..len]) else { continue };
            // A frame passes several interfaces; no two sealed datagrams are the same.
            let is_new = !self.latest.contains(&heard);
            if is_new && heard.to.port() == self.port && *heard.from.ip() != self.ignored {
                self.latest.push_back(heard);
                if self.latest.len() > KEPT {
                    self.latest.pop_front();
                }
            }
        }
    }

    /// The latest datagrams, oldest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Datagram> {
        self.latest.iter()
    }
}
