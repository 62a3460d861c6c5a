//! Boards on one network, and the way to their HTTP API from here.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::board::{Board, Kit, Owner};
use super::child::Guarded;
use super::crowd::{self, Crowd, Place, Verdict};
use super::machine::{self, Event, Plug, Report};
use super::secret::{self, Secret};
use super::switch::{self, Faults, Port, Switch};
use crate::machine::{Pace, QEMU};
use crate::process;

/// The emulated network, and its bits.
const NETWORK: [u8; 3] = [10, 0, 1];
const PREFIX_LEN: u8 = 24;
/// The gateway's own address in it.
const GATEWAY: u8 = 2;
/// Board N gets this plus N: the gateway gives addresses from the one behind this on, to who asks first.
const BEFORE_BOARDS: u16 = 20;
/// The gateway, which is QEMU's DHCP server, has no more addresses to give.
pub(crate) const MAX_BOARDS: u16 = 16;
/// A member without a machine gets this plus its number.
const CROWD: u8 = 100;

/// The firmware's default ports for the cluster and for HTTP.
const CLUSTER_PORT: u16 = spore_core::config::DEFAULT_PORT;
pub(crate) const HTTP_PORT: u16 = 80;

/// A board is in its network within three seconds, but others may need the cores as well.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Lines of a log that a message shows.
const SHOWN_LINES: usize = 5;

/// Where to look for free ports: below those that Linux hands out to clients.
const FREE_PORTS: RangeInclusive<u16> = 18_400..=32_000;

/// What a cluster is to be like.
pub(crate) struct Plan<'a> {
    /// How many boards, 1 to [`MAX_BOARDS`].
    pub(crate) boards: u16,
    /// The API of board N is at this port plus N on 127.0.0.1.
    pub(crate) base_port: u16,
    /// The cluster key.
    pub(crate) key: Secret,
    /// Members without machines.
    pub(crate) crowd: Crowd,
    /// What the network does to frames.
    pub(crate) faults: Faults,
    /// How time passes for the boards.
    pub(crate) pace: Pace,
    /// What boards are made of.
    pub(crate) kit: &'a Kit,
    /// Where the boards' files are, and what they write to their serial lines.
    pub(crate) folder: &'a Path,
}

/// A running cluster. Dropping it ends all of it.
pub(crate) struct Cluster<'a> {
    boards: Vec<Board<'a>>,
    base_port: u16,
    events: Receiver<Event>,
    gateway: Guarded,
    gateway_log: PathBuf,
    crowd: Option<crowd::Running>,
    switch: Switch,
}

/// The file with the cluster key, in the folder of a cluster.
pub(crate) fn key_file(folder: &Path) -> PathBuf {
    folder.join("cluster.key")
}

/// The address of board `id` on the emulated network.
pub(crate) fn address(id: u16) -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    let host = u8::try_from(BEFORE_BOARDS + id).unwrap_or(u8::MAX);
    Ipv4Addr::new(a, b, c, host)
}

impl<'a> Cluster<'a> {
    /// Starts everything, one board after the other, and waits until all of them are in their network.
    ///
    /// # Errors
    /// When a port is taken, QEMU cannot be run, or a board does not come up; nothing is left
    /// running then.
    pub(crate) fn start(plan: &Plan<'a>) -> Result<Self> {
        check_api_ports(plan)?;
        let key = key_file(plan.folder);
        secret::write_key(&key, &plan.key)?;
        let owner = Owner { spore: &plan.kit.spore, key: &key, folder: plan.folder };

        // One plug per board, one for the gateway, one for the crowd, and the switch's socket.
        let mut sockets = switch::loopback_sockets(usize::from(plan.boards) + 3)?;
        let own = sockets.pop().context("no socket for the switch")?;
        let for_crowd = sockets.pop().context("no plug for the crowd")?;
        let addresses = sockets
            .iter()
            .map(|socket| socket.local_addr())
            .collect::<std::io::Result<Vec<_>>>()?;
        drop(sockets);
        let (gateway_at, boards_at) = addresses.split_last().context("no plug for the gateway")?;
        let mut ports: Vec<Port> =
            boards_at.iter().map(|&address| Port { address, spared: false }).collect();
        // The network's faults are for the nodes, not for those who watch them.
        ports.push(Port { address: *gateway_at, spared: true });
        ports.push(Port { address: for_crowd.local_addr()?, spared: false });
        let switch_at = own.local_addr()?;
        let switch = Switch::start(own, ports, plan.faults)?;

        let gateway_log = plan.folder.join("gateway.log");
        let gateway = start_gateway(plan, gateway_at.port(), switch_at.port(), &gateway_log)?;
        let (sender, events) = mpsc::channel();
        let (boards, base_port, crowd) = (Vec::new(), plan.base_port, None);
        let mut cluster = Self { boards, base_port, events, gateway, gateway_log, crowd, switch };
        for (id, at) in (1..).zip(boards_at) {
            let plug = Plug::Switch { own: at.port(), switch: switch_at.port() };
            let mut board = Board::new(plan.kit.files(), &owner, id, plug)?.paced(plan.pace);
            board.switch_on(sender.clone())?;
            cluster.boards.push(board);
            cluster.wait_until_connected(id)?;
        }
        if plan.crowd.members > 0 {
            let place =
                Place { network: NETWORK, before: CROWD, port: CLUSTER_PORT, switch: switch_at };
            cluster.crowd = Some(plan.crowd.start(for_crowd, place, &plan.key)?);
        }
        Ok(cluster)
    }

