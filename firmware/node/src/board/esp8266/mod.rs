//! The ESP8266 behind Espressif's NONOS SDK: the SDK owns reset, clock, radio and main loop, and calls in here.
//!
//! Everything runs in the SDK's tasks and timers, one after the other on one stack; nothing of ours runs in an interrupt.
//! So what is shared needs no lock ([`task_local::TaskLocal`]). The same objects are linked with the SDK's libraries, or
//! with stand-ins of the same C functions.
//!
//! | module | is the board's part of |
//! |---|---|
//! | `entry` | start-up, and the SDK task in which the executor runs |
//! | `time` | embassy-time, over the SDK's microseconds and one of its timers |
//! | `lwip` | the 23 symbols of lwIP that the SDK's libraries call, down to frames |
//! | `wifi` | the radio's commands and events |
//! | `flash` | the settings' flash |
//! | `pins` | the pins, by the names in the board's file |
//! | `serial` | what comes over the serial line |
//! | `rtc`, `crash` | what outlives a reset; the record of a crash is a part of it |
//! | `stack`, `held` | what is in the SDK's heap: a second stack, and a future that is long and rare |
//! | `system`, `told` | the body of the node, and what it tells |

mod console;
mod cpu;
mod crash;
mod entry;
mod flash;
mod held;
mod lwip;
pub mod pins;
mod rtc;
mod serial;
mod stack;
mod system;
mod task_local;
mod time;
mod told;
mod wifi;

pub(crate) use console::put;
pub use stack::on_second;
pub use system::Body;
