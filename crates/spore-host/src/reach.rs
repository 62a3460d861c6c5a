//! Whether what is said to all on a network is heard: what a firewall on this machine may stop.

use crate::net::{BindError, interface};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// What is sent: no node takes it for more than junk.
const PROBE: &[u8] = b"SPORE doctor";

/// More than can wait at a socket.
const QUEUE: u32 = 1_000;

/// This machine's addresses on networks where one can speak to all, with the names of their interfaces.
///
/// # Errors
/// If the operating system does not list them.
pub fn networks() -> io::Result<Vec<(String, Ipv4Addr)>> {
    let all = if_addrs::get_if_addrs()?.into_iter();
    let ours = all.filter_map(|interface| match interface.addr {
        if_addrs::IfAddr::V4(v4) if !v4.ip.is_loopback() && v4.broadcast.is_some() => {
            Some((interface.name, v4.ip))
        }
        _ => None,
    });
    Ok(ours.collect())
}

/// Whether a datagram from `address` to all on its network is heard at `port` of this machine within `patience`. Others on the
/// network hear it as well; nodes count it as malformed.
///
/// # Errors
/// If there is no such address, or the operating system refuses to send or to listen.
pub fn hears_broadcast(
    address: Ipv4Addr,
    port: u16,
    patience: Duration,
) -> Result<bool, BindError> {
    let everyone = match address.is_loopback() {
        true => Ipv4Addr::new(127, 255, 255, 255),
        false => interface(address)?.1,
    };
    let everyone = SocketAddrV4::new(everyone, port);
    probe(address, everyone, patience).map_err(|error| BindError::Udp(everyone, error))
}

fn probe(address: Ipv4Addr, everyone: SocketAddrV4, patience: Duration) -> io::Result<bool> {
    let listener = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // As nodes do, which may have this address at the same time.
    listener.set_reuse_address(true)?;
    listener.bind(&everyone.into())?;
    let listener = UdpSocket::from(listener);
    let sender = UdpSocket::bind((address, 0))?;
    sender.set_broadcast(true)?;
    sender.send_to(PROBE, everyone)?;
    let (own, until) = (sender.local_addr()?, Instant::now() + patience);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        listener.set_read_timeout(Some(left))?;
        match listener.recv_from(&mut [0; 512]) {
            Ok((_, from)) if from == own => return Ok(true),
            // Others speak, too.
            Ok(_) => (),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => (),
            Err(error) => return Err(error),
        }
    }
    // What waits there has come in time, though this process had none to look.
    listener.set_nonblocking(true)?;
    let mut waiting = (0..QUEUE).map_while(|_| listener.recv_from(&mut [0; 512]).ok());
    Ok(waiting.any(|(_, from)| from == own))
}

#[cfg(test)]
mod tests {
    use super::hears_broadcast;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    #[test]
    fn what_is_said_to_all_on_loopback_is_heard_and_nowhere_else() {
        let heard = |address: [u8; 4]| {
            hears_broadcast(Ipv4Addr::from(address), 4996, Duration::from_secs(1))
        };
        assert!(heard([127, 43, 0, 7]).unwrap());
        assert!(heard([192, 0, 2, 1]).is_err());
    }
}
