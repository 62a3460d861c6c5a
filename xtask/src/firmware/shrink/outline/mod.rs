//! Runs of instructions that several functions have in common, as functions of their own.
//!
//! LLVM has such a pass (its machine outliner), but not for this target. A run can be called where the return address,
//! a0, is not needed: a function that calls others has saved it. Nothing goes onto the stack for it, and every other
//! register is as it would be. There are three kinds, by how a run ends:
//!
//! - A run that restores a0 and returns is the tail of its function, and returns for it. It may have calls in it.
//! - A run that ends with a call jumps there instead, and what is called returns to where the run was called from.
//! - Any other run has no call in it, and gets a return.

mod choose;
mod code;

use std::collections::HashMap;
use std::fmt::Write as _;

use super::super::{asm, rom};
use choose::choose;
use code::{Code, RETURN};

/// The names of the functions that are made.
const PREFIX: &str = "spore_shared_";
/// Rounds after which hardly anything is left: what was moved out has runs in common, too.
const ROUNDS: usize = 3;

/// Moves the runs out that an assembler file has more than once, where that saves something.
pub(super) fn apply(text: &str) -> String {
    let mut made = 0;
    let mut out = text.to_owned();
    for _ in 0..ROUNDS {
        let (shorter, runs) = round(&out, made);
        out = shorter;
        made += runs;
        if runs == 0 {
            break;
        }
    }
    out
}

/// One round; the functions that it makes are numbered from `first` on. Returns how many there are.
fn round(text: &str, first: usize) -> (String, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let code = Code::of(&lines);
    let chosen = choose(&code);
    let mut out = String::with_capacity(text.len());
    let mut runs: HashMap<usize, (usize, usize)> = HashMap::new();
    for (number, run) in chosen.iter().enumerate() {
        runs.extend(run.places.iter().map(|place| (code.line(*place), (number, *place))));
    }
    let mut at = 0;
    while at < lines.len() {
        if let Some((number, place)) = runs.get(&at) {
            let _ = writeln!(out, "\tcall0\t{PREFIX}{}", first + number);
            at = code.line(place + chosen[*number].length - 1) + 1;
        } else {
            let _ = writeln!(out, "{}", lines[at]);
            at += 1;
        }
    }
    let sections = asm::functions_in_flash(text);
    for (number, run) in chosen.iter().enumerate() {
        let name = format!("{PREFIX}{}", first + number);
        let texts: Vec<&str> = code.texts(run.places[0]..run.places[0] + run.length).collect();
        write_function(&mut out, &name, &texts, &sections);
    }
    (out, chosen.len())
}

/// Writes a run as the function `name`. `sections` has the section of each function that may be called in flash.
fn write_function(out: &mut String, name: &str, code: &[&str], sections: &HashMap<&str, &str>) {
    let mut section = format!(".text.{name}");
    let mut literals = String::new();
    let mut body = String::new();
    for (index, text) in code.iter().enumerate() {
        let is_last = index + 1 == code.len();
        if let Some((register, value)) = operands(text, "l32r").and_then(|o| o.split_once(", ")) {
            let _ = writeln!(literals, "\t.literal .L{name}_{index}, {value}");
            let _ = writeln!(body, "\tl32r\t{register}, .L{name}_{index}");
        } else if let Some(callee) = operands(text, "call0").filter(|_| is_last) {
            if let Some(place) = sections.get(callee) {
                // Beside it, a jump is sure to reach.
                section = (*place).to_owned();
                let _ = writeln!(body, "\tj\t{callee}");
            } else {
                // What a call may change and carries no argument. A veneer would only jump once more.
                let callee = rom::behind(callee);
                let _ = writeln!(literals, "\t.literal .L{name}_{index}, {callee}");
                let _ = writeln!(body, "\tl32r\ta8, .L{name}_{index}\n\tjx\ta8");
            }
        } else {
            let _ = writeln!(body, "{}", text.trim_end());
        }
    }
    // Neither a tail nor a call, which returns by itself.
    if code.last().is_some_and(|last| *last != RETURN && operands(last, "call0").is_none()) {
        body.push_str("\tret\n");
    }
    let _ = write!(
        out,
        "\t.section\t{section},\"ax\",@progbits\n{literals}\t.p2align\t2\n\t.type\t{name},@function\n{name}:\n{body}\t.size\t{name}, .-{name}\n"
    );
}

