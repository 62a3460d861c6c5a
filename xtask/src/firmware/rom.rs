//! Copies and arithmetic from the chip's mask ROM, in the place of those that Rust's code would bring along.
//!
//! The ROM is out of the reach of a call from flash, and the address takes seven bytes at each place that calls. So
//! there is one veneer for each function, in flash, that jumps to it. Definitions of our own get another name, and go
//! with all that nothing refers to. Only an image for the chip is made so: QEMU has no such ROM.

use std::fmt::Write as _;

use super::asm;

/// The list of the ROM's functions, as the linker gets it.
const LIBRARY: &str = include_str!("../../../firmware/ld/esp01-rom-library.ld");

/// What a veneer has in front of the name of its function.
const VENEER: &str = "spore_rom_";

/// The names in [`LIBRARY`].
fn functions() -> impl Iterator<Item = &'static str> {
    let assignments = LIBRARY.lines().filter_map(|line| line.split_once('='));
    assignments.map(|(name, _)| name.trim())
}

/// Gives the definitions of functions that the ROM has another name, and sends calls from flash through the veneers.
///
/// Code in instruction RAM calls the ROM itself, since a veneer cannot be read while the flash is off. Other uses, such
/// as addresses, are those of the ROM's functions as well.
pub(super) fn adapt(text: &str) -> String {
    let names: Vec<&str> = functions().collect();
    let mut out = String::with_capacity(text.len());
    let mut in_flash = true;
    for line in text.lines() {
        if let Some(section) = asm::section(line) {
            in_flash = asm::is_in_flash(section);
        }
        match line.trim_start().strip_prefix("call0").map(str::trim) {
            Some(name) if in_flash && names.contains(&name) => {
                let _ = writeln!(out, "\tcall0\t{VENEER}{name}");
            }
            _ => {
                let _ = writeln!(out, "{}", asm::rename_definitions(line, &names));
            }
        }
    }
    out
}

/// The function of the ROM that a veneer stands for; any other name as it is.
pub(super) fn behind(name: &str) -> &str {
    name.strip_prefix(VENEER).unwrap_or(name)
}

/// The veneers, as a file for the assembler. What they jump with, a8, carries no argument, and a call may change it.
pub(super) fn veneers() -> String {
    let mut out = String::new();
    for name in functions() {
        let veneer = format!("{VENEER}{name}");
        let _ = write!(
            out,
            "\t.section\t.text.{veneer},\"ax\",@progbits\n\t.literal_position\n\t.literal\t.L{veneer}, {name}\n\
             \t.global\t{veneer}\n\t.p2align\t2\n\t.type\t{veneer},@function\n{veneer}:\n\
             \tl32r\ta8, .L{veneer}\n\tjx\ta8\n\t.size\t{veneer}, .-{veneer}\n"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_addresses_in_the_mask_rom_and_each_once() {
        let mut names: Vec<&str> = functions().collect();
        assert!(names.contains(&"memcpy") && names.contains(&"__udivdi3"));
        let assignments = LIBRARY.lines().filter_map(|line| line.split_once('='));
        let mut addresses: Vec<u32> = assignments
            .map(|(_, value)| {
                let digits = value.trim().strip_prefix("0x").unwrap().strip_suffix(';').unwrap();
                u32::from_str_radix(digits, 16).unwrap()
            })
            .collect();
        assert!(addresses.iter().all(|address| (0x4000_0000..0x4001_0000).contains(address)));
        let count = names.len();
        assert_eq!(addresses.len(), count);
        names.sort_unstable();
        names.dedup();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!((names.len(), addresses.len()), (count, count));
    }

    #[test]
    fn calls_from_flash_go_through_the_veneers_and_others_stay() {
        let text = "\t.section\t.text.f,\"ax\",@progbits\n\tcall0\tmemcpy\n\tcall0\tmemcpy_of_mine\n\tcall0\tf\n";
        let expected = text.replace("\tmemcpy\n", "\tspore_rom_memcpy\n");
        assert_eq!(adapt(text), expected);
        assert!(veneers().contains("\nspore_rom_memcpy:\n\tl32r\ta8, .Lspore_rom_memcpy\n"));
    }

    #[test]
    fn code_in_instruction_ram_calls_the_rom_itself() {
        let text = "\t.section\t.iram.text.f,\"ax\",@progbits\n\tcall0\tmemcpy\n";
        assert_eq!(adapt(text), text);
    }

    #[test]
    fn own_definitions_get_another_name_and_addresses_are_the_roms() {
        let text = "\t.section\t.text.memset,\"ax\",@progbits\n\t.weak\tmemset\n\t.type\tmemset,@function\nmemset:\n\
                    \tret\n\t.size\tmemset, .Lend-memset\n\t.section\t.rodata.t,\"a\",@progbits\n\t.long\tmemset\n";
        let adapted = adapt(text);
        assert!(adapted.contains("\t.weak\t__sporememset\n"), "{adapted}");
        assert!(adapted.contains("\n__sporememset:\n"), "{adapted}");
        assert!(adapted.contains("\t.long\tmemset\n"), "{adapted}");
    }
}
