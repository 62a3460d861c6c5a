//! `cargo xtask emu`: a cluster of emulated boards on this computer.
//!
//! Every board is a QEMU process of its own, which starts from a flash file as an ESP-01 does. Their network
//! cards meet at a switch in this process, and one more QEMU process, without a board, gives them addresses and
//! forwards ports of 127.0.0.1 to their HTTP API. Everything stays on the loopback interface, and root is not needed.

pub(crate) mod board;
pub(crate) mod child;
pub(crate) mod cluster;
pub(crate) mod crowd;
pub(crate) mod esp01;
pub(crate) mod frame;
pub(crate) mod machine;
pub(crate) mod secret;
pub(crate) mod switch;

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::machine::Pace;
use crate::paths;
use board::Kit;
use cluster::{Cluster, MAX_BOARDS, Plan};
use crowd::Crowd;
use machine::Report;
use secret::Secret;
use switch::Faults;

/// How soon Ctrl-C and the end of `--for` are noticed.
const TICK: Duration = Duration::from_millis(100);

/// Start emulated ESP-01s on one network, with their HTTP API on 127.0.0.1.
#[derive(Args)]
pub(crate) struct Emu {
    /// How many boards.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_BOARDS)))]
    nodes: u16,
    /// The API of board N is at this port plus N.
    #[arg(long, default_value_t = 18100, value_parser = clap::value_parser!(u16).range(1024..=65500))]
    base_port: u16,
    /// A file with the cluster key: 64 hexadecimal digits [default: a new key].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Where the boards' files are, and what they write to their serial lines [default: target/emu].
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
        let folder = self.log_dir.clone().unwrap_or_else(|| paths::repository().join("target/emu"));
        let key = self.key()?;
        let kit = Kit::build(&folder)?;
        let interrupted = interruption()?;
        let mut cluster = Cluster::start(&Plan {
            boards: self.nodes,
            base_port: self.base_port,
            key,
            crowd: Crowd { members: 0 },
            faults: self.faults(),
            pace: Pace::Host,
            kit: &kit,
            folder: &folder,
        })?;
        print_table(&cluster);
        println!("cluster key: {}", cluster::key_file(&folder).display());
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
            bail!("{failures} failures of boards; see {}", folder.display());
        }
        Ok(())
    }

    fn key(&self) -> Result<Secret> {
        self.key_file.as_deref().map_or_else(secret::random, secret::read_key)
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

fn print_table(cluster: &Cluster<'_>) {
    println!("{:<10} {:<12} {:<24} {:<8} serial line", "node", "address", "API", "process");
    for board in cluster.boards() {
        let id = board.id();
        let (address, url) = (cluster::address(id).to_string(), cluster.api_url(id));
        let process = board.process_id().unwrap_or_default();
        println!(
            "{:<10} {address:<12} {url:<24} {process:<8} {}",
            board.name(),
            board.log().display()
        );
    }
}

/// Tells what happens to the boards until the end; returns how many failures there were.
fn watch(
    cluster: &mut Cluster<'_>,
    interrupted: &Receiver<()>,
    end: Option<Instant>,
) -> Result<usize> {
    let mut failures = 0;
    while interrupted.try_recv() == Err(TryRecvError::Empty)
        && end.is_none_or(|end| Instant::now() < end)
    {
        match cluster.next_event(TICK)? {
            Some((id, Report::Booted)) => println!("board {id} has booted again"),
            Some((id, Report::Connected)) => println!("board {id} is in its network again"),
            Some((id, Report::Failed(line))) => {
                failures += 1;
                eprintln!("board {id}: {line}");
            }
            Some((id, Report::Ended)) => {
                failures += 1;
                eprintln!("board {id} has ended");
            }
            None => {}
        }
    }
    Ok(failures)
}
