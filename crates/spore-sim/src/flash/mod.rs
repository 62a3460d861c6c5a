//! [`NorChip`]: a NOR flash whose power can be cut, and which can report an error, at any operation.
//!
//! As on an ESP-01: sectors of 4 KB are erased to ones, words of four bytes are programmed, which
//! only clears bits, in pages of 256 bytes. Reads are free of faults: a cell that reads now so and
//! now so, as one that was half programmed may, is not modelled; it is 0 or 1, by chance, once.

mod cut;

pub use cut::{Cut, Lapse, Tear, When};

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use fastrand::Rng;

/// The bytes that are erased at once.
pub const SECTOR: usize = 4096;

/// The bytes that the chip programs at once. Longer programs take several steps.
pub const PAGE: usize = 256;

/// The bytes that are programmed at least, and to a multiple of which addresses are rounded.
pub const WORD: usize = 4;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The power is off.
    Off,
    /// A [`Lapse`]: this operation is said to have failed, the next one will not.
    Lapse,
    /// The address or the length is not a multiple of a word or of a sector.
    NotAligned,
    /// The chip is not so large.
    OutOfBounds,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Off | Self::Lapse => NorFlashErrorKind::Other,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
        }
    }
}

/// A flash chip. Its bytes are all that survives a cut: clone them with [`NorChip::bytes`], and
/// begin anew with [`NorChip::from_bytes`].
#[derive(Clone, Debug)]
pub struct NorChip {
    bytes: Vec<u8>,
    /// Erases by sector.
    erases: Vec<u32>,
    operations: u64,
    cut: Option<Cut>,
    lapse: Option<Lapse>,
    off: bool,
    /// What can be undone.
    past: Option<Vec<Operation>>,
}

/// An operation that is done.
#[derive(Clone, Debug)]
struct Operation {
    from: usize,
    before: Vec<u8>,
    after: Vec<u8>,
    erase: bool,
}

impl NorChip {
    /// A chip of so many sectors as it comes from the factory: all ones.
    pub fn blank(sectors: usize) -> Self {
        Self::from_bytes(vec![0xFF; sectors * SECTOR])
    }

    /// A chip that holds `bytes`, whole sectors of them, with power.
    ///
    /// # Panics
    ///
    /// If they are not whole sectors.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        assert!(bytes.len().is_multiple_of(SECTOR), "a chip has whole sectors");
        let erases = vec![0; bytes.len() / SECTOR];
        let (cut, lapse, past) = (None, None, None);
        Self { bytes, erases, operations: 0, cut, lapse, off: false, past }
    }

    /// What the chip holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, to damage it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Programs and erases since the chip was made; reads do not count.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// How often each sector was erased since the chip was made.
    pub fn erases(&self) -> &[u32] {
        &self.erases
    }

    /// Arms a cut, in place of any other. If its operation is past, nothing will happen.
    pub fn arm(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// Arms an error, in place of any other. If its operation is past, nothing will happen.
    pub fn arm_lapse(&mut self, lapse: Lapse) {
        self.lapse = Some(lapse);
    }

    /// Keeps from now on what operations change, and forgets what it has kept: a power cut may turn out to have met one of them.
    pub fn keep_past(&mut self) {
        self.past = Some(Vec::new());
    }

    /// How many operations could still be cut.
    pub fn past(&self) -> usize {
        self.past.as_ref().map_or(0, Vec::len)
    }

    /// The power was cut at this one of the operations that were [kept](Self::keep_past), counted from 0: it and what came after it
    /// is undone, but for what the cut leaves of it. The power is back. Nothing happens if there is no such operation.
    pub fn cut_past(&mut self, operation: usize, when: When, seed: u64) {
        let mut past = self.past.take().unwrap_or_default();
        if operation >= past.len() {
            return;
        }
        for Operation { from, before, .. } in past[operation..].iter().rev() {
            self.bytes[*from..][..before.len()].copy_from_slice(before);
        }
        let Operation { from, after, erase, .. } = past.swap_remove(operation);
        self.arm(Cut { operation: self.operations, when, seed });
        // That it fails is what a cut is.
        let _ = self.operate(from, &after, erase);
        self.power_on();
    }

    /// Whether the power is off. Everything fails then.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Gives the power back, and disarms the cut if it has not come.
    pub fn power_on(&mut self) {
        (self.off, self.cut) = (false, None);
    }

    fn check(&self, from: usize, len: usize, unit: usize) -> Result<(), FlashError> {
        if self.off {
            return Err(FlashError::Off);
        }
        if !from.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(FlashError::NotAligned);
        }
        let end = from.checked_add(len).filter(|end| *end <= self.bytes.len());
        end.map(drop).ok_or(FlashError::OutOfBounds)
    }

    /// Does one operation, which changes `area` into `after`, or what a cut makes of it.
    fn operate(&mut self, from: usize, after: &[u8], erase: bool) -> Result<(), FlashError> {
        let number = self.operations;
        self.operations += 1;
        let area = &mut self.bytes[from..][..after.len()];
        if let Some(past) = &mut self.past {
            past.push(Operation { from, before: area.to_vec(), after: after.to_vec(), erase });
        }
        if let Some(lapse) = self.lapse.take_if(|lapse| lapse.operation == number) {
            if lapse.effect {
                area.copy_from_slice(after);
            }
            return Err(FlashError::Lapse);
        }
        let Some(cut) = self.cut.filter(|cut| cut.operation == number) else {
            area.copy_from_slice(after);
            return Ok(());
        };
        self.off = true;
        match cut.when {
            When::Before => (),
            When::After => area.copy_from_slice(after),
            When::Torn(tear) => {
                let mut rng = Rng::with_seed(cut.seed);
                if erase {
                    tear.erase(area, &mut rng);
                } else {
                    tear.program(from, area, after, &mut rng);
                }
            }
        }
        Err(FlashError::Off)
    }
}

