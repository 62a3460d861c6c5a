//! A cluster of emulated boards under load, and what their serial lines say of their memory.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::e2e::{api::Api, junk::Junk};
use crate::emu::boot;
use crate::emu::cluster::{Cluster, Plan};
use crate::emu::machine::Report;
use crate::emu::switch::Faults;
use crate::paths;

const BOARDS: u16 = 3;
/// Their API; others than those of `cargo xtask emu`, which may be running.
const BASE_PORT: u16 = 18_400;

/// Hostile requests to a board whose connections are all held by others, and to one that is free.
const BUSY_JUNK: usize = 20;
const JUNK: usize = 300;
const LISTS: usize = 100;
const SLOW_CLIENTS: usize = 4;

/// How long the boards may take to know each other.
const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// How long a board may refuse before that is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// A board looks at its stack once a second.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// The highest marks of all boards.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Bytes of stack.
    pub(super) stack: u64,
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
        nodes: BOARDS,
        base_port: BASE_PORT,
        key,
        faults: Faults { loss: 0.0, broadcast_loss: 0.0, latency: Duration::ZERO, seed: 1 },
        elf,
        logs: &logs,
    };
    let mut cluster = Cluster::start(&plan)?;
    let apis: Vec<Api> = (1..=BOARDS).map(api).collect();
    wait_until_whole(&apis)?;
    for (seed, api) in (1..).zip(&apis) {
        // They hold their seats, so that the others meet a busy board.
        let slow = (0..SLOW_CLIENTS).map(|_| slow_client(api)).collect::<Result<Vec<_>>>()?;
        let mut junk = Junk::new(seed, &key);
        junk.send_requests(api, BUSY_JUNK)?;
        drop(slow);
        junk.send_requests(api, JUNK)?;
        for _ in 0..LISTS {
            let members = patiently(|| api.members())?;
            ensure!(members.len() == usize::from(BOARDS), "{} lost a member", api.name);
        }
    }
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
    Ok(marks)
}

fn api(id: u16) -> Api {
    let name = format!("emulated-{id}");
    Api { name, address: Ipv4Addr::LOCALHOST, port: BASE_PORT + id }
}

fn wait_until_whole(apis: &[Api]) -> Result<()> {
    let start = Instant::now();
    loop {
        let whole = |api: &Api| {
            api.members().is_ok_and(|members| {
                members.len() == apis.len() && members.values().all(|m| m.status == "active")
            })
        };
        if apis.iter().all(whole) {
            return Ok(());
        }
        ensure!(start.elapsed() < JOIN_LIMIT, "the boards did not find each other");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks again while a board's sockets are all in use: it has no queue for connections, and refuses.
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
    Ok(stream)
}

impl Marks {
    /// Takes the marks from a board's serial line: `STACK n` and `QUEUE at most n frames, n dropped`.
    fn read(&mut self, log: &str) {
        for line in log.lines() {
            let mut words = line.split_whitespace();
            let mut number = |skip| words.nth(skip).and_then(|word| word.parse::<u64>().ok());
            if line.starts_with("STACK ") {
                self.stack = self.stack.max(number(1).unwrap_or(0));
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
        marks.read("STACK 2400\r\nQUEUE at most 3 frames, 2 dropped\r\n");
        assert_eq!((marks.stack, marks.frames, marks.dropped), (2500, 4, 2));
    }
}
