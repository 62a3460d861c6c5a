//! Verifies Ed25519 signatures (RFC 8032) in little flash.
//!
//! It accepts what `VerifyingKey::verify_strict` of `ed25519-dalek` 2 accepts, and its points and fields are those of
//! `curve25519-dalek`. Of its own is the arithmetic of numbers modulo the group's order: that library multiplies them in unrolled
//! loops, which take nine kilobytes of a board's flash, and all that a verification needs is a remainder and a comparison.
//! All of this is public, so nothing here has to take the same time for all numbers.
#![no_std]

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};

/// The bytes of a public key.
pub const KEY: usize = 32;

/// The bytes of a signature.
pub const SIGNATURE: usize = 64;

/// A number below 2²⁵⁶, its lowest word first.
type Number = [u32; 8];

/// The order of the group, 2²⁵² + 27742317777372353535851937790883648493 (RFC 8032, section 5.1).
const ORDER: Number = [0x5CF5_D3ED, 0x5812_631A, 0xA2F7_9CD6, 0x14DE_F9DE, 0, 0, 0, 0x1000_0000];

/// Whether `key` is a public key with which something can be signed, and not by anybody: a point of the curve that is not of
/// small order.
pub fn is_key(key: &[u8; KEY]) -> bool {
    point(key).is_some()
}

/// Whether the owner of `key` has signed `message`. Weak keys and signatures that are not canonical are refused, which
/// RFC 8032 leaves open, so that all implementations agree. Needs 9 KB of stack on a chip.
pub fn is_genuine(key: &[u8; KEY], message: &[u8], signature: &[u8; SIGNATURE]) -> bool {
    let (Some(point), Some((r, s))) = (point(key), signature.split_first_chunk::<32>()) else {
        return false;
    };
    let Some(s) = s.first_chunk().filter(|s| is_below_order(s)) else { return false };
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    let (k, s) = (scalar(remainder(&hash.into())), scalar(*s));
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-point, &s);
    expected.compress().0 == *r && !expected.is_small_order()
}

/// The point that `key` stands for, unless anybody could sign with it.
fn point(key: &[u8; KEY]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*key).decompress().filter(|point| !point.is_small_order())
}

/// A number below the group's order, for the library.
#[expect(
    deprecated,
    reason = "what makes a scalar otherwise contains the arithmetic that has no room"
)]
fn scalar(number: [u8; 32]) -> Scalar {
    Scalar::from_bits(number)
}

/// A number's remainder by the group's order, bit by bit from the highest on.
fn remainder(number: &[u8; 64]) -> [u8; 32] {
    let mut rest = Number::default();
    for byte in number.iter().rev() {
        for bit in (0..8).rev() {
            // Twice a remainder and one bit are less than twice the order, and so below 2²⁵⁶.
            let mut carry = u32::from(byte >> bit & 1);
            for word in &mut rest {
                (*word, carry) = (*word << 1 | carry, *word >> 31);
            }
            if let Some(less) = without_order(rest) {
                rest = less;
            }
        }
    }
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).zip(rest) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Whether a number, its lowest byte first, is below the group's order.
fn is_below_order(bytes: &[u8; 32]) -> bool {
    let mut number = Number::default();
    for (word, bytes) in number.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    without_order(number).is_none()
}

/// The number less the group's order, unless it is below that.
fn without_order(mut number: Number) -> Option<Number> {
    let mut borrow = false;
    for (word, order) in number.iter_mut().zip(ORDER) {
        let (less, under) = word.overflowing_sub(order);
        let (less, under_again) = less.overflowing_sub(borrow.into());
        (*word, borrow) = (less, under | under_again);
    }
    (!borrow).then_some(number)
}

#[cfg(test)]
mod tests;
