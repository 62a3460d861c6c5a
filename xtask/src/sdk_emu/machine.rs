//! One machine with a flash file, the stand-in for the SDK, and somebody on the wire who sends frames back.

use std::fs::{self, File};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::is_failure;
use crate::emu::child::Guarded;
use crate::emu::esp01::Esp01;
use crate::machine::QEMU;
use crate::process;

/// How often output and wire are looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long QEMU may take to tell its terminal.
const TERMINAL: Duration = Duration::from_secs(10);
/// Lines of QEMU's own messages that are shown when it fails.
const SHOWN_LINES: usize = 5;
const SEED: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What a machine's network card leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Somebody who sends frames back.
    Echo,
    /// QEMU's user networking, with a DHCP server. This port of the loopback interface leads to the machine's port 80.
    Api {
        /// A TCP port that nobody has.
        port: u16,
    },
    /// A cable of ours: UDP ports of the loopback interface, at its two ends.
    Plug {
        /// The card's.
        own: u16,
        /// The other's.
        peer: u16,
    },
}

/// What a machine is made of.
pub(crate) struct Machine<'a> {
    /// The board, with the firmware in its flash.
    pub(crate) board: Esp01<'a>,
    /// The chip's number.
    pub(crate) id: u16,
    /// The networks around it.
    pub(crate) air: &'a str,
    /// What breaks in its program (`firmware/sdk-emu/src/pokes.rs`); nothing if this is empty.
    pub(crate) pokes: &'a str,
    /// What its network card leads to.
    pub(crate) wire: Wire,
    /// Where its serial line is written to.
    pub(crate) log: PathBuf,
}

impl Machine<'_> {
    /// Runs it until a line begins with `last`, or until it has failed more often than it `may_fail`, and returns what it
    /// has said.
    ///
    /// # Errors
    /// When QEMU does not start or ends by itself, or no such line comes within `patience`.
    pub(crate) fn run_to(&self, last: &str, may_fail: usize, patience: Duration) -> Result<String> {
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a socket")?;
        peer.set_read_timeout(Some(POLL)).context("cannot set a timeout")?;
        let errors = self.log.with_extension("qemu.log");
        let mut running = self.start_with_peer(&peer, &errors)?;
        let started = Instant::now();
        loop {
            let ended = running.ended()?;
            echo(&peer)?;
            let output = fs::read(&self.log)
                .with_context(|| format!("cannot read {}", self.log.display()))?;
            let output = String::from_utf8_lossy(&output).into_owned();
            let failures: Vec<&str> = output.lines().filter(|line| is_failure(line)).collect();
            let ends =
                failures.len() > may_fail || output.lines().any(|line| line.starts_with(last));
            if output.ends_with('\n') && ends {
                return Ok(output);
            }
            let complaint = || process::tail_of(&errors, SHOWN_LINES);
            if let Some(status) = ended {
                bail!("QEMU has ended ({status}): {}", complaint());
            }
            ensure!(
                started.elapsed() < patience,
                "the machine came no further in {} s than line \"{}\" of {}; failures: {failures:?}\n{}",
                patience.as_secs(),
                output.lines().last().unwrap_or(""),
                self.log.display(),
                complaint()
            );
        }
    }

    /// Runs it on [`Wire::Api`] or [`Wire::Plug`], until what this returns is dropped.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub(crate) fn run(&self) -> Result<Guarded> {
        let errors = self.log.with_extension("qemu.log");
        match self.wire {
            Wire::Echo => bail!("this machine wants somebody on its wire"),
            Wire::Api { port } => {
                self.start(&errors, &self.logged(), |qemu| qemu.args(["-nic", &outside(port)]))
            }
            Wire::Plug { own, peer } => self.start_at(own, peer, &errors),
        }
    }

    /// Runs it on [`Wire::Api`] with a pseudo-terminal at its serial line, whose path is returned, too.
    ///
    /// # Errors
    /// When QEMU does not start, or tells no terminal.
    pub(crate) fn run_at_terminal(&self) -> Result<(Guarded, PathBuf)> {
        let Wire::Api { port } = self.wire else { bail!("this machine is on another wire") };
        let errors = self.log.with_extension("qemu.log");
        let line = format!("pty,id=line,logfile={}", self.log.display());
        let serial = ["-chardev", &line, "-serial", "chardev:line"].map(str::to_owned);
        let running = self.start(&errors, &serial, |qemu| qemu.args(["-nic", &outside(port)]))?;
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(&errors).context("QEMU says nothing")?;
            // Whole, since more comes behind it.
            let mut words = said.split_once("redirected to ").map(|(_, it)| it.split(' '));
            if let Some(path) = words.as_mut().and_then(Iterator::next)
                && said.ends_with('\n')
            {
                return Ok((running, path.into()));
            }
            ensure!(started.elapsed() < TERMINAL, "QEMU tells no terminal: {said}");
            thread::sleep(POLL);
        }
    }

    /// Its serial line goes into its log alone.
    fn logged(&self) -> [String; 2] {
        ["-serial".to_owned(), format!("file:{}", self.log.display())]
    }

    fn start_with_peer(&self, peer: &UdpSocket, errors: &Path) -> Result<Guarded> {
        let port = |socket: &UdpSocket| {
            socket.local_addr().map(|address| address.port()).context("a socket has no address")
        };
        let own = {
            let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a socket")?;
            port(&free)?
        };
        self.start_at(own, port(peer)?, errors)
    }

    fn start_at(&self, own: u16, peer: u16, errors: &Path) -> Result<Guarded> {
        let wire = crate::emu::machine::dgram("net", own, peer);
        let card = "nic,model=open_eth,netdev=net";
        self.start(errors, &self.logged(), |qemu| qemu.args(["-netdev", &wire, "-net", card]))
    }

    fn start(
        &self,
        errors: &Path,
        serial: &[String],
        network: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Guarded> {
        fs::write(&self.log, "").with_context(|| format!("cannot write {}", self.log.display()))?;
        let error_file =
            File::create(errors).with_context(|| format!("cannot write {}", errors.display()))?;
        let said = error_file.try_clone().context("cannot share a file")?;
        let mut arguments = format!("id={} seed={SEED}", self.id);
        if !self.air.is_empty() {
            arguments += &format!(" air={}", self.air);
        }
        if !self.pokes.is_empty() {
            arguments += &format!(" poke={}", self.pokes);
        }
        Guarded::start("the emulated machine", QEMU, |qemu| {
            self.board.set_up(qemu).args(["-display", "none", "-monitor", "none"]).args(serial);
            network(qemu);
            qemu.args(["-append", &arguments]);
            qemu.stdin(Stdio::null()).stdout(said).stderr(error_file)
        })
    }
}

/// QEMU's user networking, with a port that leads to the machine.
fn outside(port: u16) -> String {
    format!("user,restrict=on,model=open_eth,hostfwd=tcp:127.0.0.1:{port}-:80")
}

/// Sends the frames that have come back to their senders, with the addresses in each other's place.
fn echo(peer: &UdpSocket) -> Result<()> {
    let mut frame = [0; 2048];
    // A frame, or the end of the wait: then the output is looked at.
    match peer.recv_from(&mut frame) {
        Ok((len, from)) if len >= 12 => {
            let (to, sender) = frame[..12].split_at_mut(6);
            to.swap_with_slice(sender);
            peer.send_to(&frame[..len], from).context("cannot send a frame back")?;
        }
        // A machine that is gone, or nothing yet.
        Ok(_) | Err(_) => thread::yield_now(),
    }
    Ok(())
}
