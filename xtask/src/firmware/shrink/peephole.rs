//! Short runs of instructions with shorter ones that do the same.

use std::collections::HashMap;

use super::constants::literal_number;
use super::instruction::{Instruction, Registers};
use super::liveness::{label, live_after};

/// More rounds than any function was seen to need; each may make way for the next.
const ROUNDS: usize = 8;

/// The offsets that `addmi` adds are multiples of this.
const ADDMI_STEP: i32 = 256;
/// The largest of them.
const ADDMI_MAX: i32 = 127 * ADDMI_STEP;

/// Shortens a function, given as the lines between its `.type` and its `.size`.
pub(super) fn apply(mut lines: Vec<String>, literals: &HashMap<&str, &str>) -> Vec<String> {
    for _ in 0..ROUNDS {
        let Some(shorter) = round(&lines, literals) else { return lines };
        lines = shorter;
    }
    lines
}

/// One pass over the function; none if there was nothing to do.
fn round(lines: &[String], literals: &HashMap<&str, &str>) -> Option<Vec<String>> {
    let live = live_after(lines);
    let mut out = Vec::with_capacity(lines.len());
    let mut at = 0;
    let mut changed = false;
    while at < lines.len() {
        let window = Window { lines, live: &live, literals, at };
        if let Some((used, replacement)) = window.shorter() {
            out.extend(replacement);
            at += used;
            changed = true;
        } else {
            out.push(lines[at].clone());
            at += 1;
        }
    }
    changed.then_some(out)
}

/// How many lines to replace, and by what.
type Shorter = Option<(usize, Vec<String>)>;

/// The lines from one on.
#[derive(Clone, Copy)]
struct Window<'a> {
    lines: &'a [String],
    live: &'a [Registers],
    literals: &'a HashMap<&'a str, &'a str>,
    at: usize,
}

