//! [`Fleet`]: a cluster of processes, in real time. One ends by being killed, and stands still by being stopped.

use super::network;
use crate::cluster::{Cluster, Traffic};
use crate::contender::Contender;
use crate::peer::{ASK_HEAP, Line};
use crate::views::Views;
use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Event {
    Start(usize),
    Resume(usize),
}

/// Processes that are killed with it.
pub(super) struct Fleet {
    contender: Contender,
    size: usize,
    begin: Instant,
    nodes: Vec<Option<Child>>,
    forming: usize,
    /// What is to happen, in the order in which it is.
    due: BTreeMap<(Duration, usize), Event>,
    told: Sender<(usize, Line)>,
    heard: Receiver<(usize, Line)>,
    rng: Rng,
    views: Views,
}

impl Fleet {
    /// A cluster of which `size` nodes start within `window`, and `more` can be started later.
    pub(super) fn new(
        contender: Contender,
        size: usize,
        more: usize,
        window: Duration,
        seed: u64,
    ) -> Self {
        let (told, heard) = channel();
        let mut rng = Rng::with_seed(seed);
        let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        let start = |node| ((Duration::from_micros(rng.u64(..=window)), node), Event::Start(node));
        let due = (0..size).map(start).collect();
        Self {
            contender,
            size,
            begin: Instant::now(),
            nodes: (0..size + more).map(|_| None).collect(),
            forming: size,
            due,
            told,
            heard,
            rng,
            views: Views::new(size + more),
        }
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Start(node) => {
                self.forming -= 1;
                self.start(node)
            }
            Event::Resume(node) => self.signal(node, Signal::CONT),
        }
    }

    fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        let Some(child) = &self.nodes[node] else { return Ok(()) };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("a process has a number")?, signal)?)
    }

    fn take_in(&mut self, node: usize, line: Line) {
        if let Line::Change(change) = line {
            self.views.change(self.now(), node, change);
        }
    }

    /// Who has ended without being told to, of those that are to run.
    fn ensure_all_run(&mut self) -> Result<()> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if let Some(child) = node {
                let ended = child.try_wait()?;
                ensure!(ended.is_none(), "node {index} of {} has ended by itself", self.contender);
            }
        }
        Ok(())
    }
}

impl Cluster for Fleet {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<bool> {
        let end = self.now() + limit;
        self.ensure_all_run()?;
        while !done(self) {
            let now = self.now();
            if now >= end {
                return Ok(false);
            }
            let next = match self.due.first_entry() {
                Some(entry) if entry.key().0 <= now => {
                    let event = entry.remove();
                    self.happen(event)?;
                    continue;
                }
                Some(entry) => entry.key().0.min(end),
                None => end,
            };
            match self.heard.recv_timeout(next - now) {
                Ok((node, line)) => self.take_in(node, line),
                Err(RecvTimeoutError::Timeout) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn is_whole(&self) -> bool {
        self.forming == 0 && self.views.is_whole()
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let seed = self.rng.u64(..);
        self.views.started(self.now(), node);
        let contender = clap::ValueEnum::to_possible_value(&self.contender);
        let contender = contender.context("it has a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["peer", contender.get_name()])
            .args([node.to_string(), self.size.to_string(), seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a node")?;
        let said = BufReader::new(child.stdout.take().context("it has an output")?);
        let told = self.told.clone();
        std::thread::spawn(move || {
            for line in said.lines().map_while(std::result::Result::ok) {
                match line.parse() {
                    Ok(line) if told.send((node, line)).is_ok() => (),
                    Ok(_) => return,
                    Err(error) => eprintln!("node {node}: {error}"),
                }
            }
        });
        self.nodes[node] = Some(child);
        Ok(())
    }

    fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].take() {
            // It runs, so it can be killed.
            let _ = child.kill();
            self.views.ended(self.now(), node);
            let _ = child.wait();
        }
    }

    fn stall(&mut self, node: usize, span: Duration) -> Result<()> {
        self.signal(node, Signal::STOP)?;
        self.due.insert((self.now() + span, node), Event::Resume(node));
        Ok(())
    }

    fn draw(&mut self) -> usize {
        self.views.draw(&mut self.rng)
    }

    fn views(&mut self) -> &mut Views {
        &mut self.views
    }

    fn settled_after(&self, node: usize) -> Option<Duration> {
        self.views.settled_after(node)
    }

    fn traffic(&mut self) -> Result<Traffic> {
        network::traffic()
    }

    fn heap(&mut self) -> Result<Option<usize>> {
        let asked = self.draw();
        let child = self.nodes[asked].as_mut().context("it runs")?;
        writeln!(child.stdin.as_mut().context("it has an input")?, "{ASK_HEAP}")?;
        let end = Instant::now() + PATIENCE;
        loop {
            match self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((_, Line::Heap(bytes))) => return Ok(Some(bytes)),
                Ok((node, line)) => self.take_in(node, line),
                Err(error) => return Err(error).context("a node does not tell its heap"),
            }
        }
    }

    /// Processes are not asked for their lists.
    fn check(&self) {}
}

impl Drop for Fleet {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.kill(node));
    }
}
