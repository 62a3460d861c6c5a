//! What was cut, altered, or never was a container is refused, with a reason.

use crate::sample::{public, sign, small};
use fastrand::Rng;
use spore_image::head::HEAD;
use spore_image::{Container, ContainerError, Head};
use std::collections::BTreeMap;

/// What a node asks of a container.
fn take(bytes: &[u8]) -> Result<(), String> {
    let container = Container::parse(bytes).map_err(|error| format!("{error:?}"))?;
    container.head().verify(&public()).map_err(|error| format!("{error:?}"))
}

#[test]
fn every_truncation_is_refused_and_so_is_what_follows() {
    let good = small();
    assert_eq!(take(&good), Ok(()));
    for length in 0..good.len() {
        assert_eq!(Container::parse(&good[..length]), Err(ContainerError::Length), "{length}");
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(Container::parse(&longer), Err(ContainerError::Length));
}

#[test]
fn every_flipped_bit_is_refused_with_a_reason_that_fits() {
    let good = small();
    let mut reasons = BTreeMap::<String, u32>::new();
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let reason = take(&bytes).expect_err("a container with a flipped bit");
        let (kind, _) = reason.split_once('(').unwrap_or((&reason, ""));
        *reasons.entry(kind.to_owned()).or_default() += 1;
    }
    // The payload is what most bits are.
    assert!(reasons["Chunk"] >= 8 * 4000, "{reasons:?}");
    for kind in ["Head", "Length", "Lists", "Slot", "Forged"] {
        assert!(reasons[kind] > 0, "{kind}: {reasons:?}");
    }
}

/// Also by who has the release key, nothing can be signed that is not what its head says.
#[test]
fn a_signature_does_not_make_a_container_of_what_is_none() {
    let good = small();
    let mut rng = Rng::with_seed(6);
    for _ in 0..300 {
        let mut bytes = good.clone();
        let bit = rng.usize(..8 * 224);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if Head::decode(bytes.first_chunk().unwrap()).is_ok() {
            sign(&mut bytes);
            assert!(Container::parse(&bytes).is_err(), "bit {bit}");
        }
    }
}

/// Heads and whole containers of random bytes in random places; what is taken must be what was there.
#[test]
fn junk_is_refused_and_panics_nowhere() {
    let good = small();
    let mut rng = Rng::with_seed(7);
    for _ in 0..30_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.usize(1..6) {
            let reach = if rng.bool() { HEAD } else { bytes.len() };
            let at = rng.usize(..reach);
            let end = bytes.len().min(at + rng.usize(1..9));
            bytes[at..end].fill_with(|| *rng.choice(&[0, 1, 0x7F, 0x80, 0xFF]).unwrap());
        }
        if rng.u8(..) < 64 {
            bytes.truncate(rng.usize(..bytes.len()));
        }
        if let Some(Ok(head)) = bytes.first_chunk().map(Head::decode) {
            let _ = (
                head.page::<spore_boot::Esp>(spore_boot::Slot::B),
                head.chunk(rng.u32(..)),
                head.length(),
            );
        }
        assert!(take(&bytes).is_err() || bytes == good);
    }
}
