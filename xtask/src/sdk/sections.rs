//! Espressif's functions in sections of their own, so that the linker can leave out those that nothing refers to.
//!
//! Most of the SDK's libraries were compiled that way. In three of them an object has all of its flash code in one
//! section, which comes whole with any function of it. What is in such a section refers to the rest of it by relocations
//! only (GNU's assembler keeps them, for the linker to shorten code), so it can be cut wherever a function begins: no
//! instruction changes, and what is linked is what Espressif has compiled.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf;
use object::read::archive::ArchiveFile;

use crate::{process, toolchain};

/// The libraries that have several functions in a section.
const WHOLE: [&str; 3] = ["libmain.a", "libpp.a", "libphy.a"];

/// The assembler's table of what is where in the sections of an object: places of 12 bytes, which are an address with a
/// relocation, a length and flags.
const PLACES: &[u8] = b".xt.prop";
/// Bytes of an entry of [`PLACES`].
const PLACE: usize = 12;
/// The flag of a place that holds literals, which stand before the function that loads them (`XTENSA_PROP_LITERAL`).
const LITERALS: u32 = 1;

/// A word with an address: that of the symbol, and what is in its place (`R_XTENSA_32`).
const ADDRESS: u32 = 1;
/// What an instruction refers to, which is the symbol (`R_XTENSA_ASM_EXPAND`, `R_XTENSA_SLOT0_OP`).
const INSTRUCTION: [u32; 2] = [11, 20];

/// The archives, with copies below `work` in the place of those that have several functions in a section.
///
/// # Errors
/// When one is of another shape than GNU's assembler makes, or cannot be written.
pub(super) fn apart(archives: Vec<PathBuf>, work: &Path) -> Result<Vec<PathBuf>> {
    let copied = archives.into_iter().map(|archive| {
        let name = archive.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if WHOLE.contains(&name) { copy(&archive, &work.join(name)) } else { Ok(archive) }
    });
    copied.collect()
}

/// Writes the copy of an archive, and returns where it is.
fn copy(archive: &Path, to: &Path) -> Result<PathBuf> {
    let bytes = fs::read(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let shape = || format!("{} has a shape that xtask does not know", archive.display());
    let file = ArchiveFile::parse(&*bytes).with_context(shape)?;
    let folder = to.with_extension("members");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut members = Vec::new();
    for member in file.members() {
        let member = member.with_context(shape)?;
        let name = String::from_utf8_lossy(member.name());
        let object = member.data(&*bytes).with_context(shape)?;
        let object = cut(object).with_context(|| format!("{name} of {}", archive.display()))?;
        let path = folder.join(&*name);
        ensure!(!members.contains(&path), "{} has two members {name}", archive.display());
        fs::write(&path, object).with_context(|| format!("cannot write {}", path.display()))?;
        members.push(path);
    }
    // The tool would add to what is there.
    match fs::remove_file(to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("cannot remove {}", to.display()));
        }
        _ => {}
    }
    process::run(Command::new(toolchain::AR).arg("qcsD").arg(to).args(members))?;
    Ok(to.to_path_buf())
}

/// One of the sections that another was cut into.
struct Piece {
    /// Where it begins in the whole section.
    start: u64,
    section: SectionId,
    /// The symbol of the section itself.
    symbol: SymbolId,
}

/// A section that was cut, and its pieces in the order of their addresses.
struct Cut {
    whole: SectionId,
    pieces: Vec<Piece>,
}

impl Cut {
    /// What became of a section, if it was cut.
    fn of(all: &[Self], section: Option<SectionId>) -> Option<&Self> {
        all.iter().find(|cut| section == Some(cut.whole))
    }

    /// Where that is which was at `offset` in the whole. What is at its end, where nothing is, belongs to the last piece.
    fn piece(&self, offset: u64) -> Option<&Piece> {
        self.pieces.iter().rev().find(|piece| piece.start <= offset)
    }
}

/// An object file whose code has a section for each function, as far as it can be told where one begins.
fn cut(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read32(object)?;
    name_relocated(&mut builder);
    let mut done = Vec::new();
    for (whole, starts) in beginnings(&builder)? {
        let pieces = cut_section(&mut builder, whole, &starts)?;
        done.push(Cut { whole, pieces });
    }
    let relocated: Vec<SectionId> = builder
        .sections
        .iter()
        .filter(|section| matches!(section.data, SectionData::Relocation(_)))
        .map(|section| section.id())
        .collect();
    for section in relocated {
        retarget(&mut builder, section, &done)?;
    }
    for symbol in builder.symbols.iter_mut() {
        if let Some(cut) = Cut::of(&done, symbol.section)
            && let Some(piece) = cut.piece(symbol.st_value)
            && symbol.st_type() != elf::STT_SECTION
        {
            symbol.section = Some(piece.section);
            symbol.st_value -= piece.start;
        }
    }
    let mut written = Vec::new();
    builder.write(&mut written)?;
    Ok(written)
}

