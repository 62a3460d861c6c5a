//! Addresses for those who join the access point (DHCP, RFC 2131).

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use edge_dhcp::server::{Server, ServerOptions};
use edge_dhcp::{Options, Packet};
use edge_nal::{UdpReceive, UdpSend};
use embassy_futures::yield_now;
use embassy_time::Timer;

use super::RECEIVE_PAUSE;

/// The UDP port of DHCP servers.
pub const DHCP_PORT: u16 = 67;

/// The UDP port of DHCP clients.
const CLIENT_PORT: u16 = 68;

/// The UDP port of relays, which is that of servers.
const RELAY_PORT: u16 = DHCP_PORT;

/// Most addresses that are leased at once, as many as the SDK's access point takes clients. Who comes
/// beyond that gets none, until a lease is given back or over.
pub const CLIENTS: usize = 4;

/// What [`lease_addresses`] needs as a buffer, in bytes: the longest message that every client and server must take
/// (RFC 2131, section 2), 576 bytes with the heads of IP and UDP. A longer one is cut, and then not understood.
pub const DHCP_BUFFER_LEN: usize = 548;

/// How long a lease is, in seconds. The access point is open for minutes; a short lease makes room for the next
/// client soon after one that went without a word.
const LEASE_SECONDS: u32 = 600;

/// The least length of a message, which old clients insist on (RFC 1542, section 2.1).
const MESSAGE_MIN: usize = 300;

/// Where a message has its flags, of which the first bit asks for an answer to all (RFC 2131,
/// section 2). `edge-dhcp` 0.8 takes another bit for it.
const FLAGS: usize = 10;
const BROADCAST: u8 = 0x80;

/// Who has which address.
#[derive(Debug)]
pub struct Leases(Server<fn() -> u64, CLIENTS>);

impl Leases {
    /// No leases. The addresses are the [`CLIENTS`] that follow `own`, which must be of the same network. `clock` tells the
    /// seconds since any point in time.
    pub fn new(own: Ipv4Addr, clock: fn() -> u64) -> Self {
        let mut server = Server::new(clock, own);
        let following = |count: u32| Ipv4Addr::from_bits(own.to_bits().saturating_add(count));
        server.range_start = following(1);
        server.range_end = following(u32::try_from(CLIENTS).unwrap_or(1));
        Self(server)
    }

    /// How many clients have an address, or had one and went without a word.
    pub fn count(&self) -> usize {
        self.0.leases.len()
    }

    /// Answers the message that the first `len` bytes of `buf` hold, in its place: the answer's length,
    /// and where it is to go. `buf` has [`DHCP_BUFFER_LEN`] bytes.
    pub fn answer(
        &mut self,
        own: Ipv4Addr,
        buf: &mut [u8],
        len: usize,
    ) -> Option<(usize, SocketAddrV4)> {
        let message = buf.get(..len)?;
        let flags = *message.get(FLAGS)?;
        let request = Packet::decode(message).ok()?;
        let (mut gateway, names) = ([own], [own]);
        let mut options = ServerOptions::new(own, Some(&mut gateway));
        options.dns = &names;
        options.lease_duration_secs = LEASE_SECONDS;
        // No address of a captive portal's API (RFC 8910): it must be an HTTPS one.
        let to = destination(&request, flags);
        let mut room = Options::buf();
        let reply = self.0.handle_request(&mut room, &options, &request)?;
        let len = reply.encode(buf).ok()?.len();
        let whole = len.max(MESSAGE_MIN);
        buf.get_mut(len..whole)?.fill(0);
        *buf.get_mut(FLAGS)? = flags & BROADCAST;
        Some((whole, to))
    }
}

/// Where the answer to `request` goes (RFC 2131, section 4.1). A client that has no address yet may not
/// hear what is sent to the one that it is offered, so all hear that.
fn destination(request: &Packet<'_>, flags: u8) -> SocketAddrV4 {
    if !request.giaddr.is_unspecified() {
        return SocketAddrV4::new(request.giaddr, RELAY_PORT);
    }
    let known = !request.ciaddr.is_unspecified() && flags & BROADCAST == 0;
    let address = if known { request.ciaddr } else { Ipv4Addr::BROADCAST };
    SocketAddrV4::new(address, CLIENT_PORT)
}

/// Gives addresses to those who join the access point, which is `own`, through `socket`: bound to
/// [`DHCP_PORT`], able to hear and to send broadcasts, on the access point's interface and on no other. After each
/// change `told` is called with the count of leases: a body whose radio does not tell who is there can take it for that.
///
/// `buf` has [`DHCP_BUFFER_LEN`] bytes.
pub async fn lease_addresses<S: UdpReceive + UdpSend>(
    leases: &mut Leases,
    own: Ipv4Addr,
    mut socket: S,
    mut told: impl FnMut(usize),
    buf: &mut [u8],
) -> ! {
    loop {
        let Ok((len, _)) = socket.receive(buf).await else {
            Timer::after(RECEIVE_PAUSE).await;
            continue;
        };
        let before = leases.count();
        if let Some((len, to)) = leases.answer(own, buf, len) {
            // A message that cannot be sent is lost, as others are on the air.
            let _ = socket.send(SocketAddr::V4(to), buf.get(..len).unwrap_or_default()).await;
        }
        let count = leases.count();
        if count != before {
            told(count);
        }
        // A socket that is never empty must not keep the others from their turn.
        yield_now().await;
    }
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
pub(in crate::provision) mod tests;
