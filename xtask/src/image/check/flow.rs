//! What a function does to the stack pointer, whom it calls, and which constants it has in hand: by following each way
//! through it, with what is known of each register.
//!
//! A function is all that is reached from its entry without a call, wherever that lies: tail calls, and the runs of
//! instructions that functions share (`firmware/shrink/outline`), belong to each that goes there.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::decode::{Instruction, Op, Register, STACK, decode};
use super::image::{FLASH, Image, ROM, SHARED};

/// What is known of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Unknown,
    Constant(u32),
    /// One of these addresses of code.
    OneOf(Rc<BTreeSet<u32>>),
    /// So far from where the stack pointer was at the entry.
    Stack(i32),
    /// An address in the table that begins here.
    In(u32),
    /// A word of the table that begins here.
    Of(u32),
    /// What a variable holds: the word at this address.
    Variable(u32),
    /// The word at this offset of something unknown.
    Field(u32),
    /// Where this use of a run of shared instructions returns to.
    Back(Run),
}

/// The most functions among which a pointer chooses.
const FEW: usize = 24;

/// The addresses of code that a value may be, if it is one.
fn addresses(value: &Value) -> Option<BTreeSet<u32>> {
    match value {
        Value::Constant(it) if (ROM.start..FLASH.end).contains(it) => Some([*it].into()),
        Value::OneOf(few) => Some(few.as_ref().clone()),
        _ => None,
    }
}

impl Value {
    /// What is known whichever of the two it is.
    fn meet(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        match (addresses(self), addresses(other)) {
            (Some(mut one), Some(mut other)) if one.len() + other.len() <= FEW => {
                one.append(&mut other);
                Self::OneOf(Rc::new(one))
            }
            _ => Self::Unknown,
        }
    }
}

/// All that is known at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    registers: [Value; 16],
    /// Words on the stack, by where they are from the entry's stack pointer.
    slots: Rc<BTreeMap<i32, Value>>,
}

impl State {
    fn get(&self, register: Register) -> &Value {
        &self.registers[usize::from(register)]
    }

    fn set(&mut self, register: Register, value: Value) {
        self.registers[usize::from(register)] = value;
    }

    /// What is known whichever of two ways was taken.
    fn meet(&self, other: &Self) -> Self {
        let mut met = self.clone();
        for (one, other) in met.registers.iter_mut().zip(&other.registers) {
            if one != other {
                *one = one.meet(other);
            }
        }
        if met.slots != other.slots {
            let both = met
                .slots
                .iter()
                .filter_map(|(slot, value)| Some((*slot, value.meet(other.slots.get(slot)?))));
            met.slots = Rc::new(both.collect());
        }
        met
    }

    /// After a function has been called.
    fn after_call(&self) -> Self {
        let registers = [const { Value::Unknown }; 16];
        let mut after = Self { registers, slots: Rc::clone(&self.slots) };
        for register in PRESERVED {
            after.set(register, self.get(register).clone());
        }
        after
    }
}

/// The use of a run of shared instructions: its number; 0 outside of one.
type Run = usize;
/// An instruction, in the use of a run.
type Place = (u32, Run);

/// Whom a call reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    Known(u32),
    /// What is known of the pointer.
    Pointer(Value),
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) callee: Callee,
    /// How deep the stack is there, in bytes.
    pub(super) depth: u32,
    /// The first two arguments.
    pub(super) arguments: [Value; 2],
}

/// An access of less than a word.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    pub(super) at: u32,
    /// The register that is loaded or stored.
    pub(super) register: Register,
    pub(super) is_store: bool,
    pub(super) base: Value,
    pub(super) offset: u32,
}

/// What is found of a function.
#[derive(Debug, Default)]
pub(super) struct Function {
    /// Its deepest point without calls, in bytes.
    pub(super) frame: u32,
    /// Where, and what is called; several times for a place in shared instructions.
    pub(super) calls: Vec<(u32, Call)>,
    /// Each instruction, with those that may follow.
    pub(super) flow: BTreeMap<u32, BTreeSet<u32>>,
    /// The constants that it loads from code: where, from which address, and what.
    pub(super) literals: Vec<(u32, u32, u32)>,
    pub(super) narrow: Vec<Narrow>,
    /// Instructions after which the stack pointer is not known.
    pub(super) lost_stack: BTreeSet<u32>,
    /// Jumps that lead nobody knows where, and bytes that are no instruction.
    pub(super) lost: BTreeSet<u32>,
}

const RETURN_ADDRESS: Register = 0;
/// How many runs may use each other.
const NESTED: usize = 8;

/// Registers that a called function leaves as they were (call0 ABI), the stack pointer among them.
const PRESERVED: [Register; 5] = [1, 12, 13, 14, 15];

