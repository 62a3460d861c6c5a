//! The Linux body: a SPORE node as a process, or several of them in one.
//!
//! [`HostNode::bind`] takes the addresses and the state folder, and says clearly why it cannot;
//! [`HostNode::run`] then drives the node on the calling thread, until it is told to leave. Several nodes run in one process,
//! each on a thread and an address of its own.

mod claim;
mod crash;
mod faults;
mod flash;
mod launcher;
mod lock;
mod memory;
mod net;
mod node;
mod portal;
mod present_key;
mod process;
mod radio;
mod reach;
mod repair;
mod services;
mod slots;
mod sprockets;
mod state;
mod stop;
mod system;
mod tasks;

pub use claim::{Desk, claim};
pub use faults::Faults;
pub use flash::sync_directory;
pub use launcher::{BOARD, LaunchError, Launcher, RESTART, Starting, launched};
pub use net::BindError;
pub use node::{Ending, HostNode, Settings};
pub use portal::AccessPoint;
pub use present_key::PresentKey;
pub use radio::{ModelledRadio, read_air};
pub use reach::{hears_broadcast, networks};
pub use repair::{Repaired, repair};
pub use services::{CommandService, InvalidCommandService, Services};
pub use slots::SlotFile;
pub use spore_radio::Router;
pub use sprockets::{HostSprockets, PrintedPin, RandomWalk, ReadFile};
pub use state::remembers;
pub use stop::Stop;
pub use tasks::{CommandTask, CommandTasks, InvalidCommandTask};

/// Connections that a host node serves at once. The next is refused with 503.
pub const CONNECTIONS: usize = 16;

/// How many of them may be event streams. The next is refused with 503.
pub const STREAMS: usize = 8;

/// The TCP port of a host node's HTTP API, unless the operator chose another one.
pub const DEFAULT_HTTP_PORT: u16 = 8080;
