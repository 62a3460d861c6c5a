//! `cargo xtask portal`: a node's access point, joined as a phone does it.
//!
//! As for `cargo xtask e2e`, the network is the test's own: this program is started again in fresh
//! namespaces, where a cable stands for the access point's radio. At its one end, in a namespace of its
//! own, is a node on Linux whose radio is modelled; at the other `tests/portal/check.py` with clients that are not ours: a
//! DHCP client, the system's resolver, curl, and a headless Chromium that fills in the form. With `--board`, the firmware's node on the
//! stand-in for the SDK is there instead ([`board`]).

mod board;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::e2e::network::{ensure_isolated, ip, run};
use crate::emu::child::Guarded;
use crate::emu::esp01::Esp01;
use crate::{e2e, paths, process};

/// The node on its access point: that of the SDK.
const ACCESS_POINT: &str = "192.168.4.1";
/// The node on the network that it is to join.
const STATION: &str = "127.42.0.6";
/// What is on the air. The last name is hostile.
const AIR: &str = "home:home-password\nguest:\n<img src=x onerror=alert(1)>\"'&:another-password\n";
/// The name of the node's network namespace.
const NAMESPACE: &str = "node";
/// No run of the checks takes longer, in seconds.
const LIMIT: &str = "240";

/// Join the access point of a Linux node, or of an emulated board, and tell it its WiFi in a browser.
#[derive(Args)]
pub(crate) struct Portal {
    /// Where logs and pictures of the page go [default: target/portal].
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// The `spore` to test [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// Join a board's: the firmware, on the stand-in for the SDK.
    #[arg(long)]
    board: bool,
    /// The inner run.
    #[arg(long, hide = true)]
    inside: bool,
    /// What the board is made of: the stand-ins for mask ROM and SDK, and its flash.
    #[arg(long, hide = true, num_args = 3)]
    parts: Option<Vec<PathBuf>>,
}

impl Portal {
    /// Runs the test. The exit code is 77 if this system does not allow it.
    ///
    /// # Errors
    /// When something does not build, or the test fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let name = if self.board { "target/portal-board" } else { "target/portal" };
        let folder = self.log_dir.unwrap_or_else(|| paths::repository().join(name));
        let spore = e2e::spore_to_test(self.spore)?;
        if self.inside {
            let said = match self.parts.as_deref() {
                Some([rom, sdk, flash]) => {
                    board::inside(&folder, Esp01 { rom, sdk: Some(sdk), flash })
                }
                _ => inside(&folder, &spore),
            };
            print!("{}", said?);
            return Ok(ExitCode::SUCCESS);
        }
        let Some(isolation) = e2e::isolation()? else {
            return Ok(ExitCode::from(e2e::CANNOT_RUN));
        };
        let _folder = e2e::empty_folder(&folder)?;
        let parts = if self.board { Some(board::build(&folder, &spore)?) } else { None };
        e2e::run_isolated(isolation, |command| {
            command.args(["portal", "--inside"]);
            command.arg("--log-dir").arg(&folder).arg("--spore").arg(&spore);
            if let Some(parts) = &parts {
                command.arg("--parts").args(parts);
            }
            command
        })
    }
}

/// What happens within the namespaces: what `check.py` says.
fn inside(folder: &Path, spore: &Path) -> Result<String> {
    make_network(folder)?;
    let air = folder.join("air");
    fs::write(&air, AIR).with_context(|| format!("cannot write {}", air.display()))?;
    let log = folder.join("node.log");
    let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let errors = output.try_clone().context("cannot share the log file")?;
    let mut node = Guarded::start("the node", "nsenter", |command| {
        command.arg(format!("--net=/run/netns/{NAMESPACE}")).arg("--").arg(spore);
        command.args(["-v", "node", "--unclaimed", "--forget", "--bind", STATION, "--radio"]);
        command.arg(&air).args(["--access-point", ACCESS_POINT]);
        command.stdin(Stdio::null()).stdout(output).stderr(errors)
    })?;
    let said = check(folder, &[]);
    let ended = node.ended()?.is_some();
    if ended || said.is_err() {
        eprintln!("the node's log:\n{}", process::tail_of(&log, 20));
    }
    ensure!(!ended, "the node has ended");
    said
}

/// Runs `check.py`, and returns what it says.
fn check(folder: &Path, more: &[&str]) -> Result<String> {
    let mut check = Command::new("timeout");
    check.args([LIMIT, "python3"]).arg(paths::repository().join("tests/portal/check.py"));
    check.arg(folder).args(more).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut check)
}

/// Gives this mount namespace a name server of its own.
fn own_resolver(folder: &Path) -> Result<()> {
    // The DHCP client sets the name server, in this mount namespace only.
    let resolver = folder.join("resolv.conf");
    fs::write(&resolver, "").with_context(|| format!("cannot write {}", resolver.display()))?;
    let mut mount = Command::new("mount");
    process::run(mount.arg("--bind").arg(&resolver).arg("/etc/resolv.conf"))?;
    Ok(())
}

/// A cable from here to the namespace of the node.
fn make_network(folder: &Path) -> Result<()> {
    ensure_isolated()?;
    // `ip netns` keeps its names here, and they are nobody else's business.
    run("mount", "-t tmpfs tmpfs /run")?;
    own_resolver(folder)?;
    ip("link set lo up")?;
    ip(&format!("netns add {NAMESPACE}"))?;
    ip(&format!("link add wlan0 type veth peer name ap0 netns {NAMESPACE}"))?;
    ip("link set wlan0 up")?;
    ip(&format!("-n {NAMESPACE} link set lo up"))?;
    ip(&format!("-n {NAMESPACE} addr add {ACCESS_POINT}/24 brd + dev ap0"))?;
    ip(&format!("-n {NAMESPACE} link set ap0 up"))
}
