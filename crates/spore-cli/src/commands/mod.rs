//! One module for each command.

pub(crate) mod key;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod up;
