//! The firmware that boards are flashed with: a folder that `./ctl.sh build` leaves.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// The file that says what is in the folder.
const LIST: &str = "flash.json";
/// The part that is made anew for each board.
const SETTINGS: &str = "settings";
/// Flash is erased by so many bytes.
const SECTOR: usize = 4096;
/// No flash chip of an ESP8266 is larger, in bytes.
const MAX_FLASH: usize = 16 << 20;

/// A folder with firmware. `cargo xtask flash --to-folder` decides what is in it, and where in flash each part goes.
#[derive(Clone, Debug)]
pub struct Images(PathBuf);

/// What is in the folder.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) list: List,
    /// The bytes of each part, in the order of the list.
    pub(super) parts: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// The name of the board that it is for.
    pub(super) board: String,
    /// The image's version.
    pub(super) version: String,
    /// Whether a board that has it can give it to others.
    pub(super) signed: bool,
    /// What is written, in the order of the addresses.
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// What it is; its file has this name and `.bin`.
    pub(super) name: String,
    /// Where it begins in flash.
    pub(super) address: usize,
    /// How long it is.
    pub(super) bytes: usize,
}

impl Images {
    /// What is in `folder`, whenever it is asked for.
    pub const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Looks whether the folder is what it should be.
    ///
    /// # Errors
    ///
    /// If something cannot be read, is missing, or contradicts the list.
    pub fn check(&self) -> Result<()> {
        self.read().map(drop)
    }

    pub(super) fn read(&self) -> Result<Image> {
        let shown = self.0.display();
        let text = fs::read_to_string(self.0.join(LIST));
        let text = match text {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                bail!(
                    "there is no firmware in {shown}: `./ctl.sh build` makes it, in firmware/target/esp01/browser of the \
                     source, and --images names another folder"
                )
            }
            text => text.with_context(|| format!("cannot read {LIST} in {shown}"))?,
        };
        let list: List = serde_json::from_str(&text)
            .with_context(|| format!("{LIST} in {shown} is none that `./ctl.sh build` makes"))?;
        list.check().with_context(|| format!("{LIST} in {shown}"))?;
        let parts = list.parts.iter().map(|part| self.part(part)).collect::<Result<_>>()?;
        Ok(Image { list, parts })
    }

    fn part(&self, part: &Part) -> Result<Vec<u8>> {
        let file = self.0.join(format!("{}.bin", part.name));
        let shown = file.display();
        let bytes = fs::read(&file).with_context(|| format!("cannot read {shown}"))?;
        let (is, wanted) = (bytes.len(), part.bytes);
        ensure!(
            is == wanted,
            "{shown} has {is} bytes, not {wanted}: `./ctl.sh build` makes it anew"
        );
        Ok(bytes)
    }
}

impl List {
    fn check(&self) -> Result<()> {
        let mut free = 0;
        for Part { name, address, bytes } in &self.parts {
            // Names become those of files, and paths.
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            ensure!(!name.is_empty() && name.bytes().all(plain), "{name:?} is no name of a part");
            ensure!(
                address.is_multiple_of(SECTOR) && *address >= free && *bytes <= MAX_FLASH,
                "the part {name} cannot be at {address:#x}"
            );
            free = address.saturating_add(*bytes);
        }
        ensure!(free <= MAX_FLASH, "no flash has room for all that");
        let settings = self.parts.iter().filter(|part| part.name == SETTINGS).count();
        ensure!(settings == 1, "there is no place for the settings, or more than one");
        Ok(())
    }
}

impl Image {
    /// Puts the memory of a new board in its place.
    pub(super) fn put_settings(&mut self, settings: Vec<u8>) -> Result<()> {
        let mut places = self.list.parts.iter().zip(&mut self.parts);
        let place = places.find(|(part, _)| part.name == SETTINGS).map(|(_, bytes)| bytes);
        let place = place.context("there is no place for the settings")?;
        let (is, wanted) = (settings.len(), place.len());
        ensure!(is == wanted, "the settings have {is} bytes; the firmware has room for {wanted}");
        *place = settings;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Images, LIST};
    use serde_json::{Value, json};
    use std::fs;
    use tempfile::TempDir;

    pub(in super::super) fn list() -> Value {
        json!({
            "board": "esp-01", "version": "1.2", "signed": true,
            "parts": [
                { "name": "bootloader", "address": 0, "bytes": 5 },
                { "name": "settings", "address": 8192, "bytes": 4096 },
            ],
        })
    }

    pub(in super::super) fn folder(list: &Value) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LIST), list.to_string()).unwrap();
        fs::write(folder.path().join("bootloader.bin"), [0xE9, 1, 2, 3, 4]).unwrap();
        fs::write(folder.path().join("settings.bin"), [0xFF; 4096]).unwrap();
        folder
    }

    #[test]
    fn a_folder_is_taken_only_if_all_of_it_is_as_its_list_says() {
        let good = folder(&list());
        Images::new(good.path().to_owned()).check().unwrap();
        let error = |change: &dyn Fn(&mut Value)| {
            let mut list = list();
            change(&mut list);
            let folder = folder(&list);
            format!("{:#}", Images::new(folder.path().to_owned()).check().unwrap_err())
        };
        assert!(error(&|it| it["parts"][0]["bytes"] = 6.into()).contains("has 5 bytes, not 6"));
        assert!(error(&|it| it["parts"][0]["address"] = 1.into()).contains("cannot be at 0x1"));
        assert!(error(&|it| it["parts"][0]["bytes"] = 9000.into()).contains("cannot be at 0x2000"));
        assert!(error(&|it| it["parts"][1]["address"] = (64 << 20).into()).contains("no flash"));
        assert!(
            error(&|it| it["parts"][0]["name"] = "../key".into()).contains("no name of a part")
        );
        assert!(error(&|it| it["parts"][0]["name"] = "other".into()).contains("other.bin"));
        assert!(error(&|it| it["parts"][1]["name"] = "bootloader".into()).contains("settings"));
        assert!(error(&|it| it["other"] = 1.into()).contains("is none that"));
        let none = Images::new(good.path().join("none")).check().unwrap_err().to_string();
        assert!(none.contains("./ctl.sh build") && none.contains("--images"), "{none}");
    }
}
