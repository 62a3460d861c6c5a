//! Accesses of less than a word. Data RAM allows them; flash and instruction RAM answer with exception 3, which the SDK's
//! handler makes good, but not for the stack pointer.

use std::collections::BTreeSet;
use std::ops::Range;

use super::calls::Calls;
use super::decode::STACK;
use super::flow::Value;

/// What is read in whole words only: instruction RAM, and the window to flash.
const WORDS_ONLY: Range<u32> = 0x4010_0000..0x4030_0000;
const FLASH: Range<u32> = super::image::FLASH;

/// Whether somebody makes good what whole words do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    /// The SDK does, for loads from anywhere and stores to instruction RAM.
    Sdk,
    /// Nobody does.
    None,
}

/// What is wrong, for people.
pub(super) fn check(calls: &Calls<'_>, all: &BTreeSet<u32>, handler: Handler) -> Vec<String> {
    let image = calls.image;
    let mut faults = BTreeSet::new();
    let misplaced = image.constants().find(|address| WORDS_ONLY.contains(address));
    if let Some(address) = misplaced.filter(|_| handler == Handler::None) {
        faults.insert(format!("there are constants where only code may be ({address:#x})"));
    }
    for entry in all {
        let function = calls.function(*entry);
        let leaves_stack = calls.notes.leaves_stack(&image.name(*entry));
        // So a narrow access over the stack pointer is to data RAM.
        for at in function.lost_stack.iter().filter(|_| !leaves_stack) {
            faults
                .insert(format!("{} sets the stack pointer to what is not known", image.name(*at)));
        }
        for narrow in &function.narrow {
            let place = image.name(narrow.at);
            if narrow.register == STACK {
                faults.insert(format!("{place} uses a1 for less than a word"));
            }
            let Value::Constant(base) = narrow.base else { continue };
            let address = base.wrapping_add(narrow.offset);
            if narrow.is_store && FLASH.contains(&address) {
                faults.insert(format!("{place} stores to flash ({address:#x})"));
            } else if handler == Handler::None && WORDS_ONLY.contains(&address) {
                faults.insert(format!("{place} loads or stores less than a word at {address:#x}"));
            }
        }
    }
    faults.into_iter().collect()
}
