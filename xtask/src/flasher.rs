//! `cargo xtask flasher`: a board flashed from a browser, and started.
//!
//! First the page is checked and made once more, which must give the one in the repository. Then `tests/flasher/check.py` flashes a board that is
//! a program through the page of `spore up`, in a headless Chromium, in a network of its own. What is in its flash then starts in QEMU, with the
//! stand-ins for mask ROM and SDK, joins the WiFi that was typed into the page, and knows the cluster's key. A board that was told none is told one
//! in the browser, over its serial line (Improv).

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use spore_board::Board;
use spore_boot::map::Slot;

use crate::e2e::api::Api;
use crate::e2e::network::{ensure_isolated, ip};
use crate::emu::esp01::{Esp01, write_flash};
use crate::firmware::Build;
use crate::flash::folder;
use crate::flash::parts::{self, Settings, Sources};
use crate::flash::settings;
use crate::npm::Package;
use crate::sdk_emu::machine::{Machine, Wire};
use crate::sdk_emu::node::{CONNECTED, free_port, wait_for};
use crate::sdk_emu::{StandIn, bootloader};
use crate::{e2e, paths, process};

/// No run of the checks takes longer, in seconds.
const LIMIT: &str = "300";
/// What is on the air around the board; `tests/flasher/check.py` types the same.
const AIR: &str = "home:short-but-longer:6";
/// The network there.
const NETWORK: &str = "home";
/// The name that is typed into the page.
const HOSTNAME: &str = "kitchen";
/// The machine's number.
const NUMBER: u16 = 258;

/// Flash a board through the page of `spore up` in a browser, and start it.
#[derive(Args)]
pub(crate) struct Flasher {
    /// Where logs and pictures of the page go [default: target/flasher].
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// The `spore` to test [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// The inner run: the stand-ins for mask ROM and SDK.
    #[arg(long, hide = true, num_args = 2)]
    inside: Option<Vec<PathBuf>>,
}

impl Flasher {
    /// Runs the test. The exit code is 77 if this system does not allow it.
    ///
    /// # Errors
    /// When something does not build, or the test fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let folder = self.log_dir.unwrap_or_else(|| paths::repository().join("target/flasher"));
        let spore = e2e::spore_to_test(self.spore)?;
        if let Some([rom, sdk]) = self.inside.as_deref() {
            print!("{}", inside(&folder, &spore, rom, sdk)?);
            return Ok(ExitCode::SUCCESS);
        }
        let Some(isolation) = e2e::isolation()? else {
            return Ok(ExitCode::from(e2e::CANNOT_RUN));
        };
        let _folder = e2e::empty_folder(&folder)?;
        make()?;
        let [rom, sdk] = firmware(&folder)?;
        e2e::run_isolated(isolation, |command| {
            command.args(["flasher", "--inside"]).args([rom, sdk]);
            command.arg("--log-dir").arg(&folder).arg("--spore").arg(&spore)
        })
    }
}

/// Checks the source of the page, and that what is in the repository is what is made of it.
fn make() -> Result<()> {
    let package = Package::installed("flasher")?;
    package.npm(&["run", "check"])?;
    let made = paths::repository().join("target/flasher-dist");
    let files = ["index.html", "style.css", "flasher.js", "licenses.txt"];
    package.expect_made(&made, &files)?;
    println!("source: its types are right, and it makes what is in the repository");
    Ok(())
}

/// Makes the folder that the page writes into the board: the firmware that runs on the stand-in for the SDK. Returns what the board is then made of.
fn firmware(folder: &Path) -> Result<[PathBuf; 2]> {
    let stand_in = StandIn::build(false)?;
    let (image, _) = stand_in.image(&Build::esp01(), Slot::A)?;
    let file = folder.join("image.bin");
    fs::write(&file, image).with_context(|| format!("cannot write {}", file.display()))?;
    let sources =
        Sources { bootloader: bootloader(false)?, image: file, settings: Settings::Blank };
    let board = Board::find(&paths::repository().join("boards"), "esp-01")?;
    folder::write(&folder.join("browser"), &board, &parts::all(&board, &sources)?)?;
    let Esp01 { rom, sdk, .. } = stand_in.machine(folder);
    let sdk = sdk.context("there is no stand-in for the SDK")?;
    Ok([rom.to_owned(), sdk.to_owned()])
}

