//! The flash files, and what must become of each.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use spore_boot::map::{CONFIGURATION, FLASH, SELECTOR, Slot};
use spore_boot::selector::{BYTES, Choice, Selector, Stage};

use crate::image::container;

use super::{Parts, confirm, file, machine, put};

/// Images with a bit flipped at random, for each slot.
const FLIPS: u64 = 4;
/// What the bootloader says when it has nothing to start.
const LAST_RESORT: &str = "boot: no image.";

/// A flash and what it holds: image 1 in slot A, image 2 in slot B.
struct Whole {
    flash: Vec<u8>,
    /// Bytes of each image.
    length: u32,
}

/// Runs all cases; returns how many flash files there were.
pub(super) fn run(parts: &Parts) -> Result<usize> {
    let mut runs = 0;
    let mut case = |name: &str, flash: &[u8], lines: &[&str]| -> Result<Vec<u8>> {
        runs += 1;
        let counts = |line: &str| {
            line.starts_with("PAYLOAD")
                || line.starts_with(LAST_RESORT)
                || line.starts_with("ROM no")
        };
        let is_done =
            |said: &[&str]| said.iter().filter(|line| counts(line)).count() >= lines.len();
        let file = file(&parts.work, name);
        let start = machine::Start { rom: &parts.rom, append: "", trace: None };
        let (said, after) = machine::boot(start, &file, flash, is_done)
            .with_context(|| format!("case \"{name}\""))?;
        for (said, expected) in said.iter().filter(|line| counts(line)).zip(lines) {
            ensure!(
                said.starts_with(expected),
                "case \"{name}\": expected {lines:?}, got {said:?}"
            );
        }
        println!("  ok  {name}: {}", lines.join(", "));
        Ok(after)
    };
    let a = "PAYLOAD slot A image 1 data 5afe";
    let b = "PAYLOAD slot B image 2 data 5afe";

    relocated(parts)?;
    let whole = whole(parts)?;
    let only = |slot: Slot| {
        let mut flash = whole.flash.clone();
        erase(&mut flash, slot.other());
        flash
    };
    untouched(&only(Slot::A), &case("image in slot A alone", &only(Slot::A), &[a, a])?)?;
    untouched(&only(Slot::B), &case("image in slot B alone", &only(Slot::B), &[b, b])?)?;
    case("no selector", &whole.flash, &[b])?;
    for (name, slot, line) in [("A confirmed", Slot::A, a), ("B confirmed", Slot::B, b)] {
        let flash = confirmed(&whole, slot);
        untouched(&flash, &case(name, &flash, &[line, line])?)?;
        for (sector, region) in SELECTOR.iter().enumerate() {
            let mut flash = flash.clone();
            flash[region.start as usize..][..BYTES].fill(0);
            case(&format!("{name} and selector {sector} damaged"), &flash, &[line])?;
        }
    }
    trial(&whole, &mut case, [a, b])?;
    damage(&whole, &mut case, [a, b])?;
    full(parts, &mut case)?;
    broken_bootloader(&whole, &mut case)?;
    Ok(runs)
}

/// Runs one flash file until there were so many lines, and returns what it is then.
type Case<'a> = dyn FnMut(&str, &[u8], &[&str]) -> Result<Vec<u8>> + 'a;

/// A trial that is never confirmed, one whose image is damaged, and one that was used up.
fn trial(whole: &Whole, case: &mut Case<'_>, [a, b]: [&str; 2]) -> Result<()> {
    let mut flash = confirmed(whole, Slot::A);
    let selector = selector(&flash);
    let choice = Choice { slot: Slot::B, stage: Stage::Trial, image: 2 };
    let write = selector.write(choice);
    put(&mut flash, write.sector.start, &write.bytes);
    let after = case("B on trial", &flash, &[b, b, b, a, a])?;
    // The starts are counted in the file, and nothing else has changed.
    let mut counted = flash.clone();
    counted[write.sector.start as usize + 20..][..12].fill(0);
    untouched(&counted, &after)?;
    case("B had its trial", &after, &[a])?;
    let mut damaged = flash.clone();
    damaged[Slot::B.region().start as usize + 300] ^= 1;
    untouched(&damaged, &case("B on trial and damaged", &damaged, &[a])?)?;
    let mut alone = after;
    alone[Slot::A.region().start as usize + 300] ^= 1;
    case("B had its trial and A is damaged", &alone, &[b])?;
    Ok(())
}

