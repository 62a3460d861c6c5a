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
use crate::image::check;
use crate::{budgets, paths, toolchain};
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
            fs::write(&path, table.document())
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

fn measure() -> Result<Table> {
    let budgets = Budgets::read()?;
    let node = firmware::build(&Build::emulated("node"))?;
    let esp01_order = Build::esp01();
    let esp01 = firmware::build(&esp01_order)?;
    let unsigned = firmware::sizes_without(&esp01_order, SIGNATURES)?;
    // Whoever builds an image is told what its checks could not follow; here nothing may be left.
    let report = check::esp01(&esp01.elf, &budgets)?;
    hold(&report.figures)?;
    ensure!(report.open.is_empty(), "not checked: {}", report.open.join("\n"));
    let engine = symbol_sizes(firmware::build_objects(&Build::emulated("purity"))?.program())?;
    let size_of = |name: &str| {
        let found = engine.iter().find(|(symbol, ..)| symbol == name);
        found.map(|(.., size)| *size).with_context(|| format!("firmware/purity has no {name}"))
    };
    let load = load::measure(&node.elf)?;
    let (statics, image) = (node.sizes.statics(), esp01.sizes.image());
    println!("promise M1 statics={statics} image={image} stack={}", load.stack);
    let mut table = Table::new(toolchain::versions()?, &budgets);
    add_node(&mut table, &node.sizes, budgets.ram);
    let stack = "emulated: stack, highest mark under load";
    table.add(Figure::limited(stack, load.stack, budgets.stack.first).stack());
    let second = "emulated: second stack, highest mark";
    table.add(Figure::limited(second, load.second_stack, budgets.stack.second).stack());
    table.add(Figure::free("emulated: frames waiting at most", load.frames).of_this_run());
    table.add(Figure::free("emulated: frames dropped", load.dropped).of_this_run());
    let member = size_of("SIZE_OF_MEMBER")?;
    table.add(Figure::limited("engine: a member", member, budgets.engine.member).exact());
    table.add(Figure::free("engine: a waiting datagram", size_of("SIZE_OF_OUTGOING")?).exact());
    table.add(Figure::free("engine: `Node` without its storage", size_of("SIZE_OF_NODE")?).exact());
    table.add(Figure::free("engine: `Storage<Esp01>`", size_of("ENGINE_STORAGE")?).exact());
    add_esp01(&mut table, &esp01.sizes, &unsigned, &budgets);
    let mut statics = symbol_sizes(&node.elf)?;
    statics.retain(|(_, address, _)| firmware::DATA_RAM.contains(address));
    let mut statics: Vec<_> = statics.into_iter().map(|(name, _, size)| (name, size)).collect();
    statics.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    statics.truncate(LARGEST);
    table.largest = statics;
    table.image = esp01.sizes.image();
    table.owners = owners::largest(&esp01.elf, table.image)?;
    Ok(table)
}

fn add_node(table: &mut Table, sizes: &Sizes, limits: budgets::Ram) {
    table.add(Figure::free("emulated: code", sizes.code));
    table.add(Figure::free("emulated: rodata", sizes.rodata));
    table.add(Figure::limited("emulated: iram", sizes.iram, limits.iram));
    table.add(Figure::free("emulated: data", sizes.data));
    table.add(Figure::free("emulated: bss", sizes.bss));
    table.add(Figure::limited("emulated: statics (data + bss)", sizes.statics(), limits.statics));
    table.add(Figure::free("emulated: image", sizes.image()));
}

/// `unsigned` is the same image without the verification of signatures.
fn add_esp01(table: &mut Table, sizes: &Sizes, unsigned: &Sizes, budgets: &Budgets) {
    let signatures = sizes.image() - unsigned.image();
    table
        .add(Figure::free("esp01, with the SDK: flash (code + rodata)", sizes.code + sizes.rodata));
    table.add(Figure::limited("esp01, with the SDK: iram", sizes.iram, budgets.ram.iram));
    table.add(Figure::free(
        "esp01, with the SDK: data + rodata in RAM",
        sizes.data + sizes.ram_rodata,
    ));
    table.add(Figure::free("esp01, with the SDK: bss", sizes.bss));
    table.add(Figure::limited("esp01, with the SDK: image", sizes.image(), budgets.image.today()));
    table.add(Figure::free("esp01, of it for verifying signatures", signatures));
    table.add(Figure::minimum(
        "esp01, with the SDK: left for its heap",
        sizes.ram_left(),
        budgets.ram.heap,
    ));
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
