//! Machines on one network, and the way to their HTTP API from here.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::boot::{Boot, Secret};
use super::child::Guarded;
use super::crowd::{self, Crowd, Place, Verdict};
use super::machine::{self, Event, Machine, Plug, Report};
use super::switch::{self, Faults, Port, Switch};
use crate::machine::{Pace, QEMU};
use crate::process;

/// The emulated network, and its bits.
const NETWORK: [u8; 3] = [10, 0, 1];
const PREFIX_LEN: u8 = 24;
/// The gateway's own address in it.
const GATEWAY: u8 = 2;
/// The machine with id N gets this plus N.
const FIRST_HOST: u16 = 20;
/// A member without a machine gets this plus its number.
const CROWD: u8 = 100;

/// The firmware's default ports for the cluster and for HTTP.
const CLUSTER_PORT: u16 = spore_core::config::DEFAULT_PORT;
pub(crate) const HTTP_PORT: u16 = 80;

/// A machine is up in well under a second, but many may start at once on few cores.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);

/// Lines of a log that a message shows.
const SHOWN_LINES: usize = 5;

/// Where to look for free ports: below those that Linux hands out to clients.
const FREE_PORTS: RangeInclusive<u16> = 18_400..=32_000;

/// What a cluster is to be like.
pub(crate) struct Plan<'a> {
    /// How many machines, 1 to 32.
    pub(crate) nodes: u16,
    /// The API of machine N is at this port plus N on 127.0.0.1.
    pub(crate) base_port: u16,
    /// The cluster key.
    pub(crate) key: Secret,
    /// Members without machines.
    pub(crate) crowd: Crowd,
    /// What the network does to frames.
    pub(crate) faults: Faults,
    /// How time passes for the machines.
    pub(crate) pace: Pace,
    /// The firmware.
    pub(crate) elf: &'a Path,
    /// Where the machines' serial lines are written to.
    pub(crate) logs: &'a Path,
}

/// A running cluster. Dropping it ends all of it.
pub(crate) struct Cluster {
    machines: Vec<Machine>,
    base_port: u16,
    events: Receiver<Event>,
    gateway: Guarded,
    gateway_log: PathBuf,
    crowd: Option<crowd::Running>,
    switch: Switch,
}

/// The address of machine `id` on the emulated network.
pub(crate) fn address(id: u16) -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    // Ids go up to 32.
    let host = u8::try_from(FIRST_HOST + id).unwrap_or(u8::MAX);
    Ipv4Addr::new(a, b, c, host)
}

impl Cluster {
    /// Starts everything and waits until all machines have booted.
    ///
    /// # Errors
    /// When a port is taken, QEMU cannot be run, or a machine does not come up; nothing is left
    /// running then.
    pub(crate) fn start(plan: &Plan<'_>) -> Result<Self> {
        let ids = 1..=plan.nodes;
        check_api_ports(plan)?;

        // One plug per machine, one for the gateway, one for the crowd, and the switch's socket.
        let mut sockets = switch::loopback_sockets(usize::from(plan.nodes) + 3)?;
        let own = sockets.pop().context("no socket for the switch")?;
        let for_crowd = sockets.pop().context("no plug for the crowd")?;
        let addresses = sockets
            .iter()
            .map(|socket| socket.local_addr())
            .collect::<std::io::Result<Vec<_>>>()?;
        drop(sockets);
        let (gateway_at, machines_at) =
            addresses.split_last().context("no plug for the gateway")?;
        let mut ports: Vec<Port> =
            machines_at.iter().map(|&address| Port { address, spared: false }).collect();
        // The network's faults are for the nodes, not for those who watch them.
        ports.push(Port { address: *gateway_at, spared: true });
        ports.push(Port { address: for_crowd.local_addr()?, spared: false });
        let switch_at = own.local_addr()?;
        let switch_port = switch_at.port();
        let switch = Switch::start(own, ports, plan.faults)?;

        let gateway_log = plan.logs.join("gateway.log");
        let gateway = start_gateway(plan, gateway_at.port(), switch_port, &gateway_log)?;
        let (sender, events) = mpsc::channel();
        let mut machines = Vec::new();
        for (id, at) in ids.zip(machines_at) {
            let boot = Boot {
                id,
                address: address(id),
                prefix_len: PREFIX_LEN,
                hostname: format!("emulated-{id}"),
                key: plan.key,
                port: CLUSTER_PORT,
            };
            let plug = Plug::Switch { own: at.port(), switch: switch_port };
            let log = plan.logs.join(format!("node-{id}.log"));
            let (name, arguments) = ((id, boot.hostname.as_str()), boot.arguments()?);
            let board = |qemu: &mut Command| machine::loaded(qemu, plan.elf, &arguments);
            let told = (log, sender.clone());
            machines.push(Machine::start(name, &plug, plan.pace, told, board)?);
        }
        let base_port = plan.base_port;
        let crowd = None;
        let mut cluster = Self { machines, base_port, events, gateway, gateway_log, crowd, switch };
        cluster.wait_until_booted()?;
        if plan.crowd.members > 0 {
            let place =
                Place { network: NETWORK, before: CROWD, port: CLUSTER_PORT, switch: switch_at };
            cluster.crowd = Some(plan.crowd.start(for_crowd, place, &plan.key)?);
        }
        Ok(cluster)
    }

