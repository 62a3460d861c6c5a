//! The `spore` command, used as a person would use it: real processes, real sockets.

mod calls;
mod canned;
mod claim;
mod cluster;
mod damaged;
mod doctor;
mod events;
mod image;
mod junk;
mod keys;
mod load;
mod logs;
mod manners;
mod network;
mod ota;
mod pipes;
mod rollout;
mod schema;
mod services;
mod signed;
mod sim;
mod sprockets;
mod support;
mod tasks;
mod usage;
mod variables;
