//! Compresses the pages: on a board, flash is short.

use std::path::Path;
use std::{env, fs};

use zopfli::{Format, Options};

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
        let mut compressed = Vec::new();
        zopfli::compress(Options::default(), Format::Gzip, &page[..], &mut compressed)
            .expect("memory does not fail");
        let file = Path::new(&folder).join(name);
        fs::write(file, compressed).expect("cargo's folder is there");
    }
}
