//! From assembler text to an ELF file, with GNU's assembler and linker.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::compile::Assembly;
use super::{Board, asm, calls, rom, shrink};
use crate::budgets::Budgets;
use crate::{paths, process, toolchain};

/// Repairs and assembles what the compiler wrote; returns the object files. Those that were made of the same text by this
/// very program are taken as they are.
///
/// # Errors
/// When the text has an unknown shape or does not assemble.
pub(super) fn assemble_compiled(assembly: &Assembly, board: Board) -> Result<[PathBuf; 2]> {
    let files = [&assembly.program, &assembly.builtins];
    let raw = [read(files[0])?, read(files[1])?];
    // The name tells the boards apart, since builds for both share what the compiler wrote of its helpers.
    let objects = files.map(|file| file.with_extension(format!("{}.o", board.name())));
    let origin = origin(&raw, board)?;
    // Each has its own, since helpers are assembled with each program anew.
    let notes = objects.each_ref().map(|object| object.with_added_extension("origin"));
    let is_made = |(object, note): (&PathBuf, &PathBuf)| {
        object.exists() && fs::read_to_string(note).is_ok_and(|noted| noted == origin)
    };
    if objects.iter().zip(&notes).all(is_made) {
        return Ok(objects);
    }
    let texts = [shrunk(&raw[0], files[0], board)?, shrunk(&raw[1], files[1], board)?];
    let veneers = if board.has_mask_rom() { rom::veneers() } else { String::new() };
    let mut near: HashSet<&str> = asm::functions_in_flash(&veneers).into_keys().collect();
    near.extend(texts.iter().flat_map(|text| asm::functions_in_flash(text).into_keys()));
    for ((text, object), note) in texts.iter().zip(&objects).zip(&notes) {
        let _ = fs::remove_file(note);
        let repaired = repaired(object);
        let marked = calls::mark_near(text, &near);
        fs::write(&repaired, shrink::share_jumps(&marked))
            .with_context(|| format!("cannot write {}", repaired.display()))?;
        assemble(&repaired, object, &COMPILED)?;
        fs::write(note, &origin).with_context(|| format!("cannot write {}", note.display()))?;
    }
    Ok(objects)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file)
        .with_context(|| format!("cannot read the compiler's output {}", file.display()))
}

/// A digest of all that object files are made of: what the compiler wrote, and this program, which changes it.
fn origin(raw: &[String; 2], board: Board) -> Result<String> {
    let this = std::env::current_exe().and_then(fs::metadata).context("no file of this program")?;
    let made = this.modified().context("this program's file has no time")?;
    let mut digest = Sha256::new();
    digest.update(format!("{made:?} {} {board:?} {}\n", this.len(), raw[0].len()));
    raw.iter().for_each(|text| digest.update(text));
    Ok(format!("{:x}", digest.finalize()))
}

/// What the compiler wrote to `file`, as the assembler is to get it for a board.
fn shrunk(raw: &str, file: &Path, board: Board) -> Result<String> {
    let mut correct = asm::repair(raw).with_context(|| file.display().to_string())?;
    if board.has_mask_rom() {
        correct = rom::adapt(&correct);
    }
    Ok(shrink::shrink(&correct))
}

/// Assembles the veneers through which the code for the chip calls its mask ROM, in `work`; returns the object file.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn assemble_veneers(work: &Path) -> Result<PathBuf> {
    let source = work.join("veneers.s");
    fs::write(&source, rom::veneers())
        .with_context(|| format!("cannot write {}", source.display()))?;
    let object = source.with_extension("o");
    assemble(&source, &object, &COMPILED)?;
    Ok(object)
}

/// How GNU's assembler is to take what the compiler wrote.
const COMPILED: [&str; 2] = ["-mlongcalls", "-Wa,--no-target-align"];

/// Where the repaired text is that an object is made of.
fn repaired(object: &Path) -> PathBuf {
    object.with_extension("fixed.s")
}

/// Assembles the text that `object` was made of once more, with nothing in the function of this name; returns the
/// other object.
///
/// # Errors
/// When there is no such function, or the text does not assemble.
pub(super) fn assemble_without(object: &Path, function: &str) -> Result<PathBuf> {
    let text = repaired(object);
    let whole =
        fs::read_to_string(&text).with_context(|| format!("cannot read {}", text.display()))?;
    let without = asm::without(&whole, function)
        .with_context(|| format!("{} has no function {function} of its own", text.display()))?;
    let (source, object) = (object.with_extension("without.s"), object.with_extension("without.o"));
    fs::write(&source, without).with_context(|| format!("cannot write {}", source.display()))?;
    assemble(&source, &object, &COMPILED)?;
    Ok(object)
}

