//! Whether the program of a release fits into a slot of a Linux node, which takes updates as a board does.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use spore_boot::image::HEADER;
use spore_boot::layout::{Host, Layout as _};
use spore_boot::map::Slot;

/// Tells how much room `program` leaves.
///
/// # Errors
/// When it does not fit.
pub(super) fn check(program: &Path) -> Result<()> {
    let (shown, room) = (program.display(), room());
    let bytes = fs::metadata(program).with_context(|| format!("no {shown}"))?.len();
    let left = left(bytes).with_context(|| format!("{shown} is no update for a Linux node"))?;
    println!("{shown}: {bytes} bytes of {room} that a slot of a Linux node has; {left} are left");
    Ok(())
}

/// Bytes of a program that there is room for (docs/image.md).
fn room() -> u64 {
    u64::from(Host::room(Slot::A)) - HEADER as u64
}

/// The bytes that a program of so many leaves.
fn left(bytes: u64) -> Result<u64> {
    let room = room();
    room.checked_sub(bytes).with_context(|| {
        format!("it has {bytes} bytes, {} more than the slot's {room}", bytes - room)
    })
}

#[cfg(test)]
mod tests {
    use super::{check, left, room};
    use spore_image::build::{self, BuildError};

    #[test]
    fn what_is_left_is_told_and_a_byte_too_many_is_refused() {
        assert_eq!(left(16_369_488).unwrap(), 255_920);
        assert_eq!(left(room()).unwrap(), 0);
        let refused = left(room() + 1).unwrap_err().to_string();
        assert!(refused.contains("16625409 bytes, 1 more than the slot's 16625408"), "{refused}");
        assert!(check("/nonexistent".as_ref()).is_err());
    }

    #[test]
    fn it_is_the_room_that_images_have() {
        let image = |bytes: u64| build::program(&vec![1; bytes as usize], "host", "1", 1);
        assert!(image(room()).is_ok());
        assert_eq!(image(room() + 1), Err(BuildError::TooLarge));
    }
}
