//! Making a container, for tools.

use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use spore_boot::bytes::Writer;
use spore_boot::image::{HEADER, Header, HeaderError, IN_PLACE, MAX_SEGMENTS, Segment, Verifier};
use spore_boot::layout::{Esp, Host, Layout as _};
use spore_boot::map::Slot;

use crate::container::{Container, ContainerError};
use crate::head::{HEAD, Head, SIGNATURE};
use crate::relocations;
use crate::{CHUNK, DIGEST, index};

/// Why no container can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// This is no image for this slot; with the reason if its header is to blame, else its digest or length is wrong.
    Image(Slot, Option<HeaderError>),
    /// The headers of the two images differ in more than their entries.
    Headers,
    /// The images differ in a word that is no address which moved.
    Word {
        /// From the start of the slot.
        at: u32,
        /// The word in slot A.
        a: u32,
        /// The word in slot B.
        b: u32,
    },
    /// A name is empty, too long for its field, or has other than ASCII characters that can be seen.
    Name,
    /// The image or program leaves no room in a slot for its manifest.
    TooLarge,
    /// What was made is not a container, which is an error of this module.
    Made(ContainerError),
}

impl core::fmt::Display for BuildError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Image(slot, Some(HeaderError::Entry)) => {
                write!(f, "the image for slot {slot:?} was linked for another one")
            }
            Self::Image(slot, Some(error)) => {
                write!(f, "there is no image for slot {slot:?}: its header is wrong ({error:?})")
            }
            Self::Image(slot, None) => write!(f, "the image for slot {slot:?} is damaged"),
            Self::Headers => f.write_str("the two images are not of one program: their headers differ"),
            Self::Word { at, a, b } => write!(
                f,
                "the word at {at:#x} of the slot is {a:#010x} in A and {b:#010x} in B, which is no address that moved"
            ),
            Self::Name => f.write_str(
                "a name is not of ASCII characters without spaces: at most 16 for the board, 24 for the version",
            ),
            Self::TooLarge => f.write_str("it is too large"),
            Self::Made(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BuildError {}

/// The container of a program that was linked for both slots, whose images these are. It is not signed.
///
/// # Errors
/// When either is no image for its slot, one cannot be made from the other, or there is no room for the manifest.
pub fn from_slots(a: &[u8], b: &[u8]) -> Result<Vec<u8>, BuildError> {
    let (of_a, in_a) = image(Slot::A, a)?;
    let (of_b, in_b) = image(Slot::B, b)?;
    let mut head = Head {
        header: of_a.0,
        relocations: 0,
        lists: [0; DIGEST],
        slots: [of_a.1, of_b.1],
        signature: [0; SIGNATURE],
    };
    if head.header::<Esp>(Slot::B) != Ok(of_b.0) {
        return Err(BuildError::Headers);
    }
    let mut chunks = Vec::new();
    let mut words = Vec::new();
    let pairs = in_a.as_chunks().0.iter().zip(in_b.as_chunks().0);
    for (at, (a, b)) in (IN_PLACE..).step_by(4).zip(pairs) {
        let (a, b) = (u32::from_le_bytes(*a), u32::from_le_bytes(*b));
        if b.wrapping_sub(a) == Esp::distance(Slot::B) {
            // The first chunk begins behind the header.
            let start = if at < CHUNK { IN_PLACE } else { at / CHUNK * CHUNK };
            words.push((at / CHUNK, (at - start) / 4));
        } else if a != b {
            return Err(BuildError::Word { at, a, b });
        }
    }
    for number in 0..head.chunks() {
        let own = words.iter().filter(|(chunk, _)| *chunk == number).map(|(_, word)| *word);
        let mut list = Vec::new();
        relocations::encode(own, &mut list);
        chunks.push(list);
    }
    assemble(&mut head, in_a, &chunks)
}

/// The container of a program for Linux. It is not signed.
///
/// # Errors
/// When a name is none, or the program leaves no room in a slot for its manifest.
pub fn program(
    executable: &[u8],
    board: &str,
    version: &str,
    sequence: u32,
) -> Result<Vec<u8>, BuildError> {
    let mut payload = executable.to_vec();
    payload.resize(payload.len().next_multiple_of(4), 0);
    let header = Header {
        sequence,
        entry: 0,
        in_place: u32::try_from(payload.len()).map_err(|_| BuildError::TooLarge)?,
        board: name(board)?,
        version: name(version)?,
        segments: [Segment::default(); MAX_SEGMENTS],
    };
    let digest = header.encode(&payload);
    let [.., digest] = digest.as_chunks::<DIGEST>().0 else { return Err(BuildError::TooLarge) };
    let slots = [*digest; 2];
    let mut head =
        Head { header, relocations: 0, lists: [0; DIGEST], slots, signature: [0; SIGNATURE] };
    assemble(&mut head, &payload, &[])
}

/// Puts a signature into a container, in place of the one that is there. Whose it is, is not asked.
pub fn put_signature(container: &mut [u8], signature: &[u8; SIGNATURE]) {
    if let Some((_, place)) = container.get_mut(..HEAD).and_then(|head| head.split_last_chunk_mut())
    {
        *place = *signature;
    }
}

/// Header and digest of an image, and what follows them.
type Image<'a> = ((Header, [u8; DIGEST]), &'a [u8]);

fn image(slot: Slot, bytes: &[u8]) -> Result<Image<'_>, BuildError> {
    let damaged = BuildError::Image(slot, None);
    let (page, contents) = bytes.split_first_chunk::<HEADER>().ok_or(damaged)?;
    let header = Header::decode::<Esp>(slot, page);
    let header = header.map_err(|error| BuildError::Image(slot, Some(error)))?;
    let mut verifier = Verifier::new(page);
    verifier.update(contents);
    if index(header.length()) != bytes.len() || !verifier.is_whole() {
        return Err(damaged);
    }
    let (_, digest) = page.split_last_chunk().ok_or(damaged)?;
    Ok(((header, *digest), contents))
}

/// All of a container; `lists` are the relocations of the chunks, of which those at the end may be missing.
fn assemble(head: &mut Head, payload: &[u8], lists: &[Vec<u8>]) -> Result<Vec<u8>, BuildError> {
    let relocations = lists.concat();
    head.relocations = u32::try_from(relocations.len()).map_err(|_| BuildError::TooLarge)?;
    let mut manifest = Vec::new();
    let mut end = 0;
    for number in 0..head.chunks() {
        let range = head.chunk(number);
        let chunk = payload.get(index(range.start)..index(range.end)).unwrap_or_default();
        end += lists.get(index(number)).map_or(0, Vec::len);
        let mut row = [0; DIGEST + 4];
        let mut writer = Writer(&mut row);
        writer.put(&Sha256::digest(chunk));
        writer.word(u32::try_from(end).map_err(|_| BuildError::TooLarge)?);
        manifest.extend(row);
    }
    manifest.extend(&relocations);
    head.lists = Sha256::digest(&manifest).into();
    let container = [&head.encode()[..], &manifest, payload].concat();
    let room =
        if head.is_program() { head.leaves_room::<Host>() } else { head.leaves_room::<Esp>() };
    if Head::decode(&head.encode()).is_err() || !room {
        return Err(BuildError::TooLarge);
    }
    Container::parse(&container).map_err(BuildError::Made)?;
    Ok(container)
}

fn name<const N: usize>(text: &str) -> Result<[u8; N], BuildError> {
    let mut field = [0; N];
    let room = field.get_mut(..text.len()).ok_or(BuildError::Name)?;
    room.copy_from_slice(text.as_bytes());
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BuildError::Name);
    }
    Ok(field)
}
