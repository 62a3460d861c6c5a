//! All that a new board gets, as a folder from which `spore` flashes boards in a browser.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use spore_board::Board;
use spore_boot::image::{HEADER, Header};
use spore_boot::layout::Esp;
use spore_boot::map::Slot;

use super::parts::{self, Part};
use crate::paths;

/// The list of what is in the folder, which `spore` reads.
const LIST: &str = "flash.json";

/// Writes the parts into `folder`, each as a file, and a list of them, in place of what is there; whole or not at all. The place of the settings
/// is blank: `spore` puts in what it makes for each board.
///
/// # Errors
/// When it cannot be written, or there is something else in its place.
pub(crate) fn write(folder: &Path, board: &Board, parts: &[Part]) -> Result<()> {
    let shown = folder.display().to_string();
    let ours = !folder.exists() || folder.join(LIST).is_file();
    ensure!(ours, "{shown} is something else, and is left as it is");
    let image = parts.iter().find(|part| part.address == Slot::A.region().start);
    let page = image.and_then(|part| part.bytes.first_chunk::<HEADER>());
    let header = page.and_then(|page| Header::decode::<Esp>(Slot::A, page).ok());
    let version = header.context("there is no image")?.version;
    let written: Vec<Value> = parts.iter().map(Part::listed).collect();
    let list = json!({
        "board": board.name,
        "version": String::from_utf8_lossy(&version).trim_end_matches('\0'),
        "signed": parts::has_manifest(parts),
        "parts": written,
    });
    let new = paths::unfinished(folder);
    let fill = || {
        fs::create_dir_all(&new)?;
        for part in parts {
            fs::write(new.join(format!("{}.bin", part.name)), &part.bytes)?;
        }
        fs::write(new.join(LIST), list.to_string())?;
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::rename(&new, folder)
    };
    let filled = fill();
    if filled.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    filled.with_context(|| format!("cannot write {shown}"))?;
    println!("for browsers  {shown}");
    Ok(())
}
