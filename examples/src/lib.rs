//! Three sprockets: a light that blinks, a relay, and a sensor with an alarm. `docs/sprockets.md` explains them.
#![no_std]
#![expect(missing_docs, reason = "what the fields are is said of the sprocket as a whole")]

pub mod blink;
pub mod relay;
pub mod sensor;
