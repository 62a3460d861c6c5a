//! Instructions with shorter ones in their place, or with ones that leave another instruction without a reader, since it
//! is known what registers hold.

use std::collections::HashMap;

use super::constants::{Value, Values, is_low_part, literal_number, values_before};
use super::instruction::{Instruction, Registers};
use super::liveness::live_after;

/// The constants that `beqi`, `bnei`, `blti` and `bgei` compare with (Xtensa ISA, table 3-17).
const SIGNED: [i32; 16] = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
/// The constants that `bltui` and `bgeui` compare with (Xtensa ISA, table 3-18).
const UNSIGNED: [i32; 16] = [32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];

/// Rewrites a function, given as the lines between its `.type` and its `.size`; none if there was nothing to do.
pub(super) fn apply(lines: &[String], literals: &HashMap<&str, &str>) -> Option<Vec<String>> {
    let values = values_before(lines, literals);
    let live = live_after(lines);
    let mut out = Vec::with_capacity(lines.len());
    let mut changed = false;
    for (at, line) in lines.iter().enumerate() {
        let rewritten = Instruction::parse(line).and_then(|instruction| {
            let place = Place { values: &values[at], live: live[at], literals };
            place.shorter(&instruction)
        });
        changed |= rewritten.is_some();
        match rewritten {
            Some(Shorter::Nothing) => {}
            Some(Shorter::Line(shorter)) => out.push(shorter),
            None => out.push(line.clone()),
        }
    }
    changed.then_some(out)
}

/// What takes the place of an instruction.
enum Shorter {
    Nothing,
    Line(String),
}

/// What is known around an instruction.
struct Place<'a> {
    values: &'a Values,
    live: Registers,
    literals: &'a HashMap<&'a str, &'a str>,
}

