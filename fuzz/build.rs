//! Puts the corpus into the program, so that a machine without files can replay it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where it is"));
    let corpus = root.join("corpus");
    println!("cargo:rerun-if-changed={}", corpus.display());
    let mut text = String::from("&[\n");
    for target in names(&corpus) {
        let folder = corpus.join(&target);
        println!("cargo:rerun-if-changed={}", folder.display());
        let _ = writeln!(text, "    ({target:?}, &[");
        for input in names(&folder) {
            let _ = writeln!(text, "        include_bytes!({:?}),", folder.join(input));
        }
        text += "    ]),\n";
    }
    text += "]\n";
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to"));
    fs::write(out.join("corpus.rs"), text).expect("it can be written");
}

/// The names in a folder, in their order; none if there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
