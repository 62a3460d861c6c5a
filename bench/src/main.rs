//! SPORE's membership beside other engines, on the same work.
//!
//! In a simulated world, in virtual time, it stands beside foca, which does no I/O either.
//! `cargo xtask bench peers` builds and starts this program; docs/benchmarks.md has what came of it.
//!
//! | module | what it is |
//! |---|---|
//! | `contender` | who is compared, and at which pace |
//! | `engine` | `Engine`, behind which SPORE and foca are alike |
//! | `world` | the simulated world, with the network of `spore-sim` |
//! | `trials` | what is done there |
//! | `views` | who lists whom |
//! | `figures`, `report`, `plot` | what came of it, as data, as tables and as drawings |

mod address;
mod contender;
mod engine;
mod figures;
mod plot;
mod report;
mod trials;
mod views;
mod world;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use contender::Contender;
use figures::{Figures, Measured, Memory, Stalls};
use peak_alloc::PeakAlloc;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;

/// Counts what is on the heap.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The sizes of the clusters.
const SIZES: [usize; 4] = [8, 32, 100, 300];
const QUICK_SIZES: [usize; 2] = [8, 32];
/// The shares of unicast datagrams that get lost in the simulated world, in percent.
const LOSSES: [u8; 3] = [0, 10, 30];

#[derive(Parser)]
#[command(about = "SPORE's membership beside foca's")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compare, and print the tables.
    Compare(Compare),
    /// Draw the tables and plots of a folder's peers.json anew.
    Report {
        /// The folder `docs`.
        docs: PathBuf,
    },
}

#[derive(clap::Args)]
struct Compare {
    /// Clusters of 8 and 32 and few seeds: under two minutes.
    #[arg(long)]
    quick: bool,
    /// The sizes of the clusters, 4 to 500 each.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(4..=500))]
    nodes: Vec<u16>,
    /// The contenders. Default: all.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Clusters of the simulated world that are tried at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// No row may take longer than so many seconds.
    #[arg(long, default_value_t = 900)]
    deadline: u64,
    /// The folder `docs` whose figures, tables and plots are to be written.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Compare(compare) => compare.run(),
        Task::Report { docs } => report::write(&docs, &read(&docs)?).map(|()| ExitCode::SUCCESS),
    }
}

fn file(docs: &Path) -> PathBuf {
    docs.join("benchmarks/peers.json")
}

/// What was measured before; nothing if there is no such file.
fn read(docs: &Path) -> Result<Figures> {
    let file = file(docs);
    match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no figures", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Figures::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

impl Compare {
    fn run(&self) -> Result<ExitCode> {
        let mut figures = match &self.write {
            Some(docs) => read(docs)?,
            None => Figures::default(),
        };
        figures.world.take_in(self.world()?);
        print!("{}", report::tables(&figures));
        if let Some(docs) = &self.write {
            let file = file(docs);
            fs::create_dir_all(docs.join("benchmarks"))?;
            let json = serde_json::to_string_pretty(&figures)? + "\n";
            fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
            report::write(docs, &figures)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn sizes(&self) -> Vec<usize> {
        match (&self.nodes[..], self.quick) {
            ([], true) => QUICK_SIZES.to_vec(),
            ([], false) => SIZES.to_vec(),
            (nodes, _) => nodes.iter().copied().map(usize::from).collect(),
        }
    }

    fn contenders(&self) -> Vec<Contender> {
        if self.contenders.is_empty() { Contender::ALL.to_vec() } else { self.contenders.clone() }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }

    /// Measures in the simulated world, several clusters at a time: each is a thread of its own.
    fn world(&self) -> Result<Measured> {
        let (sizes, contenders) = (self.sizes(), self.contenders());
        // Memory first, while nothing else runs.
        let memory = contenders.iter().map(|contender| Memory {
            contender: *contender,
            heap: sizes
                .iter()
                .map(|nodes| (*nodes, trials::heap(*contender, *nodes, &ALLOCATOR)))
                .collect(),
        });
        let memory = memory.collect();
        let mut cases = Vec::new();
        for contender in &contenders {
            for nodes in &sizes {
                cases.push((*contender, *nodes, None));
                cases.extend(LOSSES.map(|loss| (*contender, *nodes, Some(loss))));
            }
        }
        // Taken from the end: the largest first, so that no thread is left with them.
        cases.sort_by_key(|(_, nodes, _)| *nodes);
        let (cases, rows, stalls) =
            (Mutex::new(cases), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let work = || -> Result<()> {
            let next = || cases.lock().ok()?.pop();
            while let Some((contender, nodes, loss)) = next() {
                let seeds = trials::seeds(nodes, self.quick);
                match loss {
                    Some(loss) => {
                        let row = trials::row(contender, nodes, loss, seeds, self.deadline())?;
                        eprintln!("{contender} with {nodes} nodes at {loss} % loss");
                        rows.lock().expect("no thread has panicked").push(row);
                    }
                    None => {
                        let mut row =
                            Stalls { contender, nodes, healthy: 0, stalled: 0, hours: 0.0 };
                        (0..seeds)
                            .for_each(|seed| trials::stalls(contender, nodes, seed, &mut row));
                        row.hours = figures::round(row.hours);
                        stalls.lock().expect("no thread has panicked").push(row);
                    }
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("no thread has panicked"))
        })?;
        let mut measured = self.measured()?;
        measured.rows = rows.into_inner().expect("no thread has panicked");
        measured.stalls = stalls.into_inner().expect("no thread has panicked");
        measured.memory = memory;
        Ok(measured)
    }

    /// No figures yet, but where they come from.
    fn measured(&self) -> Result<Measured> {
        let quick = if self.quick { " --quick" } else { "" };
        let date = Command::new("date").arg("+%F").output().context("cannot run `date`")?;
        Ok(Measured {
            command: format!("cargo xtask bench peers{quick}"),
            machine: machine()?,
            date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
            ..Measured::default()
        })
    }
}

/// The processor, and how many of it.
fn machine() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = text
        .lines()
        .find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == "model name"));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    Ok(format!("{}, {} cores", model, std::thread::available_parallelism()?))
}
