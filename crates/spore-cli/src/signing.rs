//! The signature of a request, and hexadecimal digits.

use spore_core::ClusterKey;
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};

/// What makes a request with `target` in its request line a signed one.
pub(crate) fn credentials(
    key: &ClusterKey,
    method: &str,
    target: &str,
    nonce: Nonce,
    body: &[u8],
) -> Credentials {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let signed = Signed { method, path, query, nonce, body };
    Credentials { nonce, mac: SigningKey::derive(key).sign(&signed) }
}

/// The target with the credentials as the last parameters of its query.
pub(crate) fn signed_target(target: &str, credentials: &Credentials) -> String {
    let Credentials { nonce, mac } = credentials;
    let target = target.strip_suffix('?').unwrap_or(target);
    let joint = if target.contains('?') { '&' } else { '?' };
    format!("{target}{joint}auth-nonce={nonce}&auth-mac={mac}")
}

/// `bytes` as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{credentials, signed_target};
    use spore_core::ClusterKey;
    use spore_core::security::request::{Credentials, Nonce};

    #[test]
    fn what_is_in_the_query_is_what_a_node_finds_there() {
        let key = ClusterKey::from_bytes([1; 32]);
        let nonce = Nonce::from_bytes([2; 14]);
        for (target, rest) in [("/x", ""), ("/x?", ""), ("/x?a=b", "a=b"), ("/x?a?b&c", "a?b&c")] {
            let sent = signed_target(target, &credentials(&key, "GET", target, nonce, b""));
            let (path, query) = sent.split_once('?').unwrap();
            let (before, found) = Credentials::from_query(query).unwrap();
            assert_eq!((path, before), ("/x", rest), "{sent}");
            let expected = credentials(&key, "GET", target, nonce, b"");
            assert_eq!(found.unwrap().to_string(), expected.to_string());
        }
    }
}
