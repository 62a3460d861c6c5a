//! `GET /api/node/image` and what is below it: the images in this node's slots, as they were signed, so that anybody can put the
//! container together again.
//!
//! Their bytes are the body's. The engine says what is wanted, and the shell reads it.

use super::{Error, Pending, Request, Response, check_parameters, query_parameter};
use crate::node::Node;
use crate::ota::ImageId;
use crate::text::hex;
use serde::Serialize;

/// What the path of each chunk begins with; its number follows.
pub(super) const CHUNKS: &str = "/api/node/image/chunks/";

/// A part of the container of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImagePart {
    /// It is in the slot that does not run.
    pub held: bool,
    /// The chunk, from 0; `None` for the manifest.
    pub chunk: Option<u16>,
}

/// An image in a slot, as the API shows it. With text of the greatest length, two of them fit into [`MIN_PIECE`](super::MIN_PIECE) bytes.
#[derive(Clone, Copy, Debug)]
pub struct ImageAbout<'a> {
    /// Which image it is.
    pub id: &'a ImageId,
    /// The board that it is for, at most 16 bytes.
    pub board: &'a str,
    /// Its version, at most 24 bytes.
    pub version: &'a str,
    /// Its sequence number.
    pub sequence: u32,
    /// Bytes of the manifest.
    pub manifest: u32,
    /// Bytes of the container, manifest included.
    pub length: u32,
    /// How many chunks follow the manifest.
    pub chunks: u32,
}

/// As the API has it.
#[derive(Serialize)]
struct AboutView<'a> {
    id: &'a str,
    board: &'a str,
    version: &'a str,
    sequence: u32,
    manifest: u32,
    length: u32,
    chunks: u32,
}

impl ImageAbout<'_> {
    /// Writes what there is to know of an image, or that there is none, to the start of `buf`. Its length; 0 if there is no room.
    pub fn write(about: Option<&Self>, buf: &mut [u8]) -> usize {
        let id = about.map(|about| hex::<32>(about.id));
        let view = about.zip(id.as_ref()).map(|(about, id)| {
            let Self { board, version, sequence, manifest, length, chunks, .. } = *about;
            AboutView { id, board, version, sequence, manifest, length, chunks }
        });
        serde_json_core::to_slice(&view, buf).unwrap_or(0)
    }
}

/// Answers who wants the manifest.
pub(super) fn manifest(node: &Node<'_>, request: &Request<'_>) -> Result<Response, Error> {
    part(node, request, None)
}

/// Answers who wants a chunk.
pub(super) fn chunk(node: &Node<'_>, request: &Request<'_>) -> Result<Response, Error> {
    let number = request.path.strip_prefix(CHUNKS).unwrap_or_default();
    // A sign would be taken for part of the number.
    let digits = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok()).ok_or(Error::NotFound)?;
    part(node, request, Some(number))
}

fn part(node: &Node<'_>, request: &Request<'_>, chunk: Option<u16>) -> Result<Response, Error> {
    has_slots(node)?;
    check_parameters(request.query, &["slot"])?;
    let held = match query_parameter(request.query, "slot")? {
        None | Some("running") => false,
        Some("held") => true,
        Some(_) => return Err(Error::InvalidField("slot")),
    };
    Ok(Response::pending(Pending::Image(ImagePart { held, chunk })))
}

/// # Errors
/// On a body without slots.
pub(super) fn has_slots(node: &Node<'_>) -> Result<(), Error> {
    node.updates.running().map(|_| ()).ok_or(Error::NoSlots)
}

#[cfg(test)]
mod tests {
    use super::ImageAbout;
    use crate::api::MIN_PIECE;
    use serde_json::{Value, json};

    #[test]
    fn what_is_known_of_two_images_fits_into_a_piece() {
        let about = ImageAbout {
            id: &[0xAB; 16],
            board: &"b".repeat(16),
            version: &"v".repeat(24),
            sequence: u32::MAX,
            manifest: u32::MAX,
            length: u32::MAX,
            chunks: u32::MAX,
        };
        let mut buf = [0; MIN_PIECE];
        let len = ImageAbout::write(Some(&about), &mut buf);
        assert!(2 * len + 30 <= MIN_PIECE, "{len}");
        let document: Value = serde_json::from_slice(&buf[..len]).unwrap();
        assert_eq!(
            (&document["id"], &document["chunks"]),
            (&json!("ab".repeat(16)), &json!(u32::MAX))
        );
        assert_eq!(ImageAbout::write(Some(&about), &mut buf[..len - 1]), 0);
        let len = ImageAbout::write(None, &mut buf);
        assert_eq!(&buf[..len], b"null");
    }
}
