//! The node itself on the stand-in for the SDK: the board code of the ESP-01, in the network of an access point that goes
//! away and comes back on another channel.
//!
//! QEMU's user networking stands behind the access point: its DHCP server gives the address, and a port of this machine
//! leads to the node's API.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spore_boot::map::Slot;

use super::link::{self, SEQUENCE, StandIn};
use super::machine::{Machine, Wire};
use super::{SdkEmu, crash, damage, is_failure};
use crate::e2e::{self, api::Api};
use crate::emu::esp01;
use crate::emu::secret::{self, Secret};
use crate::firmware::Build;
use crate::flash::settings;
use crate::image::container;
use crate::rom;

const NETWORK: &str = "home";
const PASSWORD: &str = "secret1234";
/// The network is away for longer than the radio takes to miss it.
const AIR: &str = "home:secret1234:6;down@25;up@35:11";
/// A network that stays.
pub(crate) const STEADY_AIR: &str = "home:secret1234:6";
/// The same with another password, so that the node must not get in.
const OTHER_AIR: &str = "home:another-one:6";
/// What QEMU's DHCP server gives to the first who asks.
const ADDRESS: &str = "10.0.2.15";
pub(crate) const CONNECTED: &str = "NODE network/connected";
const DISCONNECTED: &str = "NODE network/disconnected";
const REFUSED: &str = "WIFI disconnected, reason ";
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Boots the node three times from one flash file, once from each that is damaged, and has it crash. Returns how many checks have passed.
///
/// # Errors
/// When something does not build, or the node does not do what it must.
pub(super) fn check(stand_in: &StandIn, folder: &Path, asked: &SdkEmu) -> Result<usize> {
    let order = Build { locked: asked.locked, ..Build::esp01() };
    let (a, elf) = stand_in.image(&order, Slot::A)?;
    let (b, elf_of_b) = stand_in.image(&order, Slot::B)?;
    // They have two numbers, which tell the slots apart; with one, both come out of one container.
    container::of(&a, &link::labelled(&elf_of_b, Slot::B, SEQUENCE)?)?;
    let spore = asked.spore.clone().map_or_else(e2e::build_spore, Ok)?;
    let mut content = link::flash(asked.locked, &a, Some(&settings(folder, &spore, None)?))?;
    let flash = folder.join("node.flash");
    esp01::write_flash(&flash, &content)?;
    let port = free_port()?;
    let start = |air, name: &str| {
        let log = folder.join(format!("node-{name}.log"));
        let wire = Wire::Api { port };
        Machine { board: stand_in.machine(&flash), id: 258, air, pokes: "", wire, log }
    };
    let api = Api { name: "the node".to_owned(), address: Ipv4Addr::LOCALHOST, port };
    let first = roams(&start(AIR, "roams"), &api)?;
    let second = is_the_same(&start(AIR, "again"), &api)?;
    ensure!(first == second, "the node had the id {first}, and has {second} after a power cut");
    stays_out(&start(OTHER_AIR, "refused"))?;
    rom::put(&mut content, Slot::B.region().start, &b);
    rom::confirm(&mut content, Slot::A, SEQUENCE);
    let damaged = damage::check(stand_in, folder, &content, asked.flips)?;
    let key = secret::random()?;
    let claimed = settings(folder, &spore, Some(&key))?;
    esp01::write_flash(&flash, &link::flash(asked.locked, &a, Some(&claimed))?)?;
    let crashed = crash::check(&start(STEADY_AIR, "crashes"), &api, (&elf, &key))?;
    Ok(10 + damaged + crashed)
}

/// The settings of a node that is to join the network: nobody's, or one of the cluster with this key.
///
/// # Errors
/// When `spore claim` does not make them.
pub(crate) fn settings(folder: &Path, spore: &Path, key: Option<&Secret>) -> Result<PathBuf> {
    let (claim, password) = (folder.join("node.settings"), folder.join("node.password"));
    if claim.exists() {
        fs::remove_file(&claim).with_context(|| format!("cannot remove {}", claim.display()))?;
    }
    secret::write_private(&password, PASSWORD)?;
    let words = [OsString::from("--wifi"), NETWORK.into(), "--password-file".into()];
    let mut options = [&words[..], &[password.into()]].concat();
    if let Some(key) = key {
        let (file, none) = (folder.join("node.key"), folder.join("no.key"));
        secret::write_key(&file, key)?;
        options.extend(["--key-file".into(), file.into()]);
        options.extend(["--release-key-file".into(), none.into()]);
    }
    settings::make(&claim, key.is_some(), &options, Some(spore.to_owned()))?;
    Ok(claim)
}

