//! What runs while flash cannot be read must not be in flash, nor read from there: interrupt handlers, and everything
//! between switching the cache off and on.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{Calls, Reached};
use super::flow::{Callee, Function, Value};
use super::image::FLASH;

/// Where the chip goes in exceptions and interrupts.
const VECTORS: [&str; 5] = [
    "_DebugExceptionVector",
    "_NMIExceptionVector",
    "_KernelExceptionVector",
    "_UserExceptionVector",
    "_DoubleExceptionVector",
];

/// Functions that register their second argument as a handler of interrupts or exceptions.
const REGISTER: [&str; 2] = ["ets_isr_attach", "_xtos_set_exception_handler"];

/// Functions that switch the cache off, and on.
const OFF: [&str; 2] = ["Cache_Read_Disable", "Cache_Read_Disable_2"];
const ON: [&str; 3] = ["Cache_Read_Enable", "Cache_Read_Enable_2", "Cache_Read_Enable_New"];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is wrong, for people.
    pub(super) faults: Vec<String>,
    /// Handlers of interrupts, by their entries.
    pub(super) handlers: Vec<u32>,
    /// How many functions run while flash cannot be read.
    pub(super) functions: usize,
}

/// Checks the whole program.
pub(super) fn check(calls: &Calls<'_>, all: &BTreeSet<u32>) -> Found {
    let image = calls.image;
    let mut found = Found::default();
    let find = |names: &[&str]| -> BTreeSet<u32> {
        names.iter().filter_map(|name| image.find(name)).collect()
    };
    let (off, on, register) = (find(&OFF), find(&ON), find(&REGISTER));
    // Whom a function calls, with the place; only what is certain is of interest here.
    let known = |function: &Function| -> Vec<(u32, u32, Value)> {
        let calls = function.calls.iter();
        calls
            .filter_map(|(at, call)| match &call.callee {
                Callee::Known(to) => Some((*at, *to, call.arguments[1].clone())),
                Callee::Pointer(_) => None,
            })
            .collect()
    };
    let mut roots: BTreeMap<u32, String> = BTreeMap::new();
    for name in VECTORS {
        match image.find(name) {
            Some(entry) => drop(roots.insert(entry, format!("{name} is an exception vector"))),
            None => found.faults.push(format!("there is no {name}")),
        }
    }
    let mut handlers = BTreeSet::new();
    for entry in all {
        for (at, to, argument) in known(&calls.function(*entry)) {
            if !register.contains(&to) {
                continue;
            }
            match argument {
                Value::Constant(handler) => {
                    handlers.insert(handler);
                    let why = format!("{} registers it as a handler", image.name(*entry));
                    roots.insert(handler, why);
                }
                _ => found.faults.push(format!(
                    "{} registers a handler of interrupts that is not known here",
                    image.name(at)
                )),
            }
        }
    }
    found.handlers = handlers.into_iter().collect();
    let mut dark = Vec::new();
    for entry in all {
        let function = calls.function(*entry);
        let known = known(&function);
        let starts = known.iter().filter(|(_, to, _)| off.contains(to));
        for (at, ..) in starts {
            dark.extend(between(&function, *at, &known, &on).into_iter().map(|at| (*entry, at)));
        }
    }
    for (entry, at) in dark {
        let function = calls.function(entry);
        let name = image.name(entry);
        if FLASH.contains(&at) {
            found.faults.push(format!(
                "{} is in flash, and runs between switching the cache off and on",
                image.name(at)
            ));
        }
        for (_, call) in function.calls.iter().filter(|(place, _)| *place == at) {
            match calls.reached(entry, at, call) {
                Reached::These(these, _) => {
                    let why = format!("{name} calls it with the cache off");
                    roots.extend(these.into_iter().map(|it| (it, why.clone())));
                }
                Reached::Unknown(what) => found.faults.push(format!("with the cache off, {what}")),
            }
        }
    }
    let entries: Vec<u32> = roots.keys().copied().collect();
    let (closure, unknown) = calls.closure(&entries, |name| calls.notes.may_be_in_flash(name));
    found.faults.extend(unknown.into_iter().map(|what| format!("while flash is off, {what}")));
    found.functions = closure.len();
    for (entry, caller) in &closure {
        let why = roots.get(entry).cloned();
        let why = why.unwrap_or_else(|| format!("{} calls it", image.name(*caller)));
        if let Some(fault) = in_flash(calls, *entry, all) {
            found.faults.push(format!("{fault}, and runs while flash cannot be read: {why}"));
        }
    }
    found.faults.sort();
    found.faults.dedup();
    found
}

/// The instructions that may run after the one at `at` until one that switches the cache on, itself included.
fn between(
    function: &Function,
    at: u32,
    known: &[(u32, u32, Value)],
    on: &BTreeSet<u32>,
) -> BTreeSet<u32> {
    let ends: BTreeSet<u32> =
        known.iter().filter(|(_, to, _)| on.contains(to)).map(|(at, ..)| *at).collect();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<u32> = function.flow.get(&at).into_iter().flatten().copied().collect();
    while let Some(at) = waiting.pop() {
        if seen.insert(at) && !ends.contains(&at) {
            waiting.extend(function.flow.get(&at).into_iter().flatten());
        }
    }
    seen
}

/// What of a function is in flash.
fn in_flash(calls: &Calls<'_>, entry: u32, all: &BTreeSet<u32>) -> Option<String> {
    let image = calls.image;
    let function = calls.function(entry);
    let name = image.name(entry);
    if let Some(at) = function.flow.keys().find(|at| FLASH.contains(at)) {
        return Some(format!("{name} is in flash ({at:#x})"));
    }
    let mut literals = function.literals.iter();
    literals.find_map(|(at, literal, value)| {
        if calls.notes.may_read_flash(&name) {
            None
        } else if FLASH.contains(literal) {
            Some(format!("{} takes a constant from flash ({literal:#x})", image.name(*at)))
        } else if FLASH.contains(value) && !all.contains(value) {
            Some(format!("{} has data in flash in hand ({value:#x})", image.name(*at)))
        } else {
            None
        }
    })
}
