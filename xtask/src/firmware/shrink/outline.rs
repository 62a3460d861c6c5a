//! Runs of instructions that several functions have in common, as functions of their own.
//!
//! LLVM has such a pass (its machine outliner), but not for this target. A run can be called where the return address,
//! a0, is not needed: a function that calls others has saved it. Nothing goes onto the stack for it, and every other
//! register is as it would be. A run that restores a0 and returns is the tail of its function, and returns for it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::super::asm;
use super::instruction::{Instruction, Registers};
use super::liveness::{label, live_after};

/// Longest run that is looked for, in instructions: the longest epilogues have eight.
const LONGEST: usize = 16;
/// What a call of a run takes, in bytes.
const CALL: usize = 3;
/// The least that a run must save, in bytes, of which its alignment takes up to three.
const LEAST: usize = 4;

/// The names of the functions that are made.
const PREFIX: &str = "spore_shared_";

/// Moves the runs out that an assembler file has more than once, where that saves something.
pub(super) fn apply(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let code = Code::of(&lines);
    let chosen = choose(&code);
    let mut out = String::with_capacity(text.len());
    let mut runs: HashMap<usize, (usize, usize)> = HashMap::new();
    for (number, run) in chosen.iter().enumerate() {
        runs.extend(run.places.iter().map(|place| (code.steps[*place].line, (number, *place))));
    }
    let mut at = 0;
    while at < lines.len() {
        if let Some((number, place)) = runs.get(&at) {
            let _ = writeln!(out, "\tcall0\t{PREFIX}{number}");
            at = code.steps[place + chosen[*number].length - 1].line + 1;
        } else {
            let _ = writeln!(out, "{}", lines[at]);
            at += 1;
        }
    }
    for (number, run) in chosen.iter().enumerate() {
        write_function(&mut out, number, code.instructions(run));
    }
    out
}

/// One instruction, or a place where no run may go on.
struct Step {
    /// Equal for instructions that do the same, wherever they are; unique where no run may go on.
    id: usize,
    /// Index of its line in the file.
    line: usize,
    /// Whether the return address is not needed before it, and after it.
    free: (bool, bool),
}

/// The instructions of all functions of a file.
struct Code {
    steps: Vec<Step>,
    /// For each id below its length: the instruction with the values of literals for their labels.
    texts: Vec<String>,
}

impl Code {
    fn of(lines: &[&str]) -> Self {
        let literals: HashMap<&str, &str> = lines.iter().filter_map(|line| literal(line)).collect();
        let mut code = Self { steps: Vec::new(), texts: Vec::new() };
        let mut ids = HashMap::new();
        for function in functions(lines) {
            let own: Vec<String> = lines[function.clone()].iter().map(|&l| l.to_owned()).collect();
            let live = live_after(&own);
            let return_address = Registers::of("a0");
            let mut free_before = false;
            for (index, line) in own.iter().enumerate() {
                let instruction = Instruction::parse(line);
                let at = function.start + index;
                let text =
                    instruction.as_ref().filter(|i| may_move(i)).map(|i| spell(i, &literals));
                let free = !live[index].touches(return_address);
                if let Some(text) = text {
                    let next = code.texts.len();
                    let id = *ids.entry(text.clone()).or_insert(next);
                    if id == next {
                        code.texts.push(text);
                    }
                    // Only its own reading and writing can make a difference between before and after.
                    code.steps.push(Step { id, line: at, free: (free_before, free) });
                } else if instruction.is_some() || label(line).is_some() {
                    code.steps.push(Step { id: usize::MAX, line: at, free: (false, false) });
                }
                free_before = free;
            }
            code.steps.push(Step { id: usize::MAX, line: function.end, free: (false, false) });
        }
        code
    }

    fn instructions(&self, run: &Run) -> impl Iterator<Item = &str> {
        let first = run.places.first().copied().unwrap_or_default();
        self.steps[first..first + run.length].iter().map(|step| self.texts[step.id].as_str())
    }

    fn ids(&self, range: Range<usize>) -> Vec<usize> {
        self.steps[range].iter().map(|step| step.id).collect()
    }

    /// Whether the steps can be called as a run of their own.
    fn is_run(&self, range: Range<usize>) -> bool {
        let steps = &self.steps[range];
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return false };
        let text = |step: &Step| self.texts[step.id].as_str();
        let restores = steps.iter().any(|step| text(step).starts_with(RESTORE));
        let moves_stack = steps.iter().any(|step| writes_stack_pointer(text(step)));
        let ends = |step: &Step| text(step) == RETURN;
        if ends(last) {
            return first.free.0 && restores;
        }
        first.free.0 && last.free.1 && !restores && !moves_stack && !steps.iter().any(ends)
    }

    fn size(&self, ids: &[usize]) -> usize {
        ids.iter().filter_map(|id| Instruction::parse(&self.texts[*id])).map(|i| i.size()).sum()
    }
}

const RETURN: &str = "\tret\t";
const RESTORE: &str = "\tl32i\ta0, a1, ";

fn writes_stack_pointer(text: &str) -> bool {
    Instruction::parse(text).is_some_and(|i| i.writes().touches(Registers::of("a1")))
}

