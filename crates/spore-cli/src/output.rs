//! Words for whoever started this command.
//!
//! Who reads may stop at any time: `spore sim | head -1`. That is no failure, and must not end a
//! cluster that runs, so nothing here panics as `println!` does.

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::{process, thread};

/// Writes `text` to stdout, without what a terminal would obey. If nobody reads any more, that is `Ok` too.
pub(crate) fn print(text: impl Display) -> Result<()> {
    write(&mut io::stdout().lock(), harmless(&text.to_string()).as_bytes())
}

/// Writes `text` and the end of a line to stdout. If nobody reads any more, that is `Ok` too.
pub(crate) fn print_line(text: impl Display) -> Result<()> {
    print(format_args!("{text}\n"))
}

/// As [`print_line`]; whether somebody still reads.
pub(crate) fn tell(text: impl Display) -> Result<bool> {
    let mut out = io::stdout().lock();
    let line = format!("{text}\n");
    match out.write_all(harmless(&line).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// Ends this process, as one that is done, with Ctrl-C, or as soon as nobody reads its stdout any more. Whoever waits for
/// events would notice that with the next one only.
pub(crate) fn end_with_reader() -> Result<()> {
    // That somebody ends it is how it is meant to end.
    ctrlc::set_handler(|| process::exit(0)).context("cannot wait for Ctrl-C")?;
    thread::spawn(|| {
        let out = io::stdout();
        let mut reader = [PollFd::new(&out, PollFlags::empty())];
        // Of errors and hang-ups poll(2) tells unasked.
        if retry_on_intr(|| poll(&mut reader, None)).is_ok() {
            process::exit(0);
        }
    });
    Ok(())
}

/// Whether nothing may move or be coloured on a terminal (<https://no-color.org>).
pub(crate) fn is_plain() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_some() || set("TERM").is_none_or(|term| term == "dumb")
}

/// Whether stdout is a terminal on which text can be written over.
pub(crate) fn is_screen() -> bool {
    io::stdout().is_terminal() && !is_plain()
}

/// Shows `text` in place of all that is on the screen. If nobody reads any more, that is `Ok` too.
pub(crate) fn redraw(text: &str) -> Result<()> {
    // To the top; each line, and nothing behind it; nothing below (ECMA-48: CUP, EL, ED).
    let lines = harmless(text).replace('\n', "\x1b[K\n");
    write(&mut io::stdout().lock(), format!("\x1b[H{lines}\x1b[J").as_bytes())
}

/// `text` without control characters but line feeds and tabs: what nodes say must not move the cursor.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(harmful, "\u{FFFD}"))
}

/// Writes `bytes` to stdout as they are. If nobody reads any more, that is `Ok` too.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    write(&mut io::stdout().lock(), bytes)
}

/// As [`print_bytes`]; people, who read a terminal, get the end of a line, too, and nothing that the terminal would obey.
pub(crate) fn print_answer(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    if !out.is_terminal() {
        return write(&mut out, bytes);
    }
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write(&mut out, format!("{}{end}", harmless(&text)).as_bytes())
}

/// Writes `text` and the end of a line to stderr, if that goes; there is nobody else to tell.
pub(crate) fn note(text: impl Display) {
    let line = format!("{text}\n");
    let _ = io::stderr().lock().write_all(harmless(&line).as_bytes());
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorKind, Write, harmless, io, write};

    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn that_nobody_reads_is_no_failure_and_a_full_disk_is() {
        write(&mut Refusing(ErrorKind::BrokenPipe), b"x").unwrap();
        let error = write(&mut Refusing(ErrorKind::StorageFull), b"x").unwrap_err();
        assert!(error.to_string().contains("stdout"), "{error}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(harmless("kitchen\t1\n"), "kitchen\t1\n");
        assert_eq!(
            harmless("a\r\x1b[2Jb\u{9b}c\x07\x7f"),
            "a\u{FFFD}\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}\u{FFFD}"
        );
    }
}
