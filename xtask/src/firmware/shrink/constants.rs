//! What registers are known to hold, and the shorter instructions that this allows.
//!
//! LLVM chooses instructions one block at a time, so it does not see that a register which was set in another block
//! holds zero, a mask, or the address of a stack slot.

use std::collections::HashMap;

use super::instruction::{Flow, Instruction, Registers};
use super::liveness::label;

/// What a register holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    /// Anything.
    #[default]
    Unknown,
    /// This number.
    Number(i32),
    /// An address so many bytes above the stack pointer.
    Stack(i32),
}

/// The values of a0 to a15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Values([Value; 16]);

impl Values {
    /// What the register that `operand` names holds.
    pub(super) fn of(&self, operand: &str) -> Value {
        if operand == "a1" { Value::Stack(0) } else { self.get(operand) }
    }

    /// The register other than `but` that holds a value, if there is one.
    pub(super) fn holder(&self, but: &str, wanted: impl Fn(Value) -> bool) -> Option<String> {
        // Neither the return address nor the stack pointer is a number.
        let mut names = (2..16).map(|number| format!("a{number}"));
        names.find(|name| name != but && wanted(self.get(name)))
    }

    fn get(&self, operand: &str) -> Value {
        number_of(operand).and_then(|number| self.0.get(number)).copied().unwrap_or_default()
    }

    fn set(&mut self, operand: &str, value: Value) {
        if let Some(place) = number_of(operand).and_then(|number| self.0.get_mut(number)) {
            *place = value;
        }
    }

    /// What is sure, whichever way control came.
    fn meet(&mut self, other: &Self) -> bool {
        let before = *self;
        for (own, others) in self.0.iter_mut().zip(other.0) {
            if *own != others {
                *own = Value::Unknown;
            }
        }
        before != *self
    }

    /// What holds after an instruction.
    fn after(mut self, instruction: &Instruction<'_>, literals: &HashMap<&str, &str>) -> Self {
        if instruction.is_conditional_move() {
            self.set(instruction.operand(0), Value::Unknown);
            return self;
        }
        if instruction.flow() == Flow::Unknown {
            return Self::default();
        }
        let result = self.result(instruction, literals);
        let written = instruction.writes();
        if written.touches(Registers::of("a1")) {
            // The slots have other distances now.
            self.0
                .iter_mut()
                .filter(|v| matches!(v, Value::Stack(_)))
                .for_each(|v| *v = Value::Unknown);
        }
        for number in 0..16 {
            let name = format!("a{number}");
            if written.touches(Registers::of(&name)) {
                self.set(&name, Value::Unknown);
            }
        }
        if instruction.sets_first() && instruction.operand(0) != "a1" {
            self.set(instruction.operand(0), result);
        }
        self
    }

    /// What an instruction computes.
    fn result(&self, instruction: &Instruction<'_>, literals: &HashMap<&str, &str>) -> Value {
        use Value::{Number, Stack, Unknown};
        let operand = |index| self.of(instruction.operand(index));
        match instruction.name {
            "movi" => instruction.number(1).map_or(Unknown, Number),
            "l32r" => literal_number(instruction, literals).map_or(Unknown, Number),
            "addi" | "addmi" => match (operand(1), instruction.number(2)) {
                (Number(base), Some(more)) => Number(base.wrapping_add(more)),
                (Stack(base), Some(more)) => Stack(base.wrapping_add(more)),
                _ => Unknown,
            },
            "add" => match (operand(1), operand(2)) {
                (Number(one), Number(other)) => Number(one.wrapping_add(other)),
                (Stack(base), Number(more)) | (Number(more), Stack(base)) => {
                    Stack(base.wrapping_add(more))
                }
                _ => Unknown,
            },
            "or" if instruction.operand(1) == instruction.operand(2) => operand(1),
            "or" => match (operand(1), operand(2)) {
                (Number(one), Number(other)) => Number(one | other),
                (Stack(base), Number(more)) | (Number(more), Stack(base))
                    if is_low_part(base, more) =>
                {
                    Stack(base + more)
                }
                _ => Unknown,
            },
            _ => Unknown,
        }
    }
}

/// Whether `more` only sets bits that the address of a slot does not have: the stack pointer is a multiple of 16.
pub(super) fn is_low_part(base: i32, more: i32) -> bool {
    base % 4 == 0 && (0..4).contains(&more)
}

/// The number that an instruction loads from a literal.
pub(super) fn literal_number(
    instruction: &Instruction<'_>,
    literals: &HashMap<&str, &str>,
) -> Option<i32> {
    let value: i64 = literals.get(instruction.operand(1))?.parse().ok()?;
    // Assemblers take a word as signed or unsigned.
    i32::try_from(value).ok().or_else(|| u32::try_from(value).ok().map(u32::cast_signed))
}

fn number_of(operand: &str) -> Option<usize> {
    operand.strip_prefix('a')?.parse().ok()
}

/// For each line of a function, what registers hold before it; nothing is known of what control does not reach.
pub(super) fn values_before(lines: &[String], literals: &HashMap<&str, &str>) -> Vec<Values> {
    let code: Vec<Option<Instruction<'_>>> = lines.iter().map(|l| Instruction::parse(l)).collect();
    let labels: HashMap<&str, usize> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((label(line)?, at))).collect();
    let mut reached = Reached { before: vec![None; lines.len()], open: Vec::new() };
    reached.from(0, &Values::default());
    // A jump to who knows where may go to any label.
    if code.iter().flatten().any(|instruction| instruction.flow() == Flow::Unknown) {
        labels.values().for_each(|at| reached.from(*at, &Values::default()));
    }
    while let Some(at) = reached.open.pop() {
        let Some(values) = reached.before[at] else { continue };
        let Some(instruction) = &code[at] else {
            reached.from(at + 1, &values);
            continue;
        };
        let values = values.after(instruction, literals);
        let mut to_label = |label: &str| {
            labels.get(label).into_iter().for_each(|line| reached.from(*line, &values));
        };
        match instruction.flow() {
            Flow::Jump(label) => to_label(label),
            Flow::Branch(label) => {
                to_label(label);
                reached.from(at + 1, &values);
            }
            Flow::On | Flow::Unknown => reached.from(at + 1, &values),
            Flow::Return | Flow::Stop => {}
        }
    }
    reached.before.into_iter().map(Option::unwrap_or_default).collect()
}

/// What is known of each line so far.
struct Reached {
    /// None where control has not come yet.
    before: Vec<Option<Values>>,
    /// The lines of which more, or less, is known than was passed on.
    open: Vec<usize>,
}

impl Reached {
    /// Control comes to a line with these values.
    fn from(&mut self, at: usize, values: &Values) {
        let Some(known) = self.before.get_mut(at) else { return };
        let changed = match known {
            Some(known) => known.meet(values),
            None => {
                *known = Some(*values);
                true
            }
        };
        if changed {
            self.open.push(at);
        }
    }
}
