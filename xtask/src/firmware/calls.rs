//! Direct calls in the place of the indirect ones that LLVM writes for the LX106.
//!
//! LLVM 22 loads the address of each function that it calls (`l32r a8, .LCPI0_0`, then `callx0 a8`): three bytes and
//! a literal more than `call0 f`. GNU's assembler makes the same of `call0 f` with `-mlongcalls`, but marks it, so
//! that the linker takes the short form wherever it reaches.

use std::collections::{HashMap, HashSet};

use super::asm;

/// The registers that a call may destroy and that carry no argument: what is in them is dead after the call.
const SCRATCH: [&str; 4] = ["a8", "a9", "a10", "a11"];

/// Turns each pair of `l32r` and `callx0` of one basic block into `call0`, and drops the literals that are left over.
///
/// A pair is left as it is when anything in between names the register, or control could enter or leave there.
pub(super) fn make_direct(text: &str) -> String {
    let literals: HashMap<&str, &str> = text.lines().filter_map(literal).collect();
    let mut lines: Vec<Option<String>> = Vec::new();
    let mut left_over: HashSet<&str> = HashSet::new();
    // Register, label of the literal, and the line that loaded it.
    let mut loaded: Vec<(&str, &str, usize)> = Vec::new();
    for line in text.lines() {
        let mut kept = line.to_owned();
        let (name, operands) = instruction(line);
        if name == "callx0" {
            let pair = loaded.iter().find(|(register, ..)| *register == operands);
            if let Some((_, label, at)) = pair {
                lines[*at] = None;
                left_over.insert(*label);
                kept = format!("\tcall0\t{}", literals[label]);
            }
            loaded.clear();
        } else if ends_block(line, name) {
            loaded.clear();
        } else if !name.starts_with('.') {
            loaded.retain(|(register, ..)| !words(operands).any(|word| word == *register));
            let target = (name == "l32r").then(|| operands.split_once(", ")).flatten();
            if let Some((register, label)) = target
                && SCRATCH.contains(&register)
                && literals.get(label).is_some_and(|value| is_symbol(value))
            {
                loaded.push((register, label, lines.len()));
            }
        }
        lines.push(Some(kept));
    }
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    for line in lines.iter().filter(|line| literal(line).is_none()) {
        words(line).for_each(|word| {
            left_over.remove(word);
        });
    }
    let is_needed = |line: &&String| literal(line).is_none_or(|(l, _)| !left_over.contains(l));
    lines.iter().filter(is_needed).flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// Marks the calls from flash to the functions in `near`, which are in flash as well: they are sure to reach, since a slot
/// is smaller than the 512 KB that `call0` reaches.
///
/// Without the mark the assembler takes each call for one that may become long, and branches around it for ones that
/// do not reach; the linker shortens the call again, but not the branch. Where a marked call did not reach, the linker
/// would say so.
pub(super) fn mark_near(text: &str, near: &HashSet<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_flash = true;
    for line in text.lines() {
        if let Some(section) = asm::section(line) {
            in_flash = asm::is_in_flash(section);
        }
        let (name, callee) = instruction(line);
        if name == "call0" && in_flash && near.contains(callee) {
            out.push_str("\t_call0\t");
            out.push_str(callee);
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

/// Label and value of a line that sets a literal.
fn literal(line: &str) -> Option<(&str, &str)> {
    line.trim_start()
        .strip_prefix(".literal\t")
        .or(line.trim_start().strip_prefix(".literal "))?
        .trim()
        .split_once(", ")
}

/// Name and operands.
fn instruction(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (name, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (name, operands.trim())
}

/// Whether control may come here from elsewhere, or go elsewhere from here: labels, branches, jumps, calls, returns.
fn ends_block(line: &str, name: &str) -> bool {
    // Labels begin a line, and a comment may follow them.
    line.starts_with(|c: char| !c.is_whitespace())
        || ["b", "j", "call", "ret", "loop", "ill"].iter().any(|start| name.starts_with(start))
}

/// The symbols and registers that a text names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.')))
}

/// A bare symbol: neither a number nor a symbol with an offset.
fn is_symbol(value: &str) -> bool {
    words(value).next() == Some(value) && !value.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &str = "\t.literal .LCPI0_1, f+4\n\t.literal .LCPI0_2, 77\n";

    fn body(code: &str) -> String {
        format!("\t.literal .LCPI0_0, f\n{OTHERS}{code}")
    }

    fn is_unchanged(code: &str) {
        let direct = make_direct(&body(code));
        assert!(direct.ends_with(code), "{direct}");
        assert!(!direct.contains("call0\tf"), "{direct}");
    }

    #[test]
    fn a_pair_becomes_one_call_and_its_literal_goes() {
        let code = "\tl32r\ta8, .LCPI0_0\n\tor\ta2, a12, a12\n\tcallx0\ta8\n\tret\n";
        let expected = format!("{OTHERS}\tor\ta2, a12, a12\n\tcall0\tf\n\tret\n");
        assert_eq!(make_direct(&body(code)), expected);
    }

    #[test]
    fn a_literal_stays_while_another_line_needs_it() {
        let code = "\tl32r\ta8, .LCPI0_0\n\tcallx0\ta8\n\tl32r\ta2, .LCPI0_0\n";
        assert_eq!(make_direct(&body(code)), body("\tcall0\tf\n\tl32r\ta2, .LCPI0_0\n"));
    }

    #[test]
    fn a_use_of_the_register_in_between_keeps_the_pair() {
        is_unchanged("\tl32r\ta8, .LCPI0_0\n\ts32i\ta8, a1, 4\n\tcallx0\ta8\n");
        is_unchanged("\tl32r\ta8, .LCPI0_0\n\tl32i\ta8, a1, 4\n\tcallx0\ta8\n");
    }

    #[test]
    fn labels_branches_and_calls_in_between_keep_the_pair() {
        for between in
            [".LBB0_1:", ".LBB0_1: # a loop", "\tbnez\ta2, .LBB0_1", "\tj\t.LBB0_1", "\tcallx0\ta9"]
        {
            is_unchanged(&format!("\tl32r\ta8, .LCPI0_0\n{between}\n\tcallx0\ta8\n"));
        }
    }

    #[test]
    fn calls_within_flash_are_marked_and_others_are_not() {
        let near = HashSet::from(["f"]);
        let code = "\t.section\t.text.g,\"ax\",@progbits\n\tcall0\tf\n\tcall0\tfar\n\tcallx0\ta8\n";
        let marked = code.replace("\tcall0\tf\n", "\t_call0\tf\n");
        assert_eq!(mark_near(code, &near), marked);
        let in_ram = "\t.section\t.iram.text.g,\"ax\",@progbits\n\tcall0\tf\n";
        assert_eq!(mark_near(in_ram, &near), in_ram);
    }

    #[test]
    fn what_outlives_the_call_or_is_no_plain_symbol_keeps_the_pair() {
        is_unchanged("\tl32r\ta12, .LCPI0_0\n\tcallx0\ta12\n");
        is_unchanged("\tl32r\ta8, .LCPI0_1\n\tcallx0\ta8\n");
        is_unchanged("\tl32r\ta8, .LCPI0_2\n\tcallx0\ta8\n");
    }
}
