//! The nodes: real `spore node` processes on addresses of the loopback interface.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spore_core::ClusterKey;
use spore_core::security::request::SigningKey;

use super::chaos::{Act, Memory};
use super::views::{self, View};
use crate::e2e::api::Api;
use crate::emu::child::Guarded;
use crate::emu::secret;
use crate::process;

/// How long a node may take to end when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(10);
/// How long a node that runs may give no answer.
const SILENCE_LIMIT: Duration = Duration::from_secs(15);
/// A node counts as healthy when nothing has been done to it for so long: that is more than the
/// news of a death takes to be known to all and to be refuted.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// Lines of a node's log that a message shows.
const SHOWN_LINES: usize = 8;

/// What the network does to datagrams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Radio {
    /// Percent of those to one node.
    pub(super) loss: f64,
    /// Percent of those to all nodes.
    pub(super) broadcast_loss: f64,
    /// Milliseconds.
    pub(super) jitter: u64,
    /// What decides which ones.
    pub(super) seed: u64,
}

/// What was done, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: u32,
    pub(super) ends: u32,
    pub(super) stalls: u32,
    pub(super) restarts: u32,
    pub(super) restarts_as_new: u32,
    /// How often a list began to show a healthy node as gone.
    pub(super) false_deaths: u32,
    /// Datagrams sent in so many milliseconds, by all lives that have ended.
    sent: u64,
    sent_in: u64,
}

/// The nodes, and where they are.
pub(super) struct Fleet {
    spore: PathBuf,
    folder: PathBuf,
    key_file: PathBuf,
    key: SigningKey,
    port: u16,
    radio: Radio,
    nodes: Vec<Node>,
    log: File,
    start: Instant,
    pub(super) tally: Tally,
}

struct Node {
    api: Api,
    /// `None` while it is down.
    life: Option<Life>,
    /// The id under which the others know it, if it is to have it again.
    remembered: Option<String>,
    lives: u64,
}

/// From one start of a node to its end.
struct Life {
    process: Guarded,
    stalled: bool,
    /// When something was last done to it.
    disturbed: Instant,
    /// When it last answered, or was able to begin to.
    answered: Instant,
    answers: u32,
    id: Option<String>,
    /// Healthy members that it shows as gone.
    wrong: BTreeSet<String>,
    sent: u64,
    uptime: u64,
}

