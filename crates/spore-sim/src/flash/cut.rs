//! What a power cut leaves of an operation, and errors that the chip only reports.

use super::{PAGE, WORD};
use fastrand::Rng;

/// A power cut to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// At which operation, by [`NorChip::operations`](super::NorChip::operations) before it.
    pub operation: u64,
    /// At which moment of it.
    pub when: When,
    /// What a tear draws its chance from.
    pub seed: u64,
}

/// An error to come that is none: the power stays, and the next operation succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// At which operation, as of a [`Cut`].
    pub operation: u64,
    /// Whether the operation is complete all the same, or nothing has happened.
    pub effect: bool,
}

/// The moment of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing has happened yet.
    Before,
    /// In its midst.
    Torn(Tear),
    /// It is complete, but nobody has heard.
    After,
}

/// How an operation is torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// It went through from the start to a random place. Of a program, each page by itself, and
    /// of the word at that place only some bits. Pages are as likely whole or untouched.
    Prefix,
    /// An erase that went through from a random place to the end; a program as with `Prefix`.
    Suffix,
    /// Each bit by itself, as likely as not.
    Bits,
    /// Hardly a bit has changed: one in 64.
    Begun,
    /// Nearly every bit has changed: all but one in 64.
    Nearly,
    /// All but one to three bits have changed, anywhere.
    Remnant,
}

impl Tear {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Prefix, Self::Suffix, Self::Bits, Self::Begun, Self::Nearly, Self::Remnant];

    /// Tears the program of `after` over `area`, which begins at the address `from`.
    pub(super) fn program(self, from: usize, area: &mut [u8], after: &[u8], rng: &mut Rng) {
        if !matches!(self, Self::Prefix | Self::Suffix) {
            return self.mix(area, after, rng);
        }
        let mut at = 0;
        while at < area.len() {
            let page = (PAGE - (from + at) % PAGE).min(area.len() - at);
            let whole = match rng.u8(..4) {
                0 => 0,
                1 => page,
                _ => rng.usize(..=page / WORD) * WORD,
            };
            area[at..][..whole].copy_from_slice(&after[at..][..whole]);
            if whole < page {
                let word = at + whole..at + (whole + WORD).min(page);
                mix(&mut area[word.clone()], &after[word], rng, |rng| rng.u8(..));
            }
            at += page;
        }
    }

    /// Tears the erase of `area`.
    pub(super) fn erase(self, area: &mut [u8], rng: &mut Rng) {
        let place = rng.usize(..=area.len());
        match self {
            Self::Prefix => area[..place].fill(0xFF),
            Self::Suffix => area[place..].fill(0xFF),
            _ => {
                let ones = vec![0xFF; area.len()];
                self.mix(area, &ones, rng);
            }
        }
    }

    /// Changes some bits of `area` into those of `after`.
    fn mix(self, area: &mut [u8], after: &[u8], rng: &mut Rng) {
        let rare = |rng: &mut Rng| (0..6).fold(0xFF, |mask, _| mask & rng.u8(..));
        match self {
            Self::Prefix | Self::Suffix | Self::Bits => mix(area, after, rng, |rng| rng.u8(..)),
            Self::Begun => mix(area, after, rng, rare),
            Self::Nearly => mix(area, after, rng, |rng| !rare(rng)),
            Self::Remnant => {
                let old = area.to_vec();
                area.copy_from_slice(after);
                let changed: Vec<_> = (0..area.len()).filter(|at| old[*at] != after[*at]).collect();
                for _ in 0..rng.usize(1..=3) {
                    let Some(at) = rng.choice(&changed).copied() else { return };
                    let bits = (0..8).filter(|bit| (old[at] ^ after[at]) >> bit & 1 == 1);
                    let bit = rng.choice(bits.collect::<Vec<_>>()).map_or(0, |bit| 1 << bit);
                    area[at] = area[at] & !bit | old[at] & bit;
                }
            }
        }
    }
}

/// Changes those bits of `area` into those of `after` that are set in masks.
fn mix(area: &mut [u8], after: &[u8], rng: &mut Rng, mut mask: impl FnMut(&mut Rng) -> u8) {
    for (byte, new) in area.iter_mut().zip(after) {
        let mask = mask(rng);
        *byte = *byte & !mask | new & mask;
    }
}
