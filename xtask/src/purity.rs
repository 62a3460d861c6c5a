//! `cargo xtask purity`: the engine asks nothing of the outside, and the linker is the witness.
//!
//! `firmware/purity` is the engine for the LX106 with every verb exported and nothing around it. Its object file
//! may leave undefined only what the compiler itself puts in: memory intrinsics and arithmetic helpers. I/O, a clock,
//! an allocator or any other `extern` would show up as one more symbol.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::firmware::{self, Build};

pub(crate) const PACKAGE: &str = "purity";
/// A feature of the package that calls the outside on purpose.
pub(crate) const CANARY: &str = "canary";
/// The symbol that the canary leaves undefined.
const CANARY_SYMBOL: &str = "outside";
/// The least number of verbs that must be in the object, else nothing was proved.
const VERBS: [&str; 14] = [
    "new",
    "handle_datagram",
    "handle_request",
    "handle_head",
    "poll_response",
    "handle_completion",
    "handle_resources",
    "handle_timeout",
    "poll_body",
    "poll_timeout",
    "poll_transmit",
    "poll_action",
    "poll_event",
    "traffic",
];

/// Memory intrinsics, which the compiler calls for copies and comparisons.
const MEMORY: [&str; 5] = ["memcpy", "memmove", "memset", "memcmp", "bcmp"];

/// The compiler's helpers for arithmetic that the LX106 has no instruction for.
/// Names as in GCC's libgcc manual, "Routines for integer arithmetic".
const ARITHMETIC: [&str; 19] = [
    "__ashldi3",
    "__ashrdi3",
    "__bswapdi2",
    "__bswapsi2",
    "__clzsi2",
    "__ctzsi2",
    "__divdi3",
    "__divsi3",
    "__lshrdi3",
    "__moddi3",
    "__modsi3",
    "__muldi3",
    "__mulsi3",
    "__multi3",
    "__popcountsi2",
    "__udivdi3",
    "__udivsi3",
    "__umoddi3",
    "__umodsi3",
];

/// What LLVM calls where the program must not go on; `firmware/rt/abort.S` has it.
const TRAP: &str = "abort";

/// Parts of the names that an allocator's functions have, however they are mangled.
const ALLOCATOR: [&str; 4] = ["__rust_alloc", "__rust_dealloc", "__rust_realloc", "__rdl_alloc"];

/// Prove that the engine, built for the LX106, imports nothing but compiler intrinsics.
#[derive(Args)]
pub(crate) struct Purity {
    /// Fail if firmware/Cargo.lock would change.
    #[arg(long)]
    locked: bool,
}

impl Purity {
    /// Builds the engine and looks at its symbols; then does the same with the canary, which must be refused.
    ///
    /// # Errors
    /// When the engine imports something, or the check does not notice the canary.
    pub(crate) fn run(self) -> Result<()> {
        let order = Build { locked: self.locked, ..Build::of(PACKAGE) };
        let symbols = symbols_of(&order)?;
        for verb in VERBS {
            ensure!(
                symbols.defined.iter().any(|name| name == verb),
                "firmware/purity does not export the verb `{verb}`: the check would prove nothing"
            );
        }
        let foreign = symbols.foreign();
        if !foreign.is_empty() {
            bail!(
                "spore-core is not pure: for the LX106 it imports {foreign:?}; \
                 find who brings them in, or, if they are the compiler's, list them in xtask/src/purity.rs"
            );
        }
        let canary = Build { features: vec![CANARY.to_owned()], ..order };
        ensure!(
            symbols_of(&canary)?.foreign() == [CANARY_SYMBOL],
            "the check did not notice the canary, which calls the outside: it proves nothing"
        );
        println!(
            "spore-core is pure: {} bytes of code for the LX106, imports {:?}; the canary was noticed",
            symbols.code, symbols.undefined
        );
        println!("promise M1 imports=0 canaries=1");
        Ok(())
    }
}

/// What the linker sees of an object file.
#[derive(Debug, Default)]
struct Symbols {
    defined: Vec<String>,
    /// Sorted, each once.
    undefined: Vec<String>,
    /// Bytes of code.
    code: u64,
}

impl Symbols {
    fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is no object file", path.display()))?;
        let mut symbols = Self::default();
        for symbol in file.symbols() {
            let name = symbol.name().context("a symbol's name is not UTF-8")?;
            if name.is_empty() {
                continue;
            }
            let list =
                if symbol.is_undefined() { &mut symbols.undefined } else { &mut symbols.defined };
            list.push(name.to_owned());
        }
        symbols.undefined.sort();
        symbols.undefined.dedup();
        let code = file.sections().filter(|s| s.kind() == object::SectionKind::Text);
        symbols.code = code.map(|section| section.size()).sum();
        Ok(symbols)
    }

    /// What the engine must not have: imports beyond the compiler's own, and an allocator, imported or not.
    fn foreign(&self) -> Vec<&str> {
        let is_compilers =
            |name: &str| MEMORY.contains(&name) || ARITHMETIC.contains(&name) || name == TRAP;
        let is_allocator = |name: &str| ALLOCATOR.iter().any(|part| name.contains(part));
        let imports = self.undefined.iter().filter(|name| !is_compilers(name));
        let allocators = self.defined.iter().filter(|name| is_allocator(name));
        imports.chain(allocators).map(String::as_str).collect()
    }
}

fn symbols_of(order: &Build) -> Result<Symbols> {
    let objects = firmware::build_objects(order)?;
    Symbols::read(objects.program())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(undefined: &[&str], defined: &[&str]) -> Vec<String> {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let symbols = Symbols { undefined: list(undefined), defined: list(defined), code: 0 };
        symbols.foreign().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn intrinsics_are_allowed_and_anything_else_is_not() {
        assert!(foreign(&["memcpy", "__udivdi3"], &["handle_datagram"]).is_empty());
        assert_eq!(foreign(&["memcpy", "gettimeofday"], &[]), ["gettimeofday"]);
        assert_eq!(foreign(&["__adddf3"], &[]), ["__adddf3"], "the engine has no floats");
    }

    #[test]
    fn an_allocator_is_found_imported_and_defined() {
        let mangled = "_RNvCsgEmZ8h_7___rustc12___rust_alloc";
        assert_eq!(foreign(&[mangled], &[]), [mangled]);
        assert_eq!(foreign(&[], &[mangled]), [mangled]);
    }
}
