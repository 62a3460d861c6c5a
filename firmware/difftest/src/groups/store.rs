//! Values in a flash that fails now and then.

use alloc::vec;
use alloc::vec::Vec;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use spore_core::store::MAX_VALUE;
use spore_node::store::{SECTOR, Store};

use crate::{Inputs, Trace};

const SECTORS: u32 = 2;
const STORES: u32 = 120;

/// A flash in memory. Operation number `cut` is done in part, and all after it fail.
struct Chip {
    bytes: Vec<u8>,
    operations: u64,
    cut: u64,
}

impl Chip {
    fn operate(&mut self, from: usize, after: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.operations += 1;
        let done = match self.operations {
            now if now < self.cut => after.len(),
            now if now == self.cut => after.len() / 2,
            _ => 0,
        };
        self.bytes[from..][..done].copy_from_slice(&after[..done]);
        if self.operations < self.cut { Ok(()) } else { Err(NorFlashErrorKind::Other) }
    }
}

impl ErrorType for Chip {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.operate(from as usize, &vec![0xFF; (to - from) as usize])
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let old = &self.bytes[offset as usize..][..bytes.len()];
        let after: Vec<u8> = old.iter().zip(bytes).map(|(old, new)| old & new).collect();
        self.operate(offset as usize, &after)
    }
}

/// Values stored, some of them cut short, and read back; and what is in the flash at last.
pub(super) fn values(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut bytes = vec![0xFF; (SECTORS * SECTOR) as usize];
    for _ in 0..STORES {
        let cut = if inputs.below(4) == 0 { 1 + inputs.below(8) } else { u64::MAX };
        let chip = Chip { bytes, operations: 0, cut };
        let Ok(mut store) = block_on(Store::open(chip, 0..SECTORS * SECTOR)) else {
            return trace.text("cannot be opened");
        };
        trace.word(u64::from(store.is_damaged()) << 1 | u64::from(store.is_foreign()));
        let (key, len) = (inputs.below(4) as u8, inputs.index(MAX_VALUE + 1));
        let mut value = vec![0; len];
        inputs.fill(&mut value);
        trace.word(u64::from(block_on(store.store(key, &value)).is_ok()));
        for key in 0..4 {
            let mut buf = [0; MAX_VALUE];
            match block_on(store.load(key, &mut buf)) {
                Ok(loaded) => trace.bytes(&buf[..loaded.len()]),
                Err(_) => trace.text("cannot be read"),
            }
        }
        bytes = store.into_flash().bytes;
    }
    trace.bytes(&bytes);
}
