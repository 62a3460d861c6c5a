//! How much of the image's code has run, by whose it is: QEMU writes down each instruction that it meets for the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::image::Program;
use crate::image::owners::{self, Item};

/// What is in no archive.
pub(super) const OURS: &str = "Rust, and its assembler";
/// Where code is: instruction RAM and the flash's window.
const CODE: std::ops::Range<u64> = 0x4010_0000..0x4030_0000;

/// Bytes of code of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) owner: String,
    pub(super) ran: u64,
    pub(super) all: u64,
}

/// What has run of a program by QEMU's `trace` (`-d in_asm`), the most first.
///
/// # Errors
/// When a file cannot be read, or nothing has run.
pub(super) fn of(trace: &Path, elf: &Path) -> Result<Vec<Ran>> {
    let text = fs::read(trace).with_context(|| format!("cannot read {}", trace.display()))?;
    let met = addresses(&String::from_utf8_lossy(&text));
    let owners = sum(&owners::items(&elf.with_extension("map"))?, &met, &Program::read(elf)?);
    ensure!(owners.iter().any(|it| it.ran > 0), "by {} nothing has run", trace.display());
    Ok(owners)
}

/// Lines of instructions begin with their addresses: `0x40100008:  l32r a2, 0x40100000`.
fn addresses(trace: &str) -> BTreeSet<u64> {
    let address = |line: &str| {
        let (digits, _) = line.strip_prefix("0x")?.split_once(':')?;
        u64::from_str_radix(digits, 16).ok()
    };
    trace.lines().filter_map(address).collect()
}

fn sum(items: &[Item], met: &BTreeSet<u64>, program: &Program) -> Vec<Ran> {
    let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for Item { address, size, section, file } in items {
        if !CODE.contains(address) || section.contains("rodata") {
            continue;
        }
        let archive = file.rsplit('/').next().and_then(|name| name.split_once(".a("));
        let owner = archive.map_or(OURS, |(name, _)| name);
        let ran: u64 = met.range(*address..address + size).map(|at| length(program, *at)).sum();
        let [sum_ran, sum_all] = sums.entry(owner.to_owned()).or_default();
        (*sum_ran, *sum_all) = (*sum_ran + ran, *sum_all + size);
    }
    let mut owners: Vec<Ran> =
        sums.into_iter().map(|(owner, [ran, all])| Ran { owner, ran, all }).collect();
    owners.sort_by_key(|it| std::cmp::Reverse(it.ran));
    owners
}

/// Bytes of the instruction at `address`: 2 if the highest bit of its first four is set, else 3.
fn length(program: &Program, address: u64) -> u64 {
    let byte = program.pieces.iter().find_map(|piece| {
        let offset = address.checked_sub(u64::from(piece.address))?;
        piece.bytes.get(usize::try_from(offset).ok()?)
    });
    if byte.is_some_and(|byte| byte & 8 != 0) { 2 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Piece;

    #[test]
    fn what_was_met_counts_for_whose_it_is() {
        let met = addresses(
            "----------------\nIN: \n0x40100000:  l32r\ta2, 0x3ffe8000\n0x40100003:  ret.n\n\n\
             0x40203100:  j\t0x40203100\n0x50000000:  j\t0x5000000c\n",
        );
        assert_eq!(met.len(), 4);
        let item = |address, size, section: &str, file: &str| Item {
            address,
            size,
            section: section.to_owned(),
            file: file.to_owned(),
        };
        let items = [
            item(0x4010_0000, 8, ".text", "/sdk/lib/libmain.a(app_main.o)"),
            item(0x4020_3100, 4, ".text._RNv", "node.o"),
            item(0x4020_3104, 4, ".rodata.x", "node.o"),
            item(0x3FFE_8000, 4, ".data", "node.o"),
        ];
        let piece = |address, bytes: &[u8]| Piece { address, bytes: bytes.to_vec() };
        let program = Program {
            entry: 0x4010_0000,
            pieces: vec![
                piece(0x4010_0000, &[0x21, 0, 0, 0x0D, 0xF0, 0, 0, 0]),
                piece(0x4020_3100, &[0x06, 0xFF, 0xFF, 0, 0, 0, 0, 0]),
            ],
        };
        let ran = |owner: &str, ran, all| Ran { owner: owner.to_owned(), ran, all };
        let expected = [ran("libmain", 5, 8), ran(OURS, 3, 4)];
        assert_eq!(sum(&items, &met, &program), expected);
    }
}
