//! Addresses for those who join the access point (DHCP, RFC 2131).

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use edge_nal::{UdpReceive, UdpSend};
use embassy_futures::yield_now;
use embassy_time::Timer;

use super::RECEIVE_PAUSE;
use crate::dhcp::{self, Said, address_at};

/// Most addresses that are leased at once, as many as the SDK's access point takes clients. Who comes
/// beyond that gets none, until a lease is given back or over.
pub const CLIENTS: usize = 4;

/// What [`lease_addresses`] needs as a buffer, in bytes: the longest message that every client and server must take
/// (RFC 2131, section 2), 576 bytes with the heads of IP and UDP. A longer one is cut, and then not understood.
pub const DHCP_BUFFER_LEN: usize = 548;

/// How long a lease is, in seconds. The access point is open for minutes; a short lease makes room for the next
/// client soon after one that went without a word.
const LEASE_SECONDS: u32 = 600;

/// Who has which address.
#[derive(Debug)]
pub struct Leases {
    own: Ipv4Addr,
    clock: fn() -> u64,
    /// Of the addresses that follow [`own`](Self::own), one each.
    rows: [Option<Lease>; CLIENTS],
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    client: Client,
    /// The last second of it.
    end: u32,
}

/// The hardware address of a client.
type Client = [u8; 6];

impl Leases {
    /// No leases. The addresses are the [`CLIENTS`] that follow `own`, the server's, and of the same network of 256. `clock` tells the
    /// seconds since any point in time.
    pub const fn new(own: Ipv4Addr, clock: fn() -> u64) -> Self {
        Self { own, clock, rows: [None; CLIENTS] }
    }

