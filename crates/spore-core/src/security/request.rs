//! Signed HTTP requests: what is signed, how it is written down, and how it is checked.
//!
//! Client and node share this module, so that they cannot disagree. The signing key comes from the
//! cluster key; what is signed is a text of four lines, without a line end after the last:
//!
//! ```text
//! METHOD                  as it stands in the request line
//! TARGET                  the path, and "?" with the query if that is not empty
//! NONCE                   28 digits, from `GET /api/auth/nonce` of the node that is asked
//! HEX(SHA256(body))       64 digits; an empty body has the digest of nothing
//! ```
//!
//! The MAC over it is HMAC-SHA256 (RFC 2104, FIPS 180-4). Both travel either in the field
//! `Authorization: SPORE-HMAC-SHA256 nonce=…, mac=…` (RFC 9110, section 11.4), or as the last two
//! parameters of the query, `auth-nonce=…&auth-mac=…`, where a browser cannot set fields; then the
//! target that is signed ends before them. Digits are hexadecimal in lower case, and nothing else.

use super::ClusterKey;
use crate::text;
use crate::wire;
use core::fmt;
use core::str::FromStr;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// The authentication scheme, in `Authorization` and in `WWW-Authenticate`.
pub const SCHEME: &str = "SPORE-HMAC-SHA256";

/// What the signing key is derived with.
const DERIVATION: &[u8] = b"SPORE HTTP request signing 1";

const QUERY_NONCE: &str = "auth-nonce=";
const QUERY_MAC: &str = "auth-mac=";

/// The key that requests are signed with. Never shown.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A node's permission to send it one signed request: 28 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; Self::LEN]);

/// The proof that a request comes from a holder of the cluster key: 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Mac([u8; Self::LEN]);

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method as it stands in the request line: `GET`, `PUT`, …
    pub method: &'a str,
    /// The path as it stands in the request line, from its first `/`.
    pub path: &'a str,
    /// What follows the `?`, or nothing: `/x` and `/x?` are signed alike.
    pub query: &'a str,
    /// The node's nonce.
    pub nonce: Nonce,
    /// The body, without any framing.
    pub body: &'a [u8],
}

/// What a signed request carries besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Credentials {
    /// The nonce that was signed.
    pub nonce: Nonce,
    /// The MAC over the request.
    pub mac: Mac,
}

/// Credentials are there, but are not as they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedCredentials;

impl fmt::Display for MalformedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials are not a nonce and a MAC in lower-case hexadecimal digits")
    }
}

impl core::error::Error for MalformedCredentials {}

impl SigningKey {
    /// The signing key that belongs to a cluster key.
    pub fn derive(key: &ClusterKey) -> Self {
        Self::from_secret(key.as_bytes(), DERIVATION)
    }

    /// The key for one purpose that belongs to a secret.
    pub(super) fn from_secret(secret: &[u8], purpose: &[u8]) -> Self {
        let mac = keyed(secret).map(|mac| mac.chain_update(purpose).finalize().into_bytes());
        Self(mac.map(Into::into).unwrap_or_default())
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Signs a request.
    pub fn sign(&self, request: &Signed<'_>) -> Mac {
        let mac = self.digest(request).map(|mac| mac.finalize().into_bytes().into());
        Mac(mac.unwrap_or_default())
    }

    /// Whether `mac` is that of this request. Takes the same time wherever the two differ.
    pub fn verify(&self, request: &Signed<'_>, mac: &Mac) -> bool {
        self.digest(request).is_some_and(|digest| digest.verify_slice(&mac.0).is_ok())
    }

    fn digest(&self, request: &Signed<'_>) -> Option<Hmac<Sha256>> {
        let mut mac = keyed(&self.0)?;
        request.parts(|part| mac.update(part));
        Some(mac)
    }
}

/// An HMAC at its beginning; there is one for keys of any length.
fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}

impl Signed<'_> {
    /// The text that is signed, piece by piece.
    pub fn parts(&self, mut part: impl FnMut(&[u8])) {
        part(self.method.as_bytes());
        part(b"\n");
        part(self.path.as_bytes());
        if !self.query.is_empty() {
            part(b"?");
            part(self.query.as_bytes());
        }
        part(b"\n");
        part(self.nonce.to_hex().as_bytes());
        part(b"\n");
        let digest: [u8; 32] = Sha256::digest(self.body).into();
        part(text::hex::<64>(&digest).as_bytes());
    }
}

