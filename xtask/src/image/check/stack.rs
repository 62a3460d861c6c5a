//! How deep the stack gets: the deepest way from a function down.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail};

use super::calls::{Calls, Reached};
use super::image::{Image, ROM};
use super::notes::FILE;

/// The deepest way from a function down.
#[derive(Clone, Debug, Default)]
pub(super) struct Depth {
    pub(super) bytes: u32,
    /// Each function on the way, with what the stack holds where it calls the next one.
    path: Vec<(u32, u32)>,
}

impl Depth {
    /// The deeper one of two.
    pub(super) fn deeper(self, other: Self) -> Self {
        if other.bytes > self.bytes { other } else { self }
    }

    /// The way, for people.
    pub(super) fn shown<'a>(&'a self, image: &'a Image) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            self.path.iter().try_for_each(|(entry, bytes)| {
                writeln!(f, "    {bytes:>6}  {}", image.name(*entry))
            })
        })
    }
}

/// A function, and how often each one that may recur is at work already.
type Key = (u32, Vec<(u32, u8)>);

/// The search for deepest ways.
pub(super) struct Search<'a> {
    calls: &'a Calls<'a>,
    in_interrupt: bool,
    known: BTreeMap<Key, Depth>,
    /// What is at work.
    way: Vec<u32>,
    /// How often each function that may recur is at work.
    recurring: Vec<(u32, u8)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(calls: &'a Calls<'a>, in_interrupt: bool) -> Self {
        Self { calls, in_interrupt, known: BTreeMap::new(), way: Vec::new(), recurring: Vec::new() }
    }

    /// The deepest way from `entry` down.
    ///
    /// # Errors
    /// When a function calls itself, over others or not, and nobody has said how often; when a call leads nobody knows
    /// where; when the stack pointer of a function cannot be followed.
    pub(super) fn deepest(&mut self, entry: u32) -> Result<Depth> {
        let image = self.calls.image;
        if !self.calls.notes.counts(&image.name(entry), self.in_interrupt) {
            return Ok(Depth { bytes: 0, path: vec![(entry, 0)] });
        }
        if ROM.contains(&entry) {
            let bytes = self.calls.notes.rom_stack(&image.name(entry));
            let bytes = bytes.with_context(|| {
                format!("what {} of the mask ROM takes is not in {FILE}", image.name(entry))
            })?;
            return Ok(Depth { bytes, path: vec![(entry, bytes)] });
        }
        let key = (entry, self.recurring.clone());
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let times = self.calls.notes.times(&image.name(entry));
        let at_work = self.recurring.iter().position(|(it, _)| *it == entry);
        match (times, at_work) {
            (None, _) if self.way.contains(&entry) => {
                let cycle: Vec<u32> =
                    self.way.iter().copied().skip_while(|it| *it != entry).collect();
                // One that may recur ends it.
                if !self.recurring.iter().any(|(it, _)| cycle.contains(it)) {
                    let names: Vec<String> = cycle.iter().map(|it| image.name(*it)).collect();
                    bail!("{FILE} does not say how often this recurs: {}", names.join(" -> "));
                }
            }
            (Some(times), Some(at)) if self.recurring[at].1 >= times => return Ok(Depth::default()),
            (Some(_), Some(at)) => self.recurring[at].1 += 1,
            (Some(_), None) => self.recurring.push((entry, 1)),
            (None, _) => {}
        }
        self.way.push(entry);
        let found = self.through(entry);
        self.way.pop();
        self.recurring.clone_from(&key.1);
        let found = found?;
        self.known.insert(key, found.clone());
        Ok(found)
    }

    /// The deepest way through a function whose entry is noted already.
    fn through(&mut self, entry: u32) -> Result<Depth> {
        let image = self.calls.image;
        let function = self.calls.function(entry);
        let name = image.name(entry);
        let lost_stack = function.lost_stack.first().filter(|_| {
            // Written by hand, and read by people.
            !self.calls.notes.leaves_stack(&name)
        });
        if let Some(at) = function.lost.first().or(lost_stack) {
            bail!("{name} cannot be followed at {at:#x} ({})", image.name(*at));
        }
        let mut deepest = Depth { bytes: function.frame, path: vec![(entry, function.frame)] };
        for (at, call) in &function.calls {
            let (reached, others) = match self.calls.reached(entry, *at, call) {
                Reached::These(these, others) => (these, others),
                Reached::Unknown(what) => {
                    bail!("{FILE} does not say where this leads: {what}")
                }
            };
            if call.depth + others > deepest.bytes {
                let path = vec![(entry, call.depth), (*at, others)];
                deepest = Depth { bytes: call.depth + others, path };
            }
            for callee in reached {
                let below = self.deepest(callee)?;
                let bytes = call.depth + below.bytes;
                if bytes > deepest.bytes {
                    let path = [&[(entry, call.depth)], below.path.as_slice()].concat();
                    deepest = Depth { bytes, path };
                }
            }
        }
        Ok(deepest)
    }
}