impl Place<'_> {
    fn shorter(&self, i: &Instruction<'_>) -> Option<Shorter> {
        if matches!(i.name, "movi" | "l32r") {
            return self.constant(i);
        }
        let line = match i.name {
            "and" => self.mask(i),
            "add" | "sub" => self.sum(i),
            "or" if i.operand(1) != i.operand(2) => self.low_part(i),
            "addi" => self.address(i),
            "beq" | "bne" => self.equality(i),
            "blt" | "bge" => self.order(i, &SIGNED, ["blti", "bgei"], ["bltz", "bgez"]),
            "bltu" | "bgeu" => self.order(i, &UNSIGNED, ["bltui", "bgeui"], ["", ""]),
            _ if i.is_load() || i.is_store() => self.access(i),
            _ => None,
        };
        line.map(Shorter::Line)
    }

    fn number(&self, operand: &str) -> Option<i32> {
        match self.values.of(operand) {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Where a register other than the stack pointer points to in the frame.
    fn slot(&self, operand: &str) -> Option<i32> {
        match self.values.of(operand) {
            Value::Stack(offset) if operand != "a1" => Some(offset),
            _ => None,
        }
    }

    fn is_dead(&self, operand: &str) -> bool {
        !self.live.touches(Registers::of(operand))
    }

    /// A constant that is there already, or differs little from one that is.
    fn constant(&self, i: &Instruction<'_>) -> Option<Shorter> {
        let result = i.operand(0);
        let number = match i.name {
            "movi" => i.number(1)?,
            _ => literal_number(i, self.literals)?,
        };
        if self.values.of(result) == Value::Number(number) {
            return Some(Shorter::Nothing);
        }
        if i.size() == 2 {
            return None;
        }
        if let Some(same) = self.values.holder("", |value| value == Value::Number(number)) {
            return Some(Shorter::Line(format!("\tor\t{result}, {same}, {same}")));
        }
        let difference = |value| match value {
            Value::Number(near) => number.checked_sub(near).filter(|d| is_short(*d)),
            _ => None,
        };
        let near = self.values.holder("", |value| difference(value).is_some())?;
        let difference = difference(self.values.of(&near))?;
        Some(Shorter::Line(format!("\taddi\t{result}, {near}, {difference}")))
    }

    /// A mask of low bits is an instruction of its own.
    fn mask(&self, i: &Instruction<'_>) -> Option<String> {
        let (source, mask) = self.with_number(i, |_| true)?;
        let width = mask.trailing_ones();
        let is_mask = (1..=16).contains(&width) && mask == (1 << width) - 1;
        is_mask.then(|| format!("\textui\t{}, {source}, 0, {width}", i.operand(0)))
    }

    /// A small number can be in the instruction.
    fn sum(&self, i: &Instruction<'_>) -> Option<String> {
        let (source, number) = if i.name == "sub" {
            (i.operand(1), self.number(i.operand(2))?.checked_neg()?)
        } else {
            self.with_number(i, is_short)?
        };
        is_short(number).then(|| format!("\taddi\t{}, {source}, {number}", i.operand(0)))
    }

    /// The last two bits of the address of a slot are free.
    fn low_part(&self, i: &Instruction<'_>) -> Option<String> {
        let (source, number) = self.with_number(i, |_| true)?;
        let base = self.slot(source)?;
        (number > 0 && is_low_part(base, number))
            .then(|| format!("\taddi\t{}, {source}, {number}", i.operand(0)))
    }

    /// The operand that is not a known number, and the number, of an instruction that allows both orders.
    fn with_number<'i>(
        &self,
        i: &Instruction<'i>,
        is_wanted: impl Fn(i32) -> bool,
    ) -> Option<(&'i str, i32)> {
        let number = |operand| self.number(operand).filter(|number| is_wanted(*number));
        let (one, other) = (i.operand(1), i.operand(2));
        number(other).map(|n| (one, n)).or_else(|| number(one).map(|n| (other, n)))
    }

    /// The address of a slot from that of another one, whose register is not needed any more.
    fn address(&self, i: &Instruction<'_>) -> Option<String> {
        let (result, source) = (i.operand(0), i.operand(1));
        let offset = self.slot(source)?.checked_add(i.number(2)?)?;
        let is_free = result == source || self.is_dead(source);
        (is_free && result != "a1" && (-128..128).contains(&offset))
            .then(|| format!("\taddi\t{result}, a1, {offset}"))
    }

    /// A slot whose address is in a register that is not needed any more.
    fn access(&self, i: &Instruction<'_>) -> Option<String> {
        let (value, base) = (i.operand(0), i.operand(1));
        let offset = self.slot(base)?.checked_add(i.number(2)?)?;
        let is_overwritten = i.is_load() && value == base;
        let is_read = i.is_store() && value == base;
        let width = match i.name {
            "l32i" | "s32i" => 4,
            "l8ui" | "s8i" => 1,
            _ => 2,
        };
        let in_reach = (0..256 * width).contains(&offset) && offset % width == 0;
        ((is_overwritten || self.is_dead(base)) && !is_read && in_reach)
            .then(|| format!("\t{}\t{value}, a1, {offset}", i.name))
    }

    fn equality(&self, i: &Instruction<'_>) -> Option<String> {
        let (one, other, target) = (i.operand(0), i.operand(1), i.operand(2));
        let number = |operand| self.number(operand).filter(|n| *n == 0 || SIGNED.contains(n));
        let (register, number) =
            number(other).map(|n| (one, n)).or_else(|| number(one).map(|n| (other, n)))?;
        Some(if number == 0 {
            format!("\t{}z\t{register}, {target}", i.name)
        } else {
            format!("\t{}i\t{register}, {number}, {target}", i.name)
        })
    }

    /// `less` and `more` are the branches with a constant, and with zero where there are such.
    fn order(
        &self,
        i: &Instruction<'_>,
        constants: &[i32],
        [less, more]: [&str; 2],
        [negative, other]: [&str; 2],
    ) -> Option<String> {
        let (one, two, target) = (i.operand(0), i.operand(1), i.operand(2));
        let is_less = matches!(i.name, "blt" | "bltu");
        // `a < n`, or `n < a`, which is not `a < n + 1`.
        let (register, number, is_less) = match (self.number(one), self.number(two)) {
            (None, Some(number)) => (one, number, is_less),
            (Some(number), None) => (two, number.checked_add(1)?, !is_less),
            _ => return None,
        };
        let is_signed = !negative.is_empty();
        match number {
            0 if is_signed => {
                Some(format!("\t{}\t{register}, {target}", if is_less { negative } else { other }))
            }
            // Nothing but zero is below one.
            1 if !is_signed => {
                Some(format!("\t{}\t{register}, {target}", if is_less { "beqz" } else { "bnez" }))
            }
            _ if constants.contains(&number) => {
                let name = if is_less { less } else { more };
                Some(format!("\t{name}\t{register}, {number}, {target}"))
            }
            _ => None,
        }
    }
}

