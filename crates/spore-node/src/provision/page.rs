//! The page on the access point.

use spore_core::api::Asset;

/// The page for those who join the access point: a form for the name and the password of a network. It needs nothing
/// from elsewhere, and its content security policy lets it have nothing from elsewhere. It is compressed when it is built
/// in (`build.rs`), and says itself that it is UTF-8.
pub static PAGE: &[Asset] =
    &[Asset::new("/", "text/html", include_bytes!(concat!(env!("OUT_DIR"), "/provision.html.gz")))
        .compressed()];

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;

    use super::Asset;
    use flate2::read::GzDecoder;
    use sha2::{Digest as _, Sha256};
    use std::format;
    use std::io::Read as _;
    use std::string::String;

    /// Most bytes of the page as it is sent.
    const MAX: usize = 2304;

    const SOURCE: &str = include_str!("../../../../web/provision/index.html");

    fn base64(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for place in 0..4 {
                let digit = alphabet[bits >> (18 - 6 * place) & 63];
                text.push(if place > group.len() { '=' } else { char::from(digit) });
            }
        }
        text
    }

    /// What stands between the tags of the only element `name` of `page`.
    fn element<'p>(page: &'p str, name: &str) -> &'p str {
        let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
        let (content, rest) = rest.split_once(&format!("</{name}>")).unwrap();
        assert!(!rest.contains(&format!("<{name}")), "{name} is there twice");
        content
    }

    #[test]
    fn the_page_is_small() {
        let len = super::PAGE[0].bytes().len();
        assert!(len <= MAX, "{len} bytes");
    }

    #[test]
    fn what_is_sent_is_the_page() {
        assert_sends(&super::PAGE[0], SOURCE);
    }

    /// A browser is sent `page`, compressed.
    pub(crate) fn assert_sends(asset: &Asset, page: &str) {
        let mut text = String::new();
        GzDecoder::new(asset.bytes()).read_to_string(&mut text).unwrap();
        assert!(text == page, "another page than that in the repository");
        assert_eq!(asset.encoding(), Some("gzip"));
    }

    #[test]
    fn only_its_own_script_and_style_are_let_in() {
        assert_lets_in_only_its_own(SOURCE);
        // What the policy would let nobody have anyway.
        for other in ["src=", "style=", "://", "innerHTML", "onclick=", "onsubmit=", "eval"] {
            assert!(!SOURCE.contains(other), "{other}");
        }
    }

    /// The policy of `page` names its script and its style by their hashes, so that nothing else is run: after a
    /// change of one of them, the test says what the policy must be.
    pub(crate) fn assert_lets_in_only_its_own(page: &str) {
        assert_eq!(base64(b"foobar") + &base64(b"fooba") + &base64(b"f"), "Zm9vYmFyZm9vYmE=Zg==");
        let hash = |name| base64(&Sha256::digest(element(page, name)));
        let policy = format!(
            "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             script-src 'sha256-{}'; style-src 'sha256-{}'",
            hash("script"),
            hash("style")
        );
        let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
        assert!(page.contains(&meta), "the page must have {meta}");
        let (before, _) = page.split_once("http-equiv=\"Content-Security-Policy\"").unwrap();
        assert!(!before.contains("<style") && !before.contains("<script"));
    }

    #[test]
    fn each_field_has_a_label_and_the_status_is_read_out() {
        for id in ["ssid", "password", "show"] {
            assert!(SOURCE.contains(&format!("<label for=\"{id}\">")), "{id}");
            assert!(SOURCE.contains(&format!(" id=\"{id}\"")), "{id}");
        }
        assert!(SOURCE.contains("<html lang=\"en\">") && SOURCE.contains("role=\"status\""));
        assert!(SOURCE.contains("width=device-width"));
        assert!(SOURCE.contains("<meta charset=\"utf-8\">"), "its type does not say so");
    }
}
