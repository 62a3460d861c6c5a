//! `cargo xtask`: what the repository needs beyond cargo. `cargo xtask help` lists it.

mod emu;
mod difftest;
mod firmware;
mod machine;
mod paths;
mod process;
mod purity;
mod sdk;
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, check and emulate the firmware")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Emu(emu::Emu),
    Difftest(difftest::Difftest),
    Firmware(firmware::Firmware),
    Purity(purity::Purity),
    Sdk(sdk::Sdk),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Emu(command) => command.run(),
        Command::Difftest(command) => command.run(),
        Command::Firmware(command) => command.run(),
        Command::Purity(command) => command.run(),
        Command::Sdk(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
