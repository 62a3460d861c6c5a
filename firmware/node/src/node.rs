//! The node on its board: memory, tasks and the main loop.
//!
//! Everything that lives as long as the node is a static, made where it stays: nothing large
//! passes over the stack, of which there are about five kilobytes.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use edge_nal::{TcpBind, UdpBind, UdpSplit};
use edge_nal_embassy::{Tcp, TcpBuffers, Udp, UdpBuffers};
use embassy_executor::Spawner;
use embassy_executor::raw::Executor;
use embassy_futures::join::join;
use embassy_net::{Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, Instant, Timer};
use qemu::boot_params::{BootParams, command_line};
use qemu::eth::Ethernet;
use qemu::{cpu, log_line, random};
use spore_core::api::{Assets, Entrance};
use spore_core::config::Timing;
use spore_core::profile::Esp01;
use spore_core::store::MAX_VALUE;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{Config, Key, Storage, Stored};
use spore_node::http::{BODY_MAX, BUFFER_LEN, CONNECTIONS, STREAMS, Server, Timeouts, WORKERS};
use spore_node::sprocket::Crew;
use spore_node::{Shell, client};
use static_cell::{ConstStaticCell, StaticCell};

use crate::board::qemu::boot_args::BootArgs;
use crate::board::qemu::machine::eth::service;
use crate::board::qemu::machine::nor::RamNor;
use crate::board::qemu::machine::system::EmulatedSystem;
use crate::board::qemu::machine::{retained, stack, time};
use crate::net::arp::{Neighbors, Seconds};
use crate::net::datagrams::WithoutOversize;
use crate::net::driver::{Identity, LinkDriver, NEIGHBORS};
use crate::net::interface::Interface;
use crate::net::link::{Link, TRANSMIT_MAX};
use crate::sprockets::{Fitted, ROSTER, fitted};

/// Memory for received frames: three of the longest that are sent to a node, since its TCP windows and the cluster's
/// datagrams are of 512 bytes; or some nine datagrams of a quiet cluster.
const QUEUE_BYTES: usize = 1704;

/// What one TCP connection can hold of a request and of an answer, in bytes. Few requests are longer
/// than the first; those that are take two segments. The second holds the head of an answer and the least
/// piece of its body.
const TCP_RECEIVE_BYTES: usize = 512;
const TCP_TRANSMIT_BYTES: usize = 800;
const _: () = assert!(TCP_TRANSMIT_BYTES + 54 <= TRANSMIT_MAX, "a full buffer fills one frame");

/// What the UDP socket can hold, in bytes and in datagrams, each way: two of the longest that
/// come, or as many as their number allows of a quiet cluster, and one that goes, since who sends
/// the next one waits.
const UDP_RECEIVE_BYTES: usize = 2 * MAX_DATAGRAM;
const UDP_TRANSMIT_BYTES: usize = MAX_DATAGRAM;
const UDP_DATAGRAMS: usize = 6;

/// What the one outgoing TCP connection can hold, in bytes: a piece of an answer, and a request.
const CLIENT_RECEIVE_BYTES: usize = 320;
const CLIENT_TRANSMIT_BYTES: usize = 128;

/// One UDP socket, as many TCP sockets as there are workers to accept on them, and an outgoing one.
const SOCKETS: usize = 1 + WORKERS + 1;

/// How often it is looked for memory that was never needed before.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

type NodeLink = Link<QUEUE_BYTES>;
type NodeDriver = LinkDriver<'static, QUEUE_BYTES>;
type NodeShell = Shell<'static, EmulatedSystem>;
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
static EXECUTOR: StaticCell<Executor> = StaticCell::new();

/// `start.S` comes here, with zeroed statics and a painted stack.
///
/// # Safety
/// To be called once, with QEMU's boot parameters.
#[unsafe(no_mangle)]
unsafe extern "C" fn lx106_main(params: BootParams) -> ! {
    // SAFETY: the caller vouches for the parameters.
    let line = unsafe { command_line(params) };
    let (executor, link, mut ethernet) = start(line);
    loop {
        // SAFETY: this is the only place that polls, and no task does.
        unsafe { executor.poll() };
        service(&mut ethernet, link);
        time::sleep_until_work();
    }
}

