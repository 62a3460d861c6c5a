//! What a group has computed, as a hash and, on demand, step by step.

use alloc::format;
use core::fmt::Display;

/// Receives the lines of the report.
pub(crate) type Report<'a> = &'a mut dyn FnMut(&dyn Display);

/// The running hash of a group (FNV-1a, 64 bits), which can also name each step.
pub struct Trace<'a> {
    hash: u64,
    step: u32,
    /// Where each step is written; none while only the hash matters.
    steps: Option<Report<'a>>,
}

impl<'a> Trace<'a> {
    /// A trace that only hashes.
    pub(crate) fn hashing() -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, step: 0, steps: None }
    }

    /// A trace that also writes out each step.
    pub(crate) fn reporting(report: Report<'a>) -> Self {
        Self { steps: Some(report), ..Self::hashing() }
    }

    /// Adds an integer of up to 64 bits; signed ones are extended by their sign.
    pub fn word(&mut self, value: impl Word) {
        let value = value.to_word();
        self.absorb(&value.to_le_bytes());
        self.write_step(&format_args!("{value:016x}"));
    }

    /// Adds an integer of 128 bits.
    pub fn wide(&mut self, value: u128) {
        self.absorb(&value.to_le_bytes());
        self.write_step(&format_args!("{value:032x}"));
    }

    /// Adds bytes, without their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.absorb(bytes);
        self.write_step(&format_args!("{bytes:02x?}"));
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) {
        self.absorb(text.as_bytes());
        self.write_step(&format_args!("{text:?}"));
    }

    /// Adds what `value` displays.
    pub fn display(&mut self, value: impl Display) {
        self.text(&format!("{value}"));
    }

    /// Adds a float by its bits; all NaNs count as one, since their payload is not fixed.
    pub fn double(&mut self, value: f64) {
        self.word(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() });
    }

    /// As [`Self::double`], for single precision.
    pub fn single(&mut self, value: f32) {
        self.word(if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() });
    }

    /// The hash of everything added so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn absorb(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn write_step(&mut self, value: &dyn Display) {
        if let Some(report) = &mut self.steps {
            report(&format_args!("{} {value}", self.step));
            self.step += 1;
        }
    }
}

/// What fits into one step of a [`Trace`].
pub trait Word {
    /// The value as 64 bits.
    fn to_word(self) -> u64;
}

macro_rules! word {
    ($($type:ty),*) => {
        $(impl Word for $type {
            fn to_word(self) -> u64 {
                self as u64
            }
        })*
    };
}

// `usize` is for lengths and positions, which are the same whatever its width. What is computed in it modulo its width
// is not, and has no place in a trace.
word!(u8, u16, u32, u64, usize, i8, i16, i32, i64, bool, char);

impl Word for core::cmp::Ordering {
    fn to_word(self) -> u64 {
        (self as i8) as u64
    }
}