/// What happens within the namespaces: what the checks say.
fn inside(folder: &Path, spore: &Path, rom: &Path, sdk: &Path) -> Result<String> {
    ensure_isolated()?;
    ip("link set lo up")?;
    let flashed = check(folder, spore, None)?;
    let started = starts(folder, spore, rom, sdk)?;
    Ok(flashed + &started + &is_told(folder, spore, rom, sdk)?)
}

/// What `check.py` says, of a board at a terminal if there is one.
fn check(folder: &Path, spore: &Path, terminal: Option<&Path>) -> Result<String> {
    let mut check = Command::new("timeout");
    check.args([LIMIT, "python3"]).arg(paths::repository().join("tests/flasher/check.py"));
    check.arg(folder).arg(spore).args(terminal).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut check)
}

/// A board whose network is there, and whose API is at `port` of this machine.
fn at_home(board: Esp01<'_>, port: u16, log: PathBuf) -> Machine<'_> {
    Machine { board, id: NUMBER, air: AIR, pokes: "", wire: Wire::Api { port }, log }
}

/// A board that knows no WiFi is told one over its serial line, in the browser; and then asks for none any more.
fn is_told(folder: &Path, spore: &Path, rom: &Path, sdk: &Path) -> Result<String> {
    let board = Board::find(&paths::repository().join("boards"), "esp-01")?;
    let claim = folder.join("board.settings");
    settings::make(&claim, false, &[], Some(spore.to_owned()))?;
    let sources = Sources {
        bootloader: folder.join("browser/bootloader.bin"),
        image: folder.join("image.bin"),
        settings: Settings::New(claim),
    };
    let flash = folder.join("improv.flash");
    write_flash(&flash, &parts::as_flash(&parts::all(&board, &sources)?))?;
    let port = free_port()?;
    let board = Esp01 { rom, sdk: Some(sdk), flash: &flash };
    let machine = at_home(board, port, folder.join("improv.log"));
    let (running, terminal) = machine.run_at_terminal()?;
    let said = check(folder, spore, Some(&terminal))?;
    let api = Api { name: "the board".into(), address: Ipv4Addr::LOCALHOST, port };
    let network = api.get_patiently("/api/network/status")?;
    ensure!(network["ssid"] == NETWORK && network["credentials"] == "kept", "it says {network}");
    drop(running);
    let again = machine.run()?;
    wait_for(&machine, CONNECTED, 1, 0)?;
    drop(again);
    Ok(said + "after a power cut it is in that network again\n")
}

/// Starts the board from the flash that the browser has written.
fn starts(folder: &Path, spore: &Path, rom: &Path, sdk: &Path) -> Result<String> {
    let written = fs::read(folder.join("flash.bin")).context("there is no flash")?;
    let flash = folder.join("board.flash");
    write_flash(&flash, &written)?;
    let port = free_port()?;
    let board = Esp01 { rom, sdk: Some(sdk), flash: &flash };
    let machine = at_home(board, port, folder.join("board.log"));
    let _running = machine.run()?;
    wait_for(&machine, CONNECTED, 1, 0)?;
    let api = Api { name: "the board".into(), address: Ipv4Addr::LOCALHOST, port };
    let status = api.get_patiently("/api/node/status")?;
    ensure!(status["hostname"] == HOSTNAME, "it is called {}", status["hostname"]);
    // Signed with the key of the cluster whose page it was.
    let mut config = Command::new(spore);
    config.args(["config", "get", "--json", "--timeout", "20"]);
    config.args(["--node", &format!("127.0.0.1:{port}")]);
    config.env("XDG_STATE_HOME", folder).env_remove("SPORE_KEY_FILE").current_dir(folder);
    let config = process::run(&mut config).context("the board does not know the cluster's key")?;
    ensure!(config.contains(HOSTNAME), "its settings are {config}");
    Ok("the board starts from that flash, joins its WiFi, and is a member of the cluster\n"
        .to_owned())
}
