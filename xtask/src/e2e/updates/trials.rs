//! Each kind of bad image once on a board: one that panics, one that hangs, and one that runs and is never confirmed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::images::{self, Nature};
use super::{Operator, said};
use crate::e2e::cluster::{Cluster, Plan};
use crate::e2e::network;
use crate::emu::machine::Report;
use crate::process;

/// The numbers of a board's first image, and of the bad ones.
const OLD: u32 = 1;
const BAD: u32 = 2;
/// A trial's five minutes, an upload before it, and starts.
const LIMIT: Duration = Duration::from_secs(420);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// So often an image on trial is started at most.
const STARTS: u32 = spore_boot::selector::TRIAL_BOOTS;

/// A board, what is wrong with the image that it gets, and what it must say afterwards.
struct Case {
    what: &'static str,
    nature: Nature,
    /// Nobody hears it while it is on trial.
    deaf: bool,
    /// Starts of the bad image.
    starts: u32,
    reason: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        what: "panics",
        nature: Nature::Panics,
        deaf: false,
        starts: STARTS,
        reason: "not_started",
    },
    Case {
        what: "hangs",
        nature: Nature::Hangs,
        deaf: false,
        starts: STARTS,
        reason: "not_started",
    },
    Case {
        what: "hears nobody",
        nature: Nature::Good,
        deaf: true,
        starts: 1,
        reason: "no_network",
    },
];

/// How many boards it takes.
pub(in crate::e2e) const BOARDS: u8 = CASES.len() as u8;

/// Runs the test.
///
/// # Errors
/// When an image is started more often than it may be, or the old one does not come back.
pub(in crate::e2e) fn run(plan: &Plan<'_>) -> Result<()> {
    ensure!(plan.boards == BOARDS, "there are {BOARDS} kinds of bad images, one for each board");
    let mut cluster = Cluster::start(plan)?;
    cluster.expect_agreement()?;
    let operator = Operator::new(plan, &cluster);
    for (case, (_, api)) in CASES.iter().zip(&cluster.boards) {
        let image = images::board(plan, case.nature, BAD)?;
        let image = image.to_str().context("the path is not UTF-8")?;
        let done =
            process::output(&mut operator.ota("update", &[&api.name, image], &["--no-wait"]))?;
        ensure!(done.status.success(), "{} does not take the image: {}", api.name, said(&done));
        if case.deaf {
            // It restarts in half a second.
            let number = cluster.boards.len();
            network::ip(&format!("link set tap{number} down"))?;
        }
    }
    let begun = Instant::now();
    // Starts since then: of the bad image, and of the old one again.
    let mut booted = [0; CASES.len()];
    let mut open: Vec<usize> = (0..CASES.len()).collect();
    while !open.is_empty() {
        for (id, report) in cluster.reports() {
            if report == Report::Booted {
                booted[usize::from(id) - 1] += 1;
            }
        }
        open.retain(|index| {
            let (case, (_, api)) = (&CASES[*index], &cluster.boards[*index]);
            if case.deaf && booted[*index] > case.starts {
                let _ = network::ip(&format!("link set tap{} up", index + 1));
            }
            let state = api.get("/api/node/update").unwrap_or_default();
            let back = state["image"]["sequence"] == OLD && state["image"]["stage"] == "confirmed";
            let over =
                back && state["quarantined"] == BAD && state["last"]["reason"] == case.reason;
            if over {
                println!("e2e: an image that {} is gone, and the old one runs", case.what);
            }
            !over
        });
        let left: Vec<_> = open.iter().map(|index| CASES[*index].what).collect();
        ensure!(begun.elapsed() < LIMIT, "the old image is not back from those: {left:?}");
        std::thread::sleep(LOOK);
    }
    for (case, booted) in CASES.iter().zip(booted) {
        let starts = booted.saturating_sub(1);
        ensure!(starts == case.starts, "one that {} was started {starts} times", case.what);
    }
    println!("promise O3 kinds={BOARDS} starts={STARTS}");
    Ok(())
}
