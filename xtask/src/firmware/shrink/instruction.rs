//! What an instruction of the LX106 reads and writes, as far as the passes over assembler text need to know.

use std::ops::BitOr;

/// A set of the registers a0 to a15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers(u16);

impl Registers {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self(u16::MAX);
    /// What a call may read: its arguments and the stack.
    const ARGUMENTS: Self = Self(0b0000_0000_1111_1110);
    /// What a call may change: the return address, the arguments, and a8 to a11. a1 comes back as it was.
    const CLOBBERED: Self = Self(0b0000_1111_1111_1101);
    /// What a caller may look at after `ret`: results (a2 to a5), stack, return address, and what a function must keep.
    const AT_RETURN: Self = Self(0b1111_0000_0011_1111);

    /// The register that `operand` names, or none.
    pub(super) fn of(operand: &str) -> Self {
        let number = operand.strip_prefix('a').and_then(|digits| digits.parse::<u32>().ok());
        number.filter(|number| *number < 16).map_or(Self::NONE, |number| Self(1 << number))
    }

    #[cfg(test)]
    pub(super) fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    pub(super) fn touches(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl BitOr for Registers {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// Instructions that compute their first operand from the others and do nothing else.
const PURE: [&str; 30] = [
    "abs", "add", "addi", "addmi", "addx2", "addx4", "addx8", "and", "extui", "l32r", "movi",
    "mul16s", "mul16u", "mull", "neg", "nsa", "nsau", "or", "sll", "slli", "src", "sra", "srai",
    "srl", "srli", "sub", "subx2", "subx4", "subx8", "xor",
];
/// Instructions that fill their first operand from memory.
const LOADS: [&str; 4] = ["l8ui", "l16ui", "l16si", "l32i"];
const STORES: [&str; 3] = ["s8i", "s16i", "s32i"];
/// Instructions that take a shift amount from their operand.
const SHIFT_AMOUNTS: [&str; 4] = ["ssl", "ssr", "ssai", "ssa8l"];

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow<'a> {
    /// To the next one.
    On,
    /// To the next one or to a label.
    Branch(&'a str),
    /// To a label.
    Jump(&'a str),
    /// To the caller.
    Return,
    /// Nowhere: it stops the program.
    Stop,
    /// Anywhere, as far as is known.
    Unknown,
}

/// One instruction, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction<'a> {
    pub(super) name: &'a str,
    pub(super) operands: Vec<&'a str>,
}

impl<'a> Instruction<'a> {
    /// The instruction of a line; none for labels, directives, comments and empty lines.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let code = line.split('#').next().unwrap_or_default();
        if !code.starts_with(char::is_whitespace) {
            return None;
        }
        let code = code.trim();
        if code.is_empty() || code.starts_with('.') {
            return None;
        }
        let (name, operands) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
        let operands = operands.trim();
        let operands =
            if operands.is_empty() { Vec::new() } else { operands.split(", ").collect() };
        Some(Self { name, operands })
    }

    pub(super) fn operand(&self, index: usize) -> &'a str {
        self.operands.get(index).copied().unwrap_or_default()
    }

    /// An operand as a number.
    pub(super) fn number(&self, index: usize) -> Option<i32> {
        self.operand(index).parse().ok()
    }

    fn registers(&self, from: usize) -> Registers {
        let operands = self.operands.iter().skip(from);
        operands.fold(Registers::NONE, |all, operand| all | Registers::of(operand))
    }

    fn is_branch(&self) -> bool {
        self.name.starts_with('b') && self.name != "break"
    }

    pub(super) fn is_conditional_move(&self) -> bool {
        matches!(self.name, "moveqz" | "movnez" | "movltz" | "movgez")
    }

    /// Whether it does nothing but compute its first operand: it can go if nobody reads that.
    pub(super) fn is_pure(&self) -> bool {
        PURE.contains(&self.name)
    }

    /// Whether it sets its first operand whatever that was before, so that another register can take its place.
    pub(super) fn sets_first(&self) -> bool {
        self.is_pure() || LOADS.contains(&self.name)
    }

    pub(super) fn is_load(&self) -> bool {
        LOADS.contains(&self.name)
    }

    pub(super) fn is_store(&self) -> bool {
        STORES.contains(&self.name)
    }

    /// Whether its effect is known and it leaves control to the next instruction, calls apart.
    pub(super) fn is_plain(&self) -> bool {
        self.sets_first()
            || self.is_store()
            || self.is_conditional_move()
            || SHIFT_AMOUNTS.contains(&self.name)
            || self.name == "memw"
    }

    /// What it may read.
    pub(super) fn reads(&self) -> Registers {
        if self.sets_first() || self.name == "rsr" {
            self.registers(1)
        } else if self.is_plain() || self.is_branch() || self.name == "wsr" {
            self.registers(0)
        } else {
            match self.name {
                "j" | "ill" | "ill.n" | "rsync" => Registers::NONE,
                "call0" | "callx0" => Registers::ARGUMENTS | self.registers(0),
                "ret" => Registers::AT_RETURN,
                // Unknown, or a jump to who knows where.
                _ => Registers::ALL,
            }
        }
    }

    /// What it sets for certain.
    pub(super) fn writes(&self) -> Registers {
        match self.name {
            "call0" | "callx0" => Registers::CLOBBERED,
            _ if self.sets_first() || self.name == "rsr" => Registers::of(self.operand(0)),
            _ => Registers::NONE,
        }
    }

    /// How many bytes it takes, once the assembler has chosen the short form where there is one.
    pub(super) fn size(&self) -> usize {
        let near = |index, range: std::ops::RangeInclusive<i32>| {
            self.number(index).is_some_and(|number| range.contains(&number))
        };
        let is_short = match self.name {
            "l32i" | "s32i" => near(2, 0..=60),
            "addi" => near(2, -1..=15) && !near(2, 0..=0),
            "movi" => near(1, -32..=95),
            "or" => self.operand(1) == self.operand(2),
            "add" | "ret" | "ill.n" => true,
            _ => false,
        };
        if is_short { 2 } else { 3 }
    }

    pub(super) fn flow(&self) -> Flow<'a> {
        match self.name {
            "j" => Flow::Jump(self.operand(0)),
            "ret" => Flow::Return,
            "ill" | "ill.n" => Flow::Stop,
            "call0" | "callx0" | "rsync" | "rsr" | "wsr" => Flow::On,
            _ if self.is_branch() => {
                self.operands.last().map_or(Flow::Unknown, |l| Flow::Branch(l))
            }
            _ if self.is_plain() => Flow::On,
            _ => Flow::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(line: &str) -> Instruction<'_> {
        Instruction::parse(line).unwrap()
    }

    fn set(names: &[&str]) -> Registers {
        names.iter().fold(Registers::NONE, |all, name| all | Registers::of(name))
    }

    #[test]
    fn labels_directives_and_comments_are_no_instructions() {
        for line in [".LBB0_1:", "f:", "\t.literal .LCPI0_0, f", "# %bb.1:", "\t# a note", ""] {
            assert_eq!(Instruction::parse(line), None);
        }
    }

    #[test]
    fn operands_are_read_and_written_as_the_instruction_set_says() {
        let load = instruction("\tl32i\ta2, a1, 12                        # 4-byte load");
        assert_eq!((load.reads(), load.writes()), (set(&["a1"]), set(&["a2"])));
        let store = instruction("\ts8i\ta2, a1, 12");
        assert_eq!((store.reads(), store.writes()), (set(&["a1", "a2"]), set(&[])));
        let moved = instruction("\tmovnez\ta2, a3, a4");
        assert_eq!((moved.reads(), moved.writes()), (set(&["a2", "a3", "a4"]), set(&[])));
        let branch = instruction("\tbeqi\ta8, 3, .LBB0_7");
        assert_eq!((branch.reads(), branch.flow()), (set(&["a8"]), Flow::Branch(".LBB0_7")));
    }

    #[test]
    fn a_call_reads_all_arguments_and_spoils_no_register_that_is_kept() {
        let call = instruction("\tcall0\tf");
        assert!(call.reads().contains(set(&["a2", "a7"])));
        assert!(call.writes().contains(set(&["a0", "a2", "a11"])));
        assert!(!call.writes().touches(set(&["a1", "a12", "a15"])));
    }

    #[test]
    fn what_is_not_known_reads_everything_and_goes_anywhere() {
        let odd = instruction("\tfoo\ta2, a3");
        assert_eq!(
            (odd.reads(), odd.writes(), odd.flow()),
            (Registers::ALL, Registers::NONE, Flow::Unknown)
        );
        assert_eq!(instruction("\tjx\ta2").flow(), Flow::Unknown);
    }
}
