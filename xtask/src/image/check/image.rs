//! A linked program, as its bytes at their addresses and the names of what is there.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind, elf};

use super::super::Program;
use super::notes::Pattern;

/// The window through which flash is read: of slot A and B.
pub(super) const FLASH: Range<u32> = 0x4020_0000..0x4030_0000;
/// The chip's mask ROM.
pub(super) const ROM: Range<u32> = 0x4000_0000..0x4001_0000;

/// What runs of instructions that functions share are named. A `call0` leads there, also where none comes back.
pub(super) const SHARED: &str = "spore_shared_";

/// A linked program.
pub(super) struct Image {
    pieces: Vec<Piece>,
    /// Names of code, by address: functions that are the same share one.
    names: BTreeMap<u32, Vec<String>>,
    /// Names of variables and constants, by address.
    data: BTreeMap<u32, String>,
}

struct Piece {
    address: u32,
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Constants,
    Variables,
}

impl Image {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When it cannot be read or is no program.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is not an ELF file", path.display()))?;
        let kinds: BTreeMap<u64, Kind> = file
            .sections()
            .filter_map(|section| {
                let SectionFlags::Elf { sh_flags } = section.flags() else { return None };
                let has = |flag: u32| sh_flags & u64::from(flag) != 0;
                let kind = match (has(elf::SHF_EXECINSTR), has(elf::SHF_WRITE)) {
                    (true, _) => Kind::Code,
                    (false, true) => Kind::Variables,
                    (false, false) => Kind::Constants,
                };
                Some((section.address(), kind))
            })
            .collect();
        let pieces = Program::read(path)?.pieces.into_iter().map(|piece| Piece {
            address: piece.address,
            kind: kinds.get(&u64::from(piece.address)).copied().unwrap_or(Kind::Variables),
            bytes: piece.bytes,
        });
        let mut image =
            Self { pieces: pieces.collect(), names: BTreeMap::new(), data: BTreeMap::new() };
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default();
            let Ok(address) = u32::try_from(symbol.address()) else { continue };
            let is_code = image.is_code(address) || ROM.contains(&address);
            let is_name = symbol.kind() == SymbolKind::Text || ROM.contains(&address);
            // Handwritten code and functions of the mask ROM have symbols without a kind.
            if is_code && !name.is_empty() && (is_name || symbol.kind() == SymbolKind::Unknown) {
                let name = format!("{:#}", rustc_demangle::demangle(name));
                image.names.entry(address).or_default().push(name);
            } else if symbol.kind() == SymbolKind::Data {
                let name = format!("{:#}", rustc_demangle::demangle(name));
                image.data.entry(address).or_insert(name);
            }
        }
        Ok(image)
    }

    /// A program of these pieces of code, constants, and names.
    #[cfg(test)]
    pub(super) fn planted(
        code: Vec<(u32, Vec<u8>)>,
        constants: Vec<(u32, Vec<u8>)>,
        names: Vec<(u32, String)>,
    ) -> Self {
        let all = [(code, Kind::Code), (constants, Kind::Constants)];
        let pieces = all.into_iter().flat_map(|(pieces, kind)| {
            pieces.into_iter().map(move |(address, bytes)| Piece { address, bytes, kind })
        });
        let names = names.into_iter().map(|(address, name)| (address, vec![name])).collect();
        Self { pieces: pieces.collect(), names, data: BTreeMap::new() }
    }

    fn piece(&self, address: u32) -> Option<&Piece> {
        let has = |piece: &&Piece| {
            address.checked_sub(piece.address).is_some_and(|at| (at as usize) < piece.bytes.len())
        };
        self.pieces.iter().find(has)
    }

    pub(super) fn is_code(&self, address: u32) -> bool {
        self.piece(address).is_some_and(|piece| piece.kind == Kind::Code)
    }

    /// The bytes from an address in code on.
    pub(super) fn code_at(&self, address: u32) -> Option<&[u8]> {
        let piece = self.piece(address).filter(|piece| piece.kind == Kind::Code)?;
        piece.bytes.get((address - piece.address) as usize..)
    }

    /// The word at an address that never changes.
    pub(super) fn constant_at(&self, address: u32) -> Option<u32> {
        let piece = self.piece(address).filter(|piece| piece.kind != Kind::Variables)?;
        let word = piece.bytes.get((address - piece.address) as usize..)?.first_chunk()?;
        Some(u32::from_le_bytes(*word))
    }

    /// Where constants begin that are no code.
    pub(super) fn constants(&self) -> impl Iterator<Item = u32> {
        let constants = self.pieces.iter().filter(|piece| piece.kind == Kind::Constants);
        constants.map(|piece| piece.address)
    }

    /// The address of a name.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.names().find(|(_, it)| *it == name).map(|(address, _)| address)
    }

    /// The word at a place that is given as a name and a distance.
    pub(super) fn word(&self, place: &str) -> Option<u32> {
        let (name, distance) = place.split_once('+')?;
        let data = self.data.iter().map(|(address, it)| (*address, it.as_str()));
        let (address, _) = self.names().chain(data).find(|(_, it)| *it == name)?;
        self.constant_at(address + distance.parse::<u32>().ok()?)
    }

    /// Where code with names is that match a pattern.
    pub(super) fn matching(&self, pattern: &str) -> Vec<u32> {
        let pattern = Pattern::new(pattern);
        let names = self.names().filter(|(_, name)| pattern.matches(name));
        names.map(|(address, _)| address).collect()
    }

    /// All names of code with their addresses.
    pub(super) fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        self.names
            .iter()
            .flat_map(|(address, names)| names.iter().map(|name| (*address, name.as_str())))
    }

    /// The functions that have names, but for what they share.
    pub(super) fn functions(&self) -> impl Iterator<Item = u32> {
        let names = self
            .names
            .iter()
            .filter(|(address, names)| self.is_code(**address) && !names[0].starts_with(SHARED));
        names.map(|(address, _)| *address)
    }

    /// What is at an address, for people: a name, or a name and a distance.
    pub(super) fn name(&self, address: u32) -> String {
        match self.names.range(..=address).next_back() {
            Some((at, names)) if *at == address => names[0].clone(),
            Some((at, names)) if address - at < 0x1000 => {
                format!("{}+{:#x}", names[0], address - at)
            }
            _ => format!("{address:#x}"),
        }
    }

    /// The variable at an address, for people.
    pub(super) fn variable(&self, address: u32) -> String {
        match self.data.range(..=address).next_back() {
            Some((at, name)) if *at == address => name.clone(),
            Some((at, name)) if address - at < 0x1000 => format!("{name}+{:#x}", address - at),
            _ => format!("{address:#x}"),
        }
    }

    /// Whether named code begins within an instruction of so many bytes.
    pub(super) fn name_within(&self, address: u32, length: u32) -> bool {
        self.names.range(address + 1..address + length).next().is_some()
    }

    /// Where the named code begins that an address is in.
    pub(super) fn named(&self, address: u32) -> Option<u32> {
        self.names.range(..=address).next_back().map(|(at, _)| *at)
    }
}
