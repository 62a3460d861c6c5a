//! What an operator changes of a task, and what is remembered of it.

use crate::wire::{Full, Reader, Writer};
use heapless::{Vec, VecView};

/// What is to be changed, read by [`Wanted::parse`](crate::settings::document::Wanted::parse). What is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskChange {
    pub(crate) enabled: Option<bool>,
    /// In milliseconds; `Some(None)` stands for the interval of the program.
    pub(crate) interval_ms: Option<Option<u32>>,
    /// Whether to run it now.
    pub(crate) run: Option<bool>,
}

/// What is remembered of a task: how it differs from what its program says.
///
/// [`Key::Tasks`](crate::Key::Tasks) is the version of the format, 1, and then for each such task
///
/// | bytes | what |
/// |---|---|
/// | 4 | FNV-1a of its name, most significant byte first |
/// | 1 | 0: as the program says; 1: disabled; 2: enabled |
/// | 4 | the interval in milliseconds; 0: as the program says |
///
/// Tasks that the program does not have are kept as long as there is room for [`STRANGERS_MAX`] of them, since
/// it may be an older one that will be replaced again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    pub(crate) name: u32,
    pub(crate) interval_ms: u32,
    pub(crate) enabled: Option<bool>,
}

/// The most tasks that the program does not have and that are remembered all the same.
pub const STRANGERS_MAX: usize = 8;

/// The most tasks of which something is remembered.
const SAVED_MAX: usize = super::TASKS_MAX.saturating_add(STRANGERS_MAX);

const FORMAT: u8 = 1;

// 217 bytes at most.
const _: () = assert!(SAVED_MAX <= 28, "a stored value has 256 bytes");

impl Saved {
    /// Whether there is nothing to be remembered.
    pub(crate) const fn is_plain(&self) -> bool {
        self.enabled.is_none() && self.interval_ms == 0
    }

    /// Reads a stored value and gives each part of it to `take`; nothing at all if it is no such value.
    pub(crate) fn decode(value: &[u8], take: impl FnMut(Self)) {
        let mut all = Vec::<Self, SAVED_MAX, u8>::new();
        if read(value, all.as_mut_view()).is_some() {
            all.into_iter().for_each(take);
        }
    }

    /// Appends it to a value to store.
    pub(crate) fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(self.name)?;
        writer.u8(match self.enabled {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        })?;
        writer.u32(self.interval_ms)
    }

    /// Begins a value to store.
    pub(crate) fn begin(writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(FORMAT)
    }
}

fn read(value: &[u8], all: &mut VecView<Saved, u8>) -> Option<()> {
    let mut reader = Reader::new(value);
    if reader.u8().ok()? != FORMAT {
        return None;
    }
    while !reader.is_empty() {
        let name = reader.u32().ok()?;
        let enabled = match reader.u8().ok()? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return None,
        };
        let saved = Saved { name, enabled, interval_ms: reader.u32().ok()? };
        if saved.is_plain() || all.iter().any(|other| other.name == name) {
            return None;
        }
        all.push(saved).ok()?;
    }
    Some(())
}
