//! The node on its board: memory, tasks and the main loop.
//!
//! Everything that lives as long as the node is a static, made where it stays: nothing large
//! passes over the stack, of which there are about five kilobytes.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use edge_nal::{TcpBind, UdpBind, UdpSplit};
use edge_nal_embassy::{Tcp, TcpBuffers, Udp, UdpBuffers};
use embassy_executor::Spawner;
use embassy_net::{Runner, Stack, StackResources};
use embassy_time::Instant;
use spore_core::api::{Assets, Entrance};
use spore_core::config::Timing;
use spore_core::network::RadioConfig;
use spore_core::profile::Esp01;
use spore_core::store::MAX_VALUE;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{ClusterKey, Config, Hostname, Key, Node, Storage, Stored};
use spore_node::http::{BODY_MAX, BUFFER_LEN, CONNECTIONS, STREAMS, Server, Timeouts, WORKERS};
use spore_node::provision::PAGE;
use spore_node::sprocket::Crew;
use spore_node::store::Loaded;
use spore_node::{DASHBOARD, Shell, System as _, client};
use static_cell::{ConstStaticCell, StaticCell};

use crate::board::{Body, on_second};
use crate::log::log_line;
use crate::net::access_point::AccessPoint;
use crate::net::arp::{Neighbors, Seconds};
use crate::net::datagrams::WithoutOversize;
use crate::net::driver::{Identity, LinkDriver, NEIGHBORS};
use crate::net::interface::Interface;
use crate::net::link::{BOARD_QUEUE, Link, TRANSMIT_MAX};
use crate::sprockets::{Fitted, ROSTER, fitted};

/// What one TCP connection can hold of a request and of an answer, in bytes. Few requests are longer
/// than the first, and most answers to programs are not longer than the second; those that are take two segments or more.
const TCP_RECEIVE_BYTES: usize = 512;
const TCP_TRANSMIT_BYTES: usize = 512;
const _: () = assert!(TCP_TRANSMIT_BYTES + 54 <= TRANSMIT_MAX, "a full buffer fills one frame");

/// What the UDP socket can hold, in bytes and in datagrams, each way: two of the longest that
/// come, or as many as their number allows of a quiet cluster, and one that goes, since who sends
/// the next one waits.
const UDP_RECEIVE_BYTES: usize = 2 * MAX_DATAGRAM;
const UDP_TRANSMIT_BYTES: usize = MAX_DATAGRAM;
const UDP_DATAGRAMS: usize = 4;

/// What the one outgoing TCP connection can hold, in bytes: a piece of an answer, and a request.
const CLIENT_RECEIVE_BYTES: usize = 192;
const CLIENT_TRANSMIT_BYTES: usize = 96;

/// One UDP socket, as many TCP sockets as there are workers to accept on them, and an outgoing one.
const SOCKETS: usize = 1 + WORKERS + 1;

pub(crate) type NodeLink = Link<BOARD_QUEUE>;
type NodeDriver = LinkDriver<'static, BOARD_QUEUE>;
pub(crate) type NodeShell = Shell<'static, Body>;
type NodeServer = Server<'static, CONNECTIONS>;
type NodeTcpBuffers = TcpBuffers<WORKERS, TCP_TRANSMIT_BYTES, TCP_RECEIVE_BYTES>;
type NodeClientBuffers = TcpBuffers<1, CLIENT_TRANSMIT_BYTES, CLIENT_RECEIVE_BYTES>;
type NodeUdpBuffers = UdpBuffers<1, UDP_TRANSMIT_BYTES, UDP_RECEIVE_BYTES, UDP_DATAGRAMS>;

static LINK: ConstStaticCell<NodeLink> = ConstStaticCell::new(Link::new());
static INTERFACE: StaticCell<Interface> = StaticCell::new();
static NEIGHBOR_TABLE: ConstStaticCell<Neighbors<NEIGHBORS>> =
    ConstStaticCell::new(Neighbors::new());
static STACK_RESOURCES: ConstStaticCell<StackResources<SOCKETS>> =
    ConstStaticCell::new(StackResources::new());
