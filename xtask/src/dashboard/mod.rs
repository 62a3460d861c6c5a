//! `cargo xtask dashboard`: the page that every node serves, used as its owner does.
//!
//! First the page is checked and made once more, which must give the one in the repository: who builds SPORE needs no Node.js. Then
//! `tests/dashboard/check.py` uses it in a headless Chromium, with nodes on Linux that take updates, in a network of its own. With
//! `--board`, an emulated board serves it to many at once instead ([`board`]).

mod board;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::e2e::network::{ensure_isolated, ip};
use crate::npm::Package;
use crate::{e2e, paths, process};

/// No run of the checks takes longer, in seconds.
const LIMIT: &str = "900";

/// Make the dashboard once more, and use it in a browser.
#[derive(Args)]
pub(crate) struct Dashboard {
    /// Where logs and pictures of the page go [default: target/dashboard].
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// The `spore` to test [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// Besiege an emulated board with clients, instead of using the page in a browser.
    #[arg(long)]
    board: bool,
    /// The inner run.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Dashboard {
    /// Runs the test. The exit code is 77 if this system does not allow it.
    ///
    /// # Errors
    /// When something does not build, or the test fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let name = if self.board { "target/dashboard-board" } else { "target/dashboard" };
        let folder = self.log_dir.unwrap_or_else(|| paths::repository().join(name));
        let spore = e2e::spore_to_test(self.spore)?;
        if self.inside {
            print!("{}", inside(&folder, &spore)?);
            return Ok(ExitCode::SUCCESS);
        }
        let _folder = e2e::empty_folder(&folder)?;
        if self.board {
            print!("{}", board::check(&folder, &spore)?);
            return Ok(ExitCode::SUCCESS);
        }
        make()?;
        let Some(isolation) = e2e::isolation()? else {
            return Ok(ExitCode::from(e2e::CANNOT_RUN));
        };
        e2e::run_isolated(isolation, |command| {
            command.args(["dashboard", "--inside"]);
            command.arg("--log-dir").arg(&folder).arg("--spore").arg(&spore)
        })
    }
}

/// Checks the source of the page, and that the page in the repository is what is made of it.
fn make() -> Result<()> {
    let package = Package::installed("dashboard")?;
    package.npm(&["run", "check"])?;
    package.npm(&["test"])?;
    package.expect_made(&paths::repository().join("target/dashboard.html"), &["index.html"])?;
    println!("source: its types are right, and it makes the page that is in the repository");
    Ok(())
}

/// What happens within the namespaces: what `check.py` says.
fn inside(folder: &Path, spore: &Path) -> Result<String> {
    ensure_isolated()?;
    ip("link set lo up")?;
    let mut check = Command::new("timeout");
    check.args([LIMIT, "python3"]).arg(paths::repository().join("tests/dashboard/check.py"));
    check.arg(folder).arg(spore).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut check)
}
