//! A radio that is modelled: nothing is on the air, and so anyone can try what a node does when its
//! router is gone, or its credentials are wrong.
//!
//! What is on the air stands in a file that people edit while the node runs. The node's sockets are
//! those of the machine; the engine uses them only while the radio is connected. Its HTTP API can be
//! reached always, as through a cable, so that one can look.

use crate::portal::{AccessPoint, Switch};
use crate::system::HostSystem;
use embassy_futures::select::select;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use fastrand::Rng;
use log::warn;
use spore_core::network::{Credentials, Lease, Password, Radio, RadioCommand, RadioConfig};
use spore_node::Shell;
use spore_radio::{RadioModel, Router};
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at what is on the air.
const LOOK: Duration = Duration::from_secs(1);

/// The most bytes of the file.
const FILE_MAX: usize = 64 * 1024;

/// What the operator says of the radio.
#[derive(Clone, Debug)]
pub struct ModelledRadio {
    /// The file with what is on the air: a line `NAME:PASSWORD` for each network, read again every
    /// second. Blank lines and those that begin with `#` say nothing.
    pub air: PathBuf,
    /// With what the node connects as long as nothing else was set through its API.
    pub credentials: Option<Credentials>,
    /// The password of the node's access point.
    pub password: Password,
    /// Where the access point is; without one nobody can join it.
    pub access_point: Option<AccessPoint>,
}

/// The routers that a text names, or what is wrong with it.
///
/// # Errors
///
/// The first line that names none, and why.
pub fn read_air(text: &str) -> Result<Vec<Router>, String> {
    let lines = text.lines().zip(1..);
    let told = lines.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    told.map(|(line, number)| line.parse().map_err(|error| format!("line {number}: {error}")))
        .collect()
}

/// The radio of a running node.
pub(crate) struct Driver {
    model: RefCell<RadioModel>,
    air: RefCell<Vec<Router>>,
    file: PathBuf,
    /// What was last said to be wrong with the file.
    complaint: RefCell<String>,
    lease: Lease,
    start: Instant,
    /// Raised when the radio was given a command.
    commanded: Signal<NoopRawMutex, ()>,
    /// Whether the access point is open.
    pub(crate) opened: Switch,
    /// How many are on it.
    clients: Cell<usize>,
}

impl ModelledRadio {
    /// As the engine must know it.
    pub(crate) fn config(&self) -> RadioConfig {
        let Self { credentials, password, .. } = *self;
        RadioConfig { kind: Radio::Modelled, password: Some(password), credentials }
    }
}

impl Driver {
    /// The radio of the node at `address`.
    pub(crate) fn new(radio: &ModelledRadio, address: Ipv4Addr) -> Self {
        let driver = Self {
            model: RefCell::new(RadioModel::new(Rng::new())),
            air: RefCell::default(),
            file: radio.air.clone(),
            complaint: RefCell::default(),
            lease: Lease { address, prefix_len: prefix_len(address), gateway: None },
            start: Instant::now(),
            commanded: Signal::new(),
            opened: Switch::default(),
            clients: Cell::new(0),
        };
        driver.look();
        driver
    }

    /// The engine has given a command.
    pub(crate) fn command(&self, command: RadioCommand, credentials: Option<&Credentials>) {
        self.model.borrow_mut().command(self.start.elapsed(), command, credentials);
        match command {
            RadioCommand::OpenAccessPoint => self.opened.turn(true),
            RadioCommand::CloseAccessPoint => self.opened.turn(false),
            RadioCommand::Connect | RadioCommand::Disconnect | RadioCommand::Scan => (),
        }
        self.commanded.signal(());
    }

    /// So many are on the access point now.
    pub(crate) fn set_clients(&self, count: usize) {
        let before = self.clients.replace(count);
        for _ in before..count {
            self.model.borrow_mut().join(self.start.elapsed());
        }
        for _ in count..before {
            self.model.borrow_mut().leave();
        }
        self.commanded.signal(());
    }

    /// Reports what the radio does, as long as the node runs.
    pub(crate) async fn run(&self, shell: &Shell<'_, HostSystem>) -> ! {
        let mut looked = Instant::now();
        loop {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
            let now = self.start.elapsed();
            let report = self.model.borrow_mut().poll(now, &self.air.borrow(), |_| self.lease);
            if let Some(report) = report {
                shell.handle_radio(report);
                continue;
            }
            let due = self.model.borrow().poll_timeout().map(|at| at.saturating_sub(now));
            let pause = due.map_or(LOOK, |due| due.min(LOOK));
            select(self.commanded.wait(), async_io::Timer::after(pause)).await;
        }
    }

    /// Looks what is on the air. What cannot be read, or makes no sense, is said once and changes
    /// nothing.
    fn look(&self) {
        let complaint = match read(&self.file) {
            Ok(air) => {
                if air != *self.air.borrow() {
                    *self.air.borrow_mut() = air;
                    let now = self.start.elapsed();
                    self.model.borrow_mut().air_changed(now, &self.air.borrow());
                }
                String::new()
            }
            Err(error) => error,
        };
        if !complaint.is_empty() && complaint != *self.complaint.borrow() {
            warn!("{}: {complaint}", self.file.display());
        }
        *self.complaint.borrow_mut() = complaint;
    }
}

fn read(file: &Path) -> Result<Vec<Router>, String> {
    let bytes = match std::fs::metadata(file) {
        // A FIFO would be waited for.
        Ok(there) if !there.is_file() => return Err("not a regular file".to_owned()),
        Ok(_) => std::fs::read(file),
        Err(error) => Err(error),
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    if bytes.len() > FILE_MAX {
        return Err(format!("more than {FILE_MAX} bytes"));
    }
    read_air(&String::from_utf8_lossy(&bytes))
}

/// How many bits of `address` are its network's, as its interface has it.
fn prefix_len(address: Ipv4Addr) -> u8 {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let found = interfaces.into_iter().find_map(|interface| match interface.addr {
        if_addrs::IfAddr::V4(v4) if v4.ip == address => Some(v4.netmask.to_bits().count_ones()),
        _ => None,
    });
    // All of 127.0.0.0/8 is the loopback interface's.
    found.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::read_air;

    #[test]
    fn what_is_on_the_air_is_read_line_by_line() {
        let air = read_air("# at home\nhome:home-password\n\n  \nguest:\n").unwrap();
        let names: Vec<_> = air.iter().map(|router| router.ssid.as_str()).collect();
        assert_eq!(names, ["home", "guest"]);
        assert_eq!(read_air("").unwrap(), []);
        let error = read_air("home:home-password\nattic\n").unwrap_err();
        assert!(error.starts_with("line 2: a network is NAME:PASSWORD"), "{error}");
    }
}