impl<'a> Window<'a> {
    fn line(&self, index: usize) -> Option<&'a str> {
        self.lines.get(self.at + index).map(String::as_str)
    }

    fn instruction(&self, index: usize) -> Option<Instruction<'a>> {
        Instruction::parse(self.line(index)?)
    }

    /// Whether nobody reads `register` after the line, before it is set anew.
    fn is_dead_after(&self, index: usize, register: &str) -> bool {
        let register = Registers::of(register);
        register != Registers::NONE
            && self.live.get(self.at + index).is_some_and(|live| !live.touches(register))
    }

    fn shorter(&self) -> Shorter {
        let first = self.instruction(0)?;
        self.useless(&first)
            .or_else(|| stop(&first))
            .or_else(|| self.stop_before_stop(&first))
            .or_else(|| self.far_offset(&first))
            .or_else(|| self.bit_test(&first))
            .or_else(|| self.copy_of_result(&first))
            .or_else(|| copy_by_addition(&first))
            .or_else(|| self.branch_over_jump(&first))
    }

    /// What is computed and never read, or copied to itself.
    fn useless(&self, first: &Instruction<'_>) -> Shorter {
        let result = first.operand(0);
        let is_self =
            first.name == "or" && first.operand(1) == result && first.operand(2) == result;
        let is_unread = first.is_pure() && result != "a1" && self.is_dead_after(0, result);
        (is_self || is_unread).then(|| (1, Vec::new()))
    }

    /// What stops the program, before another one with nothing but labels in between: either will do.
    fn stop_before_stop(&self, first: &Instruction<'_>) -> Shorter {
        let is_stop = |i: &Instruction<'_>| i.name == STOP;
        let next = (1..).find_map(|index| match (self.instruction(index), self.line(index)) {
            (None, Some(_)) => None,
            (found, _) => Some(found),
        })?;
        (is_stop(first) && next.is_some_and(|next| is_stop(&next))).then(|| (1, Vec::new()))
    }

    /// `movi x, n; add y, b, x; l8ui r, y, 0`: the offset is split between `addmi` and the access.
    fn far_offset(&self, first: &Instruction<'_>) -> Shorter {
        let (add, access) = (self.instruction(1)?, self.instruction(2)?);
        let offset = match first.name {
            "movi" => first.number(1)?,
            "l32r" => literal_number(first, self.literals)?,
            _ => return None,
        };
        let (x, y, value) = (first.operand(0), add.operand(0), access.operand(0));
        let base = match (add.operand(1), add.operand(2)) {
            (base, summand) | (summand, base) if summand == x && base != x => base,
            _ => return None,
        };
        let is_access = (access.is_load() || access.is_store()) && access.operand(1) == y;
        if add.name != "add" || y == "a1" || !is_access {
            return None;
        }
        // Neither the number nor the sum is there any more.
        let is_free = |register| {
            let is_overwritten = access.is_load() && value == register;
            let is_stored = access.is_store() && value == register;
            is_overwritten || !is_stored && self.is_dead_after(2, register)
        };
        if !is_free(x) || !is_free(y) {
            return None;
        }
        let offset = offset.checked_add(access.number(2)?)?;
        let low = offset.rem_euclid(ADDMI_STEP);
        let high = offset - low;
        let width = match access.name {
            "l32i" | "s32i" => 4,
            "l8ui" | "s8i" => 1,
            _ => 2,
        };
        if !(ADDMI_STEP..=ADDMI_MAX).contains(&high) || low % width != 0 {
            return None;
        }
        let sum = format!("\taddmi\t{y}, {base}, {high}");
        let access = format!("\t{}\t{value}, {y}, {low}", access.name);
        Some((3, vec![sum, access]))
    }

    /// `extui x, s, 3, 1; beqz x, there`, and nobody needs `x`: the branch can look at the bit, or bits, itself.
    fn bit_test(&self, first: &Instruction<'_>) -> Shorter {
        let branch = self.instruction(1)?;
        let (x, source, target) = (first.operand(0), first.operand(1), branch.operand(1));
        let is_zero = match branch.name {
            "beqz" => true,
            "bnez" => false,
            _ => return None,
        };
        if branch.operand(0) != x || !self.is_dead_after(1, x) {
            return None;
        }
        let line = match first.name {
            "extui" if first.operand(3) == "1" => {
                let name = if is_zero { "bbci" } else { "bbsi" };
                format!("\t{name}\t{source}, {}, {target}", first.operand(2))
            }
            "and" => {
                let name = if is_zero { "bnone" } else { "bany" };
                format!("\t{name}\t{source}, {}, {target}", first.operand(2))
            }
            _ => return None,
        };
        Some((2, vec![line]))
    }

    /// `add x, ...; or r, x, x`, and nobody needs `x`: the result goes to `r` at once.
    fn copy_of_result(&self, first: &Instruction<'_>) -> Shorter {
        let copy = self.instruction(1)?;
        let x = first.operand(0);
        let source = copied(&copy)?;
        if !first.sets_first() || source != x || x == "a1" {
            return None;
        }
        let result = copy.operand(0);
        if result != x && !self.is_dead_after(1, x) {
            return None;
        }
        let operands = [&[result], &first.operands[1..]].concat().join(", ");
        Some((2, vec![format!("\t{}\t{operands}", first.name)]))
    }

    /// `bnez a, near; j far; near:`: the assembler can do that by itself, and need not where `far` is not far.
    fn branch_over_jump(&self, first: &Instruction<'_>) -> Shorter {
        let opposite = opposite(first.name)?;
        let jump = self.instruction(1)?;
        let near = label(self.line(2)?)?;
        if jump.name != "j"
            || first.operands.last() != Some(&near)
            || !jump.operand(0).starts_with(".L")
        {
            return None;
        }
        let mut operands = first.operands.clone();
        *operands.last_mut()? = jump.operand(0);
        Some((2, vec![format!("\t{opposite}\t{}", operands.join(", "))]))
    }
}

/// An instruction that there is not, in its short form.
const STOP: &str = "ill.n";

/// `call0 abort`: the illegal instruction that is behind it can be here as well, and then tells where it happened.
fn stop(first: &Instruction<'_>) -> Shorter {
    let is_abort = first.name == "call0" && first.operand(0) == "abort";
    is_abort.then(|| (1, vec![format!("\t{STOP}")]))
}

