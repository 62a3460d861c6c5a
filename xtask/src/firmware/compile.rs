//! From Rust to assembler text: Debian's cargo with `build-std`, and the retries that a compiler crash needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};

use super::memory::Memory;
use super::{Build, PanicStrategy};
use crate::{paths, process, toolchain};

/// What LLVM 22 says when its register scavenger gives up. A change of its options gets the module through.
const CRASH: &str = "Cannot scavenge register without an emergency spill slot";

/// The options to try, one after the other, until LLVM does not crash; the first means none.
///
/// LLVM needs a free register where a stack offset is too large for an instruction, and it seems that it reserves a
/// slot to make one in large frames only. The second rung changes the code and hopes that the pressure eases.
/// The last two make slower code, but got everything through that was tried: they keep the register allocator to so
/// many registers that one stays free (10 to 13 were too many).
pub(crate) const LADDER: [&str; 4] =
    ["", "-regalloc=basic", "-stress-regalloc=9", "-stress-regalloc=8"];

/// What LLVM is told of the size of code, whose pass pipeline knows no target that is as short of it. On the node with
/// the SDK, in bytes less (2026-11, LLVM 22):
/// - A function is not inlined where that brings another 64 bytes of stack (8,000): large frames put their slots out of
///   the reach of short loads and stores. It also keeps most code from LLVM's crash (see [`LADDER`]).
/// - A copy of more than one word is a call of `memcpy` (2,000).
/// - Blocks are not duplicated to spare a jump (1,000).
/// - Constants and addresses are made anew where they are needed, instead of kept in registers, of which there are too
///   few (6,400).
/// - A `match` of fewer than ten cases is made of branches, not of a table of addresses (1,600).
/// - Functions that are the same are merged, and loads are not doubled to make one of them redundant (1,200).
/// - Registers are spilled, loops shaped, blocks and instructions ordered for size (5,000 together).
const SMALL: [&str; 15] = [
    "-inline-max-stacksize=64",
    "-max-store-memcpy=1",
    "-tail-dup-placement=0",
    "-disable-tail-duplicate",
    "-disable-machine-licm",
    "-disable-machine-cse",
    "-disable-machine-sink",
    "-min-jump-table-entries=10",
    "-enable-merge-functions",
    "-enable-load-pre=0",
    "-enable-pre=0",
    "-split-spill-mode=size",
    "-disable-lsr",
    "-disable-block-placement",
    "-pre-RA-sched=list-hybrid",
];

/// The crate with the arithmetic helpers; link-time optimisation leaves it out, so it is a second assembler file.
const BUILTINS: &str = "compiler_builtins";

/// The assembler text of a whole program.
pub(super) struct Assembly {
    /// The package with everything that it uses, as one file.
    pub(super) program: PathBuf,
    /// `compiler_builtins`.
    pub(super) builtins: PathBuf,
    /// The option that the program was compiled with, of [`LADDER`].
    pub(super) option: &'static str,
    /// The index of that option in [`LADDER`].
    pub(super) rung: usize,
}

/// Where on [`LADDER`] each of the two files is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rungs {
    pub(super) program: usize,
    pub(super) builtins: usize,
}

/// Compiles the package into assembler text below `work`.
///
/// # Errors
/// When the code does not compile (with the compiler's message), or crashes the compiler on every rung.
pub(super) fn compile(build: &Build, work: &Path) -> Result<Assembly> {
    let first = Rungs { program: build.first_rung, builtins: 0 };
    let memory = Memory::of(build, &flags_for_all()?, work)?;
    let mut remembered = memory.recall();
    let mut rungs = remembered.unwrap_or(first);
    let mut forgotten = false;
    loop {
        let files = output_files(work, build, rungs);
        let done = process::output(&mut cargo_rustc(build, rungs, &files)?)?;
        if !done.status.success() {
            if remembered.take().is_some() && String::from_utf8_lossy(&done.stderr).contains(CRASH)
            {
                // The memory is wrong, whyever: up the whole ladder, as if there were none.
                remove(&files.program)?;
                remove(&files.builtins)?;
                rungs = first;
            } else {
                rungs = next_rungs(build, rungs, &files, &done)?;
            }
        } else if files.program.exists() && files.builtins.exists() {
            report_rungs(build, rungs);
            memory.keep(rungs)?;
            return Ok(files);
        } else {
            // Cargo does not watch the assembler files: what it calls fresh may have been deleted.
            ensure!(
                !forgotten,
                "the compiler said success but wrote no assembler text; remove {} and build again",
                paths::firmware_target().display()
            );
            forget_earlier_output(build)?;
            forgotten = true;
        }
    }
}

