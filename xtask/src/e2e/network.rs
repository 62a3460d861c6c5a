//! The test's network: a bridge, Linux nodes behind cables, boards behind TAPs, a DHCP server for them.
//!
//! All of it is made in the network namespace that this process is alone in, so nothing needs to
//! be removed: the kernel does that with the namespace.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::emu::child::Guarded;
use crate::{emu, process};

/// Bits of the network 10.0.1.0.
const PREFIX_LEN: u8 = 24;

/// Where this process is, on the bridge.
pub(super) const OBSERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

/// The address of Linux node `number`.
pub(super) fn host_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 10 + number)
}

/// The first address that a board gets, from who answers them.
const FIRST_BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 21);

/// The network, as far as it must be named.
pub(super) struct Network {
    name: String,
}

impl Network {
    /// Makes the bridge. `name` is part of everything that gets one.
    ///
    /// # Errors
    /// When this process is not in namespaces of its own, or `ip` fails.
    pub(super) fn new(name: &str) -> Result<Self> {
        ensure_isolated()?;
        // `ip netns` keeps its names here, and they are nobody else's business.
        run("mount", "-t tmpfs tmpfs /run")?;
        ip("link set lo up")?;
        // Not the bridge's own protocols: they would hold frames back at first, or drop some.
        ip("link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        ip(&format!("addr add {OBSERVER}/{PREFIX_LEN} brd + dev bridge"))?;
        ip("link set bridge up")?;
        Ok(Self { name: name.to_owned() })
    }

    /// Makes a namespace for Linux node `number`, with a cable to the bridge, and returns its path.
    ///
    /// # Errors
    /// When `ip` fails.
    pub(super) fn add_host(&self, number: u8) -> Result<String> {
        let namespace = format!("{}-host{number}", self.name);
        let cable = format!("cable{number}");
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("link add {cable} type veth peer name eth0 netns {namespace}"))?;
        ip(&format!("link set {cable} master bridge up"))?;
        let address = host_address(number);
        ip(&format!("-n {namespace} addr add {address}/{PREFIX_LEN} brd + dev eth0"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        Ok(format!("/run/netns/{namespace}"))
    }

    /// Starts the DHCP server at the bridge, which gives each board the same address again.
    ///
    /// # Errors
    /// When there is no TAP for it, or QEMU does not start.
    pub(super) fn add_gateway(&self, log: &Path) -> Result<Guarded> {
        let inside = format!("tap,id=inside,ifname={},script=no,downscript=no", self.add_tap(0)?);
        emu::cluster::gateway(&format!(",dhcpstart={FIRST_BOARD}"), &inside, log)
    }

    /// Makes a TAP at the bridge for board `number`, and returns its name.
    ///
    /// # Errors
    /// When `ip` fails.
    pub(super) fn add_tap(&self, number: u8) -> Result<String> {
        let tap = format!("tap{number}");
        ip(&format!("tuntap add dev {tap} mode tap"))
            .context("no TAP interface; is there a /dev/net/tun?")?;
        ip(&format!("link set {tap} master bridge up"))?;
        Ok(tap)
    }
}

/// A fresh network namespace has a loopback interface at most. This is what keeps the rest of this
/// file from ever touching a real one.
pub(crate) fn ensure_isolated() -> Result<()> {
    let links = process::run(Command::new("ip").args(["-brief", "link"]))?;
    ensure!(
        links.lines().all(|line| line.starts_with("lo ")),
        "this network namespace is not empty; start the test with `cargo xtask e2e`:\n{links}"
    );
    Ok(())
}

/// Runs `ip`.
///
/// # Errors
/// When it fails.
pub(crate) fn ip(arguments: &str) -> Result<()> {
    run("ip", arguments)
}

/// Runs a program with arguments that have no blanks in them.
///
/// # Errors
/// When it fails.
pub(crate) fn run(program: &str, arguments: &str) -> Result<()> {
    process::run(Command::new(program).args(arguments.split(' ')))
        .with_context(|| format!("`{program} {arguments}`"))?;
    Ok(())
}
