//! Who takes how much of an image, by the names of its symbols.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

/// How many owners are listed.
const LISTED: usize = 12;
/// Whoever has a name that is not Rust's.
const SDK: &str = "Espressif's SDK";
/// What `xtask/src/firmware/shrink/outline` makes.
const SHARED: &str = "runs of instructions that functions share";
/// What has no symbol: the values of literals, constants, the space between functions.
const NAMELESS: &str = "literals, constants, alignment";

/// The largest owners of an image of `image` bytes, largest first, each with its bytes: crates, and what is no crate.
///
/// A generic function belongs to the crate that has its source, whoever uses it.
///
/// # Errors
/// When the file cannot be read or is no ELF file.
pub(super) fn largest(elf: &Path, image: u64) -> Result<Vec<(String, u64)>> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes).context("not an ELF file")?;
    let mut owners: HashMap<String, u64> = HashMap::new();
    let mut named = 0;
    for symbol in file.symbols() {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let is_loaded =
            section.is_some_and(|section| section.kind() != SectionKind::UninitializedData);
        if !is_loaded || !matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data) {
            continue;
        }
        let name = symbol.name().context("a symbol's name is not UTF-8")?;
        *owners.entry(owner(name)).or_default() += symbol.size();
        named += symbol.size();
    }
    owners.insert(NAMELESS.to_owned(), image.saturating_sub(named));
    let mut owners: Vec<(String, u64)> = owners.into_iter().collect();
    owners.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    owners.truncate(LISTED);
    Ok(owners)
}

/// Whose a symbol is.
fn owner(symbol: &str) -> String {
    if symbol.starts_with("spore_shared_") {
        return SHARED.to_owned();
    }
    if !symbol.starts_with("_R") {
        return SDK.to_owned();
    }
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    // The first path: `<&mut spore_core::node::Node as core::fmt::Debug>::fmt` is spore-core's.
    let words = name.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
    let crates = words.filter_map(|word| word.split_once("::").map(|(first, _)| first));
    crates.filter(|first| !first.is_empty()).map(str::to_owned).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{SDK, SHARED, owner};

    #[test]
    fn a_symbol_is_its_crates_or_the_sdks() {
        assert_eq!(
            owner("_RNvMNtNtCs3kQOefdDQ22_10spore_core7cluster8carriersNtB4_7Cluster5owner"),
            "spore_core"
        );
        assert_eq!(
            owner(
                "_RNvXs2_NtCs3kQOefdDQ22_10spore_core4timeRNtB5_7InstantNtNtCseck1OBySwsy_4core3fmt5Debug3fmt"
            ),
            "spore_core"
        );
        assert_eq!(owner("_RNvNtCseck1OBySwsy_4core5slice4sort"), "core");
        assert_eq!(owner("wifi_station_connect"), SDK);
        assert_eq!(owner("spore_shared_12"), SHARED);
    }
}
