//! What is written into a board's flash, and where.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use spore_board::Board;
use spore_boot::image::{HEADER, Header, HeaderError, IN_PLACE, MAX_SEGMENTS, Segment};
use spore_boot::layout::{Esp, Layout as _};
use spore_boot::map::{
    BOOTLOADER, CONFIGURATION, FLASH, PHY_DATA, RF_CALIBRATION, Region, SECTOR, SELECTOR,
    SYSTEM_PARAMETERS, Slot,
};
use spore_image::{Container, ContainerError, HeadError};

use super::phy;
use crate::image::container;

/// First byte of what the mask ROM loads.
const ROM_MAGIC: u8 = 0xE9;
/// What flash reads as where nothing was programmed.
const BLANK: u8 = 0xFF;

/// Bytes that belong to one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it is, in a word that can be the name of a file.
    pub(crate) name: &'static str,
    /// Where it begins in flash.
    pub(crate) address: u32,
    /// Whole sectors are erased for it, so what is behind its end in the last one is blank.
    pub(crate) bytes: Vec<u8>,
}

impl Part {
    /// What it is and where, for programs.
    pub(crate) fn listed(&self) -> Value {
        json!({ "name": self.name, "address": self.address, "bytes": self.bytes.len() })
    }
}

/// The files that come from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The bootloader with its header.
    pub(crate) bootloader: PathBuf,
    /// The container that nodes are updated with, or the contents of slot A alone.
    pub(crate) image: PathBuf,
    /// What becomes of the board's memory.
    pub(crate) settings: Settings,
}

/// What becomes of what a board remembers.
#[derive(Clone, Debug)]
pub(crate) enum Settings {
    /// The board keeps it.
    Kept,
    /// Nothing is left of it, and the place is blank.
    Blank,
    /// The memory of a new node, in a file, replaces it.
    New(PathBuf),
}

/// The name of the part that has the image's manifest.
const MANIFEST: &str = "manifest";

/// All parts, in the order of their addresses.
///
/// The selector is blank, and so is the beginning of slot B: with one image there is nothing to choose, and an older one must not
/// come back. The manifest of a signed container is written as an update leaves it; there is none without, and none of an image before.
/// With the board's memory, what the SDK has kept of the radio goes as well.
///
/// # Errors
/// When a file cannot be read, or is not what it should be.
pub(crate) fn all(board: &Board, sources: &Sources) -> Result<Vec<Part>> {
    let (image, manifest) = image(board, &sources.image)?;
    let mut parts = vec![
        bootloader(board, &sources.bootloader)?,
        blank("selector", Region { start: SELECTOR[0].start, length: 2 * SECTOR }),
        image,
        manifest,
        blank("slot-b", Region { start: Slot::B.region().start, length: SECTOR }),
    ];
    let settings = settings(&sources.settings)?;
    let keeps = settings.is_none();
    if let Some(settings) = settings {
        parts.push(settings);
        parts.push(blank("rf-calibration", RF_CALIBRATION));
    }
    parts.push(Part { name: "phy-data", address: PHY_DATA.start, bytes: phy::esp_01().to_vec() });
    if !keeps {
        parts.push(blank("system-parameters", SYSTEM_PARAMETERS));
    }
    Ok(parts)
}

/// The part that replaces a board's memory, if it does not keep that.
fn settings(settings: &Settings) -> Result<Option<Part>> {
    let mut part = blank("settings", CONFIGURATION);
    match settings {
        Settings::Kept => return Ok(None),
        Settings::Blank => (),
        Settings::New(file) => {
            let bytes = read(file, "settings")?;
            ensure!(
                bytes.len() == part.bytes.len(),
                "{} has {} bytes; `spore claim` makes settings of {}",
                file.display(),
                bytes.len(),
                part.bytes.len()
            );
            part.bytes = bytes;
        }
    }
    Ok(Some(part))
}

