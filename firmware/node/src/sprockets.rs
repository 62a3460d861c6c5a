//! The sprockets of this firmware: the examples, from the same source as on a PC.
//!
//! Nothing but the radio is wired to the emulated board, so its pins are lines in its log, and its sensor is made up.

use core::convert::Infallible;

use crate::log_line;
use embassy_time::Instant;
use embedded_hal::digital::{ErrorType, OutputPin};
use spore_examples::blink::Blink;
use spore_examples::relay::Relay;
use spore_examples::sensor::Sensor;
use spore_node::sprocket::{Roster, Sprockets};

/// All of them.
pub type Fitted = (Blink<LoggedPin>, Relay<LoggedPin>, Sensor<fn() -> i32>);

/// What they bring, with what every node offers.
pub const ROSTER: &Roster = Fitted::ROSTER;

/// The sprockets of a node that starts.
#[must_use]
pub const fn fitted() -> Fitted {
    (
        Blink { pin: LoggedPin("light"), lit: false },
        Relay { pin: LoggedPin("relay"), on: false },
        Sensor { read: temperature, highest: None, raised: false },
    )
}

/// Something between 18 and 25, as a room has it.
fn temperature() -> i32 {
    18 + (Instant::now().as_ticks() as u32 >> 11 & 7).cast_signed()
}

/// A pin that is written into the log.
pub struct LoggedPin(&'static str);

impl ErrorType for LoggedPin {
    type Error = Infallible;
}

impl OutputPin for LoggedPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        log_line!("PIN {} low", self.0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        log_line!("PIN {} high", self.0);
        Ok(())
    }
}