/// Starts everything. Not inlined, so that its locals leave the stack before the tasks run.
#[inline(never)]
fn start(line: &'static str) -> (&'static Executor, &'static NodeLink, Ethernet) {
    let (reset_reason, resets, restarts) = retained::begin();
    let args = match BootArgs::parse(line) {
        Ok(args) => args,
        Err(error) => stop(format_args!("{error}")),
    };
    if let Err(hz) = qemu::time::check_clock() {
        stop(format_args!("the board runs at {hz} Hz, this firmware is built for 40 MHz"));
    }
    log_line!("BOOT {} {} {}", args.hostname, args.address, reset_reason.as_str());

    let link: &'static NodeLink = LINK.take();
    let ethernet = Ethernet::start(args.mac_address());
    link.set_up(true);
    let executor: &'static Executor = EXECUTOR.init_with(|| Executor::new(core::ptr::null_mut()));
    let spawner = executor.spawner();

    let random: [u8; 40] = random::bytes(&args.seed, resets, cpu::cycles());
    let (seed, network_seed) = split(&random);
    // SAFETY: `start` runs once, and nobody else makes one.
    let flash = unsafe { RamNor::new() };
    let system = EmulatedSystem::new(u32::from(args.id), (reset_reason, restarts), seed, flash);
    let network = start_network(spawner, link, &args, u64::from_le_bytes(network_seed));
    start_node(spawner, network, &args, system);
    spawner.spawn(watch_memory(link).expect(SPAWNED_ONCE));
    (executor, link, ethernet)
}

/// Says why the machine cannot start, and leaves it asleep: to try again would change nothing.
fn stop(reason: fmt::Arguments<'_>) -> ! {
    log_line!("BOOT ERROR {reason}");
    cpu::halt()
}

fn split(random: &[u8; 40]) -> ([u8; 32], [u8; 8]) {
    let (mut long, mut short) = ([0; 32], [0; 8]);
    long.copy_from_slice(&random[..32]);
    short.copy_from_slice(&random[32..]);
    (long, short)
}

#[inline(never)]
fn start_network(
    spawner: Spawner,
    link: &'static NodeLink,
    args: &BootArgs,
    seed: u64,
) -> Stack<'static> {
    let identity =
        Identity { mac: args.mac_address(), ip: args.address, prefix_len: args.prefix_len };
    let interface = INTERFACE.init_with(|| Interface::new(identity, milliseconds));
    let driver = LinkDriver::new(link, interface, NEIGHBOR_TABLE.take(), seconds);
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(args.address, args.prefix_len),
        gateway: None,
        dns_servers: heapless::Vec::new(),
    });
    let (stack, runner) = embassy_net::new(driver, config, STACK_RESOURCES.take(), seed);
    spawner.spawn(run_network(runner).expect(SPAWNED_ONCE));
    stack
}

#[inline(never)]
fn start_node(spawner: Spawner, network: Stack<'static>, args: &BootArgs, system: EmulatedSystem) {
    let body = BODY_BUFFER.take();
    // The engine is made on the stack before it is moved to its place, and that takes more than the
    // first one has left here.
    // SAFETY: no such call is made within it.
    let (shell, depth) = unsafe { stack::on_second(|| make_shell(args, system, body)) };
    log_line!("SECOND STACK {depth}");
    let server = make_server(body);
    let tcp: &'static Tcp<'static> = TCP.init_with(|| Tcp::new(network, TCP_BUFFERS.take()));

    spawner.spawn(run_cluster(shell, network, args.port).expect(SPAWNED_ONCE));
    spawner.spawn(run_client(shell, network).expect(SPAWNED_ONCE));
    for _ in 0..WORKERS {
        spawner.spawn(run_worker(server, shell, tcp, args.http_port).expect(SPAWNED_ONCE));
    }
}