/// Whether the image has a manifest, so that the board can give it to others.
pub(crate) fn has_manifest(parts: &[Part]) -> bool {
    parts.iter().any(|part| part.name == MANIFEST && part.bytes.iter().any(|byte| *byte != BLANK))
}

/// All of a flash that was blank before these parts were written.
pub(crate) fn as_flash(parts: &[Part]) -> Vec<u8> {
    let mut flash = vec![BLANK; FLASH as usize];
    for part in parts {
        let from = part.address as usize;
        flash[from..from + part.bytes.len()].copy_from_slice(&part.bytes);
    }
    flash
}

/// The bootloader, with the board's flash in its header: that is the only header which mask ROM and SDK read.
fn bootloader(board: &Board, file: &Path) -> Result<Part> {
    let mut bytes = read(file, "bootloader")?;
    ensure!(
        bytes.len() >= 8 && bytes[0] == ROM_MAGIC,
        "{} is no bootloader: the mask ROM loads what begins with {ROM_MAGIC:#x}",
        file.display()
    );
    ensure!(
        bytes.len() <= size(BOOTLOADER),
        "the bootloader {} has {} bytes; there is room for {}",
        file.display(),
        bytes.len(),
        size(BOOTLOADER)
    );
    bytes[2] = board.flash.mode.number();
    bytes[3] = board.flash.size_and_frequency();
    Ok(Part { name: "bootloader", address: BOOTLOADER.start, bytes })
}

/// The image, which must be one that the bootloader would start from slot A, and its manifest.
fn image(board: &Board, file: &Path) -> Result<(Part, Part)> {
    let bytes = read(file, "image")?;
    let shown = file.display();
    let mut manifest = blank(MANIFEST, Esp::manifest(Slot::A));
    let container = match Container::parse(&bytes) {
        // What is in a slot begins otherwise.
        Err(ContainerError::Head(HeadError::Magic)) => None,
        _ if bytes.is_empty() => None,
        parsed => Some(parsed.with_context(|| format!("{shown} is no image"))?),
    };
    let bytes = if let Some(container) = container {
        let head = container.head();
        // Before it is made for the slot: what is larger, or for another board, may have no place there.
        named(board, head.board(), file)?;
        ensure!(head.leaves_room::<Esp>(), "the image {shown} is too large for a slot");
        if head.is_signed() {
            let signed = &bytes[..head.manifest_length() as usize];
            manifest.bytes[..signed.len()].copy_from_slice(signed);
        }
        container::image(&container, Slot::A)?
    } else {
        bytes
    };
    let room = Esp::room(Slot::A) as usize;
    ensure!(
        bytes.len() <= room,
        "the image {shown} has {} bytes; a slot has room for {room}",
        bytes.len()
    );
    let page = bytes.first_chunk::<HEADER>();
    let header = page.map(|page| (page, Header::decode::<Esp>(Slot::A, page)));
    let (page, header) = match header {
        Some((page, Ok(header))) => (page, header),
        Some((_, Err(HeaderError::Entry))) => bail!("the image {shown} was linked for slot B"),
        Some((_, Err(error))) => bail!("{shown} is no image: its header is wrong ({error:?})"),
        None => bail!("{shown} is no image: it has no header"),
    };
    let whole = header.length() as usize == bytes.len();
    ensure!(whole && header.encode(&bytes[HEADER..]) == *page, "the image {shown} is damaged");
    named(board, String::from_utf8_lossy(&header.board).trim_end_matches('\0'), file)?;
    Ok((Part { name: "image", address: Slot::A.region().start, bytes }, manifest))
}

/// The image must be for the board.
fn named(board: &Board, name: &str, file: &Path) -> Result<()> {
    ensure!(
        name == board.name,
        "the image {} is for the board {name:?}, not {:?}",
        file.display(),
        board.name
    );
    Ok(())
}

