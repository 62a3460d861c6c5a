//! The release key of a board, named and then renamed: the call that needs the board's second stack.

use anyhow::Result;
use ed25519_dalek::{Signer as _, SigningKey as ReleaseSecret};
use serde_json::{Value, json};
use spore_core::security::{ReleaseKey, Succession};

use crate::e2e::api::Api;
use crate::e2e::signed::{self, Order};
use crate::emu::secret::{self, Secret};

const PATH: &str = "/api/node/config";

/// Gives the board a release key and then its successor, which must be refused with a signature
/// that is not genuine and taken with one that is.
///
/// # Errors
/// When the board answers anything else.
pub(super) fn rename_release_key(api: &Api, key: &Secret) -> Result<()> {
    let old = ReleaseSecret::from_bytes(&secret::random()?);
    let new = ReleaseSecret::from_bytes(&secret::random()?);
    let [old_key, new_key] = [&old, &new].map(|key| ReleaseKey(key.verifying_key().to_bytes()));
    put(api, key, &json!({"release_key": old_key.to_hex().as_str()}), "200")?;
    let asked = Succession {
        key: Some(old_key),
        successor: new_key,
        signature: [0; Succession::SIGNATURE],
    };
    let genuine = old.sign(&asked.message()).to_bytes();
    let mut altered = genuine;
    altered[0] ^= 1;
    for (signature, expected) in [(altered, "403"), (genuine, "200")] {
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = json!({
            "release_key": new_key.to_hex().as_str(),
            "release_key_signature": signature,
        });
        put(api, key, &body, expected)?;
    }
    Ok(())
}

/// Changes settings, and expects an answer with this status.
fn put(api: &Api, key: &Secret, body: &Value, expected: &str) -> Result<()> {
    signed::send(api, key, Order { method: "PUT", path: PATH, body }, expected).map(|_| ())
}