fn index(address: u32) -> Result<usize, FlashError> {
    usize::try_from(address).map_err(|_| FlashError::OutOfBounds)
}

impl ErrorType for NorChip {
    type Error = FlashError;
}

impl ReadNorFlash for NorChip {
    const READ_SIZE: usize = WORD;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let from = index(offset)?;
        self.check(from, bytes.len(), WORD)?;
        bytes.copy_from_slice(&self.bytes[from..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for NorChip {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    /// Each sector is an operation.
    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let (from, to) = (index(from)?, index(to)?);
        self.check(from, to.checked_sub(from).ok_or(FlashError::OutOfBounds)?, SECTOR)?;
        for sector in (from..to).step_by(SECTOR) {
            self.erases[sector / SECTOR] += 1;
            self.operate(sector, &[0xFF; SECTOR], true)?;
        }
        Ok(())
    }

    /// However long it is, it is one operation: a program can be torn across pages.
    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let from = index(offset)?;
        self.check(from, bytes.len(), WORD)?;
        let old = &self.bytes[from..][..bytes.len()];
        let after: Vec<_> = old.iter().zip(bytes).map(|(old, new)| old & new).collect();
        self.operate(from, &after, false)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, FlashError, Lapse, NorChip, PAGE, SECTOR, Tear, When};
    use embassy_futures::block_on;
    use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

    #[test]
    fn programming_clears_bits_and_erasing_sets_a_sector() {
        let mut chip = NorChip::blank(2);
        block_on(chip.write(8, &[0xF0, 0, 0xFF, 1])).unwrap();
        block_on(chip.write(8, &[0x3F, 0xFF, 0xFF, 2])).unwrap();
        let mut word = [0; 4];
        block_on(chip.read(8, &mut word)).unwrap();
        assert_eq!(word, [0x30, 0, 0xFF, 0]);
        block_on(chip.erase(0, 4096)).unwrap();
        assert!(chip.bytes().iter().all(|byte| *byte == 0xFF));
        assert_eq!((chip.operations(), chip.erases()), (3, &[1, 0][..]));
    }

    #[test]
    fn what_the_chip_cannot_do_is_refused_and_changes_nothing() {
        let mut chip = NorChip::blank(1);
        assert_eq!(block_on(chip.write(2, &[0; 4])), Err(FlashError::NotAligned));
        assert_eq!(block_on(chip.write(0, &[0; 3])), Err(FlashError::NotAligned));
        assert_eq!(block_on(chip.write(4096, &[0; 4])), Err(FlashError::OutOfBounds));
        assert_eq!(block_on(chip.erase(0, 100)), Err(FlashError::NotAligned));
        assert_eq!(block_on(chip.erase(4096, 0)), Err(FlashError::OutOfBounds));
        assert_eq!((chip.operations(), chip.bytes()), (0, &[0xFF; SECTOR][..]));
    }

    #[test]
    fn a_cut_takes_the_power_with_the_operation_before_after_or_in_its_midst() {
        for (when, done) in [(When::Before, 0), (When::After, 600)] {
            let mut chip = NorChip::blank(1);
            chip.arm(Cut { operation: 1, when, seed: 1 });
            block_on(chip.write(0, &[0; 4])).unwrap();
            assert_eq!(block_on(chip.write(4, &[0; 600])), Err(FlashError::Off));
            assert_eq!(block_on(chip.read(0, &mut [0; 4])), Err(FlashError::Off));
            assert!(chip.is_off());
            chip.power_on();
            block_on(chip.read(0, &mut [0; 4])).unwrap();
            assert_eq!(chip.bytes().iter().filter(|byte| **byte == 0).count(), 4 + done);
        }
    }

    #[test]
    fn a_lapse_is_an_error_once_with_or_without_effect_and_the_power_stays() {
        for (effect, done) in [(false, 0), (true, 4)] {
            let mut chip = NorChip::blank(1);
            chip.arm_lapse(Lapse { operation: 1, effect });
            block_on(chip.write(0, &[0; 4])).unwrap();
            assert_eq!(block_on(chip.write(4, &[0; 4])), Err(FlashError::Lapse));
            assert!(!chip.is_off());
            assert_eq!(chip.bytes().iter().filter(|byte| **byte == 0).count(), 4 + done);
            block_on(chip.write(4, &[0; 4])).unwrap();
        }
    }

    #[test]
    fn a_cut_in_the_past_leaves_what_one_at_that_moment_would_have() {
        let work = |chip: &mut NorChip| {
            block_on(async {
                chip.write(0, &[0x5A; 300]).await?;
                chip.erase(0, 4096).await?;
                chip.write(4, &[0xA5; 300]).await
            })
        };
        for operation in 0..3 {
            for when in [When::Before, When::After].into_iter().chain(Tear::ALL.map(When::Torn)) {
                let mut cut = NorChip::blank(1);
                cut.arm(Cut { operation: operation as u64, when, seed: 7 });
                assert_eq!(work(&mut cut), Err(FlashError::Off));
                let mut done = NorChip::blank(1);
                done.keep_past();
                work(&mut done).unwrap();
                assert_eq!(done.past(), 3);
                done.cut_past(operation, when, 7);
                assert_eq!(done.bytes(), cut.bytes(), "{operation}, {when:?}");
                assert!(!done.is_off());
            }
        }
        let mut chip = NorChip::blank(1);
        chip.keep_past();
        chip.cut_past(0, When::Before, 7);
        assert_eq!(chip.bytes(), [0xFF; SECTOR]);
    }

    #[test]
    fn tears_leave_old_and_new_bits_only_and_each_page_by_itself() {
        let (mut partial, mut second_page_alone) = (0, 0);
        for seed in 0..1000 {
            for tear in Tear::ALL {
                let mut chip = NorChip::blank(1);
                chip.arm(Cut { operation: 0, when: When::Torn(tear), seed });
                let new = [0x5A; 2 * PAGE];
                assert_eq!(block_on(chip.write(0, &new)), Err(FlashError::Off));
                assert!(chip.bytes().iter().all(|byte| byte | 0x5A == *byte));
                assert!(chip.bytes()[2 * PAGE..].iter().all(|byte| *byte == 0xFF));
                let programmed = |page: &[u8]| page.iter().filter(|byte| **byte == 0x5A).count();
                let pages = [0, 1].map(|page| programmed(&chip.bytes()[page * PAGE..][..PAGE]));
                partial += usize::from(pages[0] + pages[1] < 2 * PAGE);
                second_page_alone += usize::from(pages[0] == 0 && pages[1] > 0);
            }
        }
        assert!(partial > 1000 && second_page_alone > 10, "{partial}, {second_page_alone}");
    }

    #[test]
    fn a_torn_erase_leaves_what_was_there_or_ones() {
        for seed in 0..100 {
            for tear in Tear::ALL {
                let mut chip = NorChip::from_bytes(vec![0x5A; SECTOR]);
                chip.arm(Cut { operation: 0, when: When::Torn(tear), seed });
                assert_eq!(block_on(chip.erase(0, 4096)), Err(FlashError::Off));
                assert!(chip.bytes().iter().all(|byte| byte & 0x5A == 0x5A));
            }
        }
    }
}
