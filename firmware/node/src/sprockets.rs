//! The sprockets of this firmware: the examples, from the same source as on a PC.
//!
//! Their pins are those that the board's file names (`boards/`); a name that it has not does not compile. The sensor is made up.

use embassy_time::Instant;
use spore_examples::blink::Blink;
use spore_examples::relay::Relay;
use spore_examples::sensor::Sensor;
use spore_node::sprocket::{Roster, Sprockets};

use crate::board::pins::{LIGHT, Output, RELAY};

/// All of them.
pub type Fitted = (Blink<Output>, Relay<Output>, Sensor<fn() -> i32>);

/// What they bring, with what every node offers.
pub const ROSTER: &Roster = Fitted::ROSTER;

/// The sprockets of a node that starts.
#[must_use]
pub const fn fitted() -> Fitted {
    (
        Blink { pin: LIGHT.output(), lit: false },
        Relay { pin: RELAY.output(), on: false },
        Sensor { read: temperature, highest: None, raised: false },
    )
}

/// Something between 18 and 25, as a room has it.
fn temperature() -> i32 {
    18 + (Instant::now().as_ticks() as u32 >> 11 & 7).cast_signed()
}
