//! The images of the test: for boards and for Linux nodes, good ones and those that fail in some way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use spore_boot::image::{HEADER, Header};
use spore_boot::layout::Esp;
use spore_boot::map::Slot;
use spore_image::{Container, build};

use crate::e2e::cluster::Plan;
use crate::firmware::Build;
use crate::image::container;
use crate::process;
use crate::sdk_emu::{BREAKS, Functions, StandIn, labelled};

/// What becomes of a board that starts an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It works.
    Good,
    /// Its first instruction is none: the image is whole, and never comes up.
    Stillborn,
    /// It panics when it first comes to rest.
    Panics,
    /// It hangs then.
    Hangs,
}

/// The instruction that is illegal by definition (ILL), which panics are, too; and `j .`.
const ILLEGAL: [u8; 3] = [0; 3];
const JUMP_HERE: [u8; 3] = [0x06, 0xFF, 0xFF];

impl Nature {
    /// What stands in the image of this program, and where.
    fn flaw(self, image: &Header, elf: &Path) -> Result<Option<(u32, [u8; 3])>> {
        let at_rest = || anyhow::Ok(u32::try_from(Functions::of(elf)?.only(BREAKS)?.0)?);
        Ok(match self {
            Self::Good => None,
            Self::Stillborn => Some((image.entry, ILLEGAL)),
            Self::Panics => Some((at_rest()?, ILLEGAL)),
            Self::Hangs => Some((at_rest()?, JUMP_HERE)),
        })
    }

    /// The container that images of this nature are made of.
    fn base(self, folder: &Path) -> PathBuf {
        folder.join(format!("base-{self:?}.spore").to_lowercase())
    }
}

/// Makes what the images for boards of these natures are made of, in `folder`.
///
/// # Errors
/// When the firmware does not build.
pub(in crate::e2e) fn prepare(stand_in: &StandIn, folder: &Path, natures: &[Nature]) -> Result<()> {
    let elves = Slot::BOTH.map(|slot| stand_in.image(&Build::esp01(), slot).map(|made| made.1));
    let [a, b] = elves;
    let (a, b) = (a?, b?);
    for nature in natures.iter().copied() {
        let of = |elf: &Path, slot| flawed(&labelled(elf, slot, 1)?, slot, nature, elf);
        let made = container::of(&of(&a, Slot::A)?, &of(&b, Slot::B)?)?;
        let file = nature.base(folder);
        fs::write(&file, made.bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The image with the flaw of its nature, and whole for the bootloader.
fn flawed(image: &[u8], slot: Slot, nature: Nature, elf: &Path) -> Result<Vec<u8>> {
    let (header, mut contents) = parts(image, slot)?;
    if let Some((address, code)) = nature.flaw(&header, elf)? {
        let at = place(&header, slot, address).context("the flaw has no place in the image")?;
        let bytes = contents.get_mut(at..at + code.len());
        bytes.context("the flaw is behind the end")?.copy_from_slice(&code);
    }
    Ok([header.encode(&contents).as_slice(), &contents].concat())
}

/// Where a word of the program is behind the header.
fn place(header: &Header, slot: Slot, address: u32) -> Option<usize> {
    let in_place = address.checked_sub(slot.window()).map(|at| at as usize);
    if let Some(at) = in_place.filter(|at| *at < HEADER + header.in_place as usize) {
        return at.checked_sub(HEADER);
    }
    // In instruction RAM: its segment is behind what runs in place.
    let mut start = header.in_place as usize;
    header.segments.iter().find_map(|segment| {
        let at = start;
        start += segment.length as usize;
        let within = address.checked_sub(segment.address)?;
        (within < segment.length).then_some(at + within as usize)
    })
}

fn parts(image: &[u8], slot: Slot) -> Result<(Header, Vec<u8>)> {
    let head = image.first_chunk::<HEADER>().context("an image without a header")?;
    let header = Header::decode::<Esp>(slot, head)
        .map_err(|error| anyhow::anyhow!("no image: {error:?}"))?;
    Ok((header, image[HEADER..].to_vec()))
}

/// The container with this number instead of its own, not signed.
fn numbered(container: &[u8], sequence: u32) -> Result<Vec<u8>> {
    let container = Container::parse(container)?;
    let slots = Slot::BOTH.map(|slot| {
        let (mut header, contents) = parts(&container::image(&container, slot)?, slot)?;
        header.sequence = sequence;
        anyhow::Ok([header.encode(&contents).as_slice(), &contents].concat())
    });
    let [a, b] = slots;
    Ok(build::from_slots(&a?, &b?)?)
}

/// A signed image with this number for boards.
///
/// # Errors
/// When it cannot be made.
pub(in crate::e2e) fn board(plan: &Plan<'_>, nature: Nature, sequence: u32) -> Result<PathBuf> {
    let base = nature.base(plan.logs);
    let base = fs::read(&base).with_context(|| format!("cannot read {}", base.display()))?;
    let file = plan.logs.join(format!("board-{sequence}.spore"));
    fs::write(&file, numbered(&base, sequence)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut sign = Command::new(plan.spore);
    sign.args(["image".as_ref(), "sign".as_ref(), file.as_os_str()]);
    process::run(sign.arg("--release-key-file").arg(plan.logs.join("release.key")))?;
    Ok(file)
}

/// A signed image with this number for Linux nodes.
///
/// # Errors
/// When it cannot be made.
pub(super) fn host(plan: &Plan<'_>, sequence: u32) -> Result<PathBuf> {
    let file = plan.logs.join(format!("host-{sequence}.spore"));
    let mut build = Command::new(plan.spore);
    build.args(["image", "build", "--program"]).arg(program(plan, sequence)?);
    build.args(["--sequence", &sequence.to_string(), "--output"]).arg(&file);
    process::run(build.arg("--release-key-file").arg(plan.logs.join("release.key")))?;
    Ok(file)
}

/// A program for Linux nodes that is `spore`, and can be told from others.
///
/// # Errors
/// When it cannot be written.
pub(in crate::e2e) fn program(plan: &Plan<'_>, sequence: u32) -> Result<PathBuf> {
    let file = plan.logs.join(format!("program-{sequence}"));
    let text = format!("#!/bin/sh\n# {sequence}\nexec {} \"$@\"\n", plan.spore.display());
    fs::write(&file, text)
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