/// After a failed try: climbs one rung if it was the known crash, and ends with the compiler's message if not.
fn next_rungs(build: &Build, tried: Rungs, files: &Assembly, done: &Output) -> Result<Rungs> {
    let stderr = String::from_utf8_lossy(&done.stderr);
    if !stderr.contains(CRASH) {
        bail!("{} does not compile:\n{}", build.package, process::telling_lines(&stderr));
    }
    let in_builtins = stderr.contains(&format!("could not compile `{BUILTINS}`"));
    let (file, rung) = if in_builtins {
        (&files.builtins, tried.builtins)
    } else {
        (&files.program, tried.program)
    };
    // The crash leaves an empty or half-written file, which must never be taken for a result.
    remove(file)?;
    let name = if in_builtins { BUILTINS } else { &build.package };
    if rung + 1 == LADDER.len() {
        let function = crashing_function(build, tried, files)?;
        bail!(
            "LLVM crashes on {name} (\"{CRASH}\") with each of its options {LADDER:?}; \
             split this function, or keep what it calls from being inlined: {function}"
        );
    }
    println!("  LLVM crashed on {name} with {}; trying {}", option(rung), option(rung + 1));
    Ok(if in_builtins {
        Rungs { builtins: rung + 1, ..tried }
    } else {
        Rungs { program: rung + 1, ..tried }
    })
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Which function the compiler was at when it crashed (a mangled name): it tells only when asked to log its passes.
fn crashing_function(build: &Build, rungs: Rungs, files: &Assembly) -> Result<String> {
    const MARK: &str = " on Function '";
    let mut command = cargo_rustc(build, rungs, files)?;
    let done = process::output(command.arg("-Cllvm-args=-debug-pass=Executions"))?;
    let log = String::from_utf8_lossy(&done.stderr);
    let before = log.find(CRASH).map_or(&*log, |crash| &log[..crash]);
    let name = before.rfind(MARK).and_then(|at| before[at + MARK.len()..].split('\'').next());
    Ok(name.unwrap_or("(the compiler does not say which)").to_owned())
}

fn option(rung: usize) -> &'static str {
    if LADDER[rung].is_empty() { "no option" } else { LADDER[rung] }
}

fn report_rungs(build: &Build, rungs: Rungs) {
    for (name, rung) in [(build.package.as_str(), rungs.program), (BUILTINS, rungs.builtins)] {
        if rung > 0 {
            println!("  {name} went through with {}", option(rung));
        }
    }
}

/// The rung is part of the file's name, and the name is part of what cargo compares:
/// so a file that exists is always the one that cargo calls fresh.
fn output_files(work: &Path, build: &Build, rungs: Rungs) -> Assembly {
    Assembly {
        program: work.join(format!("{}.rung{}.s", build.package, rungs.program)),
        // Shared by all packages of a profile, as cargo shares the compiled crate.
        builtins: shared_dir(work).join(format!("{BUILTINS}.rung{}.s", rungs.builtins)),
        option: option(rungs.program),
        rung: rungs.program,
    }
}

fn shared_dir(work: &Path) -> &Path {
    work.parent().unwrap_or(work)
}

