//! `cargo xtask gateway`: a cluster on a broker, as its owner's programs see it.
//!
//! In namespaces of their own, as for `cargo xtask e2e`, are a real Mosquitto, nodes that can be updated, avahi, and a gateway; `tests/gateway/check.py` uses
//! them with clients that are not ours, kills broker and gateway in the middle, and looks at what is retained.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::e2e::network::{ensure_isolated, ip, run};
use crate::{e2e, paths, process};

/// No run of the checks takes longer, in seconds.
const LIMIT: &str = "240";

/// Use a gateway with a real MQTT broker.
#[derive(Args)]
pub(crate) struct Gateway {
    /// Where logs go [default: target/gateway].
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// The `spore` to test [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// The inner run.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Gateway {
    /// Runs the test. The exit code is 77 if this system does not allow it.
    ///
    /// # Errors
    /// When something does not build, or the test fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let folder = self.log_dir.unwrap_or_else(|| paths::repository().join("target/gateway"));
        let spore = e2e::spore_to_test(self.spore)?;
        if self.inside {
            print!("{}", inside(&folder, &spore)?);
            return Ok(ExitCode::SUCCESS);
        }
        let Some(isolation) = e2e::isolation()? else {
            return Ok(ExitCode::from(e2e::CANNOT_RUN));
        };
        e2e::empty_folder(&folder)?;
        e2e::run_isolated(isolation, |command| {
            command.args(["gateway", "--inside"]);
            command.arg("--log-dir").arg(&folder).arg("--spore").arg(&spore)
        })
    }
}

/// What happens within the namespaces: what `check.py` says.
fn inside(folder: &Path, spore: &Path) -> Result<String> {
    ensure_isolated()?;
    // avahi's programs meet there, and nobody else's are asked.
    run("mount", "-t tmpfs tmpfs /run")?;
    ip("link set lo up")?;
    // All on one interface that leads nowhere; what is for all comes back to all.
    ip("link add home type veth peer name away")?;
    ip("link set home up")?;
    ip("link set away up")?;
    for last in [1, 2, 3, 4, 8, 9] {
        ip(&format!("addr add 10.44.0.{last}/24 brd + dev home"))?;
    }
    let mut check = Command::new("timeout");
    check.args([LIMIT, "python3"]).arg(paths::repository().join("tests/gateway/check.py"));
    check.arg(folder).arg(spore).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut check)
}
