//! One container for both slots.

use crate::sample::{Linked, image, key, linked, public, sign, small};
use ed25519_dalek::{Signer as _, SigningKey};
use fastrand::Rng;
use spore_boot::image::{HEADER, Header, HeaderError};
use spore_boot::layout::{Esp, Host, Layout as _};
use spore_boot::map::{MANIFEST, Slot};
use spore_image::build::{self, BuildError};
use spore_image::head::{HEAD, MAX_PAYLOAD, SIGNED};
use spore_image::relocations::relocate;
use spore_image::{Container, Head, HeadError, SignatureError};

#[test]
fn one_container_gives_byte_for_byte_what_was_linked_for_either_slot() {
    let mut rng = Rng::with_seed(1);
    // Around the ends of chunks; the first one has 960 words.
    for words in [1, 2, 900, 950, 959, 960, 961, 1983, 1984, 1985, 20_000] {
        for density in [1, 3, 70, 1_000_000] {
            let loaded = rng.u32(..words.min(60));
            let Linked { a, b } = linked(&mut rng, words - loaded, loaded, density);
            let made = build::from_slots(&a, &b);
            if density == 1 && words == 20_000 {
                assert_eq!(made, Err(BuildError::TooLarge), "no room for so many relocations");
                continue;
            }
            let bytes = made.unwrap();
            let container = Container::parse(&bytes).unwrap();
            assert_eq!(image(&container, Slot::A), a);
            assert_eq!(image(&container, Slot::B), b);
            let differ = a[HEADER..].chunks(4).zip(b[HEADER..].chunks(4)).filter(|(a, b)| a != b);
            assert_eq!(container.moved(), differ.count());
        }
    }
}

#[test]
fn a_node_can_give_on_the_neutral_form_out_of_slot_b() {
    let mut rng = Rng::with_seed(2);
    let Linked { a, b } = linked(&mut rng, 5000, 100, 9);
    let bytes = build::from_slots(&a, &b).unwrap();
    let head = *Container::parse(&bytes).unwrap().head();
    // The manifest is all that it needs besides what is in the slot.
    let manifest = &bytes[..head.manifest_length() as usize];
    let rows = &manifest[HEAD..HEAD + 36 * head.chunks() as usize];
    let lists = &manifest[HEAD + rows.len()..];
    let mut start = 0;
    let mut payload = Vec::new();
    for (number, row) in (0..).zip(rows.chunks(36)) {
        let end = u32::from_le_bytes(row[32..].try_into().unwrap()) as usize;
        let range = head.chunk(number);
        let mut chunk = b[HEADER..][range.start as usize..range.end as usize].to_vec();
        relocate(&mut chunk, &lists[start..end], Esp::distance(Slot::B).wrapping_neg()).unwrap();
        payload.extend(chunk);
        start = end;
    }
    assert_eq!([manifest, &payload].concat(), bytes);
}

#[test]
fn images_that_are_not_of_one_program_make_no_container() {
    let Linked { a, b } = linked(&mut Rng::with_seed(3), 1000, 10, 10);
    assert_eq!(
        build::from_slots(&b, &a),
        Err(BuildError::Image(Slot::A, Some(HeaderError::Entry)))
    );
    assert_eq!(build::from_slots(&a, &b[..b.len() - 4]), Err(BuildError::Image(Slot::B, None)));
    assert_eq!(build::from_slots(&a[..9], &b), Err(BuildError::Image(Slot::A, None)));
    let resealed = |change: fn(&mut Header, &mut [u8])| {
        let (page, contents) = b.split_first_chunk::<HEADER>().unwrap();
        let (mut header, mut contents) =
            (Header::decode::<Esp>(Slot::B, page).unwrap(), contents.to_vec());
        change(&mut header, &mut contents);
        let b = [&header.encode(&contents)[..], &contents].concat();
        build::from_slots(&a, &b)
    };
    assert!(resealed(|_, _| ()).is_ok());
    assert_eq!(resealed(|header, _| header.sequence += 1), Err(BuildError::Headers));
    assert_eq!(resealed(|header, _| header.entry += 4), Err(BuildError::Headers));
    let error = resealed(|_, contents| contents[0x123] ^= 1).unwrap_err();
    assert!(matches!(error, BuildError::Word { at: 0x220, .. }), "{error:?}");
}