/// A TCP port that nobody has, and that nobody gets while its machine is off: it is none of those that Linux gives to who asks for
/// any, which begin at 32,768.
///
/// # Errors
/// When there is none.
pub(crate) fn free_port() -> Result<u16> {
    let first = 10_000 + u16::try_from(std::process::id() % 10_000)?;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (first..32_768).find(is_free).context("no free port")
}

/// The node joins, answers, loses its network and finds it on another channel. Returns its id.
fn roams(machine: &Machine<'_>, api: &Api) -> Result<String> {
    let _running = machine.run()?;
    wait_for(machine, CONNECTED, 1, 0)?;
    let (status, network) =
        (api.get_patiently("/api/node/status")?, api.get_patiently("/api/network/status")?);
    expect(&status, "board", "esp-01")?;
    expect(&status, "reset_reason", "power-on")?;
    expect(&network, "address", ADDRESS)?;
    expect(&network, "ssid", NETWORK)?;
    // The light of `boards/esp-01.toml`, which blinks: the register of its pin is written.
    wait_for(machine, "PIN 2 high", 1, 0)?;
    wait_for(machine, "PIN 2 low", 1, 0)?;
    wait_for(machine, DISCONNECTED, 1, 0)?;
    wait_for(machine, CONNECTED, 2, 0)?;
    let network = api.get_patiently("/api/network/status")?;
    expect(&network, "state", "connected")?;
    id_of(&status)
}

/// The node starts again with what it has kept in flash.
fn is_the_same(machine: &Machine<'_>, api: &Api) -> Result<String> {
    let _running = machine.run()?;
    wait_for(machine, CONNECTED, 1, 0)?;
    id_of(&api.get_patiently("/api/node/status")?)
}

/// The network has another password: the node keeps trying, and is well.
fn stays_out(machine: &Machine<'_>) -> Result<()> {
    let _running = machine.run()?;
    wait_for(machine, REFUSED, 2, 0)?;
    ensure!(
        count(machine, CONNECTED, 0)? == 0,
        "the node is in a network whose password it has not"
    );
    Ok(())
}

fn id_of(status: &Value) -> Result<String> {
    status["id"].as_str().map(str::to_owned).context("the status has no id")
}

fn expect(document: &Value, field: &str, expected: &str) -> Result<()> {
    let found = &document[field];
    ensure!(found == expected, "{field} is {found}, expected {expected}");
    Ok(())
}

/// Waits until a line that begins with `start` is there so often. The machine may fail `failures` times meanwhile.
pub(crate) fn wait_for(
    machine: &Machine<'_>,
    start: &str,
    times: usize,
    failures: usize,
) -> Result<()> {
    let began = Instant::now();
    while count(machine, start, failures)? < times {
        ensure!(
            began.elapsed() < PATIENCE,
            "no line \"{start}\" for the time no. {times} in {} s; see {}",
            PATIENCE.as_secs(),
            machine.log.display()
        );
        thread::sleep(POLL);
    }
    Ok(())
}

/// How many lines of the log begin with `start`; one more than so many that say that something has failed ends the test.
fn count(machine: &Machine<'_>, start: &str, failures: usize) -> Result<usize> {
    let log =
        fs::read(&machine.log).with_context(|| format!("cannot read {}", machine.log.display()))?;
    let log = String::from_utf8_lossy(&log);
    if let Some(failure) = log.lines().filter(|line| is_failure(line)).nth(failures) {
        anyhow::bail!("{failure}; see {}", machine.log.display());
    }
    Ok(log.lines().filter(|line| line.starts_with(start)).count())
}
