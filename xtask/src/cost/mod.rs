//! `cargo xtask cost`: what the task scheduler costs on the LX106, and how punctual it is there.

mod lateness;
mod ticks;

pub(crate) use ticks::counted;

use anyhow::{Result, ensure};
use clap::Args;

/// Measure what a tick of the task scheduler costs on the emulated LX106, and how late its tasks run.
///
/// The cost is that of the engine with as many tasks as there can be, 16, alone on the machine, in executed
/// instructions. A tick is what a node does for its tasks each time it wakes up.
///
/// Lateness is that of a task with an interval of 100 ms on an emulated ESP-01: alone in its cluster; in a cluster of as
/// many members as a board can list; and there while HTTP clients ask for the list, one request after another. An
/// instruction takes 16 ns of the board's time, 62.5 million a second. The chip executes at most 80 million; how many
/// fewer it does while it waits for its flash is not known. The limits are for 99 of 100 runs.
///
/// Each figure is one line; a figure over its limit is an error.
#[derive(Args)]
pub(crate) struct Cost {
    /// How many seconds the task is watched in each of the three situations.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
}

/// What `cargo xtask promises` calls the figures, in their order.
const NAMES: [&str; 5] = ["idle_most", "busy_most", "late_alone", "late_crowded", "late_asked"];

/// One figure, with what it may be at most.
#[derive(Debug, PartialEq, Eq)]
struct Figure {
    /// What was measured, as a line of text.
    line: String,
    value: u64,
    limit: u64,
}

impl Cost {
    /// Measures, and prints the figures.
    ///
    /// # Errors
    /// When something does not build or run, or a figure is over its limit.
    pub(crate) fn run(self) -> Result<()> {
        let mut figures = ticks::measure()?;
        print(&figures);
        let lateness = lateness::measure(self.seconds)?;
        print(&lateness);
        figures.extend(lateness);
        let told: String =
            NAMES.iter().zip(&figures).map(|(n, f)| format!(" {n}={}", f.value)).collect();
        println!("promise T1{told}");
        let over: Vec<&str> =
            figures.iter().filter(|f| f.value > f.limit).map(|f| f.line.as_str()).collect();
        ensure!(over.is_empty(), "over the limit: {}", over.join("; "));
        Ok(())
    }
}

fn print(figures: &[Figure]) {
    for Figure { line, limit, .. } in figures {
        println!("T1: {line} (limit {limit})");
    }
}
