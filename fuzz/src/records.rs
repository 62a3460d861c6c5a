//! What is in flash and in RTC memory: sectors of the store, and the values in it.

use alloc::vec::Vec;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use spore_core::crash::CrashRecord;
use spore_core::settings::{Claim, Settings};
use spore_core::store::MAX_VALUE;
use spore_node::store::{SECTOR, Store};

use crate::See;
use crate::bytes::Bytes;
use crate::engine::{self, Bench};

/// Two sectors, as flash has them.
struct Chip(Vec<u8>);

impl ErrorType for Chip {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let at = offset as usize;
        let from = self.0.get(at..at + bytes.len()).ok_or(NorFlashErrorKind::OutOfBounds)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let erased = self.0.get_mut(from as usize..to as usize);
        erased.ok_or(NorFlashErrorKind::OutOfBounds)?.fill(0xFF);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let at = offset as usize;
        let to = self.0.get_mut(at..at + bytes.len()).ok_or(NorFlashErrorKind::OutOfBounds)?;
        // Flash clears bits, and sets none.
        to.iter_mut().zip(bytes).for_each(|(to, from)| *to &= from);
        Ok(())
    }
}

/// The first byte says what the rest is: a flash, or one value of it.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    let mut bytes = Bytes(input);
    match bytes.u8() % 8 {
        0 | 1 => store(bytes, see),
        2 => see(format_args!("{:?}", Settings::decode(bytes.0).is_some())),
        3 => see(format_args!("{:?}", Claim::decode(bytes.0).is_some())),
        4 => {
            let record = CrashRecord::decode(bytes.0);
            see(format_args!("{record:?}"));
            let mut value = [0; MAX_VALUE];
            let len = bytes.0.len().min(value.len());
            value[..len].copy_from_slice(&bytes.0[..len]);
            let json = CrashRecord::value_to_json(&mut value, len);
            see(format_args!("{:?}", json.map(|len| &value[..len])));
        }
        _ => {
            // A node that finds such values when it starts.
            let mut storage = engine::storage();
            let mut bench = Bench::stored(&mut storage, bytes);
            bench.start();
            see(format_args!("{:?}", bench.node().own()));
        }
    }
}

/// Sectors that begin with pieces of the input, as a store; and one value stored into it.
fn store(mut bytes: Bytes<'_>, see: See<'_>) {
    let mut flash = alloc::vec![0xFF; 2 * SECTOR as usize];
    for sector in flash.chunks_mut(SECTOR as usize) {
        let piece = bytes.up_to(if bytes.0.len() > 1024 { 512 } else { bytes.0.len() / 2 });
        sector[..piece.len()].copy_from_slice(piece);
    }
    let Ok(mut store) = block_on(Store::open(Chip(flash), 0..2 * SECTOR)) else {
        return see(format_args!("cannot be opened"));
    };
    see(format_args!("{} {}", store.is_damaged(), store.is_foreign()));
    let mut room = [0; MAX_VALUE];
    for key in 0..11 {
        let loaded = block_on(store.load(key, &mut room)).map(|loaded| loaded.len());
        see(format_args!("{key} {:?}", loaded.map(|len| &room[..len]).ok()));
    }
    if block_on(store.store(3, b"value")).is_ok() {
        let loaded = block_on(store.load(3, &mut room)).map(|loaded| loaded.len());
        assert_eq!(loaded.map(|len| &room[..len]).ok(), Some(&b"value"[..]), "it was stored");
    }
}