#[test]
fn an_image_must_leave_room_for_its_manifest() {
    let mut rng = Rng::with_seed(4);
    let room = (Slot::LENGTH - MANIFEST) / 4 - 64;
    let of = |rng: &mut Rng, words, density| {
        let Linked { a, b } = linked(rng, words, 0, density);
        build::from_slots(&a, &b).map(drop)
    };
    assert_eq!(of(&mut rng, room, 100), Ok(()));
    assert_eq!(of(&mut rng, room + 1, 100), Err(BuildError::TooLarge));
    assert_eq!(of(&mut rng, room, 10), Err(BuildError::TooLarge), "12,000 relocations");
}

#[test]
fn a_program_for_linux_is_a_container_of_which_nothing_moves() {
    let mut executable = vec![0x7F; 10_001];
    let bytes = build::program(&executable, "host", "1.2.3", 9).unwrap();
    let container = Container::parse(&bytes).unwrap();
    executable.resize(10_004, 0);
    assert_eq!(container.payload(), executable);
    assert_eq!((container.head().board(), container.head().version()), ("host", "1.2.3"));
    assert!(container.head().is_program() && container.moved() == 0);
    assert_eq!(
        container.head().header::<Esp>(Slot::A),
        Err(HeaderError::Entry),
        "it is for no board"
    );
    assert!(container.head().page::<Host>(Slot::B).is_ok());
    let largest = Host::room(Slot::A) as usize - HEADER;
    executable.resize(largest, 0x7F);
    assert!(build::program(&executable, "host", "1", 9).is_ok());
    executable.push(0);
    assert_eq!(build::program(&executable, "host", "1", 9), Err(BuildError::TooLarge));
    for (board, version) in [("", "1"), ("a b", "1"), ("host", "ü"), ("a-name-of-17-char", "1")] {
        assert_eq!(build::program(&executable, board, version, 9), Err(BuildError::Name));
    }
    assert_eq!(build::program(&[], "host", "1", 9), Err(BuildError::TooLarge));
}

#[test]
fn only_the_release_key_signs() {
    let mut bytes = small();
    let head = |bytes: &[u8]| Head::decode(bytes.first_chunk().unwrap()).unwrap();
    assert_eq!(head(&bytes).verify(&public()), Ok(()));
    let other = SigningKey::from_bytes(&[2; 32]);
    let wrong = other.verifying_key().to_bytes();
    assert_eq!(head(&bytes).verify(&wrong), Err(SignatureError::Forged));
    assert_eq!(head(&bytes).verify(&[0; 32]), Err(SignatureError::Forged), "a weak key");
    // A key that is named as successor is signed with other words.
    let succession = [b"SPORE release key 1".as_slice(), &[3; 32]].concat();
    assert_ne!(head(&bytes).message()[..5], succession[..5]);
    build::put_signature(&mut bytes, &key().sign(&succession).to_bytes());
    assert_eq!(head(&bytes).verify(&public()), Err(SignatureError::Forged));
    build::put_signature(&mut bytes, &[0; 64]);
    assert_eq!(head(&bytes).verify(&public()), Err(SignatureError::Unsigned));
    sign(&mut bytes);
    assert_eq!(bytes, small(), "signing is deterministic");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let good = small();
    let with = |at: usize, word: u32| {
        let mut head = *good.first_chunk::<HEAD>().unwrap();
        head[at..at + 4].copy_from_slice(&word.to_le_bytes());
        Head::decode(&head)
    };
    let (in_place, segment, relocations) = (16, 64, 124);
    let payload = Head::decode(good.first_chunk().unwrap()).unwrap().payload();
    for (at, word) in [
        (in_place, u32::MAX),
        (in_place, u32::MAX - 3),
        (in_place, MAX_PAYLOAD),
        (in_place, 3),
        // The sum is small again.
        (in_place, 0u32.wrapping_sub(160)),
        (segment, 0u32.wrapping_sub(4000)),
        (segment + 8 * 7, u32::MAX),
        (relocations, payload / 2 + 1),
        (relocations, u32::MAX),
    ] {
        assert_eq!(with(at, word), Err(HeadError::Length), "{at}: {word:#x}");
    }
    let largest = with(in_place, MAX_PAYLOAD - 160).unwrap();
    assert_eq!(largest.payload(), MAX_PAYLOAD);
    assert_eq!(largest.chunk(u32::MAX), MAX_PAYLOAD..MAX_PAYLOAD);
    assert!(largest.length() > MAX_PAYLOAD && !largest.leaves_room::<Host>());
    assert_eq!(with(0, 0), Err(HeadError::Magic));
    assert_eq!(with(4, 2), Err(HeadError::Format));
    assert_eq!(with(20, 0), Err(HeadError::Name));
    assert_eq!(SIGNED, 224);
}