/// Says of each table of relocations by its flags, too, whose it is: some tools only give the number.
fn name_relocated(builder: &mut Builder<'_>) {
    let numbered: Vec<SectionId> = builder.sections.iter().map(|section| section.id()).collect();
    for table in builder.sections.iter_mut() {
        if matches!(table.data, SectionData::Relocation(_)) && table.sh_info_section.is_none() {
            let number = (table.sh_info as usize).checked_sub(1);
            table.sh_info_section = number.and_then(|number| numbered.get(number).copied());
            table.sh_flags |= u64::from(elf::SHF_INFO_LINK);
        }
    }
}

/// What the assembler says of some bytes of a section.
struct Place {
    section: SectionId,
    start: u64,
    end: u64,
    /// Whether they are literals.
    literals: bool,
}

/// The places of an object.
fn places(builder: &Builder<'_>) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for table in builder.sections.iter().filter(|section| &*section.name == PLACES) {
        let SectionData::Data(data) = &table.data else { bail!("a table of places without data") };
        for relocation in relocations_of(builder, table.id()) {
            let (section, start) = target(builder, data, relocation)?;
            let entry = usize::try_from(relocation.r_offset)?;
            ensure!(entry.is_multiple_of(PLACE), "a table of places of another shape");
            let (length, flags) = (word(data, entry + 4)?, word(data, entry + 8)?);
            let end = start + u64::from(length);
            found.push(Place { section, start, end, literals: flags & LITERALS != 0 });
        }
    }
    Ok(found)
}

/// Where each section of code can be cut: before the literals of a function, and before a function that has none.
fn beginnings(builder: &Builder<'_>) -> Result<Vec<(SectionId, BTreeSet<u64>)>> {
    let places = places(builder)?;
    let mut found = Vec::new();
    for section in builder.sections.iter().map(|section| section.id()) {
        let own = || places.iter().filter(move |place| place.section == section);
        let behind_literals =
            |at: u64| own().any(|it| it.literals && (it.start + 1..=it.end).contains(&at));
        let functions = builder
            .symbols
            .iter()
            .filter(|it| it.section == Some(section) && it.st_type() == elf::STT_FUNC)
            .map(|it| it.st_value);
        let literals = own().filter(|it| it.literals && it.start < it.end).map(|it| it.start);
        let starts: BTreeSet<u64> =
            functions.chain(literals).filter(|at| *at > 0 && !behind_literals(*at)).collect();
        if starts.is_empty() || own().next().is_none() {
            continue;
        }
        ensure!(starts.iter().all(|at| at.is_multiple_of(4)), "a function that is not aligned");
        let is_cut =
            |it: &Place| starts.range(it.start + 1..).next().is_some_and(|at| *at < it.end);
        ensure!(!own().any(is_cut), "a place in two functions");
        found.push((section, starts));
    }
    Ok(found)
}

/// Cuts a section and its relocations; the first piece keeps its number and its name.
fn cut_section(
    builder: &mut Builder<'_>,
    whole: SectionId,
    starts: &BTreeSet<u64>,
) -> Result<Vec<Piece>> {
    let SectionData::Data(data) = builder.sections.get(whole).data.clone() else {
        bail!("code without data")
    };
    let own_symbol = builder
        .symbols
        .iter()
        .find(|symbol| symbol.section == Some(whole) && symbol.st_type() == elf::STT_SECTION)
        .context("a section without a symbol")?
        .id();
    let table = builder.sections.iter().find(|section| relocates(section, whole));
    let table = table.map(|table| table.id());
    let relocations: Vec<Relocation> = relocations_of(builder, whole).copied().collect();
    let mut pieces = vec![Piece { start: 0, section: whole, symbol: own_symbol }];
    let end = data.len() as u64;
    for (number, start) in starts.iter().enumerate() {
        let code = builder.sections.copy(whole);
        code.name.to_mut().extend_from_slice(format!(".{}", number + 1).as_bytes());
        let section = code.id();
        let symbol = builder.symbols.add();
        symbol.section = Some(section);
        symbol.set_st_info(elf::STB_LOCAL, elf::STT_SECTION);
        pieces.push(Piece { start: *start, section, symbol: symbol.id() });
    }
    for (number, piece) in pieces.iter().enumerate() {
        let until = pieces.get(number + 1).map_or(end, |next| next.start);
        let range = usize::try_from(piece.start)?..usize::try_from(until)?;
        let bytes = data.get(range).context("a function behind the end of its section")?;
        builder.sections.get_mut(piece.section).data = SectionData::Data(bytes.to_vec().into());
        let own = relocations.iter().filter(|it| (piece.start..until).contains(&it.r_offset));
        let own = own.map(|it| Relocation { r_offset: it.r_offset - piece.start, ..*it }).collect();
        let Some(table) = table else { continue };
        let list = if number == 0 {
            builder.sections.get_mut(table)
        } else {
            let list = builder.sections.copy(table);
            list.name.to_mut().extend_from_slice(format!(".{number}").as_bytes());
            list.sh_info_section = Some(piece.section);
            list
        };
        list.data = SectionData::Relocation(own);
    }
    Ok(pieces)
}

