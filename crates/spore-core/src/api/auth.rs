//! Who may: checks the credentials of signed requests.

use super::{Error, Request};
use crate::node::Node;
use crate::security::request::{Credentials, Signed};
use crate::time::Instant;

/// The request without its credentials, if it is signed by a holder of the cluster key. Its nonce
/// is used up then, and only then.
///
/// Junk costs little: parsing, and one block of a cipher for the nonce; only who has a fresh nonce
/// makes the node hash a body, which is bounded.
pub(super) fn authenticate<'r>(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'r>,
) -> Result<Request<'r>, Error> {
    let (query, Credentials { nonce, mac }) = credentials(node, request)?;
    let made = node.request_nonces.check(now, nonce).ok_or(Error::NonceStale)?;
    let request = Request { query, ..*request };
    let Request { path, query, body, .. } = request;
    let signed = Signed { method: request.method.name(), path, query, nonce, body };
    let keys = node.keys.as_mut().ok_or(Error::Unclaimed)?;
    if !keys.has_signed(now, &signed, &mac) {
        return Err(Error::CredentialsInvalid);
    }
    if keys.take_switched() {
        node.cluster.doubt_ends();
    }
    node.request_nonces.spend(made);
    Ok(request)
}

/// Whether a request has credentials that may turn out to be good once its body is there.
pub(super) fn precheck(node: &Node<'_>, now: Instant, request: &Request<'_>) -> Result<(), Error> {
    let (_, credentials) = credentials(node, request)?;
    let nonce = node.request_nonces.check(now, credentials.nonce);
    nonce.map(|_| ()).ok_or(Error::NonceStale)
}

/// What of the query is signed, and the credentials.
fn credentials<'r>(
    node: &Node<'_>,
    request: &Request<'r>,
) -> Result<(&'r str, Credentials), Error> {
    if node.keys.is_none() {
        return Err(if node.is_claim_damaged() { Error::ClaimDamaged } else { Error::Unclaimed });
    }
    let in_query = Credentials::from_query(request.query);
    let (query, in_query) = in_query.map_err(|_| Error::CredentialsMalformed)?;
    match (request.authorization, in_query) {
        (Some(field), None) => {
            let credentials = Credentials::from_field(field);
            credentials.map(|found| (query, found)).map_err(|_| Error::CredentialsMalformed)
        }
        (None, Some(credentials)) => Ok((query, credentials)),
        (Some(_), Some(_)) => Err(Error::CredentialsMalformed),
        (None, None) => Err(Error::CredentialsMissing),
    }
}
