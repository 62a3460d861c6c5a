//! Compresses the page on the access point: on a board, flash is short.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

const PAGE: &str = "../../web/provision/index.html";

fn main() {
    println!("cargo::rerun-if-changed={PAGE}");
    let page = fs::read(PAGE).expect("the page is in the repository");
    // Without a time or a name in its header: the same page makes the same bytes.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let compressed = encoder.write_all(&page).and_then(|()| encoder.finish());
    let folder = env::var("OUT_DIR").expect("cargo sets it");
    let file = Path::new(&folder).join("provision.html.gz");
    fs::write(file, compressed.expect("memory does not fail")).expect("cargo's folder is there");
}
