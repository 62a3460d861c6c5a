//! Random bytes on a machine that has no source of them.
//!
//! The ESP8266 has a hardware generator; QEMU's board has none. What there is: a 256-bit seed
//! in the boot arguments, which the launcher draws from its host, the number of resets since the
//! machine was started, and the cycle counter. They become key and nonce of ChaCha20 (RFC
//! 8439), whose key stream is handed out. So the bytes are as good as the seed, a reset
//! under the same arguments gives others, and who reads the command line of the QEMU process can
//! compute them all: fit for tests, and for nothing else.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

/// Random bytes for one start of the machine: its `seed`, the number of `resets` before it, and
/// the cycle counter now. The same again for the same arguments, so to be called once per start.
#[must_use]
pub fn bytes<const N: usize>(seed: &[u8; 32], resets: u32, cycles: u32) -> [u8; N] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&resets.to_le_bytes());
    nonce[4..8].copy_from_slice(&cycles.to_le_bytes());
    let mut bytes = [0; N];
    ChaCha20::new(seed.into(), &nonce.into()).apply_keystream(&mut bytes);
    bytes
}