    /// How many clients have an address, or had one and went without a word.
    pub fn count(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// Answers the message that the first `len` bytes of `buf` hold, in its place: the answer's length,
    /// and where it is to go. `buf` has [`DHCP_BUFFER_LEN`] bytes.
    pub fn answer(&mut self, buf: &mut [u8], len: usize) -> Option<(usize, SocketAddrV4)> {
        let message = buf.get(..len)?;
        let said = Said::by(message)?;
        let for_us = said.server.is_none_or(|server| server == self.own);
        if !for_us || !message.starts_with(&dhcp::REQUEST_HEAD) {
            return None;
        }
        let client = *message.get(dhcp::CHADDR..)?.first_chunk()?;
        let [ciaddr, giaddr] =
            [address_at(message, dhcp::CIADDR)?, address_at(message, dhcp::GIADDR)?];
        let flags = *message.get(dhcp::FLAGS)? & dhcp::BROADCAST;
        let (kind, address) = match said.kind {
            dhcp::DISCOVER => (dhcp::OFFER, self.offer(client, said.requested)?),
            dhcp::REQUEST => {
                let uses = Some(ciaddr).filter(|ciaddr| !ciaddr.is_unspecified());
                let wanted = said.requested.or(uses)?;
                let given = self.lease(client, wanted);
                given.map_or((dhcp::NAK, Ipv4Addr::UNSPECIFIED), |()| (dhcp::ACK, wanted))
            }
            dhcp::RELEASE | dhcp::DECLINE if said.server.is_some() => {
                self.release(client);
                return None;
            }
            _ => return None,
        };
        let answer = buf.first_chunk_mut::<{ dhcp::MESSAGE_MIN }>()?;
        answer[0] = dhcp::REPLY;
        answer[dhcp::SECS..dhcp::GIADDR].fill(0);
        answer[dhcp::FLAGS] = flags;
        answer[dhcp::YIADDR..][..4].copy_from_slice(&address.octets());
        answer[dhcp::NAMES..dhcp::COOKIE].fill(0);
        self.write_options(kind, &mut answer[dhcp::OPTIONS..]);
        // RFC 2131, section 4.1. A client that has no address yet may not hear what is sent to the one that it is
        // offered, so all hear that; and so with what takes an address away.
        let knows = !ciaddr.is_unspecified() && flags == 0 && kind != dhcp::NAK;
        let to = match knows {
            _ if !giaddr.is_unspecified() => SocketAddrV4::new(giaddr, dhcp::SERVER_PORT),
            true => SocketAddrV4::new(ciaddr, dhcp::CLIENT_PORT),
            false => SocketAddrV4::new(Ipv4Addr::BROADCAST, dhcp::CLIENT_PORT),
        };
        Some((answer.len(), to))
    }

    /// Fills `room` with the options of an answer. There is no address of a captive portal's API (RFC 8910) among them: it
    /// must be an HTTPS one.
    fn write_options(&self, kind: u8, room: &mut [u8]) {
        const KIND_AND_SERVER: usize = 9;
        let [a, b, c, d] = self.own.octets();
        let [e, f, g, h] = LEASE_SECONDS.to_be_bytes();
        #[rustfmt::skip]
        let options = [
            dhcp::KIND, 1, kind,
            dhcp::SERVER, 4, a, b, c, d,
            dhcp::LEASE_TIME, 4, e, f, g, h,
            dhcp::SUBNET_MASK, 4, 255, 255, 255, 0,
            dhcp::ROUTER, 4, a, b, c, d,
            dhcp::NAME_SERVER, 4, a, b, c, d,
        ];
        let len = if kind == dhcp::NAK { KIND_AND_SERVER } else { options.len() };
        room.fill(0);
        room[..len].copy_from_slice(&options[..len]);
        room[len] = dhcp::END;
    }

    /// An address for `client`: the one that it would like to have, the one that it has, one that nobody has had, or one
    /// whose lease is over.
    fn offer(&self, client: Client, requested: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let now = self.now();
        let wanted = requested.and_then(|address| self.place(address));
        let place = wanted
            .filter(|place| self.is_free(*place, client, now))
            .or_else(|| {
                self.rows.iter().position(|row| row.is_some_and(|row| row.client == client))
            })
            .or_else(|| self.rows.iter().position(Option::is_none))
            .or_else(|| (0..CLIENTS).find(|place| self.is_free(*place, client, now)))?;
        Some(Ipv4Addr::from_bits(self.first() + u32::try_from(place).ok()?))
    }

    /// Gives `client` this address, if it may have it.
    fn lease(&mut self, client: Client, address: Ipv4Addr) -> Option<()> {
        let now = self.now();
        let place = self.place(address).filter(|place| self.is_free(*place, client, now))?;
        self.release(client);
        self.rows[place] = Some(Lease { client, end: now.saturating_add(LEASE_SECONDS) });
        Some(())
    }

    fn release(&mut self, client: Client) {
        for row in &mut self.rows {
            if row.is_some_and(|row| row.client == client) {
                *row = None;
            }
        }
    }

    /// Whether `client` may have the address at `place`.
    fn is_free(&self, place: usize, client: Client, now: u32) -> bool {
        self.rows[place].is_none_or(|row| row.client == client || row.end < now)
    }

    /// The place of an address that is ours to give.
    fn place(&self, address: Ipv4Addr) -> Option<usize> {
        let place = usize::try_from(address.to_bits().checked_sub(self.first())?).ok()?;
        (place < CLIENTS).then_some(place)
    }

    /// The first address, as a number.
    fn first(&self) -> u32 {
        self.own.to_bits() + 1
    }

    /// The seconds, which are enough for 136 years.
    fn now(&self) -> u32 {
        u32::try_from((self.clock)()).unwrap_or(u32::MAX)
    }
}

/// Gives addresses to those who join the access point, through `socket`: bound to [`SERVER_PORT`](dhcp::SERVER_PORT),
/// able to hear and to send broadcasts, on the access point's interface and on no other. After each
/// change `told` is called with the count of leases: a body whose radio does not tell who is there can take it for that.
///
/// `buf` has [`DHCP_BUFFER_LEN`] bytes.
pub async fn lease_addresses<S: UdpReceive + UdpSend>(
    leases: &mut Leases,
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
        if let Some((len, to)) = leases.answer(buf, len) {
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
