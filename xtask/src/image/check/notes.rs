//! What the code does not show by itself: `firmware/calls.toml`, which people have read and answer for.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::paths;

pub(super) const FILE: &str = "firmware/calls.toml";

/// A name, in which each star stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// A call through a pointer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pointer {
    /// The functions that it stands in.
    r#in: Vec<Pattern>,
    /// What the pointer was loaded from, if that tells it apart.
    from: Option<Pattern>,
    /// Whom it may reach.
    #[serde(default)]
    pub(super) to: Vec<Pattern>,
    /// Constants in which it finds whom it reaches: a name and a distance in bytes.
    #[serde(default)]
    pub(super) words: Vec<String>,
    /// What they take of the stack, for those that are not followed.
    #[serde(default)]
    pub(super) bytes: u32,
}

/// All that is in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notes {
    #[serde(default)]
    pointer: Vec<Pointer>,
    #[serde(default)]
    recursion: Vec<Recursion>,
    rom: Vec<Rom>,
    other_stack: Vec<Pattern>,
    not_counted: Vec<Pattern>,
    messages: Vec<Pattern>,
    sdk: Sdk,
}

/// What functions of the mask ROM take of the stack, in bytes, with all that they call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rom {
    of: Vec<Pattern>,
    bytes: u32,
}

/// What Espressif's own code does while flash cannot be read, or might not be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sdk {
    in_flash: Vec<Pattern>,
    reads_flash: Vec<Pattern>,
}

/// A function that may be at work several times at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recursion {
    of: Pattern,
    /// How often, at most.
    times: u8,
}

impl Notes {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or has too much in it.
    pub(super) fn read() -> Result<Self> {
        let path = paths::repository().join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).with_context(|| format!("{FILE} is not as xtask knows it"))
    }

    /// What a function of the mask ROM takes of the stack.
    pub(super) fn rom_stack(&self, name: &str) -> Option<u32> {
        let found = self.rom.iter().find(|rom| rom.of.iter().any(|it| it.matches(name)));
        found.map(|rom| rom.bytes)
    }

    /// Whether it is Espressif's affair that a function of theirs is in flash.
    pub(super) fn may_be_in_flash(&self, name: &str) -> bool {
        self.sdk.in_flash.iter().any(|it| it.matches(name))
    }

    /// Whether it is Espressif's affair that a function of theirs has something in flash in hand.
    pub(super) fn may_read_flash(&self, name: &str) -> bool {
        self.sdk.reads_flash.iter().any(|it| it.matches(name))
    }

    /// Whether what a function takes of the stack is counted, in interrupts or elsewhere.
    pub(super) fn counts(&self, name: &str, in_interrupt: bool) -> bool {
        let is_among = |names: &[Pattern]| names.iter().any(|it| it.matches(name));
        !(is_among(&self.not_counted) || in_interrupt && is_among(&self.messages))
    }

    /// Whether a function goes to another stack.
    pub(super) fn leaves_stack(&self, name: &str) -> bool {
        self.other_stack.iter().any(|it| it.matches(name))
    }

    /// The rules for calls through pointers that are not among `used`.
    pub(super) fn unused(&self, used: &BTreeSet<usize>) -> Vec<String> {
        let rules = self.pointer.iter().enumerate().filter(|(index, _)| !used.contains(index));
        rules.map(|(_, rule)| format!("in {:?}", rule.r#in[0].0)).collect()
    }

    /// How often a function may be at work at once, if more than once.
    pub(super) fn times(&self, name: &str) -> Option<u8> {
        let found = self.recursion.iter().find(|recursion| recursion.of.matches(name));
        found.map(|recursion| recursion.times)
    }

    /// Whom a call may reach that stands in one of `places` and goes through a pointer that was loaded so.
    pub(super) fn pointers(&self, places: &[String], loaded: &str) -> Option<(usize, &Pointer)> {
        let fits = |pointer: &Pointer| {
            pointer.from.as_ref().is_none_or(|from| from.matches(loaded))
                && places.iter().any(|place| pointer.r#in.iter().any(|it| it.matches(place)))
        };
        let index = self.pointer.iter().position(fits)?;
        Some((index, &self.pointer[index]))
    }
}
