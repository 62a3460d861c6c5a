//! The access point of a node whose radio is modelled: a network of this machine stands for it, and whoever is on that
//! network is served what those who join a board's access point are.

use crate::CONNECTIONS;
use crate::net::{Acceptor, BindError, interface, tcp, udp_of};
use crate::radio::Driver;
use crate::system::HostSystem;
use edge_nal_std::UdpSocket;
use embassy_futures::join::{join_array, join3};
use embassy_futures::select::select;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use log::{error, info};
use spore_core::api::Entrance;
use spore_node::Shell;
use spore_node::dhcp;
use spore_node::http::Server;
use spore_node::provision::{
    DHCP_BUFFER_LEN, DNS_BUFFER_LEN, DNS_PORT, Leases, answer_names, lease_addresses,
};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The TCP port of web servers, which phones ask.
const HTTP_PORT: u16 = 80;

/// Connections through the access point that are served at once, out of those of the node.
const WORKERS: usize = 4;

/// Between two attempts to take the addresses.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// Where a node's access point is.
#[derive(Clone, Debug)]
pub struct AccessPoint {
    address: Ipv4Addr,
    /// The address, as URLs have it.
    host: &'static str,
}

/// What is served there.
pub(crate) struct Sockets {
    dhcp: UdpSocket,
    dns: UdpSocket,
    http: Acceptor,
}

impl AccessPoint {
    /// The access point of a node that has `address` on it. Its network should have 24 bits, since that is what those
    /// who join it are told, and no other DHCP server.
    pub fn new(address: Ipv4Addr) -> Self {
        // A few bytes for each node that is ever started, which are needed as long as one runs.
        Self { address, host: address.to_string().leak() }
    }

    /// Takes the addresses.
    pub(crate) fn bind(&self) -> Result<Sockets, BindError> {
        let (interface, _) = interface(self.address)?;
        let all = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, dhcp::SERVER_PORT);
        Ok(Sockets {
            // Who has no address yet asks all, which only a socket without an address hears; and not
            // to be heard on other networks, it is bound to the interface.
            dhcp: udp_of(Some(&interface), all, true)?,
            dns: udp_of(None, SocketAddrV4::new(self.address, DNS_PORT), false)?,
            http: tcp(SocketAddrV4::new(self.address, HTTP_PORT))?,
        })
    }

    /// Serves whoever is on the access point, while it is open.
    pub(crate) async fn serve(
        &self,
        server: &Server<'_, CONNECTIONS>,
        shell: &Shell<'_, HostSystem>,
        radio: &Driver,
    ) -> ! {
        loop {
            radio.opened.turned(true).await;
            match self.bind() {
                Ok(sockets) => {
                    info!("the access point is open at http://{}/", self.host);
                    let serving = Box::pin(self.serve_on(&sockets, server, shell, radio));
                    select(serving, radio.opened.turned(false)).await;
                    radio.set_clients(0);
                    info!("the access point is closed");
                }
                Err(error) => {
                    error!("cannot serve the access point yet: {error}");
                    async_io::Timer::after(BIND_PAUSE).await;
                }
            }
        }
    }

    async fn serve_on(
        &self,
        sockets: &Sockets,
        server: &Server<'_, CONNECTIONS>,
        shell: &Shell<'_, HostSystem>,
        radio: &Driver,
    ) {
        let own = self.address;
        let mut leases = Leases::new(own, || embassy_time::Instant::now().as_secs());
        let (mut messages, mut questions) = ([0; DHCP_BUFFER_LEN], [0; DNS_BUFFER_LEN]);
        let told = |count| radio.set_clients(count);
        let entrance = Entrance::AccessPoint(self.host);
        let workers = std::array::from_fn::<_, WORKERS, _>(|_| {
            server.worker(&sockets.http, |_| entrance, shell)
        });
        join3(
            lease_addresses(&mut leases, &sockets.dhcp, told, &mut messages),
            answer_names(own, &sockets.dns, &mut questions),
            Box::pin(join_array(workers)),
        )
        .await;
    }
}

/// Something that is on or off, and can be waited for in one place.
#[derive(Default)]
pub(crate) struct Switch {
    on: Cell<bool>,
    turned: Signal<NoopRawMutex, ()>,
}

impl Switch {
    pub(crate) fn turn(&self, on: bool) {
        self.on.set(on);
        self.turned.signal(());
    }

    /// Waits until it is `on`, or off.
    pub(crate) async fn turned(&self, on: bool) {
        while self.on.get() != on {
            self.turned.wait().await;
        }
    }
}