impl Nonce {
    /// The bytes of a nonce.
    pub const LEN: usize = 14;

    /// A nonce of these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// The nonce in hexadecimal digits.
    pub(crate) fn to_hex(self) -> heapless::String<28, u8> {
        text::hex(&self.0)
    }
}

impl Mac {
    /// The bytes of a MAC.
    pub const LEN: usize = 32;

    /// A MAC of these bytes.
    pub(super) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The MAC in hexadecimal digits.
    pub(crate) fn to_hex(self) -> heapless::String<64, u8> {
        text::hex(&self.0)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Nonce {
    type Err = MalformedCredentials;

    fn from_str(text: &str) -> Result<Self, MalformedCredentials> {
        wire::parse_lower_hex(text).map(Self).ok_or(MalformedCredentials)
    }
}

impl FromStr for Mac {
    type Err = MalformedCredentials;

    fn from_str(text: &str) -> Result<Self, MalformedCredentials> {
        wire::parse_lower_hex(text).map(Self).ok_or(MalformedCredentials)
    }
}

/// The value of an `Authorization` field.
impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME} nonce={}, mac={}", self.nonce, self.mac)
    }
}

impl Credentials {
    /// The credentials in the value of an `Authorization` field: the parameters in any order, with
    /// or without quotes, names and scheme in any case, and no others.
    ///
    /// # Errors
    ///
    /// If it is of another scheme, lacks a parameter, has one twice or an unknown one.
    pub fn from_field(value: &str) -> Result<Self, MalformedCredentials> {
        let (scheme, parameters) =
            value.trim_ascii().split_once(' ').ok_or(MalformedCredentials)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(MalformedCredentials);
        }
        let (mut nonce, mut mac) = (None, None);
        for parameter in parameters.split(',') {
            let (name, value) = parameter.split_once('=').ok_or(MalformedCredentials)?;
            let (name, value) = (name.trim_ascii(), unquoted(value.trim_ascii()));
            let twice = if name.eq_ignore_ascii_case("nonce") {
                nonce.replace(value.parse()?).is_some()
            } else if name.eq_ignore_ascii_case("mac") {
                mac.replace(value.parse()?).is_some()
            } else {
                true
            };
            if twice {
                return Err(MalformedCredentials);
            }
        }
        Self::both(nonce, mac)
    }

    /// Splits a query into what is signed and the credentials behind it. `None` if there are none.
    ///
    /// # Errors
    ///
    /// If there is any sign of credentials that are not the last two parameters, in this order.
    pub fn from_query(query: &str) -> Result<(&str, Option<Self>), MalformedCredentials> {
        let is_ours = |part: &str| part.starts_with(QUERY_NONCE) || part.starts_with(QUERY_MAC);
        if !query.split('&').any(is_ours) {
            return Ok((query, None));
        }
        let (before, mac) = last_parameter(query);
        let (rest, nonce) = last_parameter(before.ok_or(MalformedCredentials)?);
        let rest = rest.unwrap_or_default();
        let nonce = nonce.strip_prefix(QUERY_NONCE).map(str::parse).transpose()?;
        let mac = mac.strip_prefix(QUERY_MAC).map(str::parse).transpose()?;
        if rest.split('&').any(is_ours) {
            return Err(MalformedCredentials);
        }
        Self::both(nonce, mac).map(|credentials| (rest, Some(credentials)))
    }

    fn both(nonce: Option<Nonce>, mac: Option<Mac>) -> Result<Self, MalformedCredentials> {
        match (nonce, mac) {
            (Some(nonce), Some(mac)) => Ok(Self { nonce, mac }),
            _ => Err(MalformedCredentials),
        }
    }
}

/// What stands before the last parameter of a query, if anything does, and that parameter.
fn last_parameter(query: &str) -> (Option<&str>, &str) {
    match query.rsplit_once('&') {
        Some((before, last)) => (Some(before), last),
        None => (None, query),
    }
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