/// The operands of an instruction, as it is spelled for comparison, if it has this name.
fn operands<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix('\t')?.strip_prefix(name)?.strip_prefix('\t')
}

#[cfg(test)]
mod tests {
    use super::apply;

    /// A function that has saved its return address, with `code` in it.
    fn function(name: &str, code: &str) -> String {
        format!(
            "\t.type\t{name},@function\n{name}:\n\taddi\ta1, a1, -16\n\ts32i\ta0, a1, 12\n\tmovi\ta4, {}\n{code}\
             \tl32i\ta0, a1, 12\n\taddi\ta1, a1, 16\n\tret\n\t.size\t{name}, 1\n",
            name.len()
        )
    }

    const RUN: &str = "\tl8ui\ta8, a2, 0\n\tl8ui\ta9, a2, 1\n\tslli\ta9, a9, 8\n\tor\ta2, a8, a9\n";

    fn parts(text: &str) -> (String, String) {
        let (before, after) = text.split_once("\t.section").unwrap();
        (before.to_owned(), format!("\t.section{after}"))
    }

    #[test]
    fn a_run_that_three_functions_share_is_written_once() {
        let text: String =
            ["f", "gg", "hhh"].map(|name| function(name, &format!("{RUN}\tcallx0\ta8\n"))).concat();
        let (functions, shared) = parts(&apply(&text));
        assert!(!functions.contains("l8ui"), "{functions}");
        assert!(shared.contains(&format!("spore_shared_0:\n{RUN}\tret\n")), "{shared}");
    }

    #[test]
    fn the_tail_of_a_function_returns_for_it() {
        let saved: String =
            (12..16).map(|r| format!("\tl32i\ta{r}, a1, {}\n", 64 + r * 4)).collect();
        let text: String = ["f", "gg", "hhh"].map(|name| function(name, &saved)).concat();
        let (functions, shared) = parts(&apply(&text));
        assert!(!functions.contains("\tret"), "{functions}");
        let tail = format!("{saved}\tl32i\ta0, a1, 12\n\taddi\ta1, a1, 16\n\tret\n\t.size");
        assert!(shared.contains(&tail), "{shared}");
    }

    #[test]
    fn a_function_that_still_needs_its_return_address_keeps_its_code() {
        let leaf = |name: &str| {
            format!("\t.type\t{name},@function\n{name}:\n{RUN}\tret\n\t.size\t{name}, 1\n")
        };
        let text = ["f", "g", "h", "i"].map(leaf).concat();
        assert_eq!(apply(&text), text);
    }

    #[test]
    fn literals_are_compared_by_value_and_come_along() {
        let with = |name: &str| {
            let code = format!(
                "\tl32r\ta8, .LCPI{name}\n\tl8ui\ta9, a8, 1\n\tslli\ta2, a9, 8\n\tcall0\tother\n"
            );
            format!("\t.literal .LCPI{name}, table+4\n{}", function(name, &code))
        };
        let (functions, shared) = parts(&apply(&["f", "gg", "hhh"].map(with).concat()));
        assert!(!functions.contains("l32r"), "{functions}");
        assert!(shared.contains("\t.literal .Lspore_shared_0_0, table+4\n"), "{shared}");
        assert!(shared.contains("\tl32r\ta8, .Lspore_shared_0_0\n"), "{shared}");
    }

    #[test]
    fn functions_in_instruction_ram_keep_their_code() {
        let code = format!("{RUN}\tcall0\tother\n");
        let text: String = ["f", "gg", "hhh"]
            .map(|name| {
                let function = function(name, &code);
                format!("\t.section\t.iram.text.{name},\"ax\",@progbits\n{function}")
            })
            .concat();
        assert_eq!(apply(&text), text);
    }