static TCP_BUFFERS: ConstStaticCell<NodeTcpBuffers> = ConstStaticCell::new(TcpBuffers::new());
static CLIENT_BUFFERS: ConstStaticCell<NodeClientBuffers> = ConstStaticCell::new(TcpBuffers::new());
static UDP_BUFFERS: ConstStaticCell<NodeUdpBuffers> = ConstStaticCell::new(UdpBuffers::new());
static HTTP_BUFFERS: ConstStaticCell<[[u8; BUFFER_LEN]; CONNECTIONS]> =
    ConstStaticCell::new([[0; BUFFER_LEN]; CONNECTIONS]);
static BODY_BUFFER: ConstStaticCell<[u8; BODY_MAX]> = ConstStaticCell::new([0; BODY_MAX]);
static STORAGE: ConstStaticCell<Storage<Esp01>> = ConstStaticCell::new(Storage::NEW);
static SPROCKETS: ConstStaticCell<Fitted> = ConstStaticCell::new(fitted());
static SHELL: StaticCell<NodeShell> = StaticCell::new();
static SERVER: StaticCell<NodeServer> = StaticCell::new();
static TCP: StaticCell<Tcp<'static>> = StaticCell::new();

/// What a board is told before it starts.
pub(crate) struct Start {
    /// Its name.
    pub hostname: Hostname,
    /// Its address, if it has one already.
    pub address: Ipv4Addr,
    /// UDP port of the cluster.
    pub port: u16,
    /// TCP port of the API.
    pub http_port: u16,
    /// The cluster key; without one the board is unclaimed.
    pub key: Option<ClusterKey>,
    /// Its radio; a wired board has none.
    pub radio: Option<RadioConfig>,
}

/// The link between board and IP stack. To be called once.
pub(crate) fn link() -> &'static NodeLink {
    LINK.take()
}

/// The network interface of a board that is `identity`, or that is to get an address as long as that has none. To be called
/// once.
pub(crate) fn interface(identity: Identity) -> &'static Interface {
    INTERFACE.init_with(|| {
        let seconds = || Instant::now().as_secs();
        Interface::new(identity, AccessPoint::new(seconds), milliseconds)
    })
}

/// Starts the IP stack over `link`, with random numbers from `seed`. To be called once.
#[inline(never)]
pub(crate) fn start_network(
    spawner: Spawner,
    (link, interface): (&'static NodeLink, &'static Interface),
    config: embassy_net::Config,
    seed: u64,
) -> Stack<'static> {
    let driver = LinkDriver::new(link, interface, NEIGHBOR_TABLE.take(), seconds);
    let (stack, runner) = embassy_net::new(driver, config, STACK_RESOURCES.take(), seed);
    spawner.spawn(run_network(runner).expect(SPAWNED_ONCE));
    stack
}

/// Makes the node and starts its tasks. To be called once.
///
/// # Panics
/// If there is no memory for a second stack.
#[inline(never)]
pub(crate) fn start_node(
    spawner: Spawner,
    (network, interface): (Stack<'static>, &'static Interface),
    args: &Start,
    system: Body,
) -> &'static NodeShell {
    let body = BODY_BUFFER.take();
    // The engine is made on the stack before it is moved to its place, and that takes more than the
    // first one has left here.
    let made = on_second(|| make_shell(args, system, body));
    let (shell, depth) = made.expect("there is memory for a second stack");
    log_line!("SECOND STACK ", depth);
    shell.with_node(|node| tell_of_claim(node, args.radio.is_some()));
    let server = make_server(body);
    let tcp: &'static Tcp<'static> = TCP.init_with(|| Tcp::new(network, TCP_BUFFERS.take()));

    spawner.spawn(run_cluster(shell, network, args.port).expect(SPAWNED_ONCE));
    spawner.spawn(run_client(shell, network).expect(SPAWNED_ONCE));
    spawner.spawn(run_installer(shell).expect(SPAWNED_ONCE));
    for _ in 0..WORKERS {
        let entrance = (interface, args.http_port);
        spawner.spawn(run_worker(server, shell, tcp, entrance).expect(SPAWNED_ONCE));
    }
    shell
}

