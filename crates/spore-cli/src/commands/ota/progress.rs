//! Bars on a terminal, and nothing where there is none.

use crate::output::is_plain;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _, Read};
use std::time::Duration;

/// A bar for bytes, on stderr if that is a terminal.
pub(crate) fn bytes(what: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), target());
    let style =
        ProgressStyle::with_template("{msg:<24} {bar:30} {bytes:>10} of {total_bytes} {eta:>4}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// The same for something of which nobody knows how long it takes.
pub(crate) fn waiting(what: String) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target());
    if let Ok(style) = ProgressStyle::with_template("{msg} {elapsed:>4}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Where bars are shown: on stderr, if that is a terminal.
pub(crate) fn target() -> ProgressDrawTarget {
    // It also looks for a terminal, but not for what users ask for.
    if io::stderr().is_terminal() && !is_plain() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Bytes that move a bar as they are read.
pub(crate) struct Tracked<'a> {
    bytes: &'a [u8],
    bar: &'a ProgressBar,
}

impl<'a> Tracked<'a> {
    pub(crate) fn new(bytes: &'a [u8], bar: &'a ProgressBar) -> Self {
        Self { bytes, bar }
    }
}

impl Read for Tracked<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buf)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}