/// Lets the relocations of a table refer to the pieces in the place of the sections that were cut.
fn retarget(builder: &mut Builder<'_>, table: SectionId, cuts: &[Cut]) -> Result<()> {
    let relocated = builder.sections.get(table).sh_info_section.context("whose relocations?")?;
    let SectionData::Data(mut data) = builder.sections.get(relocated).data.clone() else {
        return Ok(());
    };
    let SectionData::Relocation(mut relocations) = builder.sections.get(table).data.clone() else {
        return Ok(());
    };
    for relocation in &mut relocations {
        // Without one it is a number, as the address of a function of the mask ROM.
        let Some(symbol) = relocation.symbol.map(|symbol| builder.symbols.get(symbol)) else {
            continue;
        };
        let Some(cut) = Cut::of(cuts, symbol.section) else { continue };
        let (_, at) = target(builder, &data, relocation)?;
        let piece = cut.piece(at).context("a reference before the section")?;
        if symbol.st_type() != elf::STT_SECTION {
            // The symbol moves, and what is meant must move with it.
            let own = cut.piece(symbol.st_value);
            ensure!(own.is_some_and(|own| own.start == piece.start), "a reference past a function");
            continue;
        }
        relocation.symbol = Some(piece.symbol);
        if relocation.r_type == ADDRESS {
            let place = usize::try_from(relocation.r_offset)?;
            let start = u32::try_from(piece.start)?;
            let inside = word(&data, place)?.checked_sub(start).context("an addend elsewhere")?;
            data.to_mut()[place..place + 4].copy_from_slice(&inside.to_le_bytes());
        } else {
            relocation.r_addend -= i64::try_from(piece.start)?;
        }
    }
    builder.sections.get_mut(relocated).data = SectionData::Data(data);
    builder.sections.get_mut(table).data = SectionData::Relocation(relocations);
    Ok(())
}

/// Whether a section is the table of relocations of another.
fn relocates(section: &object::build::elf::Section<'_>, of: SectionId) -> bool {
    matches!(section.data, SectionData::Relocation(_)) && section.sh_info_section == Some(of)
}

/// The relocations of a section.
fn relocations_of<'a>(
    builder: &'a Builder<'_>,
    of: SectionId,
) -> impl Iterator<Item = &'a Relocation> {
    let lists = builder.sections.iter().filter(move |section| relocates(section, of));
    lists.flat_map(|section| match &section.data {
        SectionData::Relocation(relocations) => relocations.as_slice(),
        _ => &[],
    })
}

/// What a relocation of `data` refers to: a section of this object, and where in it.
fn target(builder: &Builder<'_>, data: &[u8], of: &Relocation) -> Result<(SectionId, u64)> {
    let symbol = builder.symbols.get(of.symbol.context("a relocation without a symbol")?);
    let section = symbol.section.context("a reference to another object")?;
    let inside = match of.r_type {
        ADDRESS => word(data, usize::try_from(of.r_offset)?)?.into(),
        kind if INSTRUCTION.contains(&kind) => 0,
        kind => bail!("a relocation of the kind {kind}"),
    };
    let at = symbol.st_value.checked_add_signed(of.r_addend).and_then(|at| at.checked_add(inside));
    Ok((section, at.context("a reference before the section")?))
}

/// The word at an offset.
fn word(data: &[u8], at: usize) -> Result<u32> {
    let bytes =
        data.get(at..).and_then(|rest| rest.first_chunk()).context("a relocation of nothing")?;
    Ok(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
