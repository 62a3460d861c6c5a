//! `spore new-sprocket`.

use crate::output::print_line;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Make a project for a sprocket of your own.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NewSprocket {
    /// Its name: 1 to 24 characters of a-z, 0-9 and '-', the first a letter
    name: String,
    /// The folder to make [default: the name, in this folder]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// The checkout of SPORE that it is built with [default: the one that this command was built from]
    #[arg(long, value_name = "FOLDER")]
    spore: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore new-sprocket doorbell
  cd doorbell && cargo test
  cargo run -- --bind 127.42.0.7    a node with the sprocket, next to `spore up`

The project uses the crates of SPORE by their paths, since they are not published.";

/// The project's files, and what is in them.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("Cargo.toml.in")),
    ("src/lib.rs", include_str!("lib.rs.in")),
    ("src/main.rs", include_str!("main.rs.in")),
    ("tests/bench.rs", include_str!("bench.rs.in")),
    (".gitignore", "/target\n"),
];

/// Names that a crate cannot have: keywords of Rust, and crates that are always there.
const TAKEN: [&str; 54] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "where",
    "while",
];

impl NewSprocket {
    pub(crate) fn run(self) -> Result<()> {
        check(&self.name)?;
        let spore = match &self.spore {
            Some(folder) => folder.clone(),
            // Where this command's own crate was when it was built.
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
        };
        let spore = fs::canonicalize(&spore)
            .ok()
            .filter(|folder| folder.join("crates/spore-node/Cargo.toml").is_file())
            .with_context(|| {
                format!("{} is no checkout of SPORE; name one with --spore", spore.display())
            })?;
        let folder = self.into.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        if folder.exists() {
            bail!("{} is there already; choose another folder with --into", folder.display());
        }
        let values = [
            ("@NAME@", self.name.clone()),
            ("@CRATE@", self.name.replace('-', "_")),
            ("@TYPE@", type_name(&self.name)),
            ("@SPORE@", toml_text(&spore)?),
        ];
        for (file, text) in FILES {
            let text =
                values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
            write(&folder.join(file), text.as_bytes())?;
        }
        // The versions that SPORE was tested with, for what both use.
        if let Ok(lock) = fs::read(spore.join("Cargo.lock")) {
            write(&folder.join("Cargo.lock"), &lock)?;
        }
        if self.json {
            return print_line(json!({ "sprocket": self.name, "folder": folder }));
        }
        print_line(format_args!(
            "made {}; try `cargo test` in it, then `cargo run -- --bind 127.42.0.7`",
            folder.display()
        ))
    }
}

fn check(name: &str) -> Result<()> {
    use spore_core::Service;
    use spore_core::api::{Methods, Policy};
    // A sprocket's name follows the rules of services. It is a crate's as well.
    let named = Service::new(name.to_owned().leak(), Policy::Open, Methods::NONE, "").is_ok();
    ensure!(
        named && !name.ends_with('-') && !name.contains("--"),
        "a sprocket's name has 1 to 24 characters of a-z, 0-9 and single '-' between them, the first a letter"
    );
    ensure!(
        !TAKEN.contains(&name) && !name.starts_with("spore"),
        "{name} is a name of Rust's or of SPORE's; choose another one"
    );
    Ok(())
}

/// `door-bell` as `DoorBell`.
fn type_name(name: &str) -> String {
    let words = name.split('-').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_ascii_uppercase() + rest).collect()
}

fn toml_text(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\\', '\n']));
    let text = text.with_context(|| format!("{} cannot stand in a Cargo.toml", path.display()))?;
    Ok(text.to_owned())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = match path.parent() {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)),
        None => fs::write(path, bytes),
    };
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{TAKEN, check, type_name};

    #[test]
    fn names_are_those_of_sprockets_and_of_crates() {
        for name in ["a", "doorbell", "door-bell-2", "abcdefghijklmnopqrstuvwx"] {
            assert!(check(name).is_ok(), "{name}");
        }
        let others =
            ["", "-a", "a-", "a--b", "A", "2a", "a_b", "ä", "abcdefghijklmnopqrstuvwxy", "spore-x"];
        for name in others.iter().chain(&TAKEN) {
            assert!(check(name).is_err(), "{name}");
        }
        assert_eq!(["a", "doorbell", "door-bell-2"].map(type_name), ["A", "Doorbell", "DoorBell2"]);
    }
}
