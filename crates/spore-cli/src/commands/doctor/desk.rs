//! What is on this machine: keys, serial ports, networks.

use super::{Check, State};
use crate::key_file::{KeyFile, ReleaseKeyFile};
use crate::signing::hex;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use spore_host::{hears_broadcast, networks};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a datagram takes to come back, at most.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn cluster_key(file: &KeyFile) -> Check {
    const CHECK: &str = "cluster key";
    let path = match file.path() {
        Ok(path) => path.display().to_string(),
        Err(error) => return Check::bad(State::Wrong, CHECK, format!("{error:#}"), "set HOME"),
    };
    match file.read() {
        Ok(_) => Check::ok(CHECK, path),
        Err(_) if file.is_missing() => Check::bad(
            State::Absent,
            CHECK,
            format!("there is no {path}"),
            "`spore key new` makes one, `spore key import` brings one from elsewhere",
        ),
        Err(error) => Check::bad(
            State::Wrong,
            CHECK,
            format!("{error:#}"),
            format!("make it yours alone (chmod 600 {path}), or import the right one"),
        ),
    }
}

pub(super) fn release_key(file: &ReleaseKeyFile) -> Check {
    const CHECK: &str = "release key";
    match file.find_public() {
        Ok(Some(public)) => Check::ok(CHECK, hex(&public)),
        Ok(None) => Check::bad(
            State::Absent,
            CHECK,
            "there is none on this machine",
            "only who updates nodes needs one: `spore key new release`",
        ),
        Err(error) => Check::bad(
            State::Wrong,
            CHECK,
            format!("{error:#}"),
            "make it yours alone (chmod 600), or import the right one",
        ),
    }
}

/// The serial port that was named, or those that are there.
pub(super) fn serial_ports(named: Option<&Path>) -> Vec<Check> {
    let ports = match named {
        Some(port) => vec![port.to_owned()],
        None => adapters(),
    };
    if ports.is_empty() {
        return vec![Check::bad(
            State::Absent,
            "serial port",
            "no adapter is plugged in",
            "only who flashes a board needs one",
        )];
    }
    ports.iter().map(|port| serial_port(port)).collect()
}

/// The adapters for serial lines, as Linux names them.
fn adapters() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("ttyUSB") || name.starts_with("ttyACM")
    });
    let mut ports: Vec<_> = named.map(|entry| entry.path()).collect();
    ports.sort();
    ports
}

fn serial_port(port: &Path) -> Check {
    const CHECK: &str = "serial port";
    let shown = port.display();
    let wrong = |found: String, advice: String| Check::bad(State::Wrong, CHECK, found, advice);
    let about = match fs::metadata(port) {
        Ok(about) if about.file_type().is_char_device() => about,
        Ok(_) => return wrong(format!("{shown} is no serial port"), "name another one".into()),
        Err(error) => {
            return wrong(
                format!("{shown}: {error}"),
                "plug the adapter in; `dmesg` shows whether the kernel knows it".into(),
            );
        }
    };
    // It is not opened: that would reset some boards.
    permitted(port, access(port, Access::READ_OK | Access::WRITE_OK), about.gid())
}

/// What the answer of the system means, about a port that belongs to the group `owner`.
fn permitted(port: &Path, answer: Result<(), Errno>, owner: u32) -> Check {
    const CHECK: &str = "serial port";
    let shown = port.display();
    match answer {
        Ok(()) => Check::ok(CHECK, format!("{shown}, which you may use")),
        Err(Errno::ACCESS) => {
            let group = group(owner).unwrap_or_else(|| "dialout".to_owned());
            Check::bad(
                State::Wrong,
                CHECK,
                format!("{shown}: you may not use it"),
                format!("sudo usermod -aG {group} $USER, then log in anew"),
            )
        }
        Err(error) => {
            Check::bad(State::Wrong, CHECK, format!("{shown}: {error}"), "plug the adapter in anew")
        }
    }
}

/// The name of a group.
fn group(id: u32) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let line = groups.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

/// Whether what is said to all is heard on the network of `bind`, or on all.
pub(super) fn broadcasts(bind: Option<Ipv4Addr>, port: u16) -> Vec<Check> {
    const CHECK: &str = "broadcasts";
    let all = match bind {
        Some(address) => vec![(String::new(), address)],
        None => match networks() {
            Ok(all) => all,
            Err(error) => {
                let found = format!("the networks cannot be listed: {error}");
                return vec![Check::bad(State::Wrong, CHECK, found, "name an address with --bind")];
            }
        },
    };
    if all.is_empty() {
        return vec![Check::bad(
            State::Absent,
            CHECK,
            "this machine is on no network",
            "join that of the boards; a cluster on this machine alone needs none",
        )];
    }
    let look = |(name, address): (String, Ipv4Addr)| {
        let place = format!("{address} {name}");
        let place = place.trim_end();
        match hears_broadcast(address, port, PATIENCE) {
            Ok(true) => Check::ok(CHECK, format!("{place}: heard at UDP {port}")),
            Ok(false) => Check::bad(
                State::Wrong,
                CHECK,
                format!("{place}: not heard at UDP {port} on this machine itself"),
                format!(
                    "a firewall drops it: let UDP {port} in from this network, such as \
                     `sudo ufw allow {port}/udp`, or `sudo firewall-cmd --add-port={port}/udp`"
                ),
            ),
            Err(error) => Check::bad(
                State::Wrong,
                CHECK,
                format!("{place}: {error}"),
                format!("a firewall, or no network: let UDP {port} out, or use another --bind"),
            ),
        }
    };
    all.into_iter().map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::{Errno, State, group, permitted, serial_port};
    use std::path::Path;

    #[test]
    fn who_may_not_use_a_port_is_told_which_group_may() {
        let port = Path::new("/dev/ttyUSB0");
        assert_eq!(permitted(port, Ok(()), 0).state, State::Ok);
        let refused = permitted(port, Err(Errno::ACCESS), 0);
        assert_eq!(refused.state, State::Wrong);
        let group = group(0).unwrap();
        assert_eq!(
            refused.advice.unwrap(),
            format!("sudo usermod -aG {group} $USER, then log in anew")
        );
        assert_eq!(permitted(port, Err(Errno::NODEV), 0).state, State::Wrong);
    }

    #[test]
    fn a_serial_port_is_there_and_is_a_device() {
        assert_eq!(serial_port(Path::new("/dev/null")).state, State::Ok);
        assert_eq!(serial_port(Path::new("/dev")).state, State::Wrong);
        let none = serial_port(Path::new("/dev/ttyUSB-none"));
        assert!(none.state == State::Wrong && none.found.contains("No such file"), "{none:?}");
    }
}
