//! A cluster of emulated boards under load, and what their serial lines say of their memory.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::succession::rename_release_key;
use crate::e2e::api::{self, Api};
use crate::e2e::junk::Junk;
use crate::emu::board::Kit;
use crate::emu::cluster::{self, Cluster, Plan};
use crate::emu::crowd::Crowd;
use crate::emu::machine::Report;
use crate::emu::secret;
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
const JOIN_LIMIT: Duration = Duration::from_secs(120);
/// How long the crowd may take, after the load, to have all boards as active.
const CALM_LIMIT: Duration = Duration::from_secs(10);
/// How long a board may refuse before that is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests to a busy board: at once after a refusal it has no socket free and resets
/// all, which is no load.
const BUSY_PACE: Duration = Duration::from_millis(60);
/// How long a board may take to close a connection and to listen again.
const CLOSING: Duration = Duration::from_millis(20);
/// How often each board is asked what it has free, and for how long.
const QUESTIONS: usize = 20;
const QUIET: Duration = Duration::from_secs(10);
/// What statics in another order may take more, in bytes.
const ALIGNMENT: u64 = 16;
/// The stand-in for the SDK looks at stack and heap once a second.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// The marks of all boards that are nearest to a limit.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Bytes of stack, at most.
    pub(super) stack: u64,
    /// Bytes of the second stack, at most.
    pub(super) second_stack: u64,
    /// Bytes that were free of the SDK's heap, at least.
    pub(super) heap: Option<u64>,
    /// The same, as a board itself says when it has started, knows all members and has nothing else to do.
    pub(super) started: u64,
}

/// Runs the load. `left` is what the image that ships leaves for the SDK's heap.
///
/// # Errors
/// When something does not build, a board does not bear it, or its heap is not as long as on the chip.
pub(super) fn measure(left: u64) -> Result<Marks> {
    let folder = paths::repository().join("target/footprint");
    let kit = Kit::build(&folder)?;
    let key = secret::random()?;
    let plan = Plan {
        boards: EXTENT.boards,
        base_port: cluster::free_base_port(EXTENT.boards)?,
        key,
        crowd: Crowd { members: EXTENT.crowd },
        faults: Faults { loss: 0.0, broadcast_loss: 0.0, latency: Duration::ZERO, seed: 1 },
        pace: Pace::Host,
        kit: &kit,
        folder: &folder,
    };
    let mut cluster = Cluster::start(&plan)?;
    let apis: Vec<Api> = (1..=EXTENT.boards).map(|id| api(id, plan.base_port)).collect();
    wait_until_whole(&apis)?;
    let started = free_memory(&apis)?;
    for (seed, api) in (1..).zip(&apis) {
        put_under_load(api, &mut Junk::new(seed, &key))?;
        rename_release_key(api, &key)?;
    }
    expect_active(&cluster)?;
    std::thread::sleep(LAST_LOOK);
    if let Some((id, report)) = cluster.next_event(Duration::ZERO)? {
        match report {
            Report::Booted => bail!("board {id} has restarted under the load"),
            Report::Connected => bail!("board {id} has lost its network under the load"),
            Report::Failed(line) => bail!("board {id} has failed under the load: {line}"),
            Report::Ended => bail!("board {id} has ended under the load"),
        }
    }
    let mut marks = Marks { started, ..Marks::default() };
    for board in cluster.boards() {
        let log = fs::read_to_string(board.log()).context("cannot read a serial line")?;
        marks.read(&log);
        let heap = heap(&log).context("a board has not told how long its heap is")?;
        ensure!(
            heap.abs_diff(left) <= ALIGNMENT,
            "a board's heap has {heap} bytes, where the SDK's has {left}: say so in firmware/sdk-emu/link/app.S"
        );
    }
    ensure!(marks.stack > 0, "no board has told how deep its stack was");
    ensure!(marks.second_stack > 0, "no board has told how deep its second stack was");
    ensure!(marks.heap.is_some(), "no board has told what was left of its heap");
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
fn expect_active(cluster: &Cluster<'_>) -> Result<()> {
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
    let name = format!("board-{id}");
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

/// What is free of the heap of boards that have nothing else to do than to say so, at least.
fn free_memory(apis: &[Api]) -> Result<u64> {
    let mut least = u64::MAX;
    for api in apis.iter().cycle().take(apis.len() * QUESTIONS) {
        std::thread::sleep(QUIET / QUESTIONS as u32);
        let status = patiently(|| api.get("/api/node/status"))?;
        let free = status["free_memory"].as_u64();
        least = least.min(free.context("a status does not say what is free of memory")?);
    }
    Ok(least)
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

/// How long the heap is, by a board's serial line: `SDK heap of N bytes, M free`.
fn heap(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.strip_prefix("SDK heap of ")?.split(' ').next()?.parse().ok())
}

impl Marks {
    /// Takes the marks from a board's serial line: `MARK stack N`, `MARK heap N` and `SECOND STACK N`.
    fn read(&mut self, log: &str) {
        for line in log.lines() {
            let Some((what, number)) = line.trim_end().rsplit_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            match what {
                "MARK stack" => self.stack = self.stack.max(number),
                "MARK heap" => self.heap = Some(self.heap.unwrap_or(number).min(number)),
                "SECOND STACK" => self.second_stack = self.second_stack.max(number),
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Marks, heap};

    #[test]
    fn the_heap_is_told_once() {
        assert_eq!(heap("ROM\r\nSDK heap of 13792 bytes, 12528 free\r\nBOOT x\r\n"), Some(13_792));
        assert_eq!(heap("MARK heap 9000\n"), None);
    }

    #[test]
    fn the_marks_nearest_to_a_limit_are_taken_from_serial_lines() {
        let mut marks = Marks::default();
        marks.read("BOOT x\r\nMARK stack 2500\r\nMARK heap 9000\r\nMARK heap 2100\r\n");
        marks.read(
            "MARK stack 2400\r\nSECOND STACK 7000\r\nMARK heap 2200\r\nSECOND STACK no memory\r\n",
        );
        assert_eq!((marks.stack, marks.second_stack, marks.heap), (2500, 7000, Some(2100)));
    }
}
