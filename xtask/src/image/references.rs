//! Who refers to whom in an object file, section by section: what the linker keeps, and what it would keep without some of it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionFlags, elf,
};

/// The references of an object file, by names of sections.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Those with what others call by name, which is what has no name of Rust's.
    roots: HashSet<String>,
    to: HashMap<String, HashSet<String>>,
}

impl References {
    /// Those in an object file.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let file = object::File::parse(&*bytes).context("not an object file")?;
        let mut found = Self::default();
        let name_of = |symbol: &object::Symbol<'_, '_>| {
            let section = file.section_by_index(symbol.section_index()?).ok()?;
            section.name().ok().map(str::to_owned)
        };
        for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
            let is_root = symbol.name().is_ok_and(|name| !name.starts_with("_R"));
            found.roots.extend(name_of(&symbol).filter(|_| is_root));
        }
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
                continue;
            }
            let to = found.to.entry(section.name()?.to_owned()).or_default();
            for (_, relocation) in section.relocations() {
                if let RelocationTarget::Symbol(index) = relocation.target() {
                    to.extend(name_of(&file.symbol_by_index(index)?));
                }
            }
        }
        Ok(found)
    }

    /// The sections that are needed if those that are `out` are not there.
    pub(super) fn needed_without(&self, out: impl Fn(&str) -> bool) -> HashSet<&str> {
        let mut needed = HashSet::new();
        let mut open: Vec<&str> = self.roots.iter().map(String::as_str).collect();
        while let Some(section) = open.pop() {
            if out(section) || !needed.insert(section) {
                continue;
            }
            open.extend(self.to.get(section).into_iter().flatten().map(String::as_str));
        }
        needed
    }

    #[cfg(test)]
    pub(super) fn from_pairs(roots: &[&str], pairs: &[(&str, &str)]) -> Self {
        let mut made = Self::default();
        made.roots.extend(roots.iter().map(|&root| root.to_owned()));
        for (from, to) in pairs {
            made.to.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        made
    }
}
