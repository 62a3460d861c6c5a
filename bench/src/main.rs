//! SPORE's membership beside other engines, on the same work.
//!
//! In a simulated world, in virtual time, it stands beside foca, which does no I/O either; over real sockets, beside chitchat and
//! memberlist, too. `cargo xtask bench peers` builds and starts this program; docs/benchmarks.md has what came of it.
//!
//! | module | what it is |
//! |---|---|
//! | `contender` | who is compared, and at which pace |
//! | `engine` | `Engine`, behind which SPORE and foca are alike |
//! | `cluster` | `Cluster`, behind which virtual time and real time are alike |
//! | `world` | the simulated world, with the network of `spore-sim` |
//! | `sockets`, `peer` | clusters of processes, and such a process |
//! | `trials` | what is done to a cluster |
//! | `compare` | all of it, and in which order |
//! | `views` | who lists whom |
//! | `figures`, `report`, `plot` | what came of it, as data, as tables and as drawings |

mod address;
mod cluster;
mod compare;
mod contender;
mod engine;
mod figures;
mod peer;
mod plot;
mod report;
mod sockets;
mod trials;
mod views;
mod world;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use compare::Compare;
use figures::Figures;
use peak_alloc::PeakAlloc;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Counts what is on the heap.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[derive(Parser)]
#[command(about = "SPORE's membership beside that of others")]
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
    /// Try one cluster over real sockets, in a network namespace that is there for it.
    #[command(hide = true)]
    Case(sockets::Case),
    /// Be a node of it.
    #[command(hide = true)]
    Peer(peer::Peer),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Compare(compare) => compare.run(),
        Task::Report { docs } => report::write(&docs, &read(&docs)?),
        Task::Case(case) => case.run(),
        Task::Peer(peer) => peer.run(&ALLOCATOR),
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
