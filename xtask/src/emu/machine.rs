//! One emulated board: a QEMU process and its serial line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::child::Guarded;
use crate::machine::{Pace, QEMU};

/// Nothing but the serial line, and that on our pipe.
const HEADLESS: [&str; 8] = [
    "-display",
    "none",
    "-monitor",
    "none",
    "-chardev",
    "stdio,id=uart,signal=off",
    "-serial",
    "chardev:uart",
];

/// Where a machine's network card is plugged in.
pub(crate) enum Plug {
    /// At a [`Switch`](super::switch::Switch): UDP ports of the card and of the switch.
    Switch {
        /// The card's.
        own: u16,
        /// The switch's.
        switch: u16,
    },
    /// At a TAP interface that exists.
    Tap(String),
}

impl Plug {
    fn arguments(&self) -> [String; 4] {
        let netdev = match self {
            Self::Switch { own, switch } => dgram("net", *own, *switch),
            Self::Tap(name) => {
                format!("tap,id=net,ifname={name},script=no,downscript=no")
            }
        };
        ["-netdev".into(), netdev, "-net".into(), "nic,model=open_eth,netdev=net".into()]
    }
}

/// QEMU's end of a cable to the switch, named `id`.
pub(crate) fn dgram(id: &str, own: u16, switch: u16) -> String {
    let end = |which, port| format!("{which}.type=inet,{which}.host=127.0.0.1,{which}.port={port}");
    format!("dgram,id={id},{},{}", end("local", own), end("remote", switch))
}

/// What a machine does that its owner should hear of at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// The firmware has started, for the first time or again.
    Booted,
    /// It is in its network, and has an address.
    Connected,
    /// The firmware cannot go on: its line on the serial line, `PANIC …`, `FAULT …` or
    /// `BOOT ERROR …`.
    Failed(String),
    /// The machine is gone.
    Ended,
}

/// A report of the machine with this id.
pub(crate) type Event = (u16, Report);

/// A running machine. Dropping it ends it.
pub(crate) struct Machine {
    process: Guarded,
    listener: Option<JoinHandle<()>>,
}

impl Machine {
    /// Starts the machine `id` under this name; `board` gives QEMU the board and what runs there. Its serial line goes to the
    /// file `log`, and what must be known at once to `events`.
    ///
    /// # Errors
    /// When the emulator or the log cannot be set up.
    pub(crate) fn start(
        (id, name): (u16, &str),
        plug: &Plug,
        pace: Pace,
        (log, events): (PathBuf, Sender<Event>),
        board: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let file =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = file.try_clone().context("cannot share the log file")?;
        let mut process = Guarded::start(name, QEMU, |command| {
            board(command);
            command
                .args(HEADLESS)
                .args(plug.arguments())
                .args(pace.arguments())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(errors)
        })?;
        let serial = process.child_mut().stdout.take().context("the emulator has no output")?;
        let listener = std::thread::Builder::new()
            .name(format!("serial {id}"))
            .spawn(move || listen(id, serial, file, &events))
            .context("cannot start a thread")?;
        Ok(Self { process, listener: Some(listener) })
    }

    /// Its process id.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Whether QEMU has ended by itself.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_some())
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        if let Some(listener) = self.listener.take() {
            // A panic in there has been printed already.
            let _ = listener.join();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies the serial line into the log, line by line, and reports until the machine is gone.
fn listen(id: u16, serial: impl Read, mut log: File, events: &Sender<Event>) {
    let mut serial = BufReader::new(serial);
    let mut line = Vec::new();
    // An error on the pipe is its end.
    while serial.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        // Losing the log is no reason to stop the machine, and the reports go on.
        let _ = log.write_all(&line);
        if let Some(report) = judge(&String::from_utf8_lossy(&line)) {
            // Nobody listens any more when everything is being stopped.
            let _ = events.send((id, report));
        }
        line.clear();
    }
    let _ = events.send((id, Report::Ended));
}

/// What a line on the serial line means.
fn judge(line: &str) -> Option<Report> {
    let line = line.trim_end();
    let is = |mark: &str| line.starts_with(mark);
    if is("PANIC ") || is("FAULT ") || is("BOOT ERROR ") {
        Some(Report::Failed(line.to_owned()))
    } else if is("BOOT ") {
        Some(Report::Booted)
    } else if is("NODE network/connected") {
        Some(Report::Connected)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_from_starts_and_chatter() {
        assert_eq!(judge("BOOT power-on cause 0\n"), Some(Report::Booted));
        assert_eq!(judge("NODE network/connected\n"), Some(Report::Connected));
        for line in ["PANIC a.rs:1: no", "FAULT cause 28 epc 0x0", "BOOT ERROR no key"] {
            assert_eq!(judge(&format!("{line}\r\n")), Some(Report::Failed(line.to_owned())));
        }
        assert_eq!(judge("a PANIC elsewhere\n"), None);
    }
}