/// Whether `addi` with this number has a short form.
fn is_short(number: i32) -> bool {
    (-1..=15).contains(&number) && number != 0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::apply;

    /// What becomes of `code`, in which a line that begins with a point is a label.
    fn rewritten(code: &[&str]) -> Vec<String> {
        let literals = HashMap::from([(".LCPI0_0", "65535"), (".LCPI0_1", "table")]);
        let indent = |line: &&str| {
            if line.starts_with('.') { (*line).to_owned() } else { format!("\t{line}") }
        };
        let lines: Vec<String> = code.iter().map(indent).collect();
        let short = apply(&lines, &literals).unwrap_or(lines);
        short.iter().map(|line| line.trim_start().to_owned()).collect()
    }

    /// Whether the last line but one of `code` becomes `expected`, before a return.
    fn becomes(code: &[&str], expected: &str) {
        let all = rewritten(&[code, &["ret"]].concat());
        assert_eq!(all[all.len() - 2], expected, "{code:?}");
    }

    #[test]
    fn comparisons_with_known_numbers_hold_them_themselves() {
        let with = |number: &str, branch: &str, expected: &str| {
            let movi = format!("movi\ta8, {number}");
            becomes(&[".L1:", &movi, &format!("{branch}, .L1")], &format!("{expected}, .L1"));
        };
        with("0", "beq\ta9, a8", "beqz\ta9");
        with("0", "bne\ta8, a9", "bnez\ta9");
        with("12", "beq\ta9, a8", "beqi\ta9, 12");
        with("9", "beq\ta9, a8", "beq\ta9, a8");
        with("0", "blt\ta9, a8", "bltz\ta9");
        with("-1", "blt\ta8, a9", "bgez\ta9");
        with("7", "bge\ta8, a9", "blti\ta9, 8");
        with("8", "bltu\ta9, a8", "bltui\ta9, 8");
        with("9", "bltu\ta8, a9", "bgeui\ta9, 10");
        with("0", "bgeu\ta8, a9", "beqz\ta9");
        with("-1", "bltu\ta8, a9", "bltu\ta8, a9");
        with("-1", "bltu\ta9, a8", "bltu\ta9, a8");
    }

    #[test]
    fn numbers_are_known_where_all_ways_agree() {
        let join = |one: &str, other: &str| {
            let (one, other) = (format!("movi\ta8, {one}"), format!("movi\ta8, {other}"));
            rewritten(&[
                "beqz\ta2, .L1",
                &one,
                "j\t.L2",
                ".L1:",
                &other,
                ".L2:",
                "beq\ta3, a8, .L1",
            ])
            .pop()
            .unwrap()
        };
        assert_eq!(join("4", "4"), "beqi\ta3, 4, .L1");
        assert_eq!(join("4", "5"), "beq\ta3, a8, .L1");
        // After a loop that changes it, and after a call that may.
        let round =
            ["movi\ta8, 4", ".L1:", "beq\ta3, a8, .L2", "addi\ta8, a8, 1", "j\t.L1", ".L2:"];
        assert_eq!(rewritten(&round)[2], round[2]);
        becomes(&[".L1:", "movi\ta8, 4", "call0\tf", "beq\ta3, a8, .L1"], "beq\ta3, a8, .L1");
        becomes(&[".L1:", "movi\ta12, 4", "call0\tf", "beq\ta3, a12, .L1"], "beqi\ta3, 4, .L1");
        // A conditional move may set it.
        becomes(
            &[".L1:", "movi\ta8, 4", "movnez\ta8, a2, a3", "beq\ta3, a8, .L1"],
            "beq\ta3, a8, .L1",
        );
        // A table of addresses may lead to any label.
        let table = ["movi\ta8, 4", "jx\ta2", ".L1:", "beq\ta3, a8, .L1"];
        assert_eq!(rewritten(&table)[3], table[3]);
    }

    #[test]
    fn masks_and_small_summands_are_in_the_instruction() {
        becomes(&["l32r\ta8, .LCPI0_0", "and\ta2, a3, a8"], "extui\ta2, a3, 0, 16");
        becomes(&["movi\ta8, 1", "and\ta2, a8, a3"], "extui\ta2, a3, 0, 1");
        becomes(&["movi\ta8, 254", "and\ta2, a3, a8"], "and\ta2, a3, a8");
        becomes(&["movi\ta8, 15", "add\ta2, a8, a3"], "addi\ta2, a3, 15");
        becomes(&["movi\ta8, 16", "add\ta2, a8, a3"], "add\ta2, a8, a3");
        becomes(&["movi\ta8, 1", "sub\ta2, a3, a8"], "addi\ta2, a3, -1");
    }

    #[test]
    fn constants_that_are_there_are_not_made_again() {
        assert_eq!(rewritten(&["movi\ta8, 300", "movi\ta8, 300", "ret"]).len(), 2);
        becomes(&["movi\ta8, 300", "movi\ta9, 300"], "or\ta9, a8, a8");
        becomes(&["movi\ta8, 300", "movi\ta9, 310"], "addi\ta9, a8, 10");
        becomes(&["movi\ta8, 300", "movi\ta9, 316"], "movi\ta9, 316");
        becomes(&["l32r\ta8, .LCPI0_0", "l32r\ta9, .LCPI0_0"], "or\ta9, a8, a8");
        becomes(&["l32r\ta8, .LCPI0_1", "l32r\ta9, .LCPI0_1"], "l32r\ta9, .LCPI0_1");
    }

    #[test]
    fn slots_are_reached_from_the_stack_pointer() {
        becomes(&["addi\ta8, a1, 40", "l32i\ta2, a8, 4"], "l32i\ta2, a1, 44");
        becomes(&["addi\ta8, a1, 40", "s8i\ta3, a8, 1"], "s8i\ta3, a1, 41");
        becomes(&["addi\ta8, a1, 40", "s32i\ta8, a8, 4"], "s32i\ta8, a8, 4");
        becomes(&["addi\ta8, a1, 41", "l32i\ta2, a8, 4"], "l32i\ta2, a8, 4");
        becomes(&["addi\ta8, a1, 40", "addi\ta2, a8, 4"], "addi\ta2, a1, 44");
        // Its register is read again, or the stack pointer has moved.
        becomes(&["addi\ta2, a1, 40", "l32i\ta8, a2, 4"], "l32i\ta8, a2, 4");
        becomes(&["addi\ta8, a1, 40", "addi\ta1, a1, -16", "l32i\ta2, a8, 4"], "l32i\ta2, a8, 4");
        // An alternative to adding, where the bits are free.
        becomes(&["addi\ta3, a1, 40", "movi\ta8, 3", "or\ta2, a3, a8"], "addi\ta2, a3, 3");
        becomes(&["addi\ta3, a1, 42", "movi\ta8, 3", "or\ta2, a3, a8"], "or\ta2, a3, a8");
    }
}