/// The source of a copy.
fn copied<'a>(copy: &Instruction<'a>) -> Option<&'a str> {
    let source = copy.operand(1);
    let is_move = copy.name == "or" && copy.operand(2) == source;
    let is_sum = copy.name == "addi" && copy.number(2) == Some(0);
    ((is_move || is_sum) && Registers::of(source) != Registers::NONE).then_some(source)
}

/// `addi r, s, 0` has no short form, a move has.
fn copy_by_addition(first: &Instruction<'_>) -> Shorter {
    let source = copied(first).filter(|_| first.name == "addi")?;
    Some((1, vec![format!("\tor\t{}, {source}, {source}", first.operand(0))]))
}

/// The branch that is taken when `name` is not.
pub(super) fn opposite(name: &str) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 10] = [
        ("beq", "bne"),
        ("beqi", "bnei"),
        ("beqz", "bnez"),
        ("bge", "blt"),
        ("bgei", "blti"),
        ("bgeu", "bltu"),
        ("bgeui", "bltui"),
        ("bgez", "bltz"),
        ("bbci", "bbsi"),
        ("bany", "bnone"),
    ];
    PAIRS.iter().find_map(|(one, other)| match name {
        name if name == *one => Some(*other),
        name if name == *other => Some(*one),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    /// What becomes of the lines of a function.
    fn apply(lines: Vec<String>) -> Vec<String> {
        super::apply(lines, &HashMap::from([(".LCPI0_0", "2234"), (".LCPI0_1", "table")]))
    }

    /// What becomes of `code`, followed by a return that reads a2 to a5.
    fn shortened(code: &[&str]) -> Vec<String> {
        let mut lines = apply(
            code.iter().map(|&line| format!("\t{line}")).chain(["\tret".to_owned()]).collect(),
        );
        lines.pop();
        lines.iter().map(|line| line.trim_start().to_owned()).collect()
    }

    fn is_unchanged(code: &[&str]) {
        assert_eq!(shortened(code), code);
    }

    #[test]
    fn the_address_of_a_stack_slot_goes_where_it_is_wanted() {
        let code = ["movi\ta8, 300", "add\ta8, a1, a8", "addi\ta2, a8, 0"];
        assert_eq!(shortened(&code), ["movi\ta8, 300", "add\ta2, a1, a8"]);
        let read_again = ["add\ta8, a1, a8", "addi\ta2, a8, 0", "s8i\ta2, a8, 0"];
        assert_eq!(shortened(&read_again)[1], "or\ta2, a8, a8");
        assert_eq!(shortened(&["add\ta2, a1, a8", "addi\ta2, a2, 0"]), ["add\ta2, a1, a8"]);
    }

    #[test]
    fn the_stack_pointer_comes_back_in_one_step() {
        assert_eq!(shortened(&["addi\ta8, a1, 32", "or\ta1, a8, a8"]), ["addi\ta1, a1, 32"]);
    }

    #[test]
    fn a_far_slot_is_reached_with_a_split_offset() {
        let code = ["movi\ta8, 290", "add\ta8, a1, a8", "l8ui\ta2, a8, 0"];
        assert_eq!(shortened(&code), ["addmi\ta8, a1, 256", "l8ui\ta2, a8, 34"]);
        is_unchanged(&["movi\ta8, 290", "add\ta8, a1, a8", "l32i\ta2, a8, 0"]);
        is_unchanged(&["movi\ta8, 290", "add\ta8, a1, a8", "s8i\ta8, a8, 0"]);
        is_unchanged(&["movi\ta8, 290", "add\ta8, a1, a8", "l8ui\ta2, a8, 0", "s8i\ta2, a8, 1"]);
    }

    #[test]
    fn a_far_field_is_reached_with_a_split_offset() {
        let far = ["l32r\ta8, .LCPI0_0", "add\ta9, a3, a8", "l8ui\ta2, a9, 1"];
        assert_eq!(shortened(&far), ["addmi\ta9, a3, 2048", "l8ui\ta2, a9, 187"]);
        let store = ["movi\ta8, 1000", "add\ta8, a8, a3", "s32i\ta2, a8, 0"];
        assert_eq!(shortened(&store), ["addmi\ta8, a3, 768", "s32i\ta2, a8, 232"]);
        // The number, the sum, or an address that is no number.
        is_unchanged(&["movi\ta8, 1000", "add\ta9, a3, a8", "s32i\ta8, a9, 0"]);
        is_unchanged(&["movi\ta8, 1000", "add\ta9, a3, a8", "s32i\ta9, a9, 0"]);
        is_unchanged(&["movi\ta8, 1000", "add\ta2, a3, a8", "l32i\ta4, a2, 0"]);
        is_unchanged(&["l32r\ta8, .LCPI0_1", "add\ta9, a3, a8", "l8ui\ta2, a9, 1"]);
    }

    #[test]
    fn a_test_of_bits_is_one_branch() {
        let with_label = |code: &[&str]| {
            let lines = code.iter().map(|line| format!("\t{line}"));
            let mut short =
                apply(lines.chain([".LBB0_2:".to_owned(), "\tret".to_owned()]).collect());
            short.truncate(short.len() - 2);
            short.iter().map(|line| line.trim_start().to_owned()).collect::<Vec<_>>()
        };
        let bit = ["extui\ta8, a3, 5, 1", "beqz\ta8, .LBB0_2", "movi\ta2, 1"];
        assert_eq!(with_label(&bit), ["bbci\ta3, 5, .LBB0_2", "movi\ta2, 1"]);
        let bits = ["and\ta8, a3, a4", "bnez\ta8, .LBB0_2", "movi\ta2, 1"];
        assert_eq!(with_label(&bits), ["bany\ta3, a4, .LBB0_2", "movi\ta2, 1"]);
        let read_again = ["extui\ta2, a3, 5, 1", "beqz\ta2, .LBB0_2", "movi\ta3, 1"];
        assert_eq!(with_label(&read_again), read_again);
        let two_bits = ["extui\ta8, a3, 5, 2", "beqz\ta8, .LBB0_2", "movi\ta2, 1"];
        assert_eq!(with_label(&two_bits), two_bits);
    }

    #[test]
    fn what_nobody_reads_goes_and_what_touches_memory_stays() {
        assert_eq!(shortened(&["movi\ta8, 7", "movi\ta2, 1"]), ["movi\ta2, 1"]);
        is_unchanged(&["l32i\ta8, a2, 0"]);
        is_unchanged(&["movi\ta12, 7", "movi\ta7, 7", "call0\tf"]);
    }

    #[test]
    fn a_branch_over_a_jump_becomes_the_opposite_branch() {
        let lines = ["\tbnei\ta8, 3, .LBB0_2", "\tj\t.LBB0_9", ".LBB0_2:", "\tret"];
        let short = apply(lines.map(str::to_owned).to_vec());
        assert_eq!(short, ["\tbeqi\ta8, 3, .LBB0_9", ".LBB0_2:", "\tret"]);
        let elsewhere = ["\tbnei\ta8, 3, .LBB0_3", "\tj\t.LBB0_9", ".LBB0_2:", "\tret"];
        assert_eq!(apply(elsewhere.map(str::to_owned).to_vec()), elsewhere);
    }

    #[test]
    fn of_calls_that_stop_the_last_one_is_enough() {
        let lines =
            ["\tcall0\tabort", ".LBB0_1:", "\tcall0\tabort", ".LBB0_2:", "\tcall0\tf", "\tret"];
        let short = apply(lines.map(str::to_owned).to_vec());
        assert_eq!(short, [".LBB0_1:", "\till.n", ".LBB0_2:", "\tcall0\tf", "\tret"]);
    }

    #[test]
    fn labels_keep_a_run_apart() {
        let lines = ["\tadd\ta8, a1, a8", ".LBB0_1:", "\tor\ta2, a8, a8", "\tret"];
        assert_eq!(apply(lines.map(str::to_owned).to_vec()), lines);
    }
}