/// Follows a function.
pub(super) fn follow(image: &Image, entry: u32) -> Function {
    let mut follower = Follower { image, runs: vec![(0, 0)] };
    let mut function = Function::default();
    let mut states: BTreeMap<Place, State> = BTreeMap::new();
    let registers = [const { Value::Unknown }; 16];
    let mut start = State { registers, slots: Rc::default() };
    start.set(STACK, Value::Stack(0));
    let mut waiting = vec![((entry, 0), start)];
    while let Some((place, arriving)) = waiting.pop() {
        let state = match states.get(&place) {
            None => arriving,
            Some(known) => {
                let met = known.meet(&arriving);
                if met == *known {
                    continue;
                }
                met
            }
        };
        let at = place.0;
        let decoded = image.code_at(at).and_then(|bytes| decode(at, bytes));
        let Some(instruction) = decoded else {
            function.lost.insert(at);
            continue;
        };
        if image.name_within(at, instruction.length) {
            // Filling behind a call that does not come back.
            continue;
        }
        let Some((after, next)) = follower.step(place, instruction, &state) else {
            function.lost.insert(at);
            continue;
        };
        let knows_stack = |state: &State| matches!(state.get(STACK), Value::Stack(_));
        if knows_stack(&state) && !knows_stack(&after) {
            function.lost_stack.insert(at);
        }
        states.insert(place, state);
        function.flow.entry(at).or_default().extend(next.iter().map(|(to, _)| *to));
        waiting.extend(next.into_iter().map(|next| (next, after.clone())));
    }
    record(image, &mut function, &states);
    function
}

struct Follower<'a> {
    image: &'a Image,
    /// Where each use of a run returns to, and in which use.
    runs: Vec<Place>,
}

impl Follower<'_> {
    /// What is known after an instruction, and which may follow. `None` when runs use each other endlessly.
    fn step(
        &mut self,
        (at, run): Place,
        instruction: Instruction,
        state: &State,
    ) -> Option<(State, Vec<Place>)> {
        let next = at + instruction.length;
        let mut after = state.clone();
        let follow = match instruction.op {
            Op::Jump(to) => vec![(to, run)],
            Op::Branch(to) => vec![(next, run), (to, run)],
            Op::End => vec![],
            Op::Return => self.back(state),
            Op::JumpTo(register) => match state.get(register) {
                Value::Constant(to) if !ROM.contains(to) => vec![(*to, run)],
                Value::OneOf(few) if few.iter().all(|to| !ROM.contains(to)) => {
                    few.iter().map(|to| (*to, run)).collect()
                }
                Value::Of(table) => {
                    table_of(self.image, *table).into_iter().map(|to| (to, run)).collect()
                }
                // A tail call of somebody else, which returns for us.
                _ => {
                    after = state.after_call();
                    self.back(state)
                }
            },
            Op::Call(to) if self.image.name(to).starts_with(SHARED) => {
                let inner = self.enter((next, run))?;
                after.set(RETURN_ADDRESS, Value::Back(inner));
                vec![(to, inner)]
            }
            Op::Call(_) | Op::CallTo(_) => {
                after = state.after_call();
                vec![(next, run)]
            }
            Op::Store { value, base, offset, bytes: 4 } => {
                if let Value::Stack(base) = state.get(base) {
                    let slot = base.wrapping_add_unsigned(offset);
                    let value = state.get(value).clone();
                    Rc::make_mut(&mut after.slots).insert(slot, value);
                }
                vec![(next, run)]
            }
            op => {
                if let Some((to, value)) = set(self.image, op, state) {
                    after.set(to, value);
                }
                vec![(next, run)]
            }
        };
        Some((after, follow))
    }

    /// Where a return leads within the function.
    fn back(&self, state: &State) -> Vec<Place> {
        match state.get(RETURN_ADDRESS) {
            Value::Back(run) => vec![self.runs[*run]],
            _ => vec![],
        }
    }

    /// The number of a use that returns to `place`.
    fn enter(&mut self, place: Place) -> Option<Run> {
        if let Some(run) = self.runs.iter().skip(1).position(|it| *it == place) {
            return Some(run + 1);
        }
        let outer =
            std::iter::successors(Some(place.1), |run| (*run != 0).then(|| self.runs[*run].1));
        if outer.count() > NESTED {
            return None;
        }
        self.runs.push(place);
        Some(self.runs.len() - 1)
    }
}

