//! Makes constants of the pins that the board's file names (`boards/`), and of its serial line.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use spore_board::{Board, Level};

/// The board that the firmware is for, unless the variable `SPORE_BOARD` names another one.
const BOARD: &str = "esp-01";

fn main() {
    let folder =
        Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../boards");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-env-changed=SPORE_BOARD");
    let name = env::var("SPORE_BOARD").unwrap_or_else(|_| BOARD.to_owned());
    let board = match Board::find(&folder, &name) {
        Ok(board) => board,
        Err(error) => {
            println!("cargo::error={error}");
            return;
        }
    };
    let mut text = String::new();
    for (name, pin) in &board.pins {
        let constant = name.replace('-', "_").to_uppercase();
        let active_low = pin.active == Level::Low;
        // A string takes whatever is written to it.
        let _ = writeln!(text, "/// The pin `{name}` of the board {}.", board.name);
        let _ = writeln!(text, "pub const {constant}: Pin = Pin::new({}, {active_low});", pin.gpio);
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let write = |name: &str, text: &str| {
        fs::write(Path::new(&out).join(name), text).expect("cargo has made the folder");
    };
    write("pins.rs", &text);
    let baud = board.serial.baud;
    write("serial.rs", &format!("const BITS_PER_SECOND: u32 = {baud};\n"));
}
