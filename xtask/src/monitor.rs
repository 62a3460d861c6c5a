//! `cargo xtask monitor`: what a board prints.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use spore_board::Board;

use crate::{flash, paths, python};

/// Show what a board prints on its serial line, until Ctrl-C.
#[derive(Args)]
pub(crate) struct Monitor {
    /// The serial port [default: the only one there is].
    port: Option<PathBuf>,
    /// The board: the name of a file in boards/.
    #[arg(long, default_value = "esp-01")]
    board: String,
    /// Bits per second [default: the board's].
    #[arg(long)]
    baud: Option<u32>,
}

impl Monitor {
    /// Shows the log until Ctrl-C.
    ///
    /// # Errors
    /// When there is no such port, or what reads it cannot be installed.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let board = Board::find(&paths::repository().join("boards"), &self.board)?;
        let port = flash::port::find(self.port)?;
        let python = python::environment("esptool", flash::REQUIREMENTS)?;
        let baud = self.baud.unwrap_or(board.serial.baud);
        eprintln!("{} at {baud} bits per second; Ctrl-C ends.", port.display());
        // It reaches the child, too, which ends by itself.
        ctrlc::set_handler(|| ()).context("cannot wait for Ctrl-C")?;
        let mut command = Command::new(python);
        command.arg(paths::repository().join("xtask/src/monitor.py"));
        let status = command.arg(port).arg(baud.to_string()).status();
        let status = status.context("cannot run Python")?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
