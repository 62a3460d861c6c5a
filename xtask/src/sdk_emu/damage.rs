//! Whole flash files with the node in both slots, damaged: each ends in the right slot or in the last resort, and in time.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use spore_boot::map::{CONFIGURATION, Region, SELECTOR, Slot};

use super::link::StandIn;
use super::machine::{Machine, Wire};
use super::{PATIENCE, range};
use crate::emu::esp01;

/// The node has its memory and is about to run.
const STARTED: &str = "SECOND STACK";
/// What the bootloader says when it has nothing to start.
const LAST_RESORT: &str = "boot: no image.";

/// How a start ends: the slot that is started, or the last resort.
type End = Option<Slot>;

/// Starts flash files that are damaged, so many of them with a wrong bit in each part; returns how many there were. `flash` has
/// image 1 in slot A and image 2 in slot B, and slot A is confirmed.
///
/// # Errors
/// When one ends otherwise than it should, or not in time.
pub(super) fn check(
    stand_in: &StandIn,
    folder: &Path,
    flash: &[u8],
    flips: usize,
) -> Result<usize> {
    let mut rng = Rng::with_seed(5);
    let [a, b] = Slot::BOTH.map(Slot::region);
    let parts: [(&str, &[Region], End, End); 4] = [
        // Erased, the newer image is taken; of one sector with a wrong bit, the other one says the same.
        ("selector", &SELECTOR, Some(Slot::B), Some(Slot::A)),
        ("slot A", &[a], Some(Slot::B), Some(Slot::B)),
        ("slot B", &[b], Some(Slot::A), Some(Slot::A)),
        ("settings", &[CONFIGURATION], Some(Slot::A), Some(Slot::A)),
    ];
    let mut cases: Vec<(String, Vec<u8>, End)> = Vec::new();
    for (name, regions, erased, flipped) in parts {
        cases.push((format!("{name} erased"), erase(flash, regions), erased));
        for number in 1..=flips {
            let damaged = flip(flash, regions, &mut rng);
            cases.push((format!("bit {number} flipped in {name}"), damaged, flipped));
        }
    }
    let mut noise = flash.to_vec();
    rng.fill(&mut noise[range(CONFIGURATION)]);
    cases.push(("settings of noise".to_owned(), noise, Some(Slot::A)));
    cases.push(("both slots erased".to_owned(), erase(flash, &[a, b]), None));
    let both = flip(&flip(flash, &[a], &mut rng), &[b], &mut rng);
    cases.push(("bits flipped in both slots".to_owned(), both, None));
    for (name, flash, end) in &cases {
        start(stand_in, folder, (name, flash), *end)
            .with_context(|| format!("a flash with {name}"))?;
        println!(
            "  ok  {name}: {}",
            end.map_or("last resort".into(), |slot| format!("slot {slot:?}"))
        );
    }
    Ok(cases.len())
}

fn start(stand_in: &StandIn, folder: &Path, (name, flash): (&str, &[u8]), end: End) -> Result<()> {
    let file = folder.join(format!("{}.flash", name.replace(' ', "-")));
    esp01::write_flash(&file, flash)?;
    let log = file.with_extension("log");
    let board = stand_in.machine(&file);
    let machine = Machine { board, id: 258, air: "", pokes: "", wire: Wire::Echo, log };
    let last = if end.is_some() { STARTED } else { LAST_RESORT };
    let output = machine.run_to(last, 0, PATIENCE)?;
    let is_last = output.lines().any(|line| line.starts_with(last));
    let expected = match end {
        Some(Slot::A) => "boot: slot A, image 1",
        Some(Slot::B) => "boot: slot B, image 2",
        None => LAST_RESORT,
    };
    ensure!(
        is_last && output.lines().any(|line| line.starts_with(expected)),
        "it does not say \"{expected}\" but:\n{output}"
    );
    Ok(())
}

fn erase(flash: &[u8], regions: &[Region]) -> Vec<u8> {
    let mut flash = flash.to_vec();
    regions.iter().for_each(|region| flash[range(*region)].fill(0xFF));
    flash
}

/// The flash with a wrong bit in a byte of one of these regions that was written to.
fn flip(flash: &[u8], regions: &[Region], rng: &mut Rng) -> Vec<u8> {
    let mut damaged = flash.to_vec();
    let written = regions.iter().flat_map(|region| range(*region)).filter(|at| flash[*at] != 0xFF);
    let written: Vec<usize> = written.collect();
    if let Some(at) = rng.choice(written) {
        damaged[at] ^= 1 << rng.u8(..8);
    }
    damaged
}