    /// The machines, in the order of their ids.
    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Where the API of machine `id` is for programs on this computer.
    pub(crate) fn api_url(&self, id: u16) -> String {
        format!("http://127.0.0.1:{}", self.base_port + id)
    }

    /// What the crowd says of the machines; nothing if there is none.
    pub(crate) fn verdict(&self) -> Verdict {
        self.crowd.as_ref().map_or_else(Verdict::default, crowd::Running::verdict)
    }

    /// What the switch has passed on and lost.
    pub(crate) fn traffic(&self) -> String {
        let counters = self.switch.counters();
        format!("{} frames forwarded, {} lost", counters.forwarded(), counters.lost())
    }

    /// The next thing that happens to a machine, or `None` after `timeout`.
    ///
    /// # Errors
    /// When the gateway has ended.
    pub(crate) fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>> {
        if let Some(status) = self.gateway.ended()? {
            bail!(
                "the gateway to the emulated network, a {QEMU}, has ended ({status}); \
                 `cargo xtask doctor` tells whether it is the right one. It said:\n{}",
                process::tail_of(&self.gateway_log, SHOWN_LINES)
            );
        }
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(Some(event)),
            // Disconnected: every machine has ended and has been reported.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(timeout);
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
        }
    }

    fn wait_until_booted(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        let mut waiting: Vec<u16> = self.machines.iter().map(Machine::id).collect();
        while !waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "machines {waiting:?} did not boot within {} s; see their logs",
                BOOT_TIMEOUT.as_secs()
            );
            match self.next_event(left.min(Duration::from_millis(200)))? {
                Some((id, Report::Booted)) => waiting.retain(|&other| other != id),
                Some((id, Report::Failed(line))) => bail!("machine {id}: {line}"),
                Some((id, Report::Ended)) => {
                    bail!("machine {id} has ended:\n{}", self.last_lines(id))
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The end of a machine's log, where QEMU says why it gave up.
    fn last_lines(&self, id: u16) -> String {
        let log = self.machines.iter().find(|machine| machine.id() == id).map(Machine::log);
        log.map(|log| process::tail_of(log, SHOWN_LINES)).unwrap_or_default()
    }
}

/// QEMU would end with a message in a log when a port is taken: better to say so beforehand.
fn check_api_ports(plan: &Plan<'_>) -> Result<()> {
    for id in 1..=plan.nodes {
        let port = plan.base_port.checked_add(id).context("--base-port is too high")?;
        ensure!(is_free(port), "port {port} on 127.0.0.1 is taken; choose others with --base-port");
    }
    Ok(())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A base port for `nodes` machines whose ports are all free now.
///
/// # Errors
/// When there is none.
pub(crate) fn free_base_port(nodes: u16) -> Result<u16> {
    let mut candidates = FREE_PORTS.step_by(usize::from(nodes.max(1)));
    let free = candidates.find(|base| (1..=nodes).all(|id| is_free(base + id)));
    free.with_context(|| format!("no {nodes} free TCP ports in a row in {FREE_PORTS:?}"))
}

/// A QEMU without a board, whose user-mode network forwards ports of 127.0.0.1 to the machines,
/// and nothing from the machines to anywhere.
fn start_gateway(plan: &Plan<'_>, own: u16, switch: u16, log: &Path) -> Result<Guarded> {
    let mut options = String::new();
    for id in 1..=plan.nodes {
        let (port, address) = (plan.base_port + id, address(id));
        options.push_str(&format!(",hostfwd=tcp:127.0.0.1:{port}-{address}:{HTTP_PORT}"));
    }
    gateway(&options, &machine::dgram("inside", own, switch), log)
}

/// A QEMU without a board, whose user-mode network is at its other end the network `inside`, from where nothing gets out.
/// Who asks there by DHCP gets an address.
///
/// # Errors
/// When it does not start, or there can be no log.
pub(crate) fn gateway(options: &str, inside: &str, log: &Path) -> Result<Guarded> {
    let [a, b, c] = NETWORK;
    let user = format!(
        "user,id=outside,restrict=on,net={a}.{b}.{c}.0/{PREFIX_LEN},host={a}.{b}.{c}.{GATEWAY}{options}"
    );
    let file =
        std::fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    Guarded::start("gateway", QEMU, |command| {
        command
            .args(["-M", "none", "-display", "none", "-monitor", "none", "-serial", "none"])
            .args(["-netdev", &user, "-netdev", "hubport,id=plug1,hubid=0,netdev=outside"])
            .args(["-netdev", inside])
            .args(["-netdev", "hubport,id=plug2,hubid=0,netdev=inside"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
    })
}
