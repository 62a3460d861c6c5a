//! Sealing and opening with ChaCha20-Poly1305, which every datagram goes through.

use alloc::vec;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Tag};

use spore_core::ClusterKey;
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};

use crate::{Inputs, Trace};

pub(super) fn seal(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    // Around the cipher's block of 64 bytes and the authenticator's of 16.
    for len in [0, 1, 15, 16, 17, 63, 64, 65, 127, 200, 512] {
        let (mut key, mut nonce, mut header) = ([0; 32], [0; 12], [0; 13]);
        for part in [&mut key[..], &mut nonce, &mut header] {
            inputs.fill(part);
        }
        let mut text = vec![0; len];
        inputs.fill(&mut text);
        let plain = text.clone();
        let cipher = ChaCha20Poly1305::new(&key.into());
        let Ok(tag) = cipher.encrypt_in_place_detached(&nonce.into(), &header, &mut text) else {
            trace.text("cannot seal");
            continue;
        };
        trace.bytes(&text);
        trace.bytes(&tag);
        let mut altered = tag;
        altered[inputs.index(16)] ^= 1 << inputs.below(8);
        for tag in [altered, tag] {
            trace.word(open(&cipher, nonce, &header, &mut text, &tag));
        }
        trace.word(text == plain);
    }
}

fn open(
    cipher: &ChaCha20Poly1305,
    nonce: [u8; 12],
    header: &[u8],
    text: &mut [u8],
    tag: &Tag,
) -> bool {
    cipher.decrypt_in_place_detached(&nonce.into(), header, text, tag).is_ok()
}

/// Requests signed with HMAC-SHA256, and signed requests verified, whole and altered.
pub(super) fn sign(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    // Around the hash's block of 64 bytes.
    for len in [0, 1, 55, 56, 63, 64, 65, 119, 120, 2048] {
        let (mut key, mut nonce, mut body) = ([0; 32], [0; 14], vec![0; len]);
        for part in [&mut key[..], &mut nonce, &mut body] {
            inputs.fill(part);
        }
        let key = SigningKey::derive(&ClusterKey::from_bytes(key));
        let nonce = Nonce::from_bytes(nonce);
        let request = Signed { method: "PUT", path: "/a", query: "b=c", nonce, body: &body };
        let mac = key.sign(&request);
        trace.display(format_args!("{}", Credentials { nonce, mac }));
        trace.word(key.verify(&request, &mac));
        trace.word(key.verify(&Signed { path: "/b", ..request }, &mac));
    }
}