/// The engine, with what the board remembers, which is read into `scratch`.
#[inline(never)]
fn make_shell(
    args: &BootArgs,
    system: EmulatedSystem,
    scratch: &mut [u8; BODY_MAX],
) -> &'static NodeShell {
    let config = Config {
        hostname: args.hostname.clone(),
        address: args.address,
        port: args.port,
        http_port: args.http_port,
        key: args.key.clone(),
        services: ROSTER.catalogue(),
        assets: Assets::NONE,
        tasks: ROSTER.tasks(),
        sprockets: ROSTER.sprockets(),
        timing: Timing::DEFAULT,
        radio: None,
    };
    let mut stored = Stored::default();
    for (key, value) in Key::ALL.into_iter().zip(scratch.as_chunks_mut::<MAX_VALUE>().0) {
        let loaded = system.load(key, value);
        stored.set(key, &value[..loaded.len()]);
        if loaded.is_damaged() {
            stored.doubt(key);
        }
    }
    let crew = Crew::new(ROSTER, SPROCKETS.take());
    SHELL.init_with(|| Shell::new(&config, &stored, system, STORAGE.take(), crew))
}

/// Each value of the board is read into a part of the body buffer of its own.
const _: () = assert!(Key::ALL.len() * MAX_VALUE <= BODY_MAX);

#[inline(never)]
fn make_server(body: &'static mut [u8; BODY_MAX]) -> &'static NodeServer {
    let buffers = HTTP_BUFFERS.take().each_mut().map(|buffer| &mut buffer[..]);
    SERVER.init_with(|| Server::new(buffers, body, STREAMS, Timeouts::STANDARD))
}

/// Why a task's memory is free when it is spawned.
const SPAWNED_ONCE: &str = "no task is spawned more often than its pool allows";

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
async fn run_cluster(shell: &'static NodeShell, stack: Stack<'static>, port: u16) {
    let udp = Udp::new(stack, UDP_BUFFERS.take());
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let mut socket = udp.bind(local).await.expect(BOUND_ONCE);
    let (receiver, sender) = socket.split();
    let (mut incoming, mut outgoing) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
    let broadcast = SocketAddrV4::new(Ipv4Addr::BROADCAST, port);
    join(
        shell.listen(WithoutOversize(receiver), &mut incoming),
        shell.drive(sender, broadcast, &mut outgoing),
    )
    .await;
}

/// Fetches the status of other members.
#[embassy_executor::task]
async fn run_client(shell: &'static NodeShell, stack: Stack<'static>) -> ! {
    let mut answer = [0; client::BUFFER_LEN];
    shell.fetch(Tcp::new(stack, CLIENT_BUFFERS.take()), &mut answer).await
}

#[embassy_executor::task(pool_size = WORKERS)]
async fn run_worker(
    server: &'static NodeServer,
    shell: &'static NodeShell,
    tcp: &'static Tcp<'static>,
    port: u16,
) -> ! {
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let acceptor = tcp.bind(local).await.expect(BOUND_ONCE);
    server.worker(&acceptor, Entrance::Network, shell).await
}

/// Tells whenever the stack has been deeper, or the queue of frames fuller, than before.
#[embassy_executor::task]
async fn watch_memory(link: &'static NodeLink) {
    let (mut deepest, mut fullest, mut dropped) = (0, 0, 0);
    loop {
        let depth = stack::high_water();
        if depth > deepest {
            deepest = depth;
            log_line!("STACK {depth}");
            let budget = stack::budget();
            // Beyond it, the chip has memory of others.
            assert!(depth <= budget, "the stack was {depth} bytes deep; its budget is {budget}");
        }
        if (link.most_waiting(), link.dropped()) != (fullest, dropped) {
            (fullest, dropped) = (link.most_waiting(), link.dropped());
            log_line!("QUEUE at most {fullest} frames, {dropped} dropped");
        }
        Timer::after(WATCH_INTERVAL).await;
    }
}
