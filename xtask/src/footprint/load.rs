//! A cluster of emulated boards under load, and what their serial lines say of their memory.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::succession::rename_release_key;
use crate::e2e::api::{self, Api};
use crate::e2e::junk::Junk;
use crate::emu::boot;
use crate::emu::cluster::{self, Cluster, Plan};
use crate::emu::crowd::Crowd;
use crate::emu::machine::Report;
use crate::emu::switch::Faults;
use crate::machine::Pace;
use crate::paths;

/// What the load is made of; the document tells it.
pub(super) struct Extent {
    pub(super) boards: u16,
    /// Members without machines, so that all together are as many as a board can list.
    pub(super) crowd: u8,
    /// Hostile requests, each with a good one, to a board whose seats are all held by slow clients.
    pub(super) busy_junk: usize,
    /// Clients that begin a request and do not go on: as many as a board has seats, and one that is refused.
    pub(super) slow_clients: usize,
    /// Hostile requests to a board whose seats are free.
    pub(super) junk: usize,
    /// How often a board is asked for its list of members, one request after another and then by
    /// several clients at once.
    pub(super) lists: usize,
    /// How many clients that is.
    pub(super) clients: usize,
}

pub(super) const EXTENT: Extent = Extent {
    boards: 2,
    crowd: 62,
    busy_junk: 20,
    slow_clients: 4,
    junk: 300,
    lists: 300,
    clients: 3,
};

/// All members.
const MEMBERS: usize = EXTENT.boards as usize + EXTENT.crowd as usize;

/// How long the boards may take to know each other.
const JOIN_LIMIT: Duration = Duration::from_secs(40);
/// How long the crowd may take, after the load, to have all boards as active.
const CALM_LIMIT: Duration = Duration::from_secs(10);
/// How long a board may refuse before that is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests to a busy board: at once after a refusal it has no socket free and resets
/// all, which is no load.
const BUSY_PACE: Duration = Duration::from_millis(60);
/// How long a board may take to close a connection and to listen again.
const CLOSING: Duration = Duration::from_millis(20);
/// A board looks at its stack once a second.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// The highest marks of all boards.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Bytes of stack.
    pub(super) stack: u64,
    /// Bytes of the second stack, which verifies signatures.
    pub(super) second_stack: u64,
    /// Received frames that waited at once.
    pub(super) frames: u64,
    /// Received frames that found no room.
    pub(super) dropped: u64,
}

/// Runs the load on the firmware `elf`.
pub(super) fn measure(elf: &Path) -> Result<Marks> {
    let logs = paths::repository().join("target/footprint");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let key = boot::random_secret()?;
    let plan = Plan {
        nodes: EXTENT.boards,
        base_port: cluster::free_base_port(EXTENT.boards)?,
        key,
        crowd: Crowd { members: EXTENT.crowd },
        faults: Faults { loss: 0.0, broadcast_loss: 0.0, latency: Duration::ZERO, seed: 1 },
        pace: Pace::Host,
        elf,
        logs: &logs,
    };
    let mut cluster = Cluster::start(&plan)?;
    let apis: Vec<Api> = (1..=EXTENT.boards).map(|id| api(id, plan.base_port)).collect();
    wait_until_whole(&apis)?;
    for (seed, api) in (1..).zip(&apis) {
        put_under_load(api, &mut Junk::new(seed, &key))?;
        rename_release_key(api, &key)?;
    }
    expect_active(&cluster)?;
    std::thread::sleep(LAST_LOOK);
    if let Some((id, report)) = cluster.next_event(Duration::ZERO)? {
        match report {
            Report::Booted => bail!("board {id} has restarted under the load"),
            Report::Failed(line) => bail!("board {id} has failed under the load: {line}"),
            Report::Ended => bail!("board {id} has ended under the load"),
        }
    }
    let mut marks = Marks::default();
    for machine in cluster.machines() {
        let log = fs::read_to_string(machine.log()).context("cannot read a serial line")?;
        marks.read(&log);
    }
    ensure!(marks.stack > 0, "no board has told how deep its stack was");
    ensure!(marks.second_stack > 0, "no board has told how deep its second stack was");
    Ok(marks)
}

/// One board's share of the load.
///
/// # Errors
/// When the board was not busy or did not answer, so that the load was none; or when it hangs.
fn put_under_load(api: &Api, junk: &mut Junk) -> Result<()> {
    let Extent { slow_clients, busy_junk, junk: free_junk, .. } = EXTENT;
    let mut slow = Vec::new();
    let mut refused = 0;
    for _ in 0..busy_junk {
        // A board drops slow clients after 5 s, and refuses those that come while it is closing
        // others: the places of both are filled again.
        slow.retain(is_held);
        while slow.len() < slow_clients {
            slow.push(slow_client(api)?);
        }
        std::thread::sleep(BUSY_PACE);
        junk.send_requests(api, 1)?;
        // What a good request meets tells whether the board is busy; a hostile one may go
        // unanswered for other reasons.
        refused += usize::from(api.members().is_err_and(|error| api::is_refusal(&error)));
    }
    drop(slow);
    ensure!(
        refused > 0,
        "{} refused none of {busy_junk} good requests, though {slow_clients} slow clients were \
         there: it was not busy",
        api.name
    );
    let mut answered = 0;
    for _ in 0..free_junk {
        // The gateway accepts for a board that cannot, so a hostile request would be lost on a
        // board that has yet to close other connections.
        patiently(|| api.members())?;
        std::thread::sleep(CLOSING);
        answered += junk.send_requests(api, 1)?;
    }
    println!(
        "  {}: busy, it refused {refused} of {busy_junk} good requests; free, it answered {answered} of \
         {free_junk} hostile ones",
        api.name
    );
    ensure!(
        answered > free_junk / 2,
        "{} answered only {answered} of {free_junk} hostile requests",
        api.name
    );
    ask_for_lists(api)
}