/// Whether an instruction may be in a run: what it does must not depend on where it is.
fn may_move(instruction: &Instruction<'_>) -> bool {
    let return_address = Registers::of("a0");
    let touched = instruction.reads() | instruction.writes();
    match instruction.name {
        "ret" => true,
        "l32i" if instruction.operand(0) == "a0" => instruction.operand(1) == "a1",
        _ => instruction.is_plain() && !touched.touches(return_address),
    }
}

/// The instruction as it is compared: with the value of a literal in the place of its label.
fn spell(instruction: &Instruction<'_>, literals: &HashMap<&str, &str>) -> String {
    let operands = instruction.operands.iter().map(|o| *literals.get(o).unwrap_or(o));
    format!("\t{}\t{}", instruction.name, operands.collect::<Vec<_>>().join(", "))
}

/// A run of instructions, and the steps at which it begins.
struct Run {
    length: usize,
    places: Vec<usize>,
}

/// The runs to move out: those that save most first, of what is not taken yet.
fn choose(code: &Code) -> Vec<Run> {
    let mut candidates: Vec<(usize, Run)> = Vec::new();
    for length in 2..=LONGEST {
        let mut found: HashMap<Vec<usize>, Vec<usize>> = HashMap::new();
        for start in 0..(code.steps.len() + 1).saturating_sub(length) {
            let range = start..start + length;
            if code.steps[range.clone()].iter().all(|step| step.id != usize::MAX)
                && code.is_run(range.clone())
            {
                found.entry(code.ids(range)).or_default().push(start);
            }
        }
        for (ids, places) in found {
            let saved = saving(code, &ids, places.len());
            if saved >= LEAST {
                candidates.push((saved, Run { length, places }));
            }
        }
    }
    // The order must not depend on that of a hash table.
    candidates.sort_by_key(|(saved, run)| (Reverse(*saved), run.places[0], run.length));
    let mut taken = vec![false; code.steps.len()];
    let mut chosen = Vec::new();
    for (_, run) in candidates {
        let mut end = 0;
        let mut places = run.places;
        places.retain(|&start| {
            let is_free = start >= end && !taken[start..start + run.length].contains(&true);
            if is_free {
                end = start + run.length;
            }
            is_free
        });
        let Some(&first) = places.first() else { continue };
        if saving(code, &code.ids(first..first + run.length), places.len()) >= LEAST {
            for start in &places {
                taken[*start..start + run.length].fill(true);
            }
            chosen.push(Run { length: run.length, places });
        }
    }
    chosen
}

/// How many bytes it saves to have a run once instead of `times`.
fn saving(code: &Code, ids: &[usize], times: usize) -> usize {
    let size = code.size(ids);
    let is_tail = ids.last().is_some_and(|id| code.texts[*id] == RETURN);
    let once = if is_tail { size } else { size + 2 };
    (times * size.saturating_sub(CALL)).saturating_sub(once)
}

fn write_function<'a>(out: &mut String, number: usize, code: impl Iterator<Item = &'a str>) {
    let name = format!("{PREFIX}{number}");
    let mut literals = String::new();
    let mut body = String::new();
    let mut last = "";
    for (index, text) in code.enumerate() {
        last = text;
        match text.strip_prefix("\tl32r\t").and_then(|operands| operands.split_once(", ")) {
            Some((register, value)) => {
                let _ = writeln!(literals, "\t.literal .L{name}_{index}, {value}");
                let _ = writeln!(body, "\tl32r\t{register}, .L{name}_{index}");
            }
            None => {
                let _ = writeln!(body, "{}", text.trim_end());
            }
        }
    }
    if last != RETURN {
        body.push_str("\tret\n");
    }
    let _ = write!(
        out,
        "\t.section\t.text.{name},\"ax\",@progbits\n{literals}\t.p2align\t2\n\t.type\t{name},@function\n{name}:\n{body}\t.size\t{name}, .-{name}\n"
    );
}

/// Label and value of a line that sets a literal.
fn literal<'a>(line: &&'a str) -> Option<(&'a str, &'a str)> {
    let rest = line.trim_start().strip_prefix(".literal")?;
    rest.strip_prefix([' ', '\t'])?.trim().split_once(", ")
}

/// The lines between `.type` and `.size` of each function in flash. What is placed elsewhere, in instruction RAM, may
/// run while the flash cannot be read, so it must not call what is shared.
fn functions(lines: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut in_flash) = (None, true);
    for (at, line) in lines.iter().enumerate() {
        if let Some(section) = asm::section(line) {
            in_flash = asm::is_in_flash(section);
        } else if super::is_begin(line) && in_flash {
            start = Some(at + 1);
        } else if line.trim_start().starts_with(".size") {
            found.extend(start.take().map(|start| start..at));
        }
    }
    found
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
        let text: String = ["f", "gg", "hhh"]
            .map(|name| function(name, &format!("{RUN}\tcall0\tother\n")))
            .concat();
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
    fn a_label_within_keeps_a_run_in_place() {
        let code = RUN.replace("\tslli", ".LBB0_1:\n\tslli");
        let text: String = ["f", "gg", "hhh"].map(|name| function(name, &code)).concat();
        assert!(
            !apply(&text).contains("spore_shared_0:\n\tl8ui\ta8, a2, 0\n\tl8ui\ta9, a2, 1\n\tslli")
        );
    }
}
