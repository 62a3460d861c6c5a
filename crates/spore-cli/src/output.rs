//! Words for whoever started this command.
//!
//! Who reads may stop at any time: `spore sim | head -1`. That is no failure, and must not end a
//! cluster that runs, so nothing here panics as `println!` does.

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::{process, thread};

/// Writes `text` to stdout as it is. If nobody reads any more, that is `Ok` too.
pub(crate) fn print(text: impl Display) -> Result<()> {
    write(&mut io::stdout().lock(), text.to_string().as_bytes())
}

/// Writes `text` and the end of a line to stdout. If nobody reads any more, that is `Ok` too.
pub(crate) fn print_line(text: impl Display) -> Result<()> {
    print(format_args!("{text}\n"))
}

/// As [`print_line`]; whether somebody still reads.
pub(crate) fn tell(text: impl Display) -> Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// Ends this process, as one that is done, as soon as nobody reads its stdout any more. Whoever waits for events would
/// notice with the next one only.
pub(crate) fn end_with_reader() {
    thread::spawn(|| {
        let out = io::stdout();
        let mut reader = [PollFd::new(&out, PollFlags::empty())];
        // Of errors and hang-ups poll(2) tells unasked.
        if retry_on_intr(|| poll(&mut reader, None)).is_ok() {
            process::exit(0);
        }
    });
}

/// Writes `bytes` to stdout as they are. If nobody reads any more, that is `Ok` too.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    write(&mut io::stdout().lock(), bytes)
}

/// As [`print_bytes`]; people, who read a terminal, get the end of a line, too.
pub(crate) fn print_answer(bytes: &[u8]) -> Result<()> {
    let open = bytes.last().is_some_and(|last| *last != b'\n');
    let mut out = io::stdout().lock();
    write(&mut out, bytes)?;
    if open && out.is_terminal() { write(&mut out, b"\n") } else { Ok(()) }
}

/// Writes `text` and the end of a line to stderr, if that goes; there is nobody else to tell.
pub(crate) fn note(text: impl Display) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
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
    use super::{ErrorKind, Write, io, write};

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
}
