//! `cargo xtask footprint`: what a node costs on the LX106, measured, as a table that is checked in.

mod load;
mod owners;
mod succession;
mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use object::{Object as _, ObjectSymbol as _};

use crate::budgets::{Budgets, hold};
use crate::firmware::{self, Build, Sizes};
use crate::image::parts::Parts;
use crate::image::{self, check};
use crate::{paths, toolchain};
use table::{Figure, Table};

/// What verifies signatures. Updates need it, and it is there already, since a release key's change does, too.
const SIGNATURES: &str = "spore_signature::is_genuine";

/// How many of the largest statics are listed.
const LARGEST: usize = 12;

/// Measure the firmware's footprint and write docs/footprint.md.
#[derive(Args)]
pub(crate) struct Footprint {
    /// Write nothing; fail if a figure is over its limit, or the table is out of date (with other compilers than
    /// the table's, the latter is a warning).
    #[arg(long)]
    check: bool,
}

impl Footprint {
    /// Measures, then writes or checks the table.
    ///
    /// # Errors
    /// When something does not build or run, a limit is passed, or the table is out of date.
    pub(crate) fn run(self) -> Result<()> {
        let table = measure()?;
        print!("{}", table.figures_as_text());
        let over = table.over_limit();
        ensure!(over.is_empty(), "over the limit: {}", over.join(", "));
        let path = document();
        if !self.check {
            fs::write(&path, table.document() + &dashboard(&promises()?))
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("footprint: wrote {}", path.display());
            return Ok(());
        }
        let recorded =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let differences = table.differences(&recorded).join("; ");
        if differences.is_empty() {
            println!("footprint: within all limits, and as docs/footprint.md has it");
        } else if let Some(others) = table.other_compilers(&recorded) {
            println!(
                "footprint: within all limits. warning: other than docs/footprint.md has it, which was made \
                 with other compilers ({others}; here: {}): {differences}",
                table.compilers
            );
        } else {
            bail!(
                "docs/footprint.md is out of date: {differences}. If that is meant, \
                 `cargo xtask footprint` writes it anew"
            );
        }
        Ok(())
    }
}

fn document() -> PathBuf {
    paths::repository().join("docs/footprint.md")
}

