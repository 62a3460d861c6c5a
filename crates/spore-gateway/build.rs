//! Compresses what the flasher's page is made of: in an image of a Linux node, there is no room to waste.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Made by `npm run build` in `web/flasher`.
const FOLDER: &str = "../../web/flasher/dist";
const FILES: [&str; 4] = ["index.html", "flasher.js", "style.css", "licenses.txt"];

fn main() {
    let target = env::var("OUT_DIR").expect("cargo sets it");
    for name in FILES {
        let source = Path::new(FOLDER).join(name);
        println!("cargo::rerun-if-changed={}", source.display());
        let bytes = fs::read(&source).expect("it is in the repository");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
        let file = Path::new(&target).join(format!("{name}.gz"));
        fs::write(file, compressed.expect("memory does not fail"))
            .expect("cargo's folder is there");
    }
}
