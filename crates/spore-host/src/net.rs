//! The sockets of a host node.
//!
//! A UDP socket that is bound to one of the machine's addresses hears no broadcast. One that is
//! bound to the broadcast address hears nothing else, and with `SO_REUSEADDR` several nodes on the
//! machine can each have one. So a node has both: it is reached by its own address and hears what
//! is said to all.

use async_io::Async;
use edge_nal::TcpAccept;
use edge_nal_std::{TcpSocket, UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};
use spore_core::sprockets::InvalidRoster;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::PathBuf;

/// Why what a node needs for itself could not be taken.
#[derive(Debug)]
pub enum BindError {
    /// No interface of this machine has the address. These are the addresses that there are.
    NoSuchAddress(Ipv4Addr, Vec<Ipv4Addr>),
    /// The interfaces could not be listed.
    Interfaces(io::Error),
    /// The operating system refused the UDP address.
    Udp(SocketAddrV4, io::Error),
    /// The operating system refused the TCP address.
    Tcp(SocketAddrV4, io::Error),
    /// Another node, here or in another process, uses the state folder.
    StateInUse(PathBuf),
    /// The state folder cannot be made or locked.
    State(PathBuf, io::Error),
    /// One node cannot have these sprockets, with what else it offers.
    Sprockets(InvalidRoster),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchAddress(address, there) => {
                write!(f, "no interface of this machine has the address {address}; it has")?;
                there.iter().try_for_each(|address| write!(f, " {address}"))
            }
            Self::Interfaces(error) => write!(f, "cannot list the network interfaces: {error}"),
            Self::Udp(address, error) => {
                write!(f, "cannot use UDP {address}: {error}")?;
                explain(f, error, "--port")
            }
            Self::Tcp(address, error) => {
                write!(f, "cannot use TCP {address}: {error}")?;
                explain(f, error, "--http-port")
            }
            Self::StateInUse(folder) => {
                let folder = folder.display();
                write!(f, "another node uses the folder {folder}; choose another with --state")
            }
            Self::State(folder, error) => {
                write!(f, "cannot use the folder {}: {error}", folder.display())
            }
            Self::Sprockets(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

fn explain(f: &mut fmt::Formatter<'_>, error: &io::Error, option: &str) -> fmt::Result {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            write!(f, " (another node or program has it; choose another address or {option})")
        }
        io::ErrorKind::PermissionDenied => {
            write!(f, " (ports below 1024 need root; choose another one with {option})")
        }
        _ => Ok(()),
    }
}

/// The sockets of one node.
pub(crate) struct Sockets {
    /// Bound to the node's own address; everything is sent from it.
    pub(crate) unicast: UdpSocket,
    /// Bound to the broadcast addresses.
    pub(crate) broadcast: Vec<UdpSocket>,
    /// Where to send what is for all.
    pub(crate) everyone: SocketAddrV4,
    pub(crate) http: Acceptor,
}

impl Sockets {
    pub(crate) fn bind(address: Ipv4Addr, port: u16, http_port: u16) -> Result<Self, BindError> {
        let everyone = SocketAddrV4::new(broadcast_address(address)?, port);
        let limited = SocketAddrV4::new(Ipv4Addr::BROADCAST, port);
        let mut broadcast = vec![udp(everyone, true)?];
        // Boards say it to all networks at once; on loopback there are none.
        if !address.is_loopback() && everyone != limited {
            broadcast.push(udp(limited, true)?);
        }
        Ok(Self {
            unicast: udp(SocketAddrV4::new(address, port), false)?,
            broadcast,
            everyone,
            http: tcp(SocketAddrV4::new(address, http_port))?,
        })
    }
}

fn udp(address: SocketAddrV4, shared: bool) -> Result<UdpSocket, BindError> {
    udp_of(None, address, shared)
}

/// A UDP socket, of one interface only if that is named.
pub(crate) fn udp_of(
    interface: Option<&str>,
    address: SocketAddrV4,
    shared: bool,
) -> Result<UdpSocket, BindError> {
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(shared)?;
        socket.set_broadcast(true)?;
        socket.bind_device(interface.map(str::as_bytes))?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::new(Async::new(socket.into())?))
    };
    open().map_err(|error| BindError::Udp(address, error))
}

pub(crate) fn tcp(address: SocketAddrV4) -> Result<Acceptor, BindError> {
    let listener = Async::<TcpListener>::bind(address);
    listener.map(Acceptor).map_err(|error| BindError::Tcp(address, error))
}

/// Accepts connections whose pieces of an answer leave at once. Left to Nagle's algorithm, each
/// but the first waits for the client's delayed acknowledgement, some 40 ms.
pub(crate) struct Acceptor(Async<TcpListener>);

impl TcpAccept for Acceptor {
    type Error = io::Error;
    type Socket<'a> = TcpSocket;

    async fn accept(&self) -> Result<(SocketAddr, TcpSocket), io::Error> {
        let (socket, from) = self.0.accept().await?;
        socket.get_ref().set_nodelay(true)?;
        Ok((from, TcpSocket::new(socket)))
    }
}

/// The address on which all nodes on the network of `address` hear.
fn broadcast_address(address: Ipv4Addr) -> Result<Ipv4Addr, BindError> {
    if address.is_loopback() {
        return Ok(Ipv4Addr::new(127, 255, 255, 255));
    }
    Ok(interface(address)?.1)
}

/// The interface that has `address`, and its broadcast address.
pub(crate) fn interface(address: Ipv4Addr) -> Result<(String, Ipv4Addr), BindError> {
    let interfaces = if_addrs::get_if_addrs().map_err(BindError::Interfaces)?;
    let ours = interfaces.into_iter().filter_map(|interface| match interface.addr {
        if_addrs::IfAddr::V4(v4) => Some((interface.name, v4)),
        if_addrs::IfAddr::V6(_) => None,
    });
    let mut there = Vec::new();
    for (name, v4) in ours {
        if v4.ip == address {
            return Ok((name, v4.broadcast.unwrap_or(Ipv4Addr::BROADCAST)));
        }
        there.push(v4.ip);
    }
    Err(BindError::NoSuchAddress(address, there))
}

#[cfg(test)]
mod tests {
    use super::{BindError, Sockets};
    use std::net::{Ipv4Addr, UdpSocket};

    #[test]
    fn a_foreign_address_is_refused_with_the_ones_that_there_are() {
        let foreign = Ipv4Addr::new(192, 0, 2, 1);
        let Err(error) = Sockets::bind(foreign, 4999, 4999) else { panic!("bound {foreign}") };
        assert!(matches!(error, BindError::NoSuchAddress(..)));
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }

    #[test]
    fn an_address_in_use_is_named_with_the_option_that_helps() {
        let address = Ipv4Addr::new(127, 43, 0, 1);
        // Held at another address, so that nobody else is given them meanwhile.
        let held = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [port, other] = held.each_ref().map(|it| it.local_addr().unwrap().port());
        let _first = Sockets::bind(address, port, port).unwrap();
        let Err(error) = Sockets::bind(address, port, other) else { panic!("bound twice") };
        assert!(error.to_string().contains("--port"), "{error}");
        let Err(error) = Sockets::bind(address, other, port) else { panic!("bound twice") };
        assert!(error.to_string().contains("--http-port"), "{error}");
    }
}
