//! Compresses the pages: on a board, flash is short.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The pages, and what they are called when they are compressed.
const PAGES: [(&str, &str); 2] = [
    ("../../web/provision/index.html", "provision.html.gz"),
    ("../../web/dashboard/dist/index.html", "dashboard.html.gz"),
];

fn main() {
    let folder = env::var("OUT_DIR").expect("cargo sets it");
    for (source, name) in PAGES {
        println!("cargo::rerun-if-changed={source}");
        let page = fs::read(source).expect("the page is in the repository");
        // Without a time or a name in its header: the same page makes the same bytes.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&page).and_then(|()| encoder.finish());
        let file = Path::new(&folder).join(name);
        fs::write(file, compressed.expect("memory does not fail"))
            .expect("cargo's folder is there");
    }
}
