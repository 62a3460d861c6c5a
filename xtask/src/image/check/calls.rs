//! Who calls whom, calls through pointers included: by what the code shows, and else by what `firmware/calls.toml` says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::flow::{Call, Callee, Function, Value, follow};
use super::image::{Image, ROM};
use super::notes::Notes;

/// A program with its functions, each of which is followed once.
pub(super) struct Calls<'a> {
    pub(super) image: &'a Image,
    pub(super) notes: &'a Notes,
    functions: RefCell<BTreeMap<u32, Rc<Function>>>,
    /// The rules that were needed, by their index.
    used: RefCell<BTreeSet<usize>>,
}

/// Whom a call may reach.
pub(super) enum Reached {
    /// These, and what others take of the stack that are not followed.
    These(Vec<u32>, u32),
    /// Nobody knows; the call, for people.
    Unknown(String),
}

impl<'a> Calls<'a> {
    pub(super) fn new(image: &'a Image, notes: &'a Notes) -> Self {
        Self { image, notes, functions: RefCell::default(), used: RefCell::default() }
    }

    pub(super) fn function(&self, entry: u32) -> Rc<Function> {
        if let Some(function) = self.functions.borrow().get(&entry) {
            return Rc::clone(function);
        }
        let function = Rc::new(follow(self.image, entry));
        self.functions.borrow_mut().insert(entry, Rc::clone(&function));
        function
    }

    /// Whom a call reaches that stands at `at`, in the function of `entry`.
    pub(super) fn reached(&self, entry: u32, at: u32, call: &Call) -> Reached {
        let value = match &call.callee {
            Callee::Known(to) => return Reached::These(vec![*to], 0),
            Callee::Pointer(Value::OneOf(few)) => {
                return Reached::These(few.iter().copied().collect(), 0);
            }
            Callee::Pointer(value) => value,
        };
        let places = [self.image.name(entry), self.function_at(at)];
        if places.iter().any(|place| self.notes.leaves_stack(place)) {
            return Reached::These(Vec::new(), 0);
        }
        let loaded = self.describe(value);
        match self.notes.pointers(&places, &loaded) {
            Some((index, pointer)) => {
                self.used.borrow_mut().insert(index);
                let names = self.image.names();
                let named = names.filter(|(_, name)| pointer.to.iter().any(|it| it.matches(name)));
                let mut these: Vec<u32> = named.map(|(address, _)| address).collect();
                these.extend(pointer.words.iter().filter_map(|place| self.image.word(place)));
                Reached::These(these, pointer.bytes)
            }
            None => Reached::Unknown(format!(
                "{} (in {}) calls through {loaded}",
                self.image.name(at),
                places[0]
            )),
        }
    }

    /// The name of the code around an address, without the distance.
    fn function_at(&self, at: u32) -> String {
        let name = self.image.name(at);
        name.rsplit_once("+0x").map_or(name.as_str(), |(name, _)| name).to_owned()
    }

    /// A pointer, as `firmware/calls.toml` has it.
    fn describe(&self, value: &Value) -> String {
        match value {
            Value::Field(offset) => format!("field {offset}"),
            Value::Variable(at) => format!("variable {}", self.image.variable(*at)),
            Value::Of(table) => format!("table {table:#x}"),
            _ => "a pointer".to_owned(),
        }
    }

    /// All functions that are reached from `roots`, themselves included, and the calls that lead nobody knows where.
    /// What is in the mask ROM is not followed, nor what `is_known`.
    pub(super) fn closure(
        &self,
        roots: &[u32],
        is_known: impl Fn(&str) -> bool,
    ) -> (BTreeMap<u32, u32>, Vec<String>) {
        let mut callers = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut waiting: Vec<(u32, u32)> = roots.iter().map(|root| (*root, *root)).collect();
        while let Some((entry, caller)) = waiting.pop() {
            if ROM.contains(&entry)
                || callers.contains_key(&entry)
                || is_known(&self.image.name(entry))
            {
                continue;
            }
            callers.insert(entry, caller);
            for (at, call) in &self.function(entry).calls {
                match self.reached(entry, *at, call) {
                    Reached::These(these, _) => {
                        waiting.extend(these.into_iter().map(|it| (it, entry)));
                    }
                    Reached::Unknown(what) => unknown.push(what),
                }
            }
        }
        unknown.sort();
        unknown.dedup();
        (callers, unknown)
    }

    /// All functions: what has a name, and what is called.
    pub(super) fn everything(&self) -> BTreeSet<u32> {
        let named: Vec<u32> = self.image.functions().collect();
        self.closure(&named, |_| false).0.into_keys().collect()
    }

    /// The indices of the rules that were needed.
    pub(super) fn used(&self) -> BTreeSet<usize> {
        self.used.borrow().clone()
    }
}
