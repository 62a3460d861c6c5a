//! What the tests on real sockets share: a server on the loopback interface.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use async_io::Async;
use edge_nal::TcpAccept;
use edge_nal_std::TcpSocket;
use embassy_futures::join::join_array;
use futures_lite::future::or;
use spore_core::api::Entrance;
use spore_node::http::{Api, BODY_MAX, BUFFER_LEN, Server, Timeouts};

/// A server lives no longer than this; no test takes as long.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30);

/// `edge-nal-std`'s sockets behind a listener whose port is known.
pub(crate) struct Acceptor(Async<TcpListener>);

impl Acceptor {
    /// Listens at a free port.
    pub(crate) fn bind() -> Self {
        Self(Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
    }

    /// Where it listens.
    fn address(&self) -> SocketAddr {
        self.0.get_ref().local_addr().expect("bound")
    }
}

impl TcpAccept for Acceptor {
    type Error = std::io::Error;
    type Socket<'a> = TcpSocket;

    async fn accept(&self) -> Result<(SocketAddr, TcpSocket), Self::Error> {
        let (socket, from) = self.0.accept().await?;
        Ok((from, TcpSocket::new(socket)))
    }
}

/// Starts a server in a thread of its own, with an application for each worker; where it listens.
pub(crate) fn serve<const SEATS: usize, const WORKERS: usize, A: Api>(
    streams: usize,
    timeouts: Timeouts,
    application: impl Fn() -> A + Send + 'static,
) -> SocketAddr {
    let acceptor = Acceptor::bind();
    let address = acceptor.address();
    thread::spawn(move || {
        let mut seats = [[0; BUFFER_LEN]; SEATS];
        let mut body = [0; BODY_MAX];
        let seats = seats.each_mut().map(|seat| &mut seat[..]);
        let server = Server::<SEATS>::new(seats, &mut body, streams, timeouts);
        let applications: [A; WORKERS] = std::array::from_fn(|_| application());
        let worker = |application| server.worker(&acceptor, |_| Entrance::Network, application);
        let workers = applications.each_ref().map(worker);
        let serving = async {
            join_array(workers).await;
        };
        let over = async {
            async_io::Timer::after(LIFETIME).await;
        };
        async_io::block_on(or(serving, over));
    });
    address
}
