//! Checks of a linked image, by its instructions: what a board would only show by not starting, or by an exception at night.
//!
//! - What runs while flash cannot be read is not in flash, nor reads from there (`cache`).
//! - Nothing narrower than a word is read or written where only words go, nor with the stack pointer (`narrow`).
//! - No way through the program takes more of a stack than there is (`stack`).
//!
//! The program is followed from its entries (`flow`), calls through pointers included; what the code does not show of them
//! stands in `firmware/calls.toml`. A call that is neither is told, since what is behind it is not held to any limit.

mod cache;
mod calls;
mod decode;
mod flow;
mod image;
mod narrow;
mod notes;
mod stack;

use std::path::Path;

use anyhow::{Result, ensure};

use crate::budgets::{Bound, Budgets, Held};
use calls::Calls;
use image::Image;
use narrow::Handler;
use notes::Notes;
use stack::{Depth, Search};

/// The node's task, in which everything of ours runs.
const TASK: [&str; 1] = ["node::board::esp8266::entry::run"];
/// What the SDK calls from within functions of its own.
const CALLBACKS: [&str; 9] = [
    "user_pre_init",
    "user_init",
    "node::board::esp8266::time::ring",
    "node::board::esp8266::wifi::handle",
    "node::board::esp8266::wifi::scanned",
    "netif_*",
    "ethernet_input",
    "pbuf_*",
    "dhcp_*",
];
/// What is called on the second stack.
const SECOND: [&str; 1] = ["node::board::esp8266::stack::make::<*>"];
const BOOTLOADER: [&str; 1] = ["boot_main"];

/// What the entry to an interrupt keeps on the stack that is in use (`user-vector.o`: `addi a1, a1, -0x100`), and what the mask
/// ROM's dispatcher may.
const INTERRUPT_FRAME: u32 = 256 + 64;
/// What `lx106_call_on` keeps on the second stack.
const CALL_ON: u32 = 16;

/// What was found of an image.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Depths of stacks, with their limits.
    pub(crate) figures: Vec<Held>,
    /// The deepest ways, for people.
    pub(crate) ways: String,
    /// What could not be held to its limit, and why: calls that lead nobody knows where.
    pub(crate) open: Vec<String>,
    /// How many functions were followed, and how many of them run while flash cannot be read.
    pub(crate) functions: (usize, usize),
}

/// Checks an image of the node with the SDK.
///
/// # Errors
/// When something is wrong with it; the message lists it. Depths of stacks are returned, and not held to their limits, and so is
/// what could not be followed.
pub(crate) fn esp01(elf: &Path, budgets: &Budgets) -> Result<Report> {
    let (image, notes) = (Image::read(elf)?, Notes::read()?);
    let calls = Calls::new(&image, &notes);
    let all = calls.everything();
    let dark = cache::check(&calls, &all);
    let mut faults = dark.faults;
    faults.extend(narrow::check(&calls, &all, Handler::Sdk));
    refuse(elf, &faults)?;
    let mut report = Report { functions: (all.len(), dark.functions), ..Report::default() };
    let mut in_interrupts = Search::new(&calls, true);
    let mut interrupt = Depth::default();
    for handler in dark.handlers {
        match in_interrupts.deepest(handler) {
            Ok(depth) => interrupt = interrupt.deeper(depth),
            Err(error) => report.open.push(format!("an interrupt: {error:#}")),
        }
    }
    let mut search = Search::new(&calls, false);
    let interrupts = INTERRUPT_FRAME + interrupt.bytes;
    let limits = budgets.stack;
    for (what, roots, more, limit) in [
        ("first stack: the task, interrupts", &TASK[..], interrupts, limits.first),
        ("first stack: a callback", &CALLBACKS, 0, limits.callback),
        ("second stack, interrupts", &SECOND, CALL_ON + interrupts, limits.second),
    ] {
        match deepest_of(&mut search, &image, roots) {
            Ok(depth) => report.add(what, &depth, more, limit, &image),
            Err(error) => report.open.push(format!("{what}: {error:#}")),
        }
    }
    let interrupt = interrupt.shown(&image).to_string();
    report.ways += &format!("  an interrupt, {INTERRUPT_FRAME} bytes below these:\n{interrupt}");
    // Of what was not followed to its end, a rule may be for the rest.
    if report.open.is_empty() {
        report.open.extend(
            notes
                .unused(&calls.used())
                .into_iter()
                .map(|rule| format!("{} has a rule that nothing needs: {rule}", notes::FILE)),
        );
    }
    Ok(report)
}

/// Checks the bootloader.
///
/// # Errors
/// As [`esp01`].
pub(crate) fn bootloader(elf: &Path, budgets: &Budgets) -> Result<Report> {
    let (image, notes) = (Image::read(elf)?, Notes::read()?);
    let calls = Calls::new(&image, &notes);
    let all = calls.everything();
    refuse(elf, &narrow::check(&calls, &all, Handler::None))?;
    let mut report = Report { functions: (all.len(), 0), ..Report::default() };
    let depth = deepest_of(&mut Search::new(&calls, false), &image, &BOOTLOADER)?;
    report.add("bootloader's stack", &depth, 0, budgets.stack.first, &image);
    Ok(report)
}

impl Report {
    fn add(&mut self, what: &'static str, depth: &Depth, more: u32, limit: u64, image: &Image) {
        self.figures.push((what, u64::from(depth.bytes + more), Bound::AtMost(limit)));
        self.ways += &format!("  {what}:\n{}", depth.shown(image));
    }
}

/// The deepest way down from any of the functions with these names.
fn deepest_of(search: &mut Search<'_>, image: &Image, roots: &[&str]) -> Result<Depth> {
    let mut deepest = Depth::default();
    for root in roots {
        let entries = image.matching(root);
        ensure!(!entries.is_empty(), "the image has no {root}, from which its stack is measured");
        for entry in entries {
            deepest = deepest.deeper(search.deepest(entry)?);
        }
    }
    Ok(deepest)
}

fn refuse(elf: &Path, faults: &[String]) -> Result<()> {
    ensure!(faults.is_empty(), "{} must not be flashed:\n  {}", elf.display(), faults.join("\n  "));
    Ok(())
}

#[cfg(test)]
mod tests;