/// Asks for the list of members: one request after another, then as many clients at once as the
/// board has seats.
fn ask_for_lists(api: &Api) -> Result<()> {
    let Extent { lists, clients, .. } = EXTENT;
    let ask = || {
        let members = patiently(|| api.members())?;
        let live = members.values().filter(|m| matches!(m.status.as_str(), "active" | "suspect"));
        let live = live.count();
        ensure!(live == MEMBERS, "{} lists {live} of {MEMBERS} members as live", api.name);
        Ok(())
    };
    let start = Instant::now();
    (0..lists).try_for_each(|_| ask())?;
    let in_sequence = start.elapsed().as_secs_f64();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let client = || (0..lists / clients).try_for_each(|_| ask());
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| match client.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let at_once = start.elapsed().as_secs_f64();
    println!(
        "  {}: {lists} lists of {MEMBERS} members in sequence in {in_sequence:.1} s, as many by \
         {clients} clients at once in {at_once:.1} s",
        api.name
    );
    Ok(())
}

/// No member of the crowd may have held a board for dead, and all must have all boards as active.
fn expect_active(cluster: &Cluster) -> Result<()> {
    let start = Instant::now();
    while cluster.verdict().active < usize::from(EXTENT.boards) && start.elapsed() < CALM_LIMIT {
        std::thread::sleep(Duration::from_millis(100));
    }
    let verdict = cluster.verdict();
    println!(
        "  the {} others suspected a board {} times under the load and held one for dead {} times; \
         {} of {} boards are active for all of them",
        EXTENT.crowd, verdict.suspected, verdict.died, verdict.active, EXTENT.boards
    );
    ensure!(verdict.died == 0, "a board was held for dead under the load");
    ensure!(verdict.active == usize::from(EXTENT.boards), "a board is not active after the load");
    Ok(())
}

fn api(id: u16, base_port: u16) -> Api {
    let name = format!("emulated-{id}");
    Api { name, address: Ipv4Addr::LOCALHOST, port: base_port + id }
}

fn wait_until_whole(apis: &[Api]) -> Result<()> {
    let start = Instant::now();
    loop {
        let whole = |api: &Api| {
            api.members().is_ok_and(|members| {
                members.len() == MEMBERS && members.values().all(|m| m.status == "active")
            })
        };
        if apis.iter().all(whole) {
            return Ok(());
        }
        ensure!(start.elapsed() < JOIN_LIMIT, "the boards did not find each other");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks again until the answer is one: a board refuses while all its sockets are in use, and where
/// it had to drop a frame, the gateway takes seconds to repeat it.
fn patiently<T>(ask: impl Fn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(_) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
}

/// A client that has begun a request and does not go on.
fn slow_client(api: &Api) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(SocketAddr::from((api.address, api.port)))?;
    stream.write_all(b"GET /api/cluster/members HTTP/1.1\r\nHost: ")?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Whether the board still waits for the rest of the request: it has neither answered nor closed.
fn is_held(client: &TcpStream) -> bool {
    client.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

impl Marks {
    /// Takes the marks from a board's serial line: `STACK n`, `SECOND STACK n` and `QUEUE at most n frames, n dropped`.
    fn read(&mut self, log: &str) {
        for line in log.lines() {
            let mut words = line.split_whitespace();
            let mut number = |skip| words.nth(skip).and_then(|word| word.parse::<u64>().ok());
            if line.starts_with("STACK ") {
                self.stack = self.stack.max(number(1).unwrap_or(0));
            } else if line.starts_with("SECOND STACK ") {
                self.second_stack = self.second_stack.max(number(2).unwrap_or(0));
            } else if line.starts_with("QUEUE ") {
                self.frames = self.frames.max(number(3).unwrap_or(0));
                self.dropped = self.dropped.max(number(1).unwrap_or(0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn the_highest_marks_are_taken_from_a_serial_line() {
        let mut marks = Marks::default();
        marks.read("BOOT x\r\nSTACK 2500\r\nQUEUE at most 4 frames, 0 dropped\r\n");
        marks.read("STACK 2400\r\nSECOND STACK 7000\r\nQUEUE at most 3 frames, 2 dropped\r\n");
        assert_eq!((marks.stack, marks.second_stack), (2500, 7000));
        assert_eq!((marks.frames, marks.dropped), (4, 2));
    }
}
