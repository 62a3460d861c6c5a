//! What reads bytes that others have written, as functions of those bytes (promise F1).
//!
//! A *target* does with an input what a node would, tells of what comes of it, and must neither panic nor hang. The same
//! functions are driven by libFuzzer (`fuzz/guided`, `cargo xtask fuzz`), and replayed over the corpus by `cargo nextest run` and,
//! on the LX106, by `cargo xtask difftest`.
//!
//! | target | what it reads |
//! |---|---|
//! | `datagram` | a datagram: sealed, and the message in it |
//! | `http` | an HTTP head, the framing of its body, `multipart/form-data` |
//! | `events` | topics, filters, and requests to publish |
//! | `image` | a container with its manifest, lists of relocations, plans of rollouts |
//! | `records` | what is in flash and in RTC memory: the store's sectors, settings, claims, crashes |
//! | `selector` | the bootloader's selector, and the headers of images |
//! | `serial` | packets of Improv over a serial line |
//! | `engine` | any sequence of the engine's verbs |
#![no_std]

extern crate alloc;

mod bytes;
mod datagram;
mod engine;
mod events;
mod http;
mod image;
mod records;
mod selector;
mod serial;

use core::fmt::Arguments;

/// Is told what comes of an input. Who does not listen does not pay for the text.
pub type See<'a> = &'a mut dyn FnMut(Arguments<'_>);

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8], See<'_>));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("datagram", datagram::read),
    ("http", http::read),
    ("events", events::read),
    ("image", image::read),
    ("records", records::read),
    ("selector", selector::read),
    ("serial", serial::read),
    ("engine", engine::run),
];

/// The corpus that is checked in: inputs of each target, by its name.
pub const CORPUS: &[(&str, &[&[u8]])] = include!(concat!(env!("OUT_DIR"), "/corpus.rs"));

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|(other, _)| *other == name)
}