/// Bits flipped in a slot, in both, in the settings.
fn damage(whole: &Whole, case: &mut Case<'_>, [a, b]: [&str; 2]) -> Result<()> {
    let mut rng = Rng::with_seed(5);
    let mut flip = |flash: &mut [u8], slot: Slot| {
        let bit = rng.u32(..whole.length * 8);
        flash[(slot.region().start + bit / 8) as usize] ^= 1 << (bit % 8);
    };
    for (slot, line) in [(Slot::A, b), (Slot::B, a)] {
        for seed in 0..FLIPS {
            let mut flash = confirmed(whole, slot);
            flip(&mut flash, slot);
            case(&format!("bit {seed} flipped in the confirmed slot {slot:?}"), &flash, &[line])?;
        }
    }
    let mut flash = confirmed(whole, Slot::A);
    flip(&mut flash, Slot::A);
    flip(&mut flash, Slot::B);
    let after = case("both slots damaged", &flash, &[LAST_RESORT, LAST_RESORT])?;
    untouched(&flash, &after)?;
    let mut flash = confirmed(whole, Slot::A);
    Slot::BOTH.into_iter().for_each(|slot| erase(&mut flash, slot));
    case("both slots erased", &flash, &[LAST_RESORT, LAST_RESORT])?;
    let mut flash = confirmed(whole, Slot::A);
    flash[CONFIGURATION.start as usize..CONFIGURATION.end() as usize].fill(0x5A);
    case("settings damaged", &flash, &[a])?;
    Ok(())
}

/// The payload's images differ as a node's do: in addresses that point into the slot, and nothing else.
fn relocated(parts: &Parts) -> Result<()> {
    let [a, b] = [parts.payload(Slot::A, 1, None)?, parts.payload(Slot::B, 1, None)?];
    let container::Made { moved, .. } = container::of(&a, &b)?;
    // The address of its code in place, and that of its header.
    ensure!(moved == 2, "the payload has {moved} words that point into its slot");
    Ok(())
}

/// An image that fills its slot.
fn full(parts: &Parts, case: &mut Case<'_>) -> Result<()> {
    let mut flash = vec![0xFF; FLASH as usize];
    put(&mut flash, 0, &parts.bootloader);
    put(&mut flash, Slot::B.region().start, &parts.payload(Slot::B, 9, Some(Slot::LENGTH))?);
    case("image that fills slot B", &flash, &["PAYLOAD slot B image 9 data 5afe"])?;
    flash[Slot::B.region().end() as usize - 1] ^= 1;
    case("image that fills slot B and its last bit flipped", &flash, &[LAST_RESORT])?;
    Ok(())
}

/// What the ROM refuses: the stand-in says so, on the chip nothing happens.
fn broken_bootloader(whole: &Whole, case: &mut Case<'_>) -> Result<()> {
    for (name, at, why) in [
        ("bootloader without a head", 0, "ROM no image at flash 0: Magic"),
        ("bootloader with a wild segment", 11, "ROM no image at flash 0: Segment"),
        ("bootloader with a flipped bit", 100, "ROM no image at flash 0: Checksum"),
    ] {
        let mut flash = whole.flash.clone();
        flash[at] ^= 0x10;
        case(name, &flash, &[why])?;
    }
    Ok(())
}

fn whole(parts: &Parts) -> Result<Whole> {
    let mut flash = vec![0xFF; FLASH as usize];
    put(&mut flash, 0, &parts.bootloader);
    let (a, b) = (parts.payload(Slot::A, 1, None)?, parts.payload(Slot::B, 2, None)?);
    put(&mut flash, Slot::A.region().start, &a);
    put(&mut flash, Slot::B.region().start, &b);
    Ok(Whole { flash, length: u32::try_from(a.len().min(b.len()))? })
}

fn erase(flash: &mut [u8], slot: Slot) {
    flash[slot.region().start as usize..slot.region().end() as usize].fill(0xFF);
}

/// The flash with a selector as it is after an update: both sectors say the same.
fn confirmed(whole: &Whole, slot: Slot) -> Vec<u8> {
    let mut flash = whole.flash.clone();
    confirm(&mut flash, slot, if slot == Slot::A { 1 } else { 2 });
    flash
}

fn selector(flash: &[u8]) -> Selector {
    let sector = |index: usize| {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&flash[SELECTOR[index].start as usize..][..BYTES]);
        bytes
    };
    Selector::read(&sector(0), &sector(1))
}

/// A start changes no byte but those that count trials.
fn untouched(expected: &[u8], found: &[u8]) -> Result<()> {
    let differing = expected.iter().zip(found).position(|(expected, found)| expected != found);
    ensure!(differing.is_none(), "the flash has changed at {:#x}", differing.unwrap_or(0));
    Ok(())
}
