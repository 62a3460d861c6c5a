//! `cargo xtask image`: what is flashed, as files, and what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use spore_boot::map::Slot;

use super::owners::Owner;
use super::parts::Parts;
use super::slot::Label;
use super::{Program, check, container, owners, slot};
use crate::budgets::{Bound, Budgets, Held, grouped, hold};
use crate::firmware::{self, Build, Sizes};
use crate::{paths, process, rom, sdk};

/// The board that images are for; its file is in `boards/`.
const BOARD: &str = "esp-01";

/// Build what an ESP-01 is flashed with: bootloader, an image for each slot with ELF and map files, and the
/// container of both that nodes are updated with.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Image {
    /// The slots to link for.
    #[arg(long, value_enum, default_value = "both")]
    slot: Slots,
    /// For others: the tree must be committed, and the version is that of Cargo.toml, without a mark.
    #[arg(long)]
    release: bool,
    /// Print the sizes as JSON: the one line that begins with a brace, after the progress.
    #[arg(long)]
    json: bool,
}

/// Characters of a name that are shown: those of generic functions have hundreds.
const SHOWN_NAME: usize = 100;

const EXAMPLES: &str = "\
Examples:
  ./ctl.sh build                    both slots
  ./ctl.sh build --slot a --json    what `./ctl.sh flash` writes, and its sizes for a program

Exit codes: 0 built and within its limits, 1 not, 2 wrong usage.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Slots {
    A,
    B,
    Both,
}

impl Image {
    /// Builds the files.
    ///
    /// # Errors
    /// When something does not build, passes a limit, or the two slots' images differ in more than addresses.
    pub(crate) fn run(self) -> Result<()> {
        let slots = match self.slot {
            Slots::A => vec![Slot::A],
            Slots::B => vec![Slot::B],
            Slots::Both => Slot::BOTH.to_vec(),
        };
        let (sequence, version) = version(self.release)?;
        let label = Label { sequence, board: BOARD, version: &version };
        let folder = paths::firmware_target().join("esp01");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        eprintln!("{}", sdk::LICENCE);
        let (bootloader, elf) = rom::bootloader(false)?;
        write(&folder, "bootloader.bin", &bootloader)?;
        copy(&elf, &folder, "bootloader")?;
        let mut made = Vec::new();
        let (mut owners, mut parts) = (Vec::new(), Parts::default());
        let mut elf = PathBuf::new();
        for (slot, image) in firmware::build_slots(&Build::esp01(), &slots)? {
            let name = format!("slot-{slot:?}").to_lowercase();
            let bytes = slot::image(&Program::read(&image.elf)?, slot, &label)?;
            write(&folder, &format!("{name}.bin"), &bytes)?;
            copy(&image.elf, &folder, &name)?;
            elf = image.elf;
            let map = folder.join(format!("{name}.map"));
            owners = owners::of(&map)?;
            parts = Parts::read(&map)?;
            made.push((name, bytes, image.sizes));
        }
        let name = format!("{BOARD}.spore");
        let container = match &made[..] {
            [(_, a, _), (_, b, _)] => Some(container::of(a, b)?),
            _ => None,
        };
        match &container {
            Some(container) => write(&folder, &name, &container.bytes)?,
            // That of another build must not lie beside these.
            None => remove(&folder.join(&name))?,
        }
        let (.., sizes) = made.last().context("no slot was asked for")?;
        let budgets = Budgets::read()?;
        let report = check::esp01(&elf, &budgets)?;
        let mut held = held(&budgets, sizes, &owners, &parts);
        held.extend(&report.figures);
        // Said after the report, which shows what is too large.
        let fits = hold(&held);
        if self.json {
            let images: Vec<_> = made
                .iter()
                .map(|(name, bytes, sizes)| json!({ "name": name, "bytes": bytes.len(), "iram": sizes.iram, "statics": sizes.statics() }))
                .collect();
            let owners: Vec<_> = owners
                .iter()
                .map(|owner| json!({ "owner": owner.name, "flash": owner.flash, "iram": owner.iram, "dram": owner.dram }))
                .collect();
            let held: Vec<_> = held
                .iter()
                .map(|(what, value, bound)| json!({ "what": what, "value": value, "bound": bound.to_string() }))
                .collect();
            let parts: serde_json::Map<_, _> = parts
                .rows()
                .map(|(part, bytes)| (part.to_owned(), bytes.into()))
                .into_iter()
                .collect();
            println!(
                "{}",
                json!({ "folder": folder, "version": version, "sequence": sequence, "bootloader": bootloader.len(), "images": images, "words_that_differ": container.as_ref().map(|it| it.moved), "container": container.map(|it| it.bytes.len()), "owners": owners, "parts": parts, "limits": held, "not_checked": report.open })
            );
            return fits;
        }
        println!("{version}, sequence number {sequence}, in {}", folder.display());
        println!("  bootloader  {:>7} bytes of 4096", bootloader.len());
        for (name, bytes, sizes) in &made {
            println!("  {name}      {:>7} bytes of {}; {sizes}", bytes.len(), Slot::LENGTH);
        }
        if let Some(container::Made { bytes, moved, manifest }) = container {
            println!(
                "  {name} {:>7} bytes, of which {manifest} are its manifest: one for both slots",
                bytes.len()
            );
            println!(
                "  the slots differ in {moved} words, all of them addresses; each was made from the other"
            );
        }
        println!("  {:<22} {:>8} {:>8} {:>8}", "owner", "flash", "IRAM", "DRAM");
        for owner in &owners {
            println!("  {:<22} {:>8} {:>8} {:>8}", owner.name, owner.flash, owner.iram, owner.dram);
        }
        for (part, bytes) in parts.rows() {
            println!("  {:<22} {bytes:>8}", format!("of it, {part}"));
        }
        println!("  the largest items in flash:");
        for (name, size) in owners::largest_items(&elf)? {
            println!("  {size:>8}  {}", name.chars().take(SHOWN_NAME).collect::<String>());
        }
        println!("  the deepest ways down the stacks, each function with its bytes:");
        print!("{}", report.ways);
        for open in &report.open {
            println!("  NOT CHECKED: {open}");
        }
        let (followed, dark) = report.functions;
        println!(
            "  {followed} functions followed; {dark} of them run, or may, while flash cannot be read"
        );
        for (what, value, bound) in &held {
            println!("  {what:<32} {:>8}, {bound}", grouped(*value));
        }
        println!(
            "  the C++ equivalent, which has far less in it, takes {}: this image is {}",
            grouped(budgets.comparison.cplusplus),
            budgets.comparison.distance(sizes.image())
        );
        fits
    }
}

