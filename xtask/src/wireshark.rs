//! `cargo xtask wireshark`: Wireshark's dissector, with the real tshark, against the protocol's test vectors and a simulated cluster.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{e2e, paths, process};

/// Open the protocol's test vectors and a capture of a simulated cluster with tshark and the dissector.
#[derive(Args)]
pub(crate) struct Wireshark {
    /// The `spore` that simulates the cluster [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
}

impl Wireshark {
    /// Runs the test.
    ///
    /// # Errors
    /// When something is missing or does not build, or the test fails.
    pub(crate) fn run(self) -> Result<()> {
        let spore = e2e::spore_to_test(self.spore)?;
        let folder = paths::repository().join("target/wireshark");
        let _folder = e2e::empty_folder(&folder)?;
        let mut check = Command::new("python3");
        check.current_dir(paths::repository()).arg("tests/wireshark/check.py");
        print!("{}", process::run(check.arg(spore).arg(folder))?);
        Ok(())
    }
}
