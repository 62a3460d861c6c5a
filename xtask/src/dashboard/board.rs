//! The page on a board: the firmware's node on the stand-in for the SDK, under the siege of `tests/dashboard/siege.py`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use spore_boot::map::Slot;

use crate::emu::esp01::write_flash;
use crate::emu::secret;
use crate::firmware::Build;
use crate::sdk_emu::machine::{Machine, Wire};
use crate::sdk_emu::node::{self, STEADY_AIR, free_port};
use crate::sdk_emu::{StandIn, flash};
use crate::{paths, process};

/// How often each of eight clients reloads the page as a browser does, and how often the events are read anew.
pub(super) const RELOADS: u16 = 50;
pub(super) const STREAMS: u16 = 1000;
/// No run takes longer, in seconds.
const LIMIT: &str = "1200";

/// Besieges a board: what the clients say.
///
/// # Errors
/// When something does not build, or the board does not hold out.
pub(super) fn check(folder: &Path, spore: &Path) -> Result<String> {
    let stand_in = StandIn::build(false)?;
    let (image, _) = stand_in.image(&Build::esp01(), Slot::A)?;
    let claim = node::settings(folder, spore, Some(&secret::random()?))?;
    let file = folder.join("board.flash");
    write_flash(&file, &flash(false, &image, Some(&claim))?)?;
    let (port, log) = (free_port()?, folder.join("board.log"));
    let board = stand_in.machine(&file);
    let machine =
        Machine { board, id: 258, air: STEADY_AIR, pokes: "", wire: Wire::Api { port }, log };
    let mut running = machine.run()?;
    node::wait_for(&machine, node::CONNECTED, 1, 0)?;
    let mut siege = Command::new("timeout");
    siege.args([LIMIT, "python3"]).arg(paths::repository().join("tests/dashboard/siege.py"));
    siege.arg(format!("127.0.0.1:{port}")).arg(folder.join("node.key"));
    siege.args([RELOADS, STREAMS].map(|count| count.to_string()));
    let said = process::run(&mut siege);
    let tail = process::tail_of(&machine.log, 20);
    ensure!(running.ended()?.is_none() && said.is_ok(), "{said:?}\nthe board's log:\n{tail}");
    let log = fs::read_to_string(&machine.log).context("cannot read the board's log")?;
    for failure in ["FAULT", "PANIC"] {
        ensure!(!log.contains(failure), "the board has failed:\n{tail}");
    }
    said
}
