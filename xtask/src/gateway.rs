//! `cargo xtask gateway`: a cluster on a broker, as its owner's programs see it.
//!
//! In namespaces of their own, as for `cargo xtask e2e`, are a real Mosquitto, NATS, nodes that can be updated, avahi, and gateways; `tests/gateway/check.py` uses
//! them with clients that are not ours, kills broker and gateway in the middle, and looks at what is retained. With `--nodes`, `tests/gateway/many.py` has many
//! nodes instead, half of them at the other end of a cable that it cuts.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::e2e::network::{ensure_isolated, ip, run};
use crate::{e2e, paths, process};

/// No run of the checks takes longer, in seconds.
const LIMIT: &str = "1200";

/// The first of many nodes, as the last byte of its address.
const FIRST: u8 = 11;

/// Use a gateway with a real MQTT broker.
#[derive(Args)]
pub(crate) struct Gateway {
    /// Update so many nodes while their network is cut, and compare what command, broker, metrics and page say of it.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(8..=128))]
    nodes: Option<u8>,
    /// Where logs go [default: target/gateway, with --nodes target/gateway-nodes].
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
        let name = if self.nodes.is_some() { "target/gateway-nodes" } else { "target/gateway" };
        let folder = self.log_dir.unwrap_or_else(|| paths::repository().join(name));
        let spore = e2e::spore_to_test(self.spore)?;
        if self.inside {
            print!("{}", inside(self.nodes, &folder, &spore)?);
            return Ok(ExitCode::SUCCESS);
        }
        let Some(isolation) = e2e::isolation()? else {
            return Ok(ExitCode::from(e2e::CANNOT_RUN));
        };
        let _folder = e2e::empty_folder(&folder)?;
        e2e::run_isolated(isolation, |command| {
            command.args(["gateway", "--inside"]);
            command.args(self.nodes.map(|nodes| format!("--nodes={nodes}")));
            command.arg("--log-dir").arg(&folder).arg("--spore").arg(&spore)
        })
    }
}

/// What happens within the namespaces: what the checks say.
fn inside(nodes: Option<u8>, folder: &Path, spore: &Path) -> Result<String> {
    ensure_isolated()?;
    // avahi's programs meet there, and nobody else's are asked.
    run("mount", "-t tmpfs tmpfs /run")?;
    ip("link set lo up")?;
    let script = match nodes {
        None => {
            one_network()?;
            "check.py"
        }
        Some(nodes) => {
            two_halves(nodes)?;
            "many.py"
        }
    };
    let mut check = Command::new("timeout");
    let script = paths::repository().join("tests/gateway").join(script);
    check.args([LIMIT, "python3"]).arg(script).arg(folder).arg(spore);
    check.args(nodes.map(|nodes| nodes.to_string())).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut check)
}

/// All on one interface that leads nowhere; what is for all comes back to all.
fn one_network() -> Result<()> {
    ip("link add home type veth peer name away")?;
    ip("link set home up")?;
    ip("link set away up")?;
    add_addresses("", [1, 2, 3, 4, 5, 8, 9])
}

/// The gateway and half of the nodes here, the other half in a namespace `far`; the bridge between them has a port `cable`.
fn two_halves(nodes: u8) -> Result<()> {
    ip("link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
    ip("link set bridge up")?;
    ip("netns add far")?;
    ip("link add home type veth peer name port")?;
    ip("link add cable type veth peer name home netns far")?;
    for port in ["port", "cable"] {
        ip(&format!("link set {port} master bridge up"))?;
    }
    ip("link set home up")?;
    for device in ["lo", "home"] {
        ip(&format!("-n far link set {device} up"))?;
    }
    let middle = FIRST + nodes / 2;
    add_addresses("", std::iter::once(9).chain(FIRST..middle))?;
    add_addresses("-n far ", middle..FIRST + nodes)
}

/// Gives `home`, in a namespace that `ip` is told of, addresses with these last bytes.
fn add_addresses(namespace: &str, lasts: impl IntoIterator<Item = u8>) -> Result<()> {
    for last in lasts {
        ip(&format!("{namespace}addr add 10.44.0.{last}/24 brd + dev home"))?;
    }
    Ok(())
}
