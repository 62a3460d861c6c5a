//! Pins of a board that has none: each is a line in the log.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use qemu::log_line;

/// A pin, by the name that a board's file gives it.
#[derive(Debug, Clone, Copy)]
pub struct Pin(&'static str);

/// A light.
pub const LIGHT: Pin = Pin("light");
/// A relay.
pub const RELAY: Pin = Pin("relay");

impl Pin {
    /// To switch what is connected to it.
    #[must_use]
    pub const fn output(self) -> Output {
        Output(self)
    }
}

/// A pin that is driven.
#[derive(Debug)]
pub struct Output(Pin);

impl ErrorType for Output {
    type Error = Infallible;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), Infallible> {
        log_line!("PIN {} low", self.0.0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        log_line!("PIN {} high", self.0.0);
        Ok(())
    }
}
