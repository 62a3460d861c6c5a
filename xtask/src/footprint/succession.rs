//! The release key of a board, named and then renamed: the call that needs the board's second stack.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey as ReleaseSecret};
use serde_json::{Value, json};
use spore_core::ClusterKey;
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};
use spore_core::security::{ReleaseKey, Succession};

use crate::e2e::api::Api;
use crate::emu::boot::{self, Secret};

const PATH: &str = "/api/node/config";
/// A board computes for a second or two; an emulated one, on a busy machine, longer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Gives the board a release key and then its successor, which must be refused with a signature
/// that is not genuine and taken with one that is.
///
/// # Errors
/// When the board answers anything else.
pub(super) fn rename_release_key(api: &Api, key: &Secret) -> Result<()> {
    let signing = SigningKey::derive(&ClusterKey::from_bytes(*key));
    let old = ReleaseSecret::from_bytes(&boot::random_secret()?);
    let new = ReleaseSecret::from_bytes(&boot::random_secret()?);
    let [old_key, new_key] = [&old, &new].map(|key| ReleaseKey(key.verifying_key().to_bytes()));
    put(api, &signing, &json!({"release_key": old_key.to_hex().as_str()}), "200")?;
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
        put(api, &signing, &body, expected)?;
    }
    Ok(())
}

/// Changes settings, and expects an answer with this status.
fn put(api: &Api, key: &SigningKey, body: &Value, expected: &str) -> Result<()> {
    let nonce = api.get("/api/auth/nonce")?;
    let nonce = nonce["nonce"].as_str().and_then(parse_nonce).context("no nonce")?;
    let body = body.to_string();
    let signed = Signed { method: "PUT", path: PATH, query: "", nonce, body: body.as_bytes() };
    let credentials = Credentials { nonce, mac: key.sign(&signed) };
    let request = format!(
        "PUT {PATH} HTTP/1.0\r\nHost: {}\r\nAuthorization: {credentials}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        api.address,
        body.len()
    );
    let answer = api.exchange(request.as_bytes(), TIMEOUT)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1);
    ensure!(status == Some(expected), "{} answered {answer:?} to {body}", api.name);
    Ok(())
}

fn parse_nonce(hex: &str) -> Option<Nonce> {
    let mut bytes = [0; Nonce::LEN];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Nonce::from_bytes(bytes))
}
