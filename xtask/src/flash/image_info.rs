//! What esptool makes of the bootloader as it ships: it must take it for an image that a mask ROM loads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::esptool::REQUIREMENTS;
use crate::image::Program;
use crate::{process, python, rom};

/// Has esptool look at the bootloader, at a flash file that begins with it, and at one with a bit flipped.
///
/// `to_file` writes the flash file from a bootloader's file.
///
/// # Errors
/// When esptool does not see what was linked, or does not see what is wrong.
pub(super) fn check(folder: &Path, to_file: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
    let (image, elf) = rom::bootloader(false)?;
    let program = Program::read(&elf)?;
    let file = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        Ok::<_, anyhow::Error>(file)
    };
    let bootloader = file("real-bootloader.bin", &image)?;
    let mut damaged = image.clone();
    damaged[0x20] ^= 1;
    let flash = folder.join("real-flash.bin");
    to_file(&bootloader, &flash)?;
    ensure!(is_accepted(&program, &said(&bootloader)?), "esptool does not accept the bootloader");
    ensure!(is_accepted(&program, &said(&flash)?), "esptool does not accept the flash file");
    let damaged = said(&file("damaged-bootloader.bin", &damaged)?)?;
    ensure!(!is_accepted(&program, &damaged), "a flipped bit passes esptool:\n{damaged}");
    Ok(())
}

fn said(file: &Path) -> Result<String> {
    let mut esptool = Command::new(python::environment("esptool", REQUIREMENTS)?);
    esptool.args(["-m", "esptool", "--chip", "esp8266", "image-info"]);
    process::run(esptool.arg(file))
}

/// Whether esptool has found what was linked, whole.
fn is_accepted(program: &Program, said: &str) -> bool {
    let is_there = |text: String| said.lines().any(|line| line.trim() == text);
    let has_segment = |address: u32, length: usize| {
        said.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(1) == Some(&format!("{length:#07x}").as_str())
                && words.get(2) == Some(&format!("{address:#010x}").as_str())
        })
    };
    is_there(format!("Entry point: {:#010x}", program.entry))
        && is_there(format!("Segments: {}", program.pieces.len()))
        && is_there("Flash size: 1MB".to_owned())
        && program.pieces.iter().all(|piece| has_segment(piece.address, piece.bytes.len()))
        && said.contains("Checksum: ")
        && said.contains("(valid)")
}
