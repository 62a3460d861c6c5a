//! Against `ed25519-dalek`, and vectors of RFC 8032.

extern crate std;

use std::vec::Vec;

use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::{ORDER, is_below_order, is_genuine, is_key, remainder};

fn order() -> [u8; 32] {
    let bytes: Vec<u8> = ORDER.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.try_into().unwrap()
}

/// `number` and `by`, which may be negative.
fn plus(mut number: [u8; 32], by: i8) -> [u8; 32] {
    let mut carry = i16::from(by);
    for byte in &mut number {
        let sum = i16::from(*byte) + carry;
        (*byte, carry) = (sum.rem_euclid(256) as u8, sum.div_euclid(256));
    }
    number
}

fn by_dalek(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[test]
fn remainders_are_those_of_the_library() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut numbers = std::vec![[0; 64], [0xFF; 64]];
    for by in -2..=2 {
        // Around the order, and around its multiple by 2²⁵⁶.
        for at in [0, 32] {
            let mut number = [0; 64];
            number[at..at + 32].copy_from_slice(&plus(order(), by));
            numbers.push(number);
        }
    }
    for len in (1..=64).cycle().take(10_000) {
        let mut number = [0; 64];
        random.fill(&mut number[..len]);
        numbers.push(number);
    }
    for number in numbers {
        let expected = Scalar::from_bytes_mod_order_wide(&number).to_bytes();
        assert_eq!(remainder(&number), expected, "{number:02x?}");
    }
}

#[test]
fn what_is_below_the_order_is_told_to_the_last_bit() {
    let mut random = fastrand::Rng::with_seed(2);
    let near = (-100..=100).map(|by| plus(order(), by));
    let any = (0..10_000).map(|n| {
        let mut number = [0; 32];
        random.fill(&mut number);
        // Half of them have their highest bits as the order has.
        if n % 2 == 0 {
            number[16..].copy_from_slice(&order()[16..]);
        }
        number
    });
    let mut below = 0;
    for number in near.chain(any).chain([[0; 32], [0xFF; 32]]) {
        let expected = bool::from(Scalar::from_canonical_bytes(number).is_some());
        assert_eq!(is_below_order(&number), expected, "{number:02x?}");
        below += usize::from(expected);
    }
    assert!((500..9_000).contains(&below), "{below}");
}

/// RFC 8032, section 7.1: secret key, public key, message, signature.
#[test]
fn the_vectors_hold() {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    for (key, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let key: [u8; 32] = bytes(key).try_into().unwrap();
        let signature: [u8; 64] = bytes(signature).try_into().unwrap();
        assert!(is_key(&key));
        assert!(is_genuine(&key, &bytes(message), &signature));
        assert!(!is_genuine(&key, b"another", &signature));
    }
}

#[test]
fn it_accepts_what_the_library_accepts() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut genuine = 0;
    for n in 0..400 {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let secret = SigningKey::from_bytes(&secret);
        let mut message = std::vec![0; random.usize(..300)];
        random.fill(&mut message);
        let mut key = secret.verifying_key().to_bytes();
        let mut signature = secret.sign(&message).to_bytes();
        match n % 4 {
            0 => (),
            1 => signature[random.usize(..64)] ^= 1 << random.u8(..8),
            2 => key[random.usize(..32)] ^= 1 << random.u8(..8),
            // The same number, and not the only one that it could be: not canonical.
            _ => {
                let mut carry = 0;
                for (byte, order) in signature[32..].iter_mut().zip(order()) {
                    let sum = u16::from(*byte) + u16::from(order) + carry;
                    (*byte, carry) = (sum as u8, sum >> 8);
                }
            }
        }
        let expected = by_dalek(&key, &message, &signature);
        assert_eq!(is_genuine(&key, &message, &signature), expected, "{n}");
        assert_eq!(expected, n % 4 == 0, "{n}");
        genuine += usize::from(expected);
    }
    assert_eq!(genuine, 100);
}

/// Keys of small order, and encodings of points that are not the only ones: for each of them `s` may be 0, and `r` the neutral
/// point or the key itself.
#[test]
fn weak_keys_and_weak_signatures_are_refused() {
    let mut weak = std::vec![[0; 32], plus([0; 32], 1)];
    for sign in [0x7F, 0xFF] {
        // y = p - 1, p, p + 1, with either sign.
        for by in [0xEC, 0xED, 0xEE] {
            let mut key = [0xFF; 32];
            (key[0], key[31]) = (by, sign);
            weak.push(key);
        }
    }
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        weak.push(point.compress().to_bytes());
    }
    let strong = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    for key in &weak {
        assert!(!is_key(key), "{key:02x?}");
        for r in [plus([0; 32], 1), *key] {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&r);
            for key in [key, &strong] {
                assert!(!is_genuine(key, b"anything", &signature));
                assert!(!by_dalek(key, b"anything", &signature));
            }
        }
    }
}
