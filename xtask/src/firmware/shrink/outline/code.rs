//! The instructions of a file, as far as runs are looked for in them.

use std::collections::HashMap;
use std::ops::Range;

use super::super::instruction::{Instruction, Registers};
use super::super::liveness::{label, live_after};
use super::super::{functions, literal};
use super::{PREFIX, operands};

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
pub(super) struct Code {
    steps: Vec<Step>,
    /// For each id below its length: the instruction with the values of literals for their labels.
    texts: Vec<Text>,
}

/// An instruction as it is compared, and what is asked of it most.
struct Text {
    spelled: String,
    size: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Return,
    /// It restores the return address.
    Restore,
    /// It moves the stack pointer.
    Stack,
    Call,
    Other,
}

impl Code {
    pub(super) fn of(lines: &[&str]) -> Self {
        let literals: HashMap<&str, &str> = lines.iter().filter_map(|line| literal(line)).collect();
        let mut code = Self { steps: Vec::new(), texts: Vec::new() };
        let mut ids = HashMap::new();
        for (_, function) in functions(lines) {
            code.add(lines, function, &literals, &mut ids);
        }
        code
    }

    fn add(
        &mut self,
        lines: &[&str],
        function: Range<usize>,
        literals: &HashMap<&str, &str>,
        ids: &mut HashMap<String, usize>,
    ) {
        let own: Vec<String> = lines[function.clone()].iter().map(|&l| l.to_owned()).collect();
        let live = live_after(&own);
        let return_address = Registers::of("a0");
        let mut free_before = false;
        for (index, text) in own.iter().enumerate() {
            let instruction = Instruction::parse(text);
            let line = function.start + index;
            let free = !live[index].touches(return_address);
            if let Some(instruction) = instruction.as_ref().filter(|i| may_move(i)) {
                let spelled = spell(instruction, literals);
                let next = self.texts.len();
                let id = *ids.entry(spelled.clone()).or_insert(next);
                if id == next {
                    let kind = kind(instruction);
                    self.texts.push(Text { spelled, size: instruction.size(), kind });
                }
                // Only its own reading and writing can make a difference between before and after.
                self.steps.push(Step { id, line, free: (free_before, free) });
            } else if instruction.is_some() || label(text).is_some() {
                self.steps.push(Step { id: usize::MAX, line, free: (false, false) });
            }
            free_before = free;
        }
        self.steps.push(Step { id: usize::MAX, line: function.end, free: (false, false) });
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Index of the line of a step.
    pub(super) fn line(&self, step: usize) -> usize {
        self.steps[step].line
    }

    /// The instructions of steps that can be moved.
    pub(super) fn texts(&self, steps: Range<usize>) -> impl Iterator<Item = &str> {
        self.steps[steps].iter().map(|step| self.texts[step.id].spelled.as_str())
    }

    /// The ids of steps, or none if one of them cannot be moved.
    pub(super) fn ids(&self, steps: Range<usize>) -> Option<Vec<usize>> {
        self.steps[steps].iter().map(|step| Some(step.id).filter(|id| *id != usize::MAX)).collect()
    }

    /// Whether the steps, all of which can be moved, can be called as a run of their own.
    pub(super) fn is_run(&self, steps: Range<usize>) -> bool {
        let steps = &self.steps[steps];
        let Some((last, others)) = steps.split_last() else { return false };
        let free_before = steps.first().is_some_and(|step| step.free.0);
        let kind = |step: &Step| self.texts[step.id].kind;
        let has = |steps: &[Step], wanted: Kind| steps.iter().any(|step| kind(step) == wanted);
        if !free_before || has(others, Kind::Return) {
            return false;
        }
        if kind(last) == Kind::Return {
            return has(others, Kind::Restore);
        }
        let is_plain = !others.iter().any(|step| kind(step) != Kind::Other);
        is_plain && (kind(last) == Kind::Call || kind(last) == Kind::Other && last.free.1)
    }

    /// How many bytes a run of these takes: in its place, and as a function of its own.
    pub(super) fn sizes(&self, ids: &[usize]) -> (usize, usize) {
        /// A call from a function beside what is called.
        const JUMP: usize = 3;
        /// A load of the address, the address, and a jump there.
        const FAR_JUMP: usize = 10;
        const RETURN: usize = 2;
        let here: usize = ids.iter().map(|id| self.texts[*id].size).sum();
        let last = ids.last().map(|id| &self.texts[*id]);
        let moved = match last.map(|text| text.kind) {
            Some(Kind::Return) => here,
            Some(Kind::Call) => {
                let is_near = last.and_then(|text| operands(&text.spelled, "call0"));
                let is_near = is_near.is_some_and(|name| name.starts_with("_R"));
                here - JUMP + if is_near { JUMP } else { FAR_JUMP }
            }
            _ => here + RETURN,
        };
        // The next function begins at a multiple of four.
        (here, moved.next_multiple_of(4))
    }
}

/// A return as it is spelled.
pub(super) const RETURN: &str = "\tret\t";

fn kind(instruction: &Instruction<'_>) -> Kind {
    match instruction.name {
        "ret" => Kind::Return,
        "call0" => Kind::Call,
        "l32i" if instruction.operand(0) == "a0" => Kind::Restore,
        _ if instruction.writes().touches(Registers::of("a1")) => Kind::Stack,
        _ => Kind::Other,
    }
}

/// Whether an instruction may be in a run: what it does must not depend on where it is.
fn may_move(instruction: &Instruction<'_>) -> bool {
    let return_address = Registers::of("a0");
    let touched = instruction.reads() | instruction.writes();
    match instruction.name {
        "ret" => true,
        // What is shared already is called where it is: its own return address may be needed.
        "call0" => !instruction.operand(0).starts_with(PREFIX),
        "l32i" if instruction.operand(0) == "a0" => instruction.operand(1) == "a1",
        _ => instruction.is_plain() && !touched.touches(return_address),
    }
}

/// The instruction as it is compared: with the value of a literal in the place of its label.
fn spell(instruction: &Instruction<'_>, literals: &HashMap<&str, &str>) -> String {
    let operands = instruction.operands.iter().map(|o| *literals.get(o).unwrap_or(o));
    format!("\t{}\t{}", instruction.name, operands.collect::<Vec<_>>().join(", "))
}
