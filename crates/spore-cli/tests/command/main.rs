//! The `spore` command, used as a person would use it: real processes, real sockets.

mod cluster;
mod junk;
mod pipes;
mod sim;
mod support;
mod usage;
mod variables;
