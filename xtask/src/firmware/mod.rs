//! `cargo xtask firmware`: from the sources to an ELF file for the LX106.
//!
//! Debian's rustc writes assembler text, xtask repairs it, GNU's tools assemble and link it. Why each step is
//! needed stands where the step is done.

mod asm;
mod calls;
mod compile;
mod images;
pub(crate) mod link;
mod memory;
mod rom;
mod shrink;
mod sizes;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use spore_boot::image::IN_PLACE;
use spore_boot::map::Slot;

use crate::{doctor, paths, sdk};
pub(crate) use compile::LADDER;
pub(crate) use sizes::{DATA_RAM, Sizes};

/// What an image is linked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Board {
    /// QEMU's board, and nothing of the chip but its core.
    Qemu,
    /// The chip, with Espressif's libraries, or with what stands in for them.
    Esp01,
    /// The chip, with nothing but its mask ROM.
    Bootloader,
    /// QEMU's board, in the place of the chip's mask ROM.
    Rom,
}

impl Board {
    /// What a package is made for.
    fn of(package: &str) -> Self {
        match package {
            "node" | "sdk-test" => Self::Esp01,
            "boot" => Self::Bootloader,
            "rom-emu" => Self::Rom,
            _ => Self::Qemu,
        }
    }

    /// Whether the code can call the chip's mask ROM.
    fn has_mask_rom(self) -> bool {
        matches!(self, Self::Esp01 | Self::Bootloader)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Esp01 => "esp01",
            Self::Bootloader => "bootloader",
            Self::Rom => "rom",
        }
    }
}

/// What a panic turns into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PanicStrategy {
    /// The panic handler runs, with message and location.
    Abort,
    /// An illegal instruction, which ends in the fault handler: smaller by a tenth, but mute.
    ImmediateAbort,
}

impl PanicStrategy {
    /// What ships is mute: with the messages of all panics, the node with the SDK passes its limit. What only tests
    /// run says what is wrong.
    fn of(package: &str) -> Self {
        if matches!(package, "node" | "boot") { Self::ImmediateAbort } else { Self::Abort }
    }
}

/// One build of one package.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    /// A directory and package of the firmware workspace.
    pub(crate) package: String,
    /// What it is linked against.
    pub(crate) board: Board,
    /// A profile of `firmware/Cargo.toml`.
    pub(crate) profile: String,
    /// Cargo features of the package.
    pub(crate) features: Vec<String>,
    /// Whether the package may use `alloc`.
    pub(crate) alloc: bool,
    /// What a panic turns into.
    pub(crate) panic: PanicStrategy,
    /// Where on [`LADDER`] the package's first try is.
    pub(crate) first_rung: usize,
    /// Fail if the lock file would change.
    pub(crate) locked: bool,
}

impl Build {
    /// A build of `package` for what it is made for, in the profile that ships.
    pub(crate) fn of(package: &str) -> Self {
        Self {
            package: package.to_owned(),
            board: Board::of(package),
            profile: "release".to_owned(),
            features: Vec::new(),
            // Only the differential test compares collections; the firmware has no heap.
            alloc: package == "difftest",
            panic: PanicStrategy::of(package),
            first_rung: 0,
            locked: false,
        }
    }

    /// A build of the bootloader.
    pub(crate) fn bootloader() -> Self {
        Self::of("boot")
    }

    /// A build of the node.
    pub(crate) fn esp01() -> Self {
        Self::of("node")
    }
}

/// A linked image.
pub(crate) struct Image {
    /// The ELF file; the map file lies beside it.
    pub(crate) elf: PathBuf,
    /// What it takes of the chip's memories.
    pub(crate) sizes: Sizes,
    /// The option of LLVM that the program needed, or "no option".
    pub(crate) option: &'static str,
}

/// The object files of a package, not yet linked.
pub(crate) struct Objects {
    /// What the compiler made: the program, then `compiler_builtins`.
    pub(crate) compiled: [PathBuf; 2],
    /// What was written in assembler.
    pub(crate) handwritten: Vec<PathBuf>,
    /// The directory of this build.
    pub(crate) work: PathBuf,
    /// The option of LLVM that the program needed, or "no option".
    pub(crate) option: &'static str,
    /// The index of that option in [`LADDER`].
    pub(crate) rung: usize,
}

impl Objects {
    /// The package with everything that it uses, without the compiler's helpers.
    pub(crate) fn program(&self) -> &Path {
        &self.compiled[0]
    }
}

/// Build firmware for the LX106.
#[derive(Args)]
pub(crate) struct Firmware {
    #[command(subcommand)]
    command: FirmwareCommand,
}

#[derive(Subcommand)]
enum FirmwareCommand {
    /// Compile, repair, assemble and link a package.
    Build(BuildArgs),
    /// Compile all that the checks of the quick gate run, so that they find it.
    Images,
}

#[derive(Args)]
struct BuildArgs {
    /// A package of the firmware workspace.
    #[arg(long, default_value = "node")]
    package: String,
    /// A profile of firmware/Cargo.toml: `release` (opt-level z) or `fast` (opt-level s).
    #[arg(long, default_value = "release")]
    profile: String,
    /// Features of the package, separated by commas.
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// What a panic turns into [default: immediate-abort for node, abort for the others].
    #[arg(long, value_enum)]
    panic: Option<PanicStrategy>,
    /// Fail if firmware/Cargo.lock would change.
    #[arg(long)]
    locked: bool,
}