fn promises() -> Result<String> {
    let path = paths::repository().join("docs/promises.md");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// What the dashboard costs otherwise: what was measured last of promise D1, as docs/promises.md tells it.
fn dashboard(promises: &str) -> String {
    let rows = promises.lines().filter(|line| line.starts_with("| D1 |"));
    let measured = rows.filter_map(|line| line.split(" | ").nth(2));
    let mut text = "\nWhat it costs on the line, in time and in memory \
                    ([promise D1](promises.md), [dashboard.md](dashboard.md#what-it-costs-a-board)):\n\n"
        .to_owned();
    for row in measured {
        text += &format!("- {row}\n");
    }
    text
}

fn measure() -> Result<Table> {
    let budgets = Budgets::read()?;
    let order = Build::esp01();
    let node = firmware::build(&order)?;
    let unsigned = firmware::sizes_without(&order, SIGNATURES)?;
    // Whoever builds an image is told what its checks could not follow; here nothing may be left.
    let report = check::esp01(&node.elf, &budgets)?;
    hold(&report.figures)?;
    ensure!(report.open.is_empty(), "not checked: {}", report.open.join("\n"));
    let map = node.elf.with_extension("map");
    let parts = Parts::read(&map)?;
    let statics = image::owners::statics(&image::owners::of(&map)?);
    let load = load::measure(node.sizes.ram_left())?;
    let size = node.sizes.image();
    println!("promise M1 statics={statics} image={size} stack={}", load.stack);
    let mut table = Table::new(toolchain::versions()?, &budgets);
    add_image(&mut table, &node.sizes, statics, &budgets);
    let core = "image without updates, signatures and dashboard";
    table.add(Figure::limited(core, parts.without(size), budgets.image.core));
    table.add(Figure::free("of the image, for verifying signatures", size - unsigned.image()));
    add_marks(&mut table, &load, &budgets);
    add_engine(&mut table, &budgets)?;
    let mut statics = symbol_sizes(&node.elf)?;
    // Rust's names have paths.
    statics.retain(|(name, at, _)| firmware::DATA_RAM.contains(at) && name.contains("::"));
    let mut statics: Vec<_> = statics.into_iter().map(|(name, _, size)| (name, size)).collect();
    statics.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    statics.truncate(LARGEST);
    table.largest = statics;
    table.image = size;
    table.owners = owners::largest(&node.elf, size)?;
    table.parts = parts;
    Ok(table)
}

/// `statics` are those without the SDK's.
fn add_image(table: &mut Table, sizes: &Sizes, statics: u64, budgets: &Budgets) {
    let Budgets { ram, image, .. } = budgets;
    table.add(Figure::limited("image", sizes.image(), image.today()));
    table.add(Figure::free("flash (code + rodata)", sizes.code + sizes.rodata));
    table.add(Figure::limited("iram", sizes.iram, ram.iram));
    table.add(Figure::free("data + rodata in RAM", sizes.data + sizes.ram_rodata));
    table.add(Figure::free("bss", sizes.bss));
    table.add(Figure::limited("statics without the SDK's", statics, ram.statics));
    table.add(Figure::minimum("left for the SDK's heap", sizes.ram_left(), ram.heap));
}

fn add_marks(table: &mut Table, marks: &load::Marks, budgets: &Budgets) {
    let stack = budgets.stack;
    table.add(Figure::limited("stack, highest mark", marks.stack, stack.first).stack());
    let second = "second stack, highest mark";
    table.add(Figure::limited(second, marks.second_stack, stack.second).stack());
    let started = "free of the heap after start, with 64 members";
    table.add(Figure::minimum(started, marks.started, budgets.ram.started).of_this_run());
    let heap = marks.heap.unwrap_or_default();
    table.add(Figure::free("free of the heap, lowest mark", heap).of_this_run());
}

fn add_engine(table: &mut Table, budgets: &Budgets) -> Result<()> {
    let engine = symbol_sizes(firmware::build_objects(&Build::of("purity"))?.program())?;
    let size_of = |name: &str| {
        let found = engine.iter().find(|(symbol, ..)| symbol == name);
        found.map(|(.., size)| *size).with_context(|| format!("firmware/purity has no {name}"))
    };
    let member = size_of("SIZE_OF_MEMBER")?;
    table.add(Figure::limited("engine: a member", member, budgets.engine.member).exact());
    table.add(Figure::free("engine: a waiting datagram", size_of("SIZE_OF_OUTGOING")?).exact());
    table.add(Figure::free("engine: `Node` without its storage", size_of("SIZE_OF_NODE")?).exact());
    table.add(Figure::free("engine: `Storage<Esp01>`", size_of("ENGINE_STORAGE")?).exact());
    Ok(())
}

/// The variables of an ELF file: readable name, address, size.
fn symbol_sizes(path: &std::path::Path) -> Result<Vec<(String, u64, u64)>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes).context("not an ELF file")?;
    let variables = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Data);
    variables
        .filter(|symbol| symbol.size() > 0)
        .map(|symbol| {
            let name = symbol.name().context("a symbol's name is not UTF-8")?;
            // Without the hash at the end.
            let name = format!("{:#}", rustc_demangle::demangle(name));
            Ok((name, symbol.address(), symbol.size()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_ends_with_what_was_measured_of_the_dashboard() {
        let written = super::dashboard(&super::promises().unwrap());
        assert_eq!(written.matches("\n- ").count(), 2, "{written}");
        let document = std::fs::read_to_string(super::document()).unwrap();
        assert!(document.ends_with(&written), "{written}");
    }
}
