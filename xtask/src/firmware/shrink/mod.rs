//! Shorter code in the place of some that LLVM writes for the LX106, which has no pass of its own for it.
//!
//! Each pass works on one function's text and proves what it needs (that a register is dead, that control cannot enter
//! in between) from the text itself; what it does not understand it leaves alone. The differential test runs code that
//! went through all of them.

mod constants;
mod fold;
mod instruction;
mod islands;
mod liveness;
mod outline;
mod peephole;
mod rewrite;
mod texts;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::asm;
use instruction::Instruction;

/// Applies all passes to an assembler file.
pub(super) fn shrink(text: &str) -> String {
    let text = fold::apply(&shorten(&texts::apply(text)));
    without_unused_literals(&outline::apply(&text))
}

/// More rounds of passes than any function was seen to need; each may make way for the next.
const ROUNDS: usize = 8;

/// Applies the passes that look at one function, given as the lines between its `.type` and its `.size`.
fn shorten_function(lines: Vec<String>, literals: &HashMap<&str, &str>) -> Vec<String> {
    let mut lines = peephole::apply(lines, literals);
    for _ in 0..ROUNDS {
        let Some(shorter) = rewrite::apply(&lines, literals) else { break };
        lines = peephole::apply(shorter, literals);
    }
    lines
}

/// Applies the passes that look at one function at a time.
fn shorten(text: &str) -> String {
    let literals: HashMap<&str, &str> = text.lines().filter_map(literal).collect();
    each_function(text, |lines, _| shorten_function(lines, &literals))
}

/// Lets branches that do not reach their target share jumps; for what goes to the assembler as it is.
pub(super) fn share_jumps(text: &str) -> String {
    each_function(text, |lines, number| islands::apply(lines, &format!(".Lspore_island_{number}")))
}

/// Puts what `change` makes of the lines between `.type` and `.size` in the place of each function, which are numbered.
fn each_function(text: &str, change: impl Fn(Vec<String>, usize) -> Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut function: Option<Vec<String>> = None;
    let mut number = 0;
    for line in text.lines() {
        match &mut function {
            None => {
                push(&mut out, line);
                if is_begin(line) {
                    function = Some(Vec::new());
                }
            }
            Some(_) if line.trim_start().starts_with(".size") => {
                for kept in change(function.take().unwrap_or_default(), number) {
                    push(&mut out, &kept);
                }
                push(&mut out, line);
                number += 1;
            }
            Some(lines) => lines.push(line.to_owned()),
        }
    }
    // A file that ends within a function has a shape that is not known: as it was.
    function.into_iter().flatten().for_each(|line| push(&mut out, &line));
    out
}

/// Each function in flash: its name, and the lines between its `.type` and its `.size`. What is placed elsewhere, in instruction
/// RAM, may run while the flash cannot be read, so it must not call what is shared.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, Range<usize>)> {
    let mut found = Vec::new();
    let (mut begun, mut in_flash) = (None, true);
    for (at, line) in lines.iter().enumerate() {
        if let Some(section) = asm::section(line) {
            in_flash = asm::is_in_flash(section);
        } else if is_begin(line) && in_flash {
            begun = asm::type_name(line.trim_start()).map(|name| (name, at + 1));
        } else if line.trim_start().starts_with(".size") {
            found.extend(begun.take().map(|(name, start)| (name, start..at)));
        }
    }
    found
}

/// The text without the literals that no instruction loads any more.
fn without_unused_literals(text: &str) -> String {
    let loads = text.lines().filter_map(Instruction::parse).filter(|i| i.name == "l32r");
    let used: HashSet<&str> = loads.map(|load| load.operand(1)).collect();
    let mut out = String::with_capacity(text.len());
    let is_needed = |line: &&str| literal(line).is_none_or(|(label, _)| used.contains(label));
    text.lines().filter(is_needed).for_each(|line| push(&mut out, line));
    out
}

/// Label and value of a line that sets a literal.
fn literal(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix(".literal")?;
    rest.strip_prefix([' ', '\t'])?.trim().split_once(", ")
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// `.type name,@function`, which stands before each function's label.
fn is_begin(line: &str) -> bool {
    let directive = line.trim_start();
    directive.starts_with(".type") && directive.ends_with("@function")
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[test]
    fn a_function_is_shrunk_and_data_is_left_alone() {
        let text = "\t.type\tf,@function\nf:\n\taddi\ta8, a1, 32\n\tor\ta1, a8, a8\n\tret\n\t.size\tf, 1\n\t.asciz\t\"\taddi\"\n";
        let expected = "\t.type\tf,@function\nf:\n\taddi\ta1, a1, 32\n\tret\n\t.size\tf, 1\n\t.asciz\t\"\taddi\"\n";
        assert_eq!(shrink(text), expected);
    }

    #[test]
    fn a_literal_that_is_not_loaded_any_more_goes() {
        let text = "\t.literal .LCPI0_0, 65535\n\t.literal .LCPI0_1, 65280\n\t.type\tf,@function\nf:\n\tl32r\ta8, .LCPI0_0\n\tand\ta2, a3, a8\n\tl32r\ta3, .LCPI0_1\n\tret\n\t.size\tf, 1\n";
        let expected = "\t.literal .LCPI0_1, 65280\n\t.type\tf,@function\nf:\n\textui\ta2, a3, 0, 16\n\tl32r\ta3, .LCPI0_1\n\tret\n\t.size\tf, 1\n";
        assert_eq!(shrink(text), expected);
    }

    #[test]
    fn a_function_without_an_end_is_left_alone() {
        let text = "\t.type\tf,@function\nf:\n\taddi\ta8, a1, 32\n\tor\ta1, a8, a8\n\tret\n";
        assert_eq!(shrink(text), text);
    }
}
