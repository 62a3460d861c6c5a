//! Whose the bytes of an image are, by the linker's map.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSymbol as _};

/// How many of the largest things are listed.
const LISTED: usize = 12;

/// Whose Espressif's libraries are.
pub(crate) const SDK: &str = "SDK";

/// Bytes by owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) name: &'static str,
    /// Code and constants that stay in flash.
    pub(crate) flash: u64,
    /// Instruction RAM.
    pub(crate) iram: u64,
    /// Data RAM.
    pub(crate) dram: u64,
}

/// A part of a section that the linker has placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) address: u64,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) section: String,
    /// The object file; of an archive, with its name in front.
    pub(crate) file: String,
}

impl Item {
    /// Whether it stays in flash.
    pub(crate) fn is_in_flash(&self) -> bool {
        memory(self.address) == Some(0)
    }
}

/// The owners in a map file, largest in flash first.
///
/// # Errors
/// When it cannot be read, or has nothing in it: then its shape has changed.
pub(crate) fn of(map: &Path) -> Result<Vec<Owner>> {
    Ok(sum(&items(map)?))
}

/// The bytes of data RAM that are not the SDK's.
pub(crate) fn statics(owners: &[Owner]) -> u64 {
    owners.iter().filter(|owner| owner.name != SDK).map(|owner| owner.dram).sum()
}

/// All that a map file tells of what is in the chip's memories.
///
/// # Errors
/// As [`of`].
pub(crate) fn items(map: &Path) -> Result<Vec<Item>> {
    let text = fs::read_to_string(map).with_context(|| format!("cannot read {}", map.display()))?;
    let items = parse(&text);
    ensure!(!items.is_empty(), "{} has a shape that xtask does not know", map.display());
    Ok(items)
}

/// The largest things in flash that have a name of their own, largest first.
///
/// # Errors
/// When the file cannot be read or is no ELF file.
pub(crate) fn largest_items(elf: &Path) -> Result<Vec<(String, u64)>> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes).context("not an ELF file")?;
    let in_flash = file.symbols().filter(|symbol| memory(symbol.address()) == Some(0));
    let mut items: Vec<(String, u64)> = in_flash
        .filter_map(|symbol| {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
            Some((name, symbol.size()))
        })
        .collect();
    items.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    items.dedup();
    items.truncate(LISTED);
    Ok(items)
}

fn parse(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    // What was thrown away is listed first, at the address 0.
    let text = text.split_once("Linker script and memory map").map_or("", |(_, after)| after);
    let mut section = "";
    for line in text.lines() {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(" .") {
            section = words.remove(0);
        } else if !line.starts_with("                0x") {
            continue;
        }
        // A long name has its figures on the next line.
        let [address, size, file, ..] = words[..] else { continue };
        let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let (Some(address), Some(size)) = (number(address), number(size)) else { continue };
        if memory(address).is_some() {
            let (section, file) = (section.to_owned(), file.to_owned());
            items.push(Item { address, size, section, file });
        }
    }
    items
}

fn sum(items: &[Item]) -> Vec<Owner> {
    let mut sums: BTreeMap<&'static str, [u64; 3]> = BTreeMap::new();
    for Item { address, size, section, file } in items {
        let Some(kind) = memory(*address) else { continue };
        sums.entry(owner(section, file)).or_default()[kind] += size;
    }
    let mut owners: Vec<Owner> = sums
        .into_iter()
        .map(|(name, [flash, iram, dram])| Owner { name, flash, iram, dram })
        .collect();
    owners.sort_by_key(|owner| std::cmp::Reverse((owner.flash, owner.dram)));
    owners
}

/// 0 flash, 1 instruction RAM, 2 data RAM.
fn memory(address: u64) -> Option<usize> {
    match address {
        0x4020_0000..0x4030_0000 => Some(0),
        0x4010_0000..0x4010_8000 => Some(1),
        0x3FFE_8000..0x3FFF_C000 => Some(2),
        _ => None,
    }
}

/// Who a section of a file belongs to: the SDK by its archives, Rust by the crate that its symbol names.
fn owner(section: &str, file: &str) -> &'static str {
    if file.contains(".a(") {
        return SDK;
    }
    let Some(name) = name_in(section) else {
        return if section.contains("rodata") {
            "constants without name"
        } else {
            "assembler, helpers"
        };
    };
    // `<a::B as c::D>::e` belongs to `a`.
    let name = name.trim_start_matches(['<', '&', '*', '[', '(']);
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
    match &name[..end] {
        "spore_core" => "engine",
        "spore_node" => "shell",
        "node" => "firmware",
        "spore_examples" => "sprockets",
        "smoltcp" | "embassy_net" | "edge_nal_embassy" => "IP stack",
        "curve25519_dalek" | "ed25519_dalek" | "sha2" | "chacha20" | "poly1305"
        | "chacha20poly1305" => "cryptography",
        "core" | "compiler_builtins" => "Rust's library",
        _ => "other crates",
    }
}

/// The name, with its path, of the function or static of Rust that a section is made for.
pub(crate) fn name_in(section: &str) -> Option<String> {
    let start = section.find("_R").or_else(|| section.find("_ZN"))?;
    Some(format!("{:#}", rustc_demangle::demangle(&section[start..])))
}

#[cfg(test)]
mod tests {
    use super::{Owner, parse, sum};

    #[test]
    fn bytes_are_counted_for_their_owners_and_what_was_thrown_away_is_not() {
        let map = "\
 .text._RNvCs1_10spore_core1x
                0x40200000     0x9999 /x/node.o
Linker script and memory map
 .text._RNvNtCs1_10spore_core1a1f
                0x40203100       0x10 /x/node.o
 .text._RNvCs1_7smoltcp1g
                0x40203110        0x8 /x/node.o
 .irom0.text    0x40203120       0x20 /sdk/libs/libmain.a(app.o)
 .text          0x40100000        0x4 /sdk/libs/libpp.a(pp.o)
 .bss           0x3ffe8000       0x40 /sdk/libs/libpp.a(pp.o)
";
        let owner = |name, flash, iram, dram| Owner { name, flash, iram, dram };
        let expected =
            [owner("SDK", 0x20, 4, 0x40), owner("engine", 0x10, 0, 0), owner("IP stack", 8, 0, 0)];
        assert_eq!(sum(&parse(map)), expected);
    }
}