    #[test]
    fn a_run_that_ends_with_a_call_jumps_there() {
        let call = "\tmovi\ta3, 300\n\tl32r\ta4, .LCPI1\n\tcall0\t_RNvshared\n\tcallx0\ta8\n";
        let callee = "\t.section\t.text._RNvshared,\"ax\",@progbits\n\t.type\t_RNvshared,@function\n_RNvshared:\n\tret\n\t.size\t_RNvshared, 1\n";
        let near: String = ["f", "gg", "hhh", "iiii"].map(|name| function(name, call)).concat();
        let text = format!("\t.literal .LCPI1, table\n{near}{callee}");
        let shrunk = apply(&text);
        let beside =
            "\t.section\t.text._RNvshared,\"ax\",@progbits\n\t.literal .Lspore_shared_0_1, table\n";
        assert!(shrunk.contains(beside), "{shrunk}");
        let body = "spore_shared_0:\n\tmovi\ta3, 300\n\tl32r\ta4, .Lspore_shared_0_1\n\tj\t_RNvshared\n\t.size";
        assert!(shrunk.contains(body), "{shrunk}");
        // Nobody knows how far that one is.
        let far = text.replace(callee, "").replace("_RNvshared", "elsewhere");
        let shrunk = apply(&far);
        assert!(shrunk.contains("\t.literal .Lspore_shared_0_2, elsewhere\n"), "{shrunk}");
        assert!(shrunk.contains("\tl32r\ta8, .Lspore_shared_0_2\n\tjx\ta8\n\t.size"), "{shrunk}");
    }

    #[test]
    fn the_tail_of_a_function_may_have_calls_in_it() {
        let calls = "\tmovi\ta3, 300\n\tcall0\tother\n\tmovi\ta4, 301\n\tcall0\tanother\n";
        let text: String = ["f", "gg", "hhh"].map(|name| function(name, calls)).concat();
        let (functions, shared) = parts(&apply(&text));
        assert!(!functions.contains("another"), "{functions}");
        assert!(shared.contains(&format!("{calls}\tl32i\ta0, a1, 12\n")), "{shared}");
    }

    #[test]
    fn a_run_that_ends_with_a_literal_returns() {
        let code = "\ts8i\ta2, a12, 7\n\ts8i\ta2, a12, 8\n\tl32r\ta8, .LCPI1\n\tcallx0\ta8\n";
        let functions: String = ["f", "gg", "hhh"].map(|name| function(name, code)).concat();
        let shrunk = apply(&format!("\t.literal .LCPI1, table\n{functions}"));
        assert!(shrunk.contains("\tl32r\ta8, .Lspore_shared_0_2\n\tret\n"), "{shrunk}");
    }

    #[test]
    fn what_was_moved_out_is_looked_at_again() {
        let saved: String =
            (12..16).map(|r| format!("\tl32i\ta{r}, a1, {}\n", 64 + r * 4)).collect();
        let one = format!("\ts8i\ta2, a12, 70\n\ts8i\ta2, a12, 80\n{saved}");
        let other = format!("\ts8i\ta3, a13, 71\n\ts8i\ta3, a13, 81\n{saved}");
        let text: String = [("f", &one), ("gg", &one), ("hhh", &other), ("iiii", &other)]
            .map(|(name, code)| function(name, code))
            .concat();
        assert_eq!(apply(&text).matches("\tl32i\ta15, a1, 124").count(), 1);
    }

    #[test]
    fn a_label_within_keeps_a_run_in_place() {
        let code = RUN.replace("\tslli", ".LBB0_1:\n\tslli");
        let text: String = ["f", "gg", "hhh"].map(|name| function(name, &code)).concat();
        assert!(
            !apply(&text).contains("spore_shared_0:\n\tl8ui\ta8, a2, 0\n\tl8ui\ta9, a2, 1\n\tslli")
        );
    }
}
