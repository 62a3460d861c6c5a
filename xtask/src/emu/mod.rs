//! `cargo xtask emu`: a cluster of emulated boards on this computer.
//!
//! Every board is a QEMU process of its own. Their network cards meet at a switch in this
//! process, and one more QEMU process, without a board, forwards ports of 127.0.0.1 to their
//! HTTP API. Everything stays on the loopback interface, and root is not needed.

pub(crate) mod boot;
pub(crate) mod child;
pub(crate) mod cluster;
pub(crate) mod crowd;
pub(crate) mod esp01;
pub(crate) mod frame;
pub(crate) mod machine;
pub(crate) mod switch;

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::machine::Pace;
use crate::{firmware, paths};
use boot::Secret;
use cluster::{Cluster, Plan};
use crowd::Crowd;
use machine::Report;
use switch::Faults;

/// How soon Ctrl-C and the end of `--for` are noticed.
const TICK: Duration = Duration::from_millis(100);

/// Start emulated LX106 boards on one network, with their HTTP API on 127.0.0.1.
#[derive(Args)]
pub(crate) struct Emu {
    /// How many boards.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32))]
    nodes: u16,
    /// The API of board N is at this port plus N.
    #[arg(long, default_value_t = 18100, value_parser = clap::value_parser!(u16).range(1024..=65500))]
    base_port: u16,
    /// A file with the cluster key: 64 hexadecimal digits [default: a new key, in the log
    /// directory].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Where the boards' serial lines are written to.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Stop after this many seconds [default: run until Ctrl-C].
    #[arg(long = "for", value_name = "SECONDS")]
    run_for: Option<u64>,
    /// Probability from 0 to 1 that a frame between two boards is lost.
    #[arg(long, default_value_t = 0.0, value_parser = probability)]
    loss: f64,
    /// The same for broadcasts, for each receiver [default: as --loss].
    #[arg(long, value_parser = probability)]
    broadcast_loss: Option<f64>,
    /// How long each frame between two boards takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Start of the random numbers that decide which frames are lost.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Emu {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// When the firmware does not build, the machines do not start, or one of them fails.
    pub(crate) fn run(self) -> Result<()> {
        let image = firmware::build(&firmware::Build::emulated("node"))?;
        let logs = self.log_dir.clone().unwrap_or_else(|| paths::repository().join("target/emu"));
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let key = self.key(&logs)?;
        let interrupted = interruption()?;
        let mut cluster = Cluster::start(&Plan {
            nodes: self.nodes,
            base_port: self.base_port,
            key,
            crowd: Crowd { members: 0 },
            faults: self.faults(),
            pace: Pace::Host,
            elf: &image.elf,
            logs: &logs,
        })?;
        print_table(&cluster);
        println!("serial lines: {}", logs.join("node-N.log").display());
        let end = match self.run_for {
            Some(seconds) => {
                println!("running for {seconds} s, or until Ctrl-C");
                Some(Instant::now() + Duration::from_secs(seconds))
            }
            None => {
                println!("running until Ctrl-C");
                None
            }
        };
        let failures = watch(&mut cluster, &interrupted, end)?;
        println!("{}", cluster.traffic());
        if failures > 0 {
            bail!("{failures} failures of machines; see {}", logs.display());
        }
        Ok(())
    }

    fn key(&self, logs: &std::path::Path) -> Result<Secret> {
        if let Some(file) = &self.key_file {
            return boot::read_key(file);
        }
        let key = boot::random_secret()?;
        let file = logs.join("cluster.key");
        boot::write_key(&file, &key)?;
        println!("new cluster key: {}", file.display());
        Ok(key)
    }

    fn faults(&self) -> Faults {
        Faults {
            loss: self.loss,
            broadcast_loss: self.broadcast_loss.unwrap_or(self.loss),
            latency: Duration::from_millis(self.latency_ms),
            seed: self.seed,
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

/// Something comes out of the receiver once we are asked to stop (SIGINT, SIGTERM or SIGHUP).
pub(crate) fn interruption() -> Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    ctrlc::set_handler(move || {
        // When nobody listens any more we are stopping already.
        let _ = sender.send(());
    })
    .context("cannot catch Ctrl-C")?;
    Ok(receiver)
}

fn print_table(cluster: &Cluster) {
    println!("{:<14} {:<12} {:<24} process", "node", "address", "API");
    for machine in cluster.machines() {
        let id = machine.id();
        let (address, url) = (cluster::address(id).to_string(), cluster.api_url(id));
        println!("{:<14} {address:<12} {url:<24} {}", machine.name(), machine.process_id());
    }
}

/// Tells what happens to the machines until the end; returns how many failures there were.
fn watch(cluster: &mut Cluster, interrupted: &Receiver<()>, end: Option<Instant>) -> Result<usize> {
    let mut failures = 0;
    while interrupted.try_recv() == Err(TryRecvError::Empty)
        && end.is_none_or(|end| Instant::now() < end)
    {
        match cluster.next_event(TICK)? {
            Some((id, Report::Booted)) => println!("machine {id} has booted again"),
            Some((id, Report::Failed(line))) => {
                failures += 1;
                eprintln!("machine {id}: {line}");
            }
            Some((id, Report::Ended)) => {
                failures += 1;
                eprintln!("machine {id} has ended");
            }
            None => {}
        }
    }
    Ok(failures)
}