/// The register that an instruction sets, and to what.
fn set(image: &Image, op: Op, state: &State) -> Option<(Register, Value)> {
    let value = |register: Register| state.get(register).clone();
    Some(match op {
        Op::Literal { to, at } => {
            (to, image.constant_at(at).map_or(Value::Unknown, Value::Constant))
        }
        Op::Constant { to, value } => (to, Value::Constant(value)),
        Op::Copy { to, from } => (to, value(from)),
        Op::AddImmediate { to, from, value: more } => (to, plus(value(from), more)),
        Op::Add { to, a, b } => (
            to,
            match (value(a), value(b)) {
                (Value::Constant(more), it @ Value::Stack(_)) => plus(it, more as i32),
                (it @ Value::Stack(_), Value::Constant(more)) => plus(it, more as i32),
                (Value::Constant(one), Value::Constant(other)) => {
                    Value::Constant(one.wrapping_add(other))
                }
                (Value::Constant(base), _) | (_, Value::Constant(base)) => Value::In(base),
                _ => Value::Unknown,
            },
        ),
        Op::AddScaled { to, base } => match value(base) {
            Value::Constant(base) => (to, Value::In(base)),
            _ => (to, Value::Unknown),
        },
        Op::Subtract { to, a, b } => match (value(a), value(b)) {
            (it, Value::Constant(less)) => (to, plus(it, (less as i32).wrapping_neg())),
            _ => (to, Value::Unknown),
        },
        Op::Load { to, base, offset, bytes: 4 } => (
            to,
            match value(base) {
                Value::Constant(base) => {
                    let at = base.wrapping_add(offset);
                    image.constant_at(at).map_or(Value::Variable(at), Value::Constant)
                }
                Value::In(table) => Value::Of(table.wrapping_add(offset)),
                Value::Stack(base) => {
                    let slot = base.wrapping_add_unsigned(offset);
                    state.slots.get(&slot).cloned().unwrap_or(Value::Unknown)
                }
                _ => Value::Field(offset),
            },
        ),
        Op::Load { to, .. } | Op::Other(Some(to)) => (to, Value::Unknown),
        _ => return None,
    })
}

fn plus(value: Value, more: i32) -> Value {
    match value {
        Value::Constant(it) => Value::Constant(it.wrapping_add_signed(more)),
        Value::Stack(it) => Value::Stack(it.wrapping_add(more)),
        Value::In(table) => Value::In(table.wrapping_add_signed(more)),
        _ => Value::Unknown,
    }
}

/// The most entries that a table of addresses may have.
const TABLE: u32 = 256;

/// Where a jump through a table may go: its words, as long as they are addresses in one function, since another table
/// may follow.
fn table_of(image: &Image, table: u32) -> Vec<u32> {
    let words = (0..TABLE).map_while(|index| image.constant_at(table + index * 4));
    let whose = image.constant_at(table).map(|first| image.named(first));
    words.take_while(|to| image.is_code(*to) && Some(image.named(*to)) == whose).collect()
}

/// Notes what the instructions do, with all that is known before each.
fn record(image: &Image, function: &mut Function, states: &BTreeMap<Place, State>) {
    for (&(at, _), state) in states {
        let Some(instruction) = image.code_at(at).and_then(|bytes| decode(at, bytes)) else {
            continue;
        };
        let value = |register: Register| state.get(register).clone();
        let depth = match value(STACK) {
            Value::Stack(offset) => offset.min(0).unsigned_abs(),
            _ => 0,
        };
        function.frame = function.frame.max(depth);
        let mut call = |callee| {
            function.calls.push((at, Call { callee, depth, arguments: [value(2), value(3)] }));
        };
        let pointer = |register| match value(register) {
            Value::Constant(to) => Callee::Known(to),
            value => Callee::Pointer(value),
        };
        match instruction.op {
            Op::Call(to) if image.name(to).starts_with(SHARED) => {}
            Op::Call(to) => call(Callee::Known(to)),
            Op::CallTo(register) => call(pointer(register)),
            Op::JumpTo(register) => match value(register) {
                Value::Constant(to) if !ROM.contains(&to) => {}
                Value::OneOf(few) if few.iter().all(|to| !ROM.contains(to)) => {}
                Value::Of(_) => {}
                _ => call(pointer(register)),
            },
            Op::Literal { at: literal, .. } => {
                let word = image.constant_at(literal).unwrap_or_default();
                function.literals.push((at, literal, word));
            }
            Op::Load { to: register, base, offset, bytes: 1 | 2 } => {
                let base = value(base);
                function.narrow.push(Narrow { at, register, is_store: false, base, offset });
            }
            Op::Store { value: register, base, offset, bytes: 1 | 2 } => {
                let base = value(base);
                function.narrow.push(Narrow { at, register, is_store: true, base, offset });
            }
            _ => {}
        }
    }
}