/// Assembles the hand-written `.S` files of `directories` into `work`; returns the object files.
///
/// # Errors
/// When a directory cannot be read or a file does not assemble.
pub(crate) fn assemble_sources(directories: &[PathBuf], work: &Path) -> Result<Vec<PathBuf>> {
    let mut objects = Vec::new();
    for directory in directories {
        let entries = fs::read_dir(directory)
            .with_context(|| format!("cannot list {}", directory.display()))?;
        let mut sources = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()
            .with_context(|| format!("cannot list {}", directory.display()))?;
        sources.retain(|path| path.extension() == Some(OsStr::new("S")));
        sources.sort();
        for source in sources {
            let stem = source.file_stem().unwrap_or_default();
            let object = work.join(stem).with_extension("S.o");
            ensure!(
                !objects.contains(&object),
                "two assembler sources are named {}.S; rename one",
                stem.display()
            );
            assemble(&source, &object, &["-mtext-section-literals"])?;
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Writes to another name first: what is cut off half-way must not look like an object file.
fn assemble(source: &Path, object: &Path, flags: &[&str]) -> Result<()> {
    let unfinished = paths::unfinished(object);
    let mut gcc = Command::new(toolchain::GCC);
    gcc.args(flags).arg("-I").arg(paths::firmware().join("rt"));
    gcc.arg("-c").arg(source).arg("-o").arg(&unfinished);
    process::run(&mut gcc).with_context(|| format!("{} does not assemble", source.display()))?;
    fs::rename(&unfinished, object).with_context(|| format!("cannot write {}", object.display()))
}

/// Archives, of which the members that are needed are linked.
#[derive(Clone, Copy)]
pub(crate) enum Archives<'a> {
    /// Debian's `libgcc` and picolibc: nothing is taken from the mask ROM.
    Picolibc,
    /// These and no others: the SDK brings a `libc` of its own, which leaves out what the mask ROM has.
    Only(&'a [PathBuf]),
}

/// What goes into one link.
pub(crate) struct Link<'a> {
    /// The linker script: a file of `firmware/ld`.
    pub(crate) script: &'a str,
    /// Object files, all of which are linked.
    pub(crate) objects: &'a [PathBuf],
    /// Where missing symbols are looked up.
    pub(crate) archives: Archives<'a>,
    /// Symbols that the script asks for.
    pub(crate) defines: &'a [(&'a str, u32)],
    /// Where the ELF file goes; the map file gets the extension `map` beside it.
    pub(crate) output: &'a Path,
}

/// Links `link`, without what nothing refers to.
///
/// # Errors
/// When a symbol is missing or a limit of the linker script is passed; the message holds the linker's.
pub(crate) fn link(link: &Link<'_>) -> Result<()> {
    let scripts = paths::firmware().join("ld");
    let map = link.output.with_extension("map");
    let unfinished = [link.output, &map].map(paths::unfinished);
    let mut gcc = Command::new(toolchain::GCC);
    gcc.arg("-nostdlib").arg("-L").arg(&scripts).arg("-T").arg(scripts.join(link.script));
    gcc.args(["-Wl,--gc-sections", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"]);
    // Else the linker makes short instructions long again, to align what is branched to.
    gcc.arg("-Wl,--size-opt");
    gcc.arg("-Wl,--orphan-handling=warn");
    gcc.arg(format!("-Wl,-Map={}", unfinished[1].display()));
    gcc.args(link.defines.iter().map(|(name, value)| format!("-Wl,--defsym,{name}={value:#x}")));
    let (name, limit) = Budgets::read()?.of_linker();
    gcc.arg(format!("-Wl,--defsym,{name}={limit}"));
    gcc.args(link.objects).arg("-Wl,--start-group");
    match link.archives {
        Archives::Picolibc => gcc.args(["-lgcc", "-lc"]),
        Archives::Only(archives) => gcc.args(archives),
    };
    gcc.args(["-Wl,--end-group", "-o"]).arg(&unfinished[0]);
    let done = process::output(&mut gcc)?;
    let stderr = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        bail!("linking {} failed:\n{}", link.output.display(), linker_errors(&stderr));
    }
    let orphans = orphans(&stderr);
    ensure!(
        orphans.is_empty(),
        "{} has no place for the sections {orphans:?}, so the linker put them where it liked; give them one",
        link.script
    );
    for (from, to) in unfinished.iter().zip([link.output, &map]) {
        fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// A note for debuggers, which is in every object file and never loaded.
const HARMLESS: &str = ".xtensa.info";

/// The sections that the linker script does not mention, by what the linker says of them, each once.
fn orphans(stderr: &str) -> Vec<&str> {
    let mut found: Vec<&str> = stderr
        .lines()
        .filter_map(|line| line.split_once("orphan section `")?.1.split('\'').next())
        .filter(|section| *section != HARMLESS)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The linker's complaints without its chatter, each once: it names the same missing symbol once per use.
fn linker_errors(stderr: &str) -> String {
    const MISSING: &str = "undefined reference to";
    let mut seen: Vec<&str> = Vec::new();
    for line in stderr.lines() {
        let is_chatter = line.contains("in function `")
            || line.starts_with("collect2:")
            || line.contains(&format!("orphan section `{HARMLESS}'"));
        if is_chatter {
            continue;
        }
        // What stands before is the place of the use, which differs each time.
        let message = line.find(MISSING).map_or(line, |start| &line[start..]);
        if !seen.contains(&message) {
            seen.push(message);
        }
    }
    process::telling_lines(&seen.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{linker_errors, orphans};

    #[test]
    fn sections_without_a_place_are_named_and_notes_are_not() {
        let text = "ld: warning: orphan section `.xtensa.info' from `a.o' being placed in section `.xtensa.info'\n\
                    ld: warning: orphan section `.got' from `a.o' being placed in section `.got'\n\
                    ld: warning: orphan section `.got' from `b.o' being placed in section `.got'\n";
        assert_eq!(orphans(text), [".got"]);
    }

    #[test]
    fn a_missing_symbol_is_named_once() {
        let text = "ld: a.o: in function `f':\n\
                    a.o:(.text.f+0x3): undefined reference to `gone'\n\
                    a.o:(.text.g+0x9): undefined reference to `gone'\n";
        assert_eq!(linker_errors(text), "undefined reference to `gone'");
    }
}
