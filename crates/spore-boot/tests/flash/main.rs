//! A board's flash and its bootloader under power cuts and damage: promises O1 to O4, as far as
//! slots, selector, bootloader and installation go.
//!
//! The bootloader is [`spore_boot::choose`]; the node is `board.rs`, which knows of each step only what flash tells.
//! Figures are printed: add `--no-capture`. What takes longer ends in `_long` and is ignored.

mod board;
mod cuts;
mod damage;
mod hostile;
mod install;
mod pieces;
