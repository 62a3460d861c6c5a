//! Start and main loop on QEMU's board.

use core::fmt;

use embassy_executor::raw::Executor;
use embassy_net::{Ipv4Cidr, StaticConfigV4};
use embassy_time::{Duration, Timer};
use qemu::boot_params::{BootParams, command_line};
use qemu::eth::Ethernet;
use qemu::{cpu, log_line, random};
use static_cell::StaticCell;

use super::boot_args::BootArgs;
use super::machine::eth::service;
use super::machine::nor::RamNor;
use super::machine::system::EmulatedSystem;
use super::machine::{retained, stack, time};
use crate::net::driver::Identity;
use crate::node::{self, NodeLink, SPAWNED_ONCE, Start};

/// How often it is looked for memory that was never needed before.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

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

    let link = node::link();
    let ethernet = Ethernet::start(args.mac_address());
    link.set_up(true);
    let executor: &'static Executor = EXECUTOR.init_with(|| Executor::new(core::ptr::null_mut()));
    let spawner = executor.spawner();

    let random: [u8; 40] = random::bytes(&args.seed, resets, cpu::cycles());
    let (seed, network_seed) = split(&random);
    // SAFETY: `start` runs once, and nobody else makes one.
    let flash = unsafe { RamNor::new() };
    let system = EmulatedSystem::new(u32::from(args.id), (reset_reason, restarts), seed, flash);
    let (mac, ip, prefix_len) = (args.mac_address(), args.address, args.prefix_len);
    let interface = node::interface(Identity { mac, ip, prefix_len });
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(ip, prefix_len),
        gateway: None,
        dns_servers: heapless::Vec::new(),
    });
    let network_seed = u64::from_le_bytes(network_seed);
    let network = node::start_network(spawner, (link, interface), config, network_seed);
    let BootArgs { hostname, address, port, http_port, key, .. } = args;
    let args = Start { hostname, address, port, http_port, key, radio: None };
    node::start_node(spawner, (network, interface), &args, system);
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
