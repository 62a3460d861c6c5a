//! The `spore` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    spore_cli::main()
}