/// An image for tests, of which these are the contents, whole words.
pub(super) fn sample(board: &str, slot: Slot, contents: &[u8]) -> Result<Vec<u8>> {
    let mut header = Header {
        sequence: 1,
        entry: slot.window() + IN_PLACE,
        in_place: u32::try_from(contents.len())?,
        board: [0; 16],
        version: [0; 24],
        segments: [Segment::default(); MAX_SEGMENTS],
    };
    header.board[..board.len()].copy_from_slice(board.as_bytes());
    header.version[0] = b'1';
    Ok([&header.encode(contents)[..], contents].concat())
}

fn blank(name: &'static str, region: Region) -> Part {
    Part { name, address: region.start, bytes: vec![BLANK; size(region)] }
}

fn size(region: Region) -> usize {
    region.length as usize
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>> {
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no {what} {}: `./ctl.sh build` makes it", file.display())
        }
        Ok(there) if !there.is_file() => bail!("the {what} {} is no file", file.display()),
        _ => fs::read(file).with_context(|| format!("cannot read the {what} {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Settings, Slot, Sources, all, as_flash, sample};
    use crate::paths;
    use spore_board::Board;
    use std::fs;
    use std::path::PathBuf;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("spore-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn board() -> Board {
        Board::find(&paths::repository().join("boards"), "esp-01").unwrap()
    }

    fn sources(folder: &Folder) -> Sources {
        Sources {
            bootloader: folder.file("boot", &[&[0xE9, 1, 0, 0x40][..], &[7; 4092]].concat()),
            image: folder.file("image", &sample("esp-01", Slot::A, &[5; 300_004]).unwrap()),
            settings: Settings::New(folder.file("settings", &[6; 0x8000])),
        }
    }

    #[test]
    fn parts_are_in_order_apart_from_each_other_and_whole_sectors_apart() {
        let folder = Folder::new("parts");
        let parts = all(&board(), &sources(&folder)).unwrap();
        let mut end = 0;
        for Part { name, address, bytes } in &parts {
            assert!(address.is_multiple_of(4096) && *address >= end, "{name} at {address:#x}");
            end = address + u32::try_from(bytes.len()).unwrap().next_multiple_of(4096);
        }
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        let wanted = [
            "bootloader",
            "selector",
            "image",
            "manifest",
            "slot-b",
            "settings",
            "rf-calibration",
            "phy-data",
            "system-parameters",
        ];
        assert_eq!(names, wanted);
        let flash = as_flash(&parts);
        assert_eq!((flash.len(), end), (1 << 20, 1 << 20));
        // Mode and size are the board's, whatever the bootloader was built for: with another upper half the SDK erases inside a slot.
        assert_eq!(flash[..5], [0xE9, 1, 3, 0x20, 7]);
        assert_eq!((flash[0x1000], flash[0x3100], flash[0x7B000]), (0xFF, 5, 0xFF));
        assert_eq!((flash[0xF3000], flash[0xFB000], flash[0xFC000]), (6, 0xFF, 5));
    }

    #[test]
    fn what_a_board_remembers_is_left_where_nothing_replaces_it() {
        let folder = Folder::new("kept");
        let sources = Sources { settings: Settings::Kept, ..sources(&folder) };
        let parts = all(&board(), &sources).unwrap();
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        assert_eq!(names, ["bootloader", "selector", "image", "manifest", "slot-b", "phy-data"]);
    }

    #[test]
    fn files_that_are_missing_or_other_things_are_named() {
        let folder = Folder::new("wrong");
        let error = |change: &dyn Fn(&mut Sources)| {
            let mut sources = sources(&folder);
            change(&mut sources);
            all(&board(), &sources).unwrap_err().to_string()
        };
        let none = folder.0.join("none");
        assert!(error(&|it| it.image = none.clone()).contains("there is no image"));
        assert!(error(&|it| it.bootloader = none.clone()).contains("./ctl.sh build"));
        assert!(
            error(&|it| it.settings = Settings::New(none.clone())).contains("there is no settings")
        );
        assert!(error(&|it| it.image = folder.0.clone()).contains("is no file"));
        let big = folder.file("big", &vec![0xE9; 491_521]);
        assert!(error(&|it| it.image = big.clone()).contains("a slot has room for 479232"));
        assert!(error(&|it| it.bootloader = big.clone()).contains("there is room for 4096"));
        assert!(error(&|it| it.settings = Settings::New(big.clone())).contains("of 32768"));
        let empty = folder.file("empty", &[]);
        assert!(error(&|it| it.image = empty.clone()).contains("it has no header"));
        let noise = folder.file("noise", &[7; 5_000]);
        assert!(error(&|it| it.image = noise.clone()).contains("its header is wrong (Magic)"));
        let mut bytes = sample("esp-01", Slot::A, &[5; 5_000]).unwrap();
        bytes.push(0xFF);
        let longer = folder.file("longer", &bytes);
        assert!(error(&|it| it.image = longer.clone()).contains("is damaged"));
        bytes.pop();
        bytes[4_000] ^= 1;
        let damaged = folder.file("damaged", &bytes);
        assert!(error(&|it| it.image = damaged.clone()).contains("is damaged"));
        let slot_b = folder.file("b", &sample("esp-01", Slot::B, &[5; 5_000]).unwrap());
        assert!(error(&|it| it.image = slot_b.clone()).contains("linked for slot B"));
        let other = folder.file("other", &sample("esp-12", Slot::A, &[5; 5_000]).unwrap());
        assert!(error(&|it| it.image = other.clone()).contains("is for the board \"esp-12\""));
        assert!(error(&|it| it.bootloader = empty.clone()).contains("no bootloader"));
        let (container, _) = signed("esp-01");
        let cut = folder.file("cut", &container[..container.len() - 1]);
        assert!(error(&|it| it.image = cut.clone()).contains("is no image"));
        let mut bytes = container;
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let damaged = folder.file("damaged-container", &bytes);
        assert!(error(&|it| it.image = damaged.clone()).contains("damaged-container is no image"));
        let other = folder.file("other-container", &signed("esp-12").0);
        assert!(error(&|it| it.image = other.clone()).contains("is for the board \"esp-12\""));
        let host = spore_image::build::program(&[1; 3_000], "esp-01", "1", 1).unwrap();
        let host = folder.file("program", &host);
        assert!(error(&|it| it.image = host.clone()).contains("no header"));
    }

    /// A container with a signature, and what slot A has of it.
    fn signed(board: &str) -> (Vec<u8>, Vec<u8>) {
        let [a, b] = Slot::BOTH.map(|slot| sample(board, slot, &[5; 300_004]).unwrap());
        let mut container = spore_image::build::from_slots(&a, &b).unwrap();
        spore_image::build::put_signature(&mut container, &[9; 64]);
        (container, a)
    }

    #[test]
    fn a_container_gives_the_image_and_its_manifest_if_that_is_signed() {
        let folder = Folder::new("container");
        let (mut container, image) = signed("esp-01");
        let parts_of = |container: &[u8]| {
            let image = folder.file("container", container);
            all(&board(), &Sources { image, ..sources(&folder) }).unwrap()
        };
        let part = |parts: &[Part], name| {
            let part = parts.iter().find(|part| part.name == name).unwrap();
            (part.address, part.bytes.clone())
        };
        let parts = parts_of(&container);
        assert_eq!(part(&parts, "image"), (0x3000, image.clone()));
        let head = *spore_image::Container::parse(&container).unwrap().head();
        let mut manifest = container[..head.manifest_length() as usize].to_vec();
        manifest.resize(12_288, 0xFF);
        assert_eq!(part(&parts, "manifest"), (0x78000, manifest));
        spore_image::build::put_signature(&mut container, &[0; 64]);
        let parts = parts_of(&container);
        assert_eq!(part(&parts, "image"), (0x3000, image));
        assert_eq!(part(&parts, "manifest"), (0x78000, vec![0xFF; 12_288]), "nobody would take it");
    }
}
