//! Images as a linker would make them, and a key.

use ed25519_dalek::{Signer as _, SigningKey};
use fastrand::Rng;
use spore_boot::Esp;
use spore_boot::image::{DATA_RAM, Header, IN_PLACE, INSTRUCTION_RAM, MAX_SEGMENTS, Segment};
use spore_boot::map::Slot;
use spore_image::head::HEAD;
use spore_image::{CHUNK_BYTES, Container, Head, build};

/// What a linker has made of one program for either slot.
pub(crate) struct Linked {
    pub(crate) a: Vec<u8>,
    pub(crate) b: Vec<u8>,
}

/// `words` words of code and `loaded` for RAM, of which one in `density` points into the slot.
pub(crate) fn linked(rng: &mut Rng, words: u32, loaded: u32, density: u32) -> Linked {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    segments[0] = Segment { address: INSTRUCTION_RAM.start, length: 4 * (loaded / 2) };
    segments[1] = Segment { address: DATA_RAM.start, length: 4 * (loaded - loaded / 2) };
    let into = |slot: Slot, at: u32| slot.window() + at;
    let moves: Vec<Option<u32>> = (0..words + loaded)
        .map(|_| (rng.u32(..density) == 0).then(|| rng.u32(..Slot::LENGTH)))
        .collect();
    let others: Vec<u32> = moves.iter().map(|_| rng.u32(..)).collect();
    let image = |slot: Slot| {
        let words = moves.iter().zip(&others);
        let contents: Vec<u8> = words
            .flat_map(|(moved, other)| moved.map_or(*other, |at| into(slot, at)).to_le_bytes())
            .collect();
        let in_place = contents.len() as u32 - 4 * loaded;
        let mut header = Header {
            sequence: 7,
            entry: into(slot, IN_PLACE),
            in_place,
            board: [0; 16],
            version: [0; 24],
            segments,
        };
        header.board[..6].copy_from_slice(b"esp-01");
        header.version[..5].copy_from_slice(b"1.2.3");
        [&header.encode(&contents)[..], &contents].concat()
    };
    Linked { a: image(Slot::A), b: image(Slot::B) }
}

/// The release key.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// Its public part.
pub(crate) fn public() -> [u8; 32] {
    key().verifying_key().to_bytes()
}

/// Has the key sign it.
pub(crate) fn sign(container: &mut [u8]) {
    let head = Head::decode(container.first_chunk::<HEAD>().unwrap()).unwrap();
    build::put_signature(container, &key().sign(&head.message()).to_bytes());
}

/// A signed container of two chunks.
pub(crate) fn small() -> Vec<u8> {
    let Linked { a, b } = linked(&mut Rng::with_seed(5), 1000, 40, 20);
    let mut container = build::from_slots(&a, &b).unwrap();
    sign(&mut container);
    container
}

/// The image for a slot, made of a container.
pub(crate) fn image(container: &Container<'_>, slot: Slot) -> Vec<u8> {
    let mut image = container.head().page::<Esp>(slot).unwrap().to_vec();
    let mut chunk = [0; CHUNK_BYTES];
    for number in 0..container.head().chunks() {
        let length = container.relocated(number, slot, &mut chunk);
        image.extend(&chunk[..length]);
    }
    image
}
