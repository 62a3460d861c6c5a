//! Espressif's esptool, which talks to the chip: what is asked of it, and what its answers mean.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Write as _, stderr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use spore_board::Board;

use super::parts::Part;
use crate::{paths, process, python};

/// The list of what is installed for it.
pub(crate) const REQUIREMENTS: &str = "xtask/esptool.txt";
/// Looking at a chip takes no longer, in seconds.
const LOOK_LIMIT: &str = "40";
/// Writing takes no longer, in seconds: 1 MB at 115,200 bits per second is 90.
const WRITE_LIMIT: &str = "600";
/// How often it is tried to reach the chip: it is reset before each.
const ATTEMPTS: &str = "3";

/// A chip that has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chip {
    /// Its type, such as ESP8266EX.
    pub(crate) kind: String,
    /// Its MAC address, as a station.
    pub(crate) mac: String,
    /// The size of its flash, in bytes.
    pub(crate) flash_size: u32,
}

impl Chip {
    /// The name of its access point: as the engine makes it of the chip's number, which is the end of the MAC address.
    pub(crate) fn access_point(&self) -> String {
        let digits: String = self.mac.split(':').skip(3).collect();
        format!("SPORE-{digits}")
    }
}

/// esptool, at a port.
pub(crate) struct Esptool {
    python: PathBuf,
    port: PathBuf,
}

impl Esptool {
    /// Installs it if need be.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub(crate) fn new(port: PathBuf) -> Result<Self> {
        Ok(Self { python: python::environment("esptool", REQUIREMENTS)?, port })
    }

    fn command(&self, limit: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--foreground", limit]).arg(&self.python).args(["-m", "esptool"]);
        command.args(["--chip", "esp8266", "--port"]).arg(&self.port);
        command.args(["--connect-attempts", ATTEMPTS]);
        command
    }

    /// Asks the chip who it is, and leaves it in its loader.
    ///
    /// # Errors
    /// When no chip answers, when it is another one than the board's, or when its flash is too small.
    pub(crate) fn look(&self, board: &Board) -> Result<Chip> {
        let mut command = self.command(LOOK_LIMIT);
        command.args(["--after", "no-reset", "flash-id"]);
        let done = process::output(&mut command)?;
        let text = [done.stdout, done.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        if !done.status.success() {
            bail!("{}", explain(&text, &self.port, board));
        }
        let chip = parse(&text).with_context(|| format!("esptool said:\n{}", text.trim()))?;
        ensure!(
            chip.flash_size >= board.flash.size,
            "the chip has {} KB of flash; the board {} has {} KB",
            chip.flash_size / 1024,
            board.name,
            board.flash.size / 1024
        );
        Ok(chip)
    }

    /// Writes all parts, shows the progress on stdout, or else on stderr, reads back what was written, and starts the
    /// chip if the adapter can.
    ///
    /// # Errors
    /// When something could not be written or reads back otherwise. Then the board has half of it.
    pub(crate) fn write(&self, parts: &[Part], baud: u32, on_stderr: bool) -> Result<()> {
        let folder = PartFolder::new(parts)?;
        let mut command = self.command(WRITE_LIMIT);
        command.args(["--baud", &baud.to_string(), "--after", "hard-reset", "write-flash"]);
        // The header was set by us.
        command.args(["--flash-mode", "keep", "--flash-size", "keep", "--flash-freq", "keep"]);
        for part in parts {
            command.arg(format!("{:#x}", part.address)).arg(folder.file(part));
        }
        if on_stderr {
            let own = stderr().as_fd().try_clone_to_owned().context("cannot share stderr")?;
            command.stdout(Stdio::from(own));
        }
        let status = command.status().context("cannot run `timeout`: install coreutils")?;
        ensure!(
            status.success(),
            "writing broke off, so the board has half of what it should; flash it again (--baud 115200 if it is the line)"
        );
        Ok(())
    }
}

/// The parts as files, for their owner only since keys are in them, as long as this lives.
struct PartFolder(PathBuf);

