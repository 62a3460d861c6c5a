//! `cargo xtask firewall`: `spore doctor` finds a firewall that stops what nodes say to all.
//!
//! As for `cargo xtask e2e`, the network is the test's own, and so are its rules: this program is started again in fresh namespaces.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::e2e::network::{ensure_isolated, ip};
use crate::{e2e, process};

/// The machine's address on its network.
const ADDRESS: &str = "10.0.7.1";

/// Have `spore doctor` find a firewall.
#[derive(Args)]
pub(crate) struct Firewall {
    /// The `spore` to test [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// The inner run.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Firewall {
    /// Runs the test. The exit code is 77 if this system does not allow it.
    ///
    /// # Errors
    /// When something does not build, or the test fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let spore = e2e::spore_to_test(self.spore)?;
        if self.inside {
            inside(&spore)?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(isolation) = e2e::isolation()? else {
            return Ok(ExitCode::from(e2e::CANNOT_RUN));
        };
        e2e::run_isolated(isolation, |command| {
            command.args(["firewall", "--inside", "--spore"]).arg(&spore)
        })
    }
}

fn inside(spore: &Path) -> Result<()> {
    ensure_isolated()?;
    ip("link set lo up")?;
    let none = broadcasts(spore)?;
    ensure!(none.state == "absent", "without a network it says: {}", none.found);
    ip("link add cable type veth peer name end")?;
    ip("link set end up")?;
    ip(&format!("addr add {ADDRESS}/24 brd + dev cable"))?;
    ip("link set cable up")?;
    let open = broadcasts(spore)?;
    ensure!(open.state == "ok", "without a firewall it says: {}", open.found);
    for (hook, said) in [("input", "not heard"), ("output", "not permitted")] {
        nft("add table inet wall")?;
        nft(&format!("add chain inet wall rules {{ type filter hook {hook} priority 0 ; }}"))?;
        nft("add rule inet wall rules udp dport 4210 drop")?;
        let stopped = broadcasts(spore)?;
        ensure!(
            stopped.state == "wrong"
                && stopped.found.contains(said)
                && stopped.advice.contains("UDP 4210"),
            "with a firewall at {hook} it says: {} -> {}",
            stopped.found,
            stopped.advice
        );
        nft("delete table inet wall")?;
    }
    ensure!(broadcasts(spore)?.state == "ok", "the firewall is gone");
    println!(
        "spore doctor: no network, a network, a firewall for what comes in, one for what goes out"
    );
    Ok(())
}

fn nft(rule: &str) -> Result<()> {
    process::run(Command::new("nft").args(rule.split_whitespace())).map(|_| ())
}

/// What is said of broadcasts.
struct Said {
    state: String,
    found: String,
    advice: String,
}

fn broadcasts(spore: &Path) -> Result<Said> {
    let mut doctor = Command::new(spore);
    doctor.args(["doctor", "--json", "--key-file", "/nonexistent"]).env_remove("API_NODE");
    let done = process::output(&mut doctor)?;
    let said: Value = serde_json::from_slice(&done.stdout).context("no JSON from spore doctor")?;
    let checks = said["checks"].as_array().context("no checks")?;
    let check = checks.iter().find(|check| check["check"] == "broadcasts").context("none")?;
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let said = Said { state: text("state"), found: text("found"), advice: text("advice") };
    let wrong = checks.iter().any(|check| check["state"] == "wrong");
    ensure!(done.status.code() == Some(i32::from(wrong)), "exit code {}", done.status);
    Ok(said)
}