impl Fleet {
    /// Starts `nodes` nodes in a folder that is made for it. They run a copy of `built`, which
    /// may be built anew meanwhile.
    ///
    /// # Errors
    /// When one cannot be started.
    pub(super) fn start(built: &Path, folder: PathBuf, nodes: u8, radio: Radio) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let spore = folder.join("spore");
        fs::copy(built, &spore).with_context(|| format!("cannot copy {}", built.display()))?;
        let key_file = folder.join("cluster.key");
        let secret = secret::random()?;
        secret::write_key(&key_file, &secret)?;
        let log = folder.join("soak.log");
        let log = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let port = free_port()?;
        let node = |number| Node {
            api: Api { name: format!("node-{number}"), address: address(port, number), port },
            life: None,
            remembered: None,
            lives: 0,
        };
        let mut fleet = Self {
            spore,
            folder,
            key_file,
            key: SigningKey::derive(&ClusterKey::from_bytes(secret)),
            port,
            radio,
            nodes: (1..=nodes).map(node).collect(),
            log,
            start: Instant::now(),
            tally: Tally::default(),
        };
        (0..fleet.nodes.len()).try_for_each(|index| fleet.launch(index))?;
        Ok(fleet)
    }

    /// How many nodes run, stalled or not.
    pub(super) fn running(&self) -> usize {
        self.nodes.iter().filter(|node| node.life.is_some()).count()
    }

    /// The indices of those that run and are not stalled.
    pub(super) fn awake(&self) -> Vec<usize> {
        let awake = |node: &Node| node.life.as_ref().is_some_and(|life| !life.stalled);
        (0..self.nodes.len()).filter(|index| awake(&self.nodes[*index])).collect()
    }

    /// Where all nodes answer, by index.
    pub(super) fn apis(&self) -> Vec<Api> {
        self.nodes.iter().map(|node| node.api.clone()).collect()
    }

    /// What requests to them are signed with.
    pub(super) fn key(&self) -> SigningKey {
        self.key.clone()
    }

    /// Does something to a node.
    ///
    /// # Errors
    /// When that cannot be done, or the node does not do as it must.
    pub(super) fn apply(&mut self, act: Act) -> Result<()> {
        self.note(&format!("{act:?}"))?;
        match act {
            Act::Kill(index) => {
                self.tally.kills += 1;
                self.take_life(index)?.process.kill();
            }
            Act::End(index) => {
                self.tally.ends += 1;
                let mut life = self.take_life(index)?;
                signal(&life.process, Signal::SIGTERM)?;
                wait_for_end(&mut life)?;
            }
            Act::Stall(index) => {
                self.tally.stalls += 1;
                let life = self.life(index)?;
                life.stalled = true;
                signal(&life.process, Signal::SIGSTOP)?;
            }
            Act::Resume(index) => {
                let life = self.life(index)?;
                (life.stalled, life.disturbed) = (false, Instant::now());
                life.answered = life.disturbed;
                signal(&life.process, Signal::SIGCONT)?;
            }
            Act::Start(index, memory) => {
                self.tally.restarts += 1;
                if memory == Memory::Lost {
                    self.tally.restarts_as_new += 1;
                    self.nodes[index].remembered = None;
                    let state = self.state(index);
                    match fs::remove_dir_all(&state) {
                        // It was killed before it made one.
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        done => {
                            done.with_context(|| format!("cannot remove {}", state.display()))?;
                        }
                    }
                }
                self.launch(index)?;
            }
        }
        Ok(())
    }

    /// The lists of all nodes that run and are not stalled, as far as they answer, by index.
    ///
    /// # Errors
    /// When a node has ended by itself, has been silent for too long, or is not who it was.
    pub(super) fn poll(&mut self) -> Result<Vec<(usize, View)>> {
        let mut views = Vec::new();
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let Some(life) = node.life.as_mut() else { continue };
            if let Some(status) = life.process.ended()? {
                let log = process::tail_of(&log_path(&self.folder, &node.api.name), SHOWN_LINES);
                bail!(
                    "{} has ended by itself ({status}); its log ends with:\n{log}",
                    node.api.name
                );
            }
            if life.stalled {
                continue;
            }
            match life.ask(&node.api) {
                Ok(view) => views.push((index, view)),
                Err(error) if life.answered.elapsed() > SILENCE_LIMIT => {
                    return Err(error.context(format!("{} gives no answer", node.api.name)));
                }
                Err(_) => continue,
            }
            if let (Some(was), Some(is)) = (&node.remembered, &life.id) {
                ensure!(was == is, "{} was {was}, and has come back as {is}", node.api.name);
            }
        }
        self.count_false_deaths(&views)?;
        Ok(views)
    }

    /// The ids of all nodes that run; `None` while one of them has not told its.
    pub(super) fn truth(&self) -> Option<BTreeSet<String>> {
        self.lives().map(|life| life.id.clone()).collect()
    }

    /// Whether each list is as `check` wants it, where `truth` is who is there.
    ///
    /// # Errors
    /// Which node's is not.
    pub(super) fn check(
        &self,
        views: &[(usize, View)],
        check: fn(&View, &BTreeSet<String>) -> Result<()>,
    ) -> Result<()> {
        let truth = self.truth().context("a node has not told its id")?;
        ensure!(
            views.len() == self.running(),
            "{} nodes gave no list",
            self.running() - views.len()
        );
        for (index, view) in views {
            check(view, &truth).with_context(|| format!("{} is wrong", self.name(*index)))?;
        }
        Ok(())
    }

    /// How many datagrams a node has sent in a second, in the mean of all nodes and lives.
    pub(super) fn datagrams_per_second(&self) -> f64 {
        let (sent, millis) =
            self.lives().fold((self.tally.sent, self.tally.sent_in), |(sent, millis), life| {
                (sent + life.sent, millis + life.uptime)
            });
        sent as f64 * 1_000.0 / millis.max(1) as f64
    }

    /// Writes a line into the log of what was done.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note(&mut self, what: &str) -> Result<()> {
        let at = self.start.elapsed().as_secs_f64();
        writeln!(self.log, "{at:9.3} {what}").context("cannot write soak.log")
    }

    /// Writes down what each node says, for whoever looks for the reason of a failure.
    pub(super) fn note_views(&mut self, views: &[(usize, View)]) -> Result<()> {
        for index in 0..self.nodes.len() {
            let id = self.nodes[index].life.as_ref().and_then(|life| life.id.clone());
            let view = views.iter().find(|(of, _)| *of == index).map(|(_, view)| view);
            self.note(&format!("{} is {id:?} and lists {view:?}", self.name(index)))?;
        }
        Ok(())
    }

    fn name(&self, index: usize) -> &str {
        &self.nodes[index].api.name
    }

    fn lives(&self) -> impl Iterator<Item = &Life> {
        self.nodes.iter().filter_map(|node| node.life.as_ref())
    }

    fn life(&mut self, index: usize) -> Result<&mut Life> {
        self.nodes[index].life.as_mut().context("a node that should run does not")
    }

    /// The life of a node that is about to end.
    fn take_life(&mut self, index: usize) -> Result<Life> {
        let node = &mut self.nodes[index];
        let mut life = node.life.take().context("a node that should run does not")?;
        ensure!(life.process.ended()?.is_none(), "{} has ended by itself", node.api.name);
        // Between two answers it has stored its identity.
        if life.answers > 1 {
            node.remembered = life.id.clone();
        }
        self.tally.sent += life.sent;
        self.tally.sent_in += life.uptime;
        Ok(life)
    }

    fn state(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{}.state", self.name(index)))
    }

    fn launch(&mut self, index: usize) -> Result<()> {
        let Node { api, lives, .. } = &self.nodes[index];
        let log = log_path(&self.folder, &api.name);
        let mut output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        writeln!(output, "-- start {} at {:.3} s", lives + 1, self.start.elapsed().as_secs_f64())?;
        let errors = output.try_clone().context("cannot share the log file")?;
        let Radio { loss, broadcast_loss, jitter, seed } = self.radio;
        // Each life of each node meets a fate of its own.
        let fault_seed = seed ^ ((index as u64) << 32 | lives);
        let options = [
            ("--bind", api.address.to_string()),
            ("--port", self.port.to_string()),
            ("--http-port", self.port.to_string()),
            ("--hostname", api.name.clone()),
            ("--loss", loss.to_string()),
            ("--broadcast-loss", broadcast_loss.to_string()),
            ("--jitter", jitter.to_string()),
            ("--fault-seed", fault_seed.to_string()),
        ];
        let spore = self.spore.to_str().context("the path of `spore` is not UTF-8")?;
        let process = Guarded::start(api.name.as_str(), spore, |command| {
            command.args(["-v", "node"]);
            command.args(options.iter().flat_map(|(name, value)| [*name, value.as_str()]));
            command.arg("--state").arg(self.state(index)).arg("--key-file").arg(&self.key_file);
            command.env_remove("RUST_LOG");
            command.stdin(Stdio::null()).stdout(output).stderr(errors)
        })?;
        let node = &mut self.nodes[index];
        node.lives += 1;
        node.life = Some(Life::new(process));
        Ok(())
    }

    fn count_false_deaths(&mut self, views: &[(usize, View)]) -> Result<()> {
        let healthy = self.lives().filter(|life| life.is_healthy());
        let healthy: BTreeSet<String> = healthy.filter_map(|life| life.id.clone()).collect();
        for (index, view) in views {
            let gone: BTreeSet<String> =
                healthy.iter().filter(|id| views::is_gone(view, id)).cloned().collect();
            let life = self.life(*index)?;
            let new: Vec<String> = gone.difference(&life.wrong).cloned().collect();
            life.wrong = gone;
            for id in new {
                self.tally.false_deaths += 1;
                self.note(&format!("{} shows {id} as gone, which runs", self.name(*index)))?;
            }
        }
        Ok(())
    }
}

