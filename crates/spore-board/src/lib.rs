//! Boards as data: one file in `boards/` for each, which says what the tools must know of it.
//!
//! ```toml
//! name = "esp-01"
//! description = "Ai-Thinker ESP-01 and ESP-01S, 1 MB of flash"
//! chip = "esp8266"
//!
//! [flash]
//! size = 0x10_0000          # bytes
//! mode = "dout"             # qio, qout, dio, dout
//! frequency = 40            # MHz: 20, 26, 40, 80
//! slots = [0x3000, 0x7B000] # where they begin
//!
//! [serial]
//! baud = 115200             # what the board prints at, bits per second
//! flash_baud = 460800       # what it is flashed at
//!
//! [pins]                    # by name
//! light = { gpio = 2, active = "low" }
//! ```
//!
//! A file that says too little, too much or what cannot be is refused with one message that names the file.

use serde::Deserialize;
use spore_boot::map;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name, that of its file: small letters, digits and hyphens, at most 32.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Its chip.
    pub chip: Chip,
    /// Its flash.
    pub flash: Flash,
    /// Its serial line.
    pub serial: Serial,
    /// What is connected to its pins, by name.
    #[serde(default)]
    pub pins: BTreeMap<String, Pin>,
}

/// A kind of chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    /// Espressif's ESP8266, and the ESP8285 with its flash inside.
    Esp8266,
}

/// The flash of a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// In bytes: a power of two, 1 to 16 MB. Of a larger one the first 1 MB is used.
    pub size: u32,
    /// How its data lines are used.
    pub mode: FlashMode,
    /// Of its clock, in MHz: 20, 26, 40 or 80.
    pub frequency: u8,
    /// Where slots A and B begin.
    pub slots: [u32; 2],
}

/// How the data lines of a flash are used, in byte 2 of an image's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlashMode {
    /// Four lines for address and data.
    Qio,
    /// Four lines for data.
    Qout,
    /// Two lines for address and data.
    Dio,
    /// Two lines for data.
    Dout,
}

impl FlashMode {
    /// Its number in the header of an image.
    pub const fn number(self) -> u8 {
        match self {
            Self::Qio => 0,
            Self::Qout => 1,
            Self::Dio => 2,
            Self::Dout => 3,
        }
    }
}

impl Flash {
    /// Byte 3 of the header of the image at flash 0: size and map, and the clock.
    pub fn size_and_frequency(&self) -> u8 {
        let frequency = match self.frequency {
            26 => 1,
            20 => 2,
            80 => 15,
            _ => 0,
        };
        map::SIZE_AND_MAP << 4 | frequency
    }
}

/// The serial line of a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// What the board prints at, in bits per second.
    pub baud: u32,
    /// What it is flashed at, in bits per second.
    pub flash_baud: u32,
}

/// What is connected to a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The number of the GPIO: 0 to 5 and 12 to 16, since the others are the flash's.
    pub gpio: u8,
    /// The level at which it is on.
    #[serde(default)]
    pub active: Level,
}

/// The level of a pin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The supply's.
    #[default]
    High,
    /// The ground's.
    Low,
}

/// Why a file is no board.
#[derive(Debug)]
pub enum BoardError {
    /// It cannot be read.
    Read(PathBuf, std::io::Error),
    /// It is not as it must be; the text says what is wrong.
    Invalid(PathBuf, String),
    /// There is no board of this name. The names are those that there are.
    Unknown(String, Vec<String>),
}

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, _) => write!(f, "cannot read {}", file.display()),
            Self::Invalid(file, why) => {
                write!(f, "{} describes no board: {}", file.display(), why.trim_end())
            }
            Self::Unknown(name, known) => {
                write!(f, "there is no board {name:?}; there are {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for BoardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) => Some(error),
            Self::Invalid(..) | Self::Unknown(..) => None,
        }
    }
}

impl Board {
    /// The board `name` of the files in `folder`.
    ///
    /// # Errors
    ///
    /// If there is none, or its file is not as it must be.
    pub fn find(folder: &Path, name: &str) -> Result<Self, BoardError> {
        if !names(folder)?.iter().any(|known| known == name) {
            return Err(BoardError::Unknown(name.to_owned(), names(folder)?));
        }
        let file = folder.join(format!("{name}.toml"));
        let text = fs::read_to_string(&file);
        let text = text.map_err(|error| BoardError::Read(file.clone(), error))?;
        let board = Self::parse(&text).map_err(|why| BoardError::Invalid(file.clone(), why))?;
        if board.name != name {
            let why = format!("its name is {:?}, and its file's is {name:?}", board.name);
            return Err(BoardError::Invalid(file, why));
        }
        Ok(board)
    }