    /// The boards, in the order of their ids.
    pub(crate) fn boards(&self) -> &[Board<'a>] {
        &self.boards
    }

    /// Where the API of board `id` is for programs on this computer.
    pub(crate) fn api_url(&self, id: u16) -> String {
        format!("http://127.0.0.1:{}", self.base_port + id)
    }

    /// What the crowd says of the boards; nothing if there is none.
    pub(crate) fn verdict(&self) -> Verdict {
        self.crowd.as_ref().map_or_else(Verdict::default, crowd::Running::verdict)
    }

    /// What the switch has passed on and lost.
    pub(crate) fn traffic(&self) -> String {
        let counters = self.switch.counters();
        format!("{} frames forwarded, {} lost", counters.forwarded(), counters.lost())
    }

    /// The next thing that happens to a board, or `None` after `timeout`.
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
            // Disconnected: every board has ended and has been reported.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(timeout);
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
        }
    }

    /// Waits until this board, which was switched on last, has its address.
    fn wait_until_connected(&mut self, id: u16) -> Result<()> {
        let deadline = Instant::now() + JOIN_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "board {id} was not in its network within {} s:\n{}",
                JOIN_TIMEOUT.as_secs(),
                self.last_lines(id)
            );
            match self.next_event(left.min(Duration::from_millis(200)))? {
                Some((of, Report::Connected)) if of == id => return Ok(()),
                Some((id, Report::Failed(line))) => bail!("board {id}: {line}"),
                Some((id, Report::Ended)) => {
                    bail!("board {id} has ended:\n{}", self.last_lines(id))
                }
                Some((_, Report::Booted | Report::Connected)) | None => {}
            }
        }
    }

    /// The end of a board's log, where QEMU says why it gave up.
    fn last_lines(&self, id: u16) -> String {
        let log = self.boards.iter().find(|board| board.id() == id).map(Board::log);
        log.map(|log| process::tail_of(&log, SHOWN_LINES)).unwrap_or_default()
    }
}

/// QEMU would end with a message in a log when a port is taken: better to say so beforehand.
fn check_api_ports(plan: &Plan<'_>) -> Result<()> {
    for id in 1..=plan.boards {
        let port = plan.base_port.checked_add(id).context("--base-port is too high")?;
        ensure!(is_free(port), "port {port} on 127.0.0.1 is taken; choose others with --base-port");
    }
    Ok(())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A base port for so many boards whose ports are all free now.
///
/// # Errors
/// When there is none.
pub(crate) fn free_base_port(boards: u16) -> Result<u16> {
    let mut candidates = FREE_PORTS.step_by(usize::from(boards.max(1)));
    let free = candidates.find(|base| (1..=boards).all(|id| is_free(base + id)));
    free.with_context(|| format!("no {boards} free TCP ports in a row in {FREE_PORTS:?}"))
}

/// A QEMU without a board, whose user-mode network forwards ports of 127.0.0.1 to the boards,
/// and nothing from the boards to anywhere.
fn start_gateway(plan: &Plan<'_>, own: u16, switch: u16, log: &Path) -> Result<Guarded> {
    let mut options = format!(",dhcpstart={}", address(1));
    for id in 1..=plan.boards {
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
