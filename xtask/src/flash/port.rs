//! The serial port that a board is at.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// What adapters from USB to a serial line are called.
const ADAPTERS: [&str; 2] = ["ttyUSB", "ttyACM"];

/// The port that was named, or the only one there is, if this user can open it.
///
/// # Errors
/// When there is none or more than one, when it is none, or when it cannot be opened.
pub(crate) fn find(named: Option<PathBuf>) -> Result<PathBuf> {
    let there = adapters(Path::new("/dev"));
    let port = match (named, there.as_slice()) {
        (Some(port), _) => port,
        (None, [only]) => only.clone(),
        (None, []) => bail!(
            "no serial port is there: plug the adapter in, or name one (/dev/ttyUSB0); \
             `dmesg` says whether the system knows the adapter"
        ),
        (None, several) => {
            bail!("there is more than one serial port; name one of {}", list(several))
        }
    };
    check(&port, &there)?;
    Ok(port)
}

fn check(port: &Path, there: &[PathBuf]) -> Result<()> {
    let shown = port.display();
    match fs::metadata(port) {
        Err(error) if error.kind() == ErrorKind::NotFound => match there {
            [] => bail!("there is no port {shown}, nor another one: is the adapter plugged in?"),
            there => bail!("there is no port {shown}; there is {}", list(there)),
        },
        Err(error) => bail!("cannot look at the port {shown}: {error}"),
        Ok(metadata) if !metadata.file_type().is_char_device() => {
            bail!("{shown} is no serial port")
        }
        Ok(_) => (),
    }
    match OpenOptions::new().read(true).write(true).open(port) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "this user may not use {shown}: `sudo usermod -aG dialout $USER`, then log in anew"
        ),
        Err(error) => bail!("cannot open the port {shown}: {error}"),
    }
}

/// The adapters in the folder of devices, sorted.
fn adapters(devices: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let mut ports: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            ADAPTERS.iter().any(|adapter| name.to_string_lossy().starts_with(adapter))
        })
        .map(|entry| entry.path())
        .collect();
    ports.sort();
    ports
}

fn list(ports: &[PathBuf]) -> String {
    ports.iter().map(|port| port.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{adapters, check};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_port_that_is_none_is_told_from_one_that_is_not_there() {
        let there = [PathBuf::from("/dev/ttyUSB7")];
        let error =
            |port: &str, there: &[PathBuf]| check(Path::new(port), there).unwrap_err().to_string();
        assert!(error("/dev/ttyNone", &there).contains("there is /dev/ttyUSB7"));
        assert!(error("/dev/ttyNone", &[]).contains("plugged in"));
        assert!(error("/", &[]).contains("is no serial port"));
        assert!(adapters(Path::new("/none")).is_empty());
    }
}