/// Makes cargo compile the two crates again, by taking away its notes of when it did so last. `cargo clean` would not
/// do: it knows no package of the standard library.
fn forget_earlier_output(build: &Build) -> Result<()> {
    let notes = paths::firmware_target().join(toolchain::TARGET).join(&build.profile);
    let notes = notes.join(".fingerprint");
    let entries =
        fs::read_dir(&notes).with_context(|| format!("cannot list {}", notes.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", notes.display()))?.path();
        // A package's name, a hyphen, a hash.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let package = name.rsplit_once('-').map_or("", |(package, _)| package);
        if package == build.package || package == BUILTINS {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn manifest() -> PathBuf {
    paths::firmware().join("Cargo.toml")
}

fn common_arguments(build: &Build) -> Vec<String> {
    let target = paths::firmware().join("targets").join(format!("{}.json", toolchain::TARGET));
    let mut arguments = vec![
        format!("--profile={}", build.profile),
        format!("--target={}", target.display()),
        "-Zjson-target-spec".into(),
    ];
    if build.locked {
        arguments.push("--locked".into());
    }
    arguments
}

fn cargo_rustc(build: &Build, rungs: Rungs, files: &Assembly) -> Result<Command> {
    let std = if build.alloc { "core,alloc" } else { "core" };
    let mut command = toolchain::cargo_for_lx106();
    command.arg("rustc").args(["--manifest-path".as_ref(), manifest().as_os_str()]);
    command.args(["--lib", "--crate-type=staticlib", "--package", &build.package]);
    command.args(common_arguments(build));
    command.arg(format!("-Zbuild-std={std}")).arg("-Zprofile-rustflags");
    command.arg("--config").arg(builtins_flags(build, rungs, files));
    if build.panic == PanicStrategy::ImmediateAbort {
        // As a setting of the profile: by those cargo tells apart what it builds, but not by flags among which paths are
        // remapped. Crates that panic in another way would overwrite these, and `core` with all above it be compiled
        // at each change between them.
        command.arg("-Zpanic-immediate-abort");
        command.arg("--config").arg(format!("profile.{}.panic='immediate-abort'", build.profile));
    }
    if !build.features.is_empty() {
        command.arg("--features").arg(build.features.join(","));
    }
    // A window of 512 bytes has few places for gaps, and each that smoltcp can remember takes eight bytes a socket.
    command.env("SMOLTCP_ASSEMBLER_MAX_SEGMENT_COUNT", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags_for_all()?.join("\x1f"));
    command.arg("--").arg(format!("--emit=asm={}", files.program.display()));
    if rungs.program > 0 {
        command.arg(format!("-Cllvm-args={}", LADDER[rungs.program]));
    }
    Ok(command)
}

/// A cargo setting that makes `compiler_builtins` write its assembler text too.
fn builtins_flags(build: &Build, rungs: Rungs, files: &Assembly) -> String {
    let mut flags = vec![format!("--emit=asm={}", files.builtins.display())];
    if rungs.builtins > 0 {
        flags.push(format!("-Cllvm-args={}", LADDER[rungs.builtins]));
    }
    // TOML's basic strings and Rust's debug format agree for paths and options.
    format!("profile.{}.package.{BUILTINS}.rustflags={flags:?}", build.profile)
}

/// Flags for every crate of the firmware.
///
/// Paths are remapped, since panic messages hold the names of source files:
/// without it the size of the image would depend on where the repository is.
fn flags_for_all() -> Result<Vec<String>> {
    let mut flags = vec!["-Cforce-unwind-tables=no".to_owned()];
    flags.extend(SMALL.map(|option| format!("-Cllvm-args={option}")));
    let mut remap = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    let sysroot = process::run(Command::new(toolchain::rustc()).args(["--print", "sysroot"]))?;
    remap(&Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library"), "rust");
    remap(&paths::repository(), "spore");
    for index in registry_sources() {
        remap(&index, "crates");
    }
    Ok(flags)
}

/// Where cargo unpacks the crates of each registry: `$CARGO_HOME/registry/src/<registry>`.
fn registry_sources() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(sources) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}
