//! One module for each command.

pub(crate) mod call;
pub(crate) mod claim;
pub(crate) mod completions;
pub(crate) mod config;
mod crash;
pub(crate) mod doctor;
#[cfg_attr(not(feature = "gateway"), path = "no_flasher.rs")]
mod flasher;
#[cfg(feature = "gateway")]
pub(crate) mod gateway;
#[cfg(feature = "gateway")]
pub(crate) mod history;
pub(crate) mod image;
pub(crate) mod key;
pub(crate) mod launch;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod members;
pub(crate) mod network;
pub(crate) mod new_sprocket;
pub(crate) mod node;
pub(crate) mod openapi;
pub(crate) mod ota;
pub(crate) mod publish;
pub(crate) mod repair;
pub(crate) mod restart;
pub(crate) mod schema;
pub(crate) mod services;
pub(crate) mod sign;
pub(crate) mod sim;
pub(crate) mod sprockets;
pub(crate) mod status;
pub(crate) mod subscribe;
pub(crate) mod tasks;
pub(crate) mod up;