/// The figures that have limits.
fn held(budgets: &Budgets, sizes: &Sizes, owners: &[Owner], parts: &Parts) -> Vec<Held> {
    let core = parts.without(sizes.image());
    vec![
        ("image", sizes.image(), Bound::AtMost(budgets.image.today())),
        ("without updates and dashboard", core, Bound::AtMost(budgets.image.core)),
        ("instruction RAM", sizes.iram, Bound::AtMost(budgets.ram.iram)),
        ("statics without the SDK's", owners::statics(owners), Bound::AtMost(budgets.ram.statics)),
        ("left for the SDK's heap", sizes.ram_left(), Bound::AtLeast(budgets.ram.heap)),
    ]
}

/// Sequence number and version: the number of commits, which rises, and the commit.
fn version(release: bool) -> Result<(u32, String)> {
    let git = |arguments: &[&str]| {
        process::run(Command::new("git").arg("-C").arg(paths::repository()).args(arguments))
            .map(|said| said.trim().to_owned())
    };
    let count = git(&["rev-list", "--count", "HEAD"])
        .context("the image's number is that of the commits")?;
    let sequence = count.parse().context("git does not tell the number of commits")?;
    let version = env!("CARGO_PKG_VERSION");
    if release {
        let changes = git(&["status", "--porcelain"])?;
        ensure!(
            changes.is_empty(),
            "--release wants a tree without changes; git status shows:\n{changes}"
        );
        ensure!(
            git(&["rev-parse", "--is-shallow-repository"])? == "false",
            "--release wants the whole history"
        );
        return Ok((sequence, version.to_owned()));
    }
    Ok((sequence, format!("{version}-{}", git(&["rev-parse", "--short=8", "HEAD"])?)))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    // What is half written must not look like an image.
    let (part, file) = (folder.join(format!("{name}.part")), folder.join(name));
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, &file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Copies ELF and map.
fn copy(elf: &Path, folder: &Path, name: &str) -> Result<()> {
    let files: [(PathBuf, &str); 2] = [(elf.to_owned(), "elf"), (elf.with_extension("map"), "map")];
    for (from, extension) in files {
        let to = folder.join(name).with_extension(extension);
        fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}
