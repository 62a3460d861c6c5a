//! The page that every node serves at `/`.

use spore_core::api::Asset;

/// The dashboard: the whole cluster, as the node sees it. Its source is in `web/dashboard`, where `npm run build` makes one
/// document of it, which is compressed when it is built in (`build.rs`). It needs nothing from elsewhere, and its content security
/// policy lets it have nothing from elsewhere.
pub static DASHBOARD: &[Asset] = &[Asset::new("/", "text/html", &PAGE).compressed()];

/// By its name it is found in an image.
static PAGE: [u8; include_bytes!(concat!(env!("OUT_DIR"), "/dashboard.html.gz")).len()] =
    *include_bytes!(concat!(env!("OUT_DIR"), "/dashboard.html.gz"));

#[cfg(test)]
mod tests {
    use crate::provision::page::tests::{assert_lets_in_only_its_own, assert_sends};

    const SOURCE: &str = include_str!("../../../web/dashboard/dist/index.html");
    /// Most bytes of the page as it is sent: what a board's flash has room for.
    const MAX: usize = 16_384;

    #[test]
    fn the_page_is_small_and_lets_in_nothing_from_elsewhere() {
        let [asset] = super::DASHBOARD else { panic!("one page") };
        assert!(asset.bytes().len() <= MAX, "{} bytes", asset.bytes().len());
        assert_sends(asset, SOURCE);
        assert_lets_in_only_its_own(SOURCE);
        for other in [
            "src=",
            "style=",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!SOURCE.contains(other), "{other}");
        }
    }
}
