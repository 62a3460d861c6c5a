//! What of its keys a node shows, and takes.

use super::body::{Full, Piece};
use super::{Body, Error, Pending, Request, Response};
use crate::node::Node;
use crate::security::Keyring;
use crate::security::request::Mac;
use crate::settings::document::{Document, Wanted};
use serde::Serialize;

/// `GET /api/cluster/key`.
#[derive(Serialize)]
struct KeyView {
    /// The number of the last rotation that it has heard of.
    number: u32,
    /// Whether it has the next key, and waits for somebody to use it.
    staged: bool,
    /// What shows that it has its secret and its newest key; null without a secret.
    proof: Option<MacView>,
}

struct MacView(Mac);

impl Serialize for MacView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

/// Takes what is sealed for this node; answered when that is durable.
pub(super) fn take(node: &mut Node<'_>, request: &Request<'_>) -> Result<Response, Error> {
    let wanted = Wanted::parse(Document::Key, request.body)?;
    let sealed = wanted.signature.ok_or(Error::InvalidField("sealed"))?;
    let keys = node.keys.as_mut().ok_or(Error::Unclaimed)?;
    keys.take(&sealed).map_err(|_| Error::NotForThisNode)?;
    Ok(if keys.is_stored() { Response::ok(Body::key()) } else { Response::pending(Pending::Key) })
}

impl Piece<'_> {
    /// Writes what `node` has.
    pub(super) fn key(&mut self, node: &Node<'_>) -> Result<(), Full> {
        let keys = node.keys.as_ref();
        let proof = keys.and_then(|keys| keys.proof(node.own().id));
        self.json(&KeyView {
            number: keys.map_or(0, Keyring::number),
            staged: keys.is_some_and(Keyring::is_staged),
            proof: proof.map(MacView),
        })
    }
}