impl Firmware {
    /// Runs the subcommand.
    pub(crate) fn run(self) -> Result<()> {
        let FirmwareCommand::Build(args) = self.command else {
            let started = Instant::now();
            images::all().iter().try_for_each(|order| build_objects(order).map(drop))?;
            println!("  all compiled in {:.0} s", started.elapsed().as_secs_f32());
            return Ok(());
        };
        let order = Build::of(&args.package);
        let build_order = Build {
            profile: args.profile,
            features: args.features,
            panic: args.panic.unwrap_or(order.panic),
            locked: args.locked,
            ..order
        };
        build(&build_order).map(|_| ())
    }
}

/// Builds an image and says what it takes.
///
/// # Errors
/// When a tool is missing, the code does not compile, or the image passes a limit of its board.
pub(crate) fn build(order: &Build) -> Result<Image> {
    let started = Instant::now();
    let _lock = lock()?;
    let objects = objects(order)?;
    let elf = objects.work.join(format!("{}-{}.elf", order.package, order.board.name()));
    link_objects(order.board, Slot::A, &objects, &elf)?;
    let image = Image { sizes: Sizes::of(&elf)?, option: objects.option, elf };
    println!("  {}", image.sizes);
    println!("  {} in {:.1} s", image.elf.display(), started.elapsed().as_secs_f32());
    Ok(image)
}

/// Links the node for the ESP-01 once for each of `slots`, and says what it takes.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_slots(order: &Build, slots: &[Slot]) -> Result<Vec<(Slot, Image)>> {
    let _lock = lock()?;
    let objects = objects(order)?;
    let images = slots.iter().map(|slot| {
        let elf = objects.work.join(format!("{}-slot-{slot:?}.elf", order.package).to_lowercase());
        link_objects(order.board, *slot, &objects, &elf)?;
        Ok((*slot, Image { sizes: Sizes::of(&elf)?, option: objects.option, elf }))
    });
    images.collect()
}

/// What the image of `order` would take without the function of this name (as Rust writes it, with its module), and
/// without all that is there for it alone. That image is linked and good for nothing.
///
/// # Errors
/// As [`build`]; and when there is no such function, since then it was inlined somewhere.
pub(crate) fn sizes_without(order: &Build, function: &str) -> Result<Sizes> {
    let _lock = lock()?;
    let mut objects = objects(order)?;
    objects.compiled[0] = link::assemble_without(&objects.compiled[0], function)?;
    let elf = objects.work.join(format!("{}-{}.without.elf", order.package, order.board.name()));
    link_objects(order.board, Slot::A, &objects, &elf)?;
    Sizes::of(&elf)
}

fn link_objects(board: Board, slot: Slot, objects: &Objects, elf: &Path) -> Result<()> {
    let all = [objects.handwritten.as_slice(), &objects.compiled].concat();
    match board {
        Board::Qemu | Board::Rom => link::link(&link::Link {
            script: if board == Board::Rom { "rom-emu.ld" } else { "qemu.ld" },
            objects: &all,
            archives: link::Archives::Picolibc,
            defines: &[],
            output: elf,
        }),
        Board::Bootloader => link::link(&link::Link {
            script: "boot.ld",
            objects: &all,
            archives: link::Archives::Only(&[]),
            defines: &[],
            output: elf,
        }),
        Board::Esp01 => {
            println!("  {}", sdk::LICENCE);
            link::link(&link::Link {
                script: "esp01.ld",
                objects: &all,
                archives: link::Archives::Only(&sdk::archives()?),
                defines: &[("slot_start", slot.window() + IN_PLACE)],
                output: elf,
            })
        }
    }
}

/// Builds the object files of a package, for who does not want an image.
///
/// # Errors
/// When a tool is missing or the code does not compile.
pub(crate) fn build_objects(order: &Build) -> Result<Objects> {
    let _lock = lock()?;
    objects(order)
}

/// Compiles and assembles a package without linking it.
fn objects(order: &Build) -> Result<Objects> {
    doctor::check_for_building()?;
    println!(
        "firmware: {} for {} ({}), by Debian's rustc",
        order.package,
        order.board.name(),
        order.profile
    );
    let panic = match order.panic {
        PanicStrategy::Abort => "",
        PanicStrategy::ImmediateAbort => "-mute",
    };
    let profile = format!("{}{panic}", order.profile);
    let variant = [std::slice::from_ref(&order.package), &order.features].concat().join("-");
    let work = paths::firmware_target().join("lx106").join(profile).join(variant);
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let assembly = compile::compile(order, &work)?;
    let compiled = link::assemble_compiled(&assembly, order.board)?;
    let sources = [paths::firmware().join("rt"), paths::firmware().join(&order.package)];
    let mut handwritten = link::assemble_sources(&sources, &work)?;
    if order.board.has_mask_rom() {
        handwritten.push(link::assemble_veneers(&work)?);
    }
    Ok(Objects { compiled, handwritten, work, option: assembly.option, rung: assembly.rung })
}

/// One build at a time: two would write the same files.
fn lock() -> Result<File> {
    let path = paths::firmware_target().join(".xtask-lock");
    fs::create_dir_all(paths::firmware_target())
        .and_then(|()| File::create(&path))
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", path.display()))
}
