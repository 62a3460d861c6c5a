//! The address of a node, as people write it.

use super::LOCAL_NODE;
use crate::misuse::Misuse;
use anyhow::Result;
use std::net::Ipv6Addr;

/// The host and port in a node's address, which may be a URL.
#[derive(Debug)]
pub(super) struct Authority<'a> {
    pub(super) text: &'a str,
    pub(super) has_port: bool,
}

impl<'a> Authority<'a> {
    pub(super) fn parse(node: &'a str) -> Result<Self> {
        let text = node.strip_prefix("http://").unwrap_or(node).trim_end_matches('/');
        // Brackets are there for the colons between them (RFC 3986, section 3.2.2).
        let (host, port) = match text.rfind(']') {
            Some(end) => text.split_at(end + 1),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => {
                let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                !host.is_empty() && host.chars().all(good)
            }
        };
        if !good {
            return Err(Misuse::error(format_args!(
                "{node:?} is not a node's address; one looks like 192.168.1.20 or {LOCAL_NODE}"
            )));
        }
        if port.is_empty() {
            return Ok(Self { text, has_port: false });
        }
        let digits = port.strip_prefix(':').filter(|port| port.chars().all(|c| c.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse::<u16>().ok()) {
            Some(1..) => Ok(Self { text, has_port: true }),
            _ => Err(Misuse::error(format_args!(
                "{node:?} has no valid port; one is a number from 1 to 65535"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn addresses_are_taken_with_and_without_port_and_scheme() {
        let parse = |node| Authority::parse(node).map(|parsed| (parsed.text, parsed.has_port));
        assert_eq!(parse("10.0.0.1").unwrap(), ("10.0.0.1", false));
        assert_eq!(parse("http://10.0.0.1:81/").unwrap(), ("10.0.0.1:81", true));
        assert_eq!(parse("board-1:65535").unwrap(), ("board-1:65535", true));
        assert_eq!(parse("[::1]:1").unwrap(), ("[::1]:1", true));
        assert_eq!(parse("[fe80::1]").unwrap(), ("[fe80::1]", false));
        for wrong in ["", "http://", "a b", "x/../y", "user@host", ":80", "[::1", "[x]", "é"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("not a node's address"), "{wrong}: {error}");
        }
        for wrong in ["a:", "a:0", "a:65536", "a:+1", "a:b", "a:1:2", "::1", "[::1]80", "[::1]:"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("1 to 65535") || wrong == "::1", "{wrong}: {error}");
        }
    }
}
