//! Objects as Espressif's compiler makes them, cut and linked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::cut;
use crate::{process, toolchain};

/// As Espressif's compiler writes it: literals before each function, and local functions without a symbol, here with
/// a call, an address and a literal that is an offset into the section.
const SOURCE: &str = "
    .section .irom0.text, \"ax\", @progbits
    .literal_position
    .literal .L1, 0x12345678
    .global first
    .type first, @function
first:
    l32r a2, .L1
    ret.n
    .size first, .-first
    .literal_position
    .literal .L2, last
    .align 4
.Lhidden:
    l32r a3, .L2
    jx a3
    .align 4
    .global second
    .type second, @function
second:
    beqz a2, .Lend
    addi a1, a1, -16
    call0 .Lhidden
    addi a1, a1, 16
.Lend:
    ret.n
    .size second, .-second
    .literal_position
    .literal .L3, .Lhidden
    .align 4
    .global last
    .type last, @function
last:
    l32r a2, .L3
    ret.n
    .size last, .-last
    .data
    .global table
table:
    .word second, .Lhidden
";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("spore-sections-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Links an object; returns what is in flash and in RAM.
    fn link(&self, object: &[u8], flag: &str) -> Vec<(u64, Vec<u8>)> {
        // In this order: else the linker puts what has no literals last.
        const SCRIPT: &str = "SECTIONS {
            .irom0.text 0x40200000 : {
                *(.irom0.text) *(.irom0.text.1) *(.irom0.text.2) *(.irom0.text.3)
            }
            .data 0x3FFE8000 : { KEEP(*(.data)) }
            /DISCARD/ : { *(.xtensa.info) }
        }";
        let [input, script, output] =
            ["in.o", "script.ld", "out.elf"].map(|name| self.0.join(name));
        fs::write(&input, object).unwrap();
        fs::write(&script, SCRIPT).unwrap();
        let mut gcc = Command::new(toolchain::GCC);
        gcc.args(["-nostdlib", "-Wl,--size-opt", "-Wl,-e,table", flag]);
        gcc.arg("-T").arg(script).arg(input).arg("-o").arg(&output);
        process::run(&mut gcc).unwrap();
        let bytes = fs::read(output).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let loaded = file.sections().filter(|it| it.address() > 0 && it.size() > 0);
        loaded.map(|it| (it.address(), it.data().unwrap().to_vec())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn assembled(folder: &Path, source: &str) -> Vec<u8> {
    let [text, object] = ["in.s", "whole.o"].map(|name| folder.join(name));
    fs::write(&text, source).unwrap();
    let mut gcc = Command::new(toolchain::GCC);
    gcc.args(["-mlongcalls", "-mtext-section-literals", "-c"]);
    process::run(gcc.arg(text).arg("-o").arg(&object)).unwrap();
    fs::read(object).unwrap()
}

#[test]
fn what_is_cut_is_linked_to_the_same_bytes() {
    let folder = Folder::new("same");
    let whole = assembled(&folder.0, SOURCE);
    let cut = cut(&whole).unwrap();
    let file = object::File::parse(&*cut).unwrap();
    let code = file.sections().filter(|it| it.name().unwrap().starts_with(".irom0.text"));
    assert_eq!(code.count(), 4);
    let section = |name| file.symbol_by_name(name).unwrap().section_index();
    assert_ne!(section("first"), section("second"));
    // Shortened, they would be aligned in other ways.
    let linked = |object: &[u8]| folder.link(object, "-Wl,--no-relax");
    assert_eq!(linked(&cut), linked(&whole));
}

#[test]
fn the_linker_leaves_out_what_nothing_refers_to() {
    let folder = Folder::new("less");
    // `second` is named in the data, calls the hidden one, and that jumps to `last`.
    let whole = assembled(&folder.0, SOURCE);
    let size = |object: &[u8]| folder.link(object, "-Wl,--gc-sections")[0].1.len();
    let saved = size(&whole) - size(&cut(&whole).unwrap());
    assert_eq!(saved, 12, "a literal, a function and what aligns the next");
    let first = assembled(&folder.0, &SOURCE.replace("second, .Lhidden", "first"));
    assert_eq!(size(&cut(&first).unwrap()), saved, "nothing else");
}

#[test]
fn an_object_of_another_shape_is_refused() {
    let folder = Folder::new("other");
    let whole = assembled(&folder.0, SOURCE);
    assert!(cut(&whole[..whole.len() / 2]).is_err());
    // A function that begins where no call can lead.
    let odd = SOURCE.replace("second:\n", "nop.n\n second:\n");
    let error = cut(&assembled(&folder.0, &odd)).unwrap_err();
    assert!(error.to_string().contains("aligned"), "{error}");
}