impl Life {
    fn new(process: Guarded) -> Self {
        let now = Instant::now();
        Self {
            process,
            stalled: false,
            disturbed: now,
            answered: now,
            answers: 0,
            id: None,
            wrong: BTreeSet::new(),
            sent: 0,
            uptime: 0,
        }
    }

    fn is_healthy(&self) -> bool {
        !self.stalled && self.disturbed.elapsed() > HEALTHY_AFTER
    }

    /// Asks it who it is, what it has sent and whom it knows.
    fn ask(&mut self, api: &Api) -> Result<View> {
        let status = api.get("/api/node/status")?;
        let view = views::parse(&api.get("/api/cluster/members")?)?;
        let number = |value: &serde_json::Value| value.as_u64().context("a number is missing");
        self.id = Some(status["id"].as_str().context("no id")?.to_owned());
        self.sent = number(&status["datagrams"]["sent"])?;
        self.uptime = number(&status["uptime_ms"])?;
        (self.answered, self.answers) = (Instant::now(), self.answers + 1);
        Ok(view)
    }
}

/// A UDP port that nobody uses now.
fn free_port() -> Result<u16> {
    let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no free UDP port")?;
    Ok(probe.local_addr()?.port())
}

/// The address of node `number` in a cluster at `port`: each cluster has a network of its own, out
/// of 127.64.0.0/10, which is nobody else's.
fn address(port: u16, number: u8) -> Ipv4Addr {
    let [high, low] = port.to_be_bytes();
    Ipv4Addr::new(127, 64 | high >> 2, low, number)
}

fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

fn signal(process: &Guarded, signal: Signal) -> Result<()> {
    let id = i32::try_from(process.id()).context("a process id that is none")?;
    // It has not been waited for, so the id is still its own.
    kill(Pid::from_raw(id), signal).with_context(|| format!("cannot send {signal}"))
}

fn wait_for_end(life: &mut Life) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Some(status) = life.process.ended()? {
            // One that has just been started does not wait for the signal yet.
            let good = status.success() || life.answers == 0;
            ensure!(good, "{} ended on SIGTERM with {status}", life.process.name());
            return Ok(());
        }
        ensure!(start.elapsed() < END_LIMIT, "{} does not end on SIGTERM", life.process.name());
        std::thread::sleep(Duration::from_millis(20));
    }
}