impl PartFolder {
    fn new(parts: &[Part]) -> Result<Self> {
        let target = paths::repository().join("target");
        let folder = Self(target.join(format!("flash-parts-{}", std::process::id())));
        let shown = folder.0.display().to_string();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder.0)
            .with_context(|| format!("cannot create {shown}"))?;
        for part in parts {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let written =
                options.open(folder.file(part)).and_then(|mut file| file.write_all(&part.bytes));
            written.with_context(|| format!("cannot write to {shown}"))?;
        }
        Ok(folder)
    }

    fn file(&self, part: &Part) -> PathBuf {
        self.0.join(format!("{}.bin", part.name))
    }
}

impl Drop for PartFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What esptool says of a chip.
fn parse(text: &str) -> Result<Chip> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(|value| value.trim().to_owned()).with_context(|| format!("it tells no {name:?}"))
    };
    let size = field("Detected flash size:")?;
    Ok(Chip {
        kind: field("Chip type:")?,
        mac: field("MAC:")?,
        flash_size: bytes(&size)
            .with_context(|| format!("the size of the flash cannot be told: {size}"))?,
    })
}

/// A size as esptool writes it: `512KB`, `1MB`.
fn bytes(size: &str) -> Option<u32> {
    let (number, unit) = match (size.strip_suffix("KB"), size.strip_suffix("MB")) {
        (Some(number), _) => (number, 1 << 10),
        (None, Some(number)) => (number, 1 << 20),
        (None, None) => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(unit)
}

/// What a failure of esptool means, and what helps.
fn explain(text: &str, port: &Path, board: &Board) -> String {
    let port = port.display();
    let error = text.lines().find_map(|line| line.split_once("fatal error occurred: "));
    let error = error.map(|(_, what)| what.trim());
    if let Some((_, rest)) = text.split_once("This chip is ")
        && let Some((kind, _)) = rest.split_once(',')
    {
        return format!("the chip at {port} is an {kind}; the board {} has an ESP8266", board.name);
    }
    if text.contains("busy or doesn't exist") {
        return format!(
            "the port {port} is busy: does another program, such as a monitor, have it?"
        );
    }
    if text.contains("Failed to connect") || error.is_none() {
        let why = error.unwrap_or("it took too long");
        return format!(
            "no chip answers at {port} ({why}). Connect GPIO0 to ground, switch the board's power off and on, \
             and try again; TX goes to RX and RX to TX; docs/hardware.md shows it"
        );
    }
    format!("esptool failed at {port}: {}", error.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Chip, bytes, explain, parse};
    use crate::paths;
    use spore_board::Board;
    use std::path::Path;

    #[test]
    fn a_chip_is_read_from_what_esptool_says() {
        let text = "Connected:\nChip type:          ESP8266EX\nFeatures:           Wi-Fi\n\
                    MAC:                5c:cf:7f:0a:0b:0c\n\nDetected flash size: 1MB\n";
        let chip = parse(text).unwrap();
        let mac = "5c:cf:7f:0a:0b:0c".to_owned();
        assert_eq!(chip, Chip { kind: "ESP8266EX".to_owned(), mac, flash_size: 1 << 20 });
        assert_eq!(chip.access_point(), "SPORE-0a0b0c");
        let unknown = text.replace("1MB", "Unknown");
        assert!(parse(&unknown).unwrap_err().to_string().contains("cannot be told: Unknown"));
        assert!(parse("Chip type: a").is_err());
        assert_eq!(
            (bytes("512KB"), bytes("16MB"), bytes("4GB")),
            (Some(1 << 19), Some(1 << 24), None)
        );
    }

    #[test]
    fn failures_are_explained() {
        let board = Board::find(&paths::repository().join("boards"), "esp-01").unwrap();
        let explain = |text: &str| explain(text, Path::new("/dev/ttyUSB0"), &board);
        let fatal =
            |what: &str| explain(&format!("...\n\nERROR: A fatal error occurred: {what}\n"));
        assert!(fatal("Failed to connect to ESP8266: No serial data received.").contains("GPIO0"));
        assert!(explain("").contains("it took too long"));
        let other = fatal("This chip is ESP32-C3, not ESP8266. Wrong chip argument?");
        assert!(other.starts_with("the chip at /dev/ttyUSB0 is an ESP32-C3"), "{other}");
        assert!(
            fatal("Could not open /dev/ttyUSB0, the port is busy or doesn't exist.")
                .contains("busy")
        );
        assert!(fatal("Unknown OUI").ends_with("Unknown OUI"));
    }
}