/// The engine, with what the board remembers, which is read into `scratch`.
#[inline(never)]
fn make_shell(args: &Start, system: Body, scratch: &mut [u8; BODY_MAX]) -> &'static NodeShell {
    let config = Config {
        hostname: args.hostname.clone(),
        address: args.address,
        port: args.port,
        http_port: args.http_port,
        key: args.key.clone(),
        services: ROSTER.catalogue(),
        assets: Assets { everywhere: DASHBOARD, access_point: PAGE },
        tasks: ROSTER.tasks(),
        sprockets: ROSTER.sprockets(),
        timing: Timing::DEFAULT,
        radio: args.radio.clone(),
    };
    let mut stored = Stored::default();
    let mut rest = &mut scratch[..];
    for key in Key::ALL {
        let loaded = rest.first_chunk_mut().map_or(Loaded::Damaged, |room| system.load(key, room));
        let (value, behind) = core::mem::take(&mut rest).split_at_mut(loaded.len());
        rest = behind;
        stored.set(key, value);
        if loaded.is_damaged() {
            stored.doubt(key);
        }
    }
    let len = system.crashed(rest);
    stored.crashed = &rest[..len];
    let crew = Crew::new(ROSTER, SPROCKETS.take());
    SHELL.init_with(|| Shell::new(&config, &stored, system, STORAGE.take(), crew))
}

/// Says what the board lacks to be reached.
fn tell_of_claim(node: &Node<'_>, has_radio: bool) {
    if node.is_claim_damaged() {
        log_line!("CLAIM damaged: the board joins nobody until it is flashed with settings");
    }
    if has_radio && node.access_point().is_none() {
        log_line!("WIFI no access point: there is no password for it");
    }
}

/// All values of the board are read into the body buffer, one behind the other, and there is room for the longest behind them.
const _: () = {
    let (mut len, mut keys) = (MAX_VALUE, Key::ALL.as_slice());
    while let [key, rest @ ..] = keys {
        len += key.longest();
        keys = rest;
    }
    assert!(len <= BODY_MAX);
};

#[inline(never)]
fn make_server(body: &'static mut [u8; BODY_MAX]) -> &'static NodeServer {
    let buffers = HTTP_BUFFERS.take().each_mut().map(|buffer| &mut buffer[..]);
    SERVER.init_with(|| Server::new(buffers, body, STREAMS, Timeouts::STANDARD))
}

/// Why a task's memory is free when it is spawned.
pub(crate) const SPAWNED_ONCE: &str = "no task is spawned more often than its pool allows";

/// Why a socket can be bound.
const BOUND_ONCE: &str = "there is a socket for each task, and the port is not zero";

fn milliseconds() -> u64 {
    Instant::now().as_millis()
}

fn seconds() -> Seconds {
    // Modulo 2¹⁶ is what the table expects.
    Instant::now().as_secs() as Seconds
}

#[embassy_executor::task]
async fn run_network(mut runner: Runner<'static, NodeDriver>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run_cluster(shell: &'static NodeShell, stack: Stack<'static>, port: u16) -> ! {
    let udp = Udp::new(stack, UDP_BUFFERS.take());
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let mut socket = udp.bind(local).await.expect(BOUND_ONCE);
    let (receiver, sender) = socket.split();
    let mut buf = [0; MAX_DATAGRAM];
    let broadcast = SocketAddrV4::new(Ipv4Addr::BROADCAST, port);
    shell.converse((WithoutOversize(receiver), sender), broadcast, &mut buf).await
}

/// Fetches the status of other members.
#[embassy_executor::task]
async fn run_client(shell: &'static NodeShell, stack: Stack<'static>) -> ! {
    let mut answer = [0; client::BUFFER_LEN];
    shell.fetch(Tcp::new(stack, CLIENT_BUFFERS.take()), &mut answer).await
}

/// Installs the images that come over HTTP.
#[embassy_executor::task]
async fn run_installer(shell: &'static NodeShell) -> ! {
    shell.install().await
}

#[embassy_executor::task(pool_size = WORKERS)]
async fn run_worker(
    server: &'static NodeServer,
    shell: &'static NodeShell,
    tcp: &'static Tcp<'static>,
    place: (&'static Interface, u16),
) -> ! {
    let (interface, port) = place;
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let acceptor = tcp.bind(local).await.expect(BOUND_ONCE);
    let entrance = |client: SocketAddr| match client {
        SocketAddr::V4(client) => interface.access_point().entrance(*client.ip()),
        SocketAddr::V6(_) => Entrance::Network,
    };
    server.worker(&acceptor, entrance, shell).await
}
