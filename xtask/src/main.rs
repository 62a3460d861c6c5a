//! `cargo xtask`: what the repository needs beyond cargo. `cargo xtask help` lists it.

mod api;
mod bench;
mod budgets;
mod canaries;
mod cost;
mod dashboard;
mod deb;
mod difftest;
#[cfg(test)]
mod docs;
mod doctor;
mod e2e;
mod emu;
#[cfg(test)]
mod features;
mod firewall;
mod firmware;
mod flash;
mod flasher;
mod footprint;
mod fuzz;
mod gateway;
mod image;
mod machine;
mod monitor;
mod npm;
mod paths;
mod portal;
mod process;
mod promises;
mod purity;
mod python;
mod rom;
mod sdk;
mod sdk_emu;
mod sdk_main;
mod soak;
mod toolchain;
mod wireshark;

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
    Api(api::Api),
    Bench(bench::Bench),
    Canaries(canaries::Canaries),
    Cost(cost::Cost),
    Dashboard(dashboard::Dashboard),
    Deb(deb::Deb),
    E2e(e2e::E2e),
    Emu(emu::Emu),
    Difftest(difftest::Difftest),
    Doctor(doctor::Doctor),
    Firewall(firewall::Firewall),
    Firmware(firmware::Firmware),
    Flash(flash::Flash),
    FlashCheck(flash::check::FlashCheck),
    Flasher(flasher::Flasher),
    Footprint(footprint::Footprint),
    Fuzz(fuzz::Fuzz),
    Gateway(gateway::Gateway),
    Image(image::build::Image),
    Monitor(monitor::Monitor),
    Portal(portal::Portal),
    Promises(promises::Promises),
    Purity(purity::Purity),
    Rom(rom::Rom),
    Sdk(sdk::Sdk),
    SdkEmu(sdk_emu::SdkEmu),
    SdkMain(sdk_main::SdkMain),
    Soak(soak::Soak),
    Wireshark(wireshark::Wireshark),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        // Their exit codes also tell that the test could not be run.
        Command::Dashboard(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::E2e(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Bench(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Firewall(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Deb(command) => command.run(),
        Command::Flasher(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Gateway(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Image(command) => command.run(),
        Command::Monitor(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Portal(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Api(command) => command.run(),
        Command::Canaries(command) => command.run(),
        Command::Cost(command) => command.run(),
        Command::Emu(command) => command.run(),
        Command::Difftest(command) => command.run(),
        Command::Doctor(command) => match command.run() {
            Ok(true) => Ok(()),
            // It has said what is missing.
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Firmware(command) => command.run(),
        Command::Flash(command) => command.run(),
        Command::FlashCheck(command) => command.run(),
        Command::Footprint(command) => command.run(),
        Command::Fuzz(command) => command.run(),
        Command::Promises(command) => command.run(),
        Command::Purity(command) => command.run(),
        Command::Rom(command) => command.run(),
        Command::Sdk(command) => command.run(),
        Command::SdkEmu(command) => command.run(),
        Command::SdkMain(command) => command.run(),
        Command::Soak(command) => command.run(),
        Command::Wireshark(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
