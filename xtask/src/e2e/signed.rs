//! Requests that are signed with the cluster key.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spore_core::ClusterKey;
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};

use super::api::{self, Api};
use crate::emu::secret::Secret;

/// A board that verifies a signature computes for a second or two; an emulated one, on a busy machine, longer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A request without its signature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// `PUT`, say.
    pub(crate) method: &'a str,
    /// Without a query.
    pub(crate) path: &'a str,
    /// A JSON object.
    pub(crate) body: &'a Value,
}

/// Sends `order` with a nonce of the node's and the signature of `key`; the answer's body, which must be JSON.
///
/// # Errors
/// When the node does not answer, or with another status than `expected`.
pub(crate) fn send(api: &Api, key: &Secret, order: Order<'_>, expected: &str) -> Result<Value> {
    let Order { method, path, body } = order;
    let body = body.to_string();
    let credentials = credentials(api, key, (method, path), body.as_bytes())?;
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {credentials}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        api.address,
        body.len()
    );
    let answer = api.exchange(request.as_bytes(), TIMEOUT)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1);
    api::seated(status)?;
    ensure!(status == Some(expected), "{} answered {answer:?} to {body}", api.name);
    let (_, document) = answer.split_once("\r\n\r\n").context("the answer has no end")?;
    serde_json::from_str(document).context("the body is not JSON")
}

/// The signature of `key` for a request with this method, path and body, over a nonce of the node's.
///
/// # Errors
/// When the node gives none.
pub(crate) fn credentials(
    api: &Api,
    key: &Secret,
    (method, path): (&str, &str),
    body: &[u8],
) -> Result<Credentials> {
    let nonce = api.get("/api/auth/nonce")?;
    let nonce = nonce["nonce"].as_str().and_then(parse_nonce).context("no nonce")?;
    let signed = Signed { method, path, query: "", nonce, body };
    let signing = SigningKey::derive(&ClusterKey::from_bytes(*key));
    Ok(Credentials { nonce, mac: signing.sign(&signed) })
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
