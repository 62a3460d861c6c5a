//! Assets: files that a node serves as they stand, such as the pages of its user interface.

use super::{Body, Entrance, Error, Method, Methods, Request, Response};

/// A file that a node serves at a path of its own, to everyone.
///
/// It leaves with fields that keep browsers from guessing its type, from showing it within another
/// page, and from using a copy that they have not asked the node about.
#[derive(Debug)]
pub struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    encoding: Option<&'static str>,
    tag: [u8; TAG_LEN],
}

/// The files that a node serves besides its API. None is in [`ROUTES`](super::ROUTES): those are
/// for programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assets {
    /// At each of the node's addresses.
    pub everywhere: &'static [Asset],
    /// Through its access point only, where they stand before those with the same path.
    pub access_point: &'static [Asset],
}

/// Two quotes, and 16 hexadecimal digits between them.
const TAG_LEN: usize = 18;

/// The methods of every asset.
const READING: Methods = Methods::NONE.with(Method::Get).with(Method::Head);

impl Asset {
    /// The file `bytes` of type `content_type` at `path`, which begins with a slash.
    pub const fn new(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { path, content_type, bytes, encoding: None, tag: tag(bytes) }
    }

    /// The same, where the bytes are the file compressed by gzip (RFC 1952). Each client gets them so: a board has no room
    /// for a second form, and every browser reads this one.
    pub const fn compressed(self) -> Self {
        Self { encoding: Some("gzip"), ..self }
    }

    /// Its media type.
    pub const fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The coding of its content (RFC 9110, section 8.4), if it has one.
    pub const fn encoding(&self) -> Option<&'static str> {
        self.encoding
    }

    /// The file, as it is sent.
    pub const fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    /// Its entity tag, with the quotes (RFC 9110, section 8.8.3): another one for other bytes.
    pub fn tag(&self) -> &str {
        str::from_utf8(&self.tag).unwrap_or_default()
    }

    /// Whether the `If-None-Match` field `value` says that the client has this file (RFC 9110,
    /// section 13.1.2).
    fn is_known_by(&self, value: &str) -> bool {
        value.split(',').any(|tag| {
            let tag = tag.trim_ascii();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag()
        })
    }
}

impl Assets {
    /// No files.
    pub const NONE: Self = Self { everywhere: &[], access_point: &[] };

    /// The file that `request` asks for, if there is one.
    ///
    /// # Errors
    ///
    /// If there is, but the request wants something else than to read it.
    pub(super) fn find(&self, request: &Request<'_>) -> Result<Option<&'static Asset>, Error> {
        let at_path =
            |assets: &'static [Asset]| assets.iter().find(|asset| asset.path == request.path);
        let found = match request.entrance {
            Entrance::AccessPoint(_) => at_path(self.access_point),
            Entrance::Network => None,
        };
        match found.or_else(|| at_path(self.everywhere)) {
            Some(_) if !READING.contains(request.method) => Err(Error::MethodNotAllowed(READING)),
            found => Ok(found),
        }
    }
}

impl Response {
    /// The file, unless the client has it.
    pub(super) fn asset(asset: &'static Asset, request: &Request<'_>) -> Self {
        let known = request.if_none_match.is_some_and(|value| asset.is_known_by(value));
        let (status, body) = if known { (304, Body::END) } else { (200, Body::asset(asset)) };
        let content_type = asset.content_type;
        Self { status, content_type, asset: Some(asset), ..Self::ok(body) }
    }
}

/// The entity tag of a file: its 64-bit FNV-1a hash (draft-eastlake-fnv). Only programs that are
/// built to confuse them have two files with the same one.
const fn tag(bytes: &[u8]) -> [u8; TAG_LEN] {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let byte = u64::from_be_bytes([0, 0, 0, 0, 0, 0, 0, *byte]);
        hash = (hash ^ byte).wrapping_mul(0x0000_0100_0000_01B3);
        rest = tail;
    }
    let mut text = [b'"'; TAG_LEN];
    let [_, digits @ .., _] = &mut text;
    let mut left: &mut [u8] = digits;
    while let [digit, tail @ ..] = left {
        *digit = hex_digit(hash >> 60);
        hash <<= 4;
        left = tail;
    }
    text
}

const fn hex_digit(value: u64) -> u8 {
    let [.., low] = value.to_be_bytes();
    match low {
        0..=9 => b'0'.wrapping_add(low),
        _ => b'a'.wrapping_add(low.wrapping_sub(10)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Asset, tag};
    use crate::wire;

    static PAGE: Asset = Asset::new("/", "text/plain", b"a");

    #[test]
    fn tags_are_hashes_in_quotes() {
        // Vectors of the draft.
        for (bytes, hash) in [
            (&b""[..], "cbf29ce484222325"),
            (b"a", "af63dc4c8601ec8c"),
            (b"foobar", "85944171f73967e8"),
        ] {
            let text = tag(bytes);
            assert_eq!(str::from_utf8(&text).unwrap(), std::format!("\"{hash}\""));
            assert!(wire::parse_lower_hex::<8>(hash).is_some());
        }
    }

    #[test]
    fn a_client_that_has_the_file_is_known_by_its_tag() {
        let tag = PAGE.tag();
        let [weak, among, star] =
            [std::format!("W/{tag}"), std::format!("\"x\" , {tag},\"y\""), "*".into()];
        for known in [tag, &weak, &among, &star] {
            assert!(PAGE.is_known_by(known), "{known}");
        }
        for unknown in ["", "\"\"", ",", tag.trim_matches('"'), &tag[..17], "\"af63dc4c8601ec8d\""]
        {
            assert!(!PAGE.is_known_by(unknown), "{unknown}");
        }
    }
}