    /// Reads a board from the text of its file.
    ///
    /// # Errors
    ///
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let board: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        board.check()?;
        Ok(board)
    }

    fn check(&self) -> Result<(), String> {
        let Self { name, flash, serial, pins, .. } = self;
        if !is_name(name) {
            return Err(format!("{name:?} is no name of small letters, digits and hyphens"));
        }
        // Of a larger one the first 1 MB is used: the chip maps no more at once.
        if flash.size < map::FLASH || !flash.size.is_power_of_two() || flash.size > 16 * map::FLASH
        {
            return Err(format!("flash.size is {:#x}; it is 1, 2, 4, 8 or 16 MB", flash.size));
        }
        if ![20, 26, 40, 80].contains(&flash.frequency) {
            return Err(format!("flash.frequency is {}; it is 20, 26, 40 or 80", flash.frequency));
        }
        let slots = map::Slot::BOTH.map(|slot| slot.region().start);
        if flash.slots != slots {
            let [a, b] = slots;
            return Err(format!("flash.slots must be [{a:#x}, {b:#x}], as in the flash map"));
        }
        for (field, baud) in [("baud", serial.baud), ("flash_baud", serial.flash_baud)] {
            if !(9_600..=2_000_000).contains(&baud) {
                return Err(format!("serial.{field} is {baud}; it is 9600 to 2000000"));
            }
        }
        let mut taken = BTreeSet::new();
        for (name, pin) in pins {
            if !is_name(name) {
                return Err(format!(
                    "the pin {name:?} has no name of small letters, digits and hyphens"
                ));
            }
            if !matches!(pin.gpio, 0..=5 | 12..=16) {
                let gpio = pin.gpio;
                return Err(format!(
                    "the pin {name} is on GPIO {gpio}; there are 0 to 5 and 12 to 16"
                ));
            }
            if !taken.insert(pin.gpio) {
                return Err(format!(
                    "the pin {name} is on GPIO {}, where another one is",
                    pin.gpio
                ));
            }
        }
        Ok(())
    }
}

/// The names of all boards in `folder`, sorted.
///
/// # Errors
///
/// If it cannot be read.
pub fn names(folder: &Path) -> Result<Vec<String>, BoardError> {
    let failed = |error| BoardError::Read(folder.to_owned(), error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase());
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    first && text.len() <= 32 && text.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::{Board, BoardError, FlashMode, Level, Pin, names};
    use std::fs;
    use std::path::Path;

    const TEXT: &str = include_str!("../../../boards/esp-01.toml");

    fn boards() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../boards"))
    }

    #[test]
    fn every_board_that_is_here_is_read() {
        let names = names(boards()).unwrap();
        assert!(names.contains(&"esp-01".to_owned()));
        for name in names {
            let board = Board::find(boards(), &name).unwrap_or_else(|error| panic!("{error}"));
            assert!(!board.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_esp_01_is_as_it_is_sold() {
        let board = Board::parse(TEXT).unwrap();
        assert_eq!(board.flash.size, 1 << 20);
        assert_eq!(board.flash.mode.number(), 3);
        // The SDK erases sectors inside a slot if the upper half is another one.
        assert_eq!(board.flash.size_and_frequency(), 0x20);
        assert_eq!(board.pins["light"], Pin { gpio: 2, active: Level::Low });
    }

    #[test]
    fn what_is_left_out_too_much_or_impossible_is_said() {
        for (from, to, why) in [
            ("name = \"esp-01\"", "", "missing field `name`"),
            ("name = \"esp-01\"", "name = \"ESP 01\"", "small letters"),
            ("chip = \"esp8266\"", "chip = \"esp32\"", "unknown variant `esp32`"),
            ("size = 0x10_0000", "size = 0x8_0000", "flash.size"),
            ("size = 0x10_0000", "size = 0x18_0000", "flash.size"),
            ("size = 0x10_0000", "size = 0x200_0000", "flash.size"),
            ("size = 0x10_0000", "size = \"1 MB\"", "invalid type"),
            ("mode = \"dout\"", "mode = \"fast\"", "unknown variant `fast`"),
            ("mode = \"dout\"", "mode = \"dout\"\nled = 2", "unknown field `led`"),
            ("frequency = 40", "frequency = 33", "flash.frequency"),
            ("0x7B000", "0x7C000", "flash.slots"),
            ("baud = 115200", "baud = 300", "serial.baud"),
            ("gpio = 2,", "gpio = 6,", "0 to 5 and 12 to 16"),
            ("gpio = 2,", "gpio = 0,", "where another one is"),
            ("active = \"low\"", "active = \"on\"", "unknown variant `on`"),
            ("light =", "\"Light\" =", "the pin \"Light\""),
            ("[pins]", "[pins", "line"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = Board::parse(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(why), "{from} → {to}: {error}");
        }
    }

    #[test]
    fn a_file_more_is_a_board_more_and_errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mine = TEXT.replace("esp-01", "mine").replace("dout", "qio");
        fs::write(folder.path().join("mine.toml"), mine).unwrap();
        fs::write(folder.path().join("README.md"), "no board").unwrap();
        fs::write(folder.path().join("other.toml"), TEXT).unwrap();
        assert_eq!(Board::find(folder.path(), "mine").unwrap().flash.mode, FlashMode::Qio);
        let error = Board::find(folder.path(), "other").unwrap_err().to_string();
        assert!(error.contains("other.toml") && error.contains("\"esp-01\""), "{error}");
        let error = Board::find(folder.path(), "../boards/mine").unwrap_err();
        assert!(matches!(error, BoardError::Unknown(..)));
        assert!(error.to_string().ends_with("there are mine, other"), "{error}");
    }
}
