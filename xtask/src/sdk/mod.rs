//! `cargo xtask sdk`: Espressif's libraries for the ESP8266, fetched or found, and checked.
//!
//! They are never part of the repository. They come from a folder that `SPORE_SDK` names, or from a cargo package
//! that `firmware/sdk-link` locks. With them come the headers, which must say what `firmware/sdk-sys` declares.

mod headers;
mod sections;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{paths, process, toolchain};

/// The package that carries the libraries.
const PACKAGE: &str = "esp8266-nonos-sdk";
/// Names a folder with the SDK, or with its libraries.
const FOLDER: &str = "SPORE_SDK";

/// What whoever links these libraries should know.
pub(crate) const LICENCE: &str = "Espressif's NONOS SDK 3.0.6: its licence (\"Espressif MIT\") allows use on \
    Espressif's chips only, so neither it nor an image with it belongs in this repository.";

/// The archives that are linked, in SDK version 3.0.6, and their SHA-256. lwIP is not among them.
const ARCHIVES: [(&str, &str); 9] = [
    ("libmain.a", "962bf3bf936607c41de83b204089db610ac4e82138ca823ee65cb29edcb4d7af"),
    ("libnet80211.a", "7f4171a9420917f25bc0cce2a72bb34edcd3f466265a4aab014da51c6d360451"),
    ("libpp.a", "fc4258f1a2de6f2824a426321b1f5e8304f06f982678838b74f6d9a4bf83b1ff"),
    ("libphy.a", "ddc000df8017b659f30b32c1cf2cb1cdfa1262cc138f11e7909d87aad7155396"),
    ("libwpa.a", "e126440a0a266695b8a7f0f65ffa4ad42dd21c89b25c3e37eaff1271dfc534fd"),
    ("libcrypto.a", "27a03c00d428407f45dddfc649e9ea0c98d616f1328c22921557597eb0490700"),
    ("libhal.a", "586f535240888d630862eedb6ff2f17aa70a982869d42f7667cee232f4467418"),
    ("libgcc.a", "9cb095376d2eb2c3936646027d87376d859cedd396b1ba170f7a7678ef97d643"),
    ("libc.a", "74fdd663197e5e7ae9d3e2aca5ecc34656d98453b543312585d2003a51739d8a"),
];

/// Fetch Espressif's libraries (or take them from the folder in SPORE_SDK), and check them and our declarations.
#[derive(Args)]
pub(crate) struct Sdk {}

impl Sdk {
    /// Makes the libraries available and says where they are.
    ///
    /// # Errors
    /// When they cannot be fetched or are not the pinned ones, or the headers beside them say something else than the
    /// firmware's declarations.
    pub(crate) fn run(self) -> Result<()> {
        println!("{LICENCE}");
        for archive in originals()? {
            println!("  ok  {}", archive.display());
        }
        let work = paths::firmware_target().join("sdk");
        let facts = headers::check(sdk_sys::HEADERS, &include()?, &work)?;
        println!(
            "  ok  {facts} sizes, places and values of firmware/sdk-sys are those of the headers"
        );
        Ok(())
    }
}

/// The archives to link, of which the linker can leave out any function.
///
/// # Errors
/// As [`originals`]; and when one cannot be cut into its functions.
pub(crate) fn archives() -> Result<Vec<PathBuf>> {
    sections::apart(originals()?, &paths::firmware_target().join("sdk"))
}

/// Espressif's archives, each checked against its digest.
///
/// # Errors
/// When they cannot be fetched, one is missing, or one is another than the pinned one.
fn originals() -> Result<Vec<PathBuf>> {
    let folder = match env::var_os(FOLDER) {
        Some(folder) => libraries_in(Path::new(&folder))?,
        None => fetch()?.join("libs"),
    };
    let mut archives = Vec::new();
    for (name, digest) in ARCHIVES {
        let path = folder.join(name);
        check(&path, digest)?;
        archives.push(path);
    }
    Ok(archives)
}

/// Where the SDK's headers are.
fn include() -> Result<Vec<PathBuf>> {
    let (folders, from) = match env::var_os(FOLDER) {
        // A checkout has lwIP's headers apart.
        Some(folder) => {
            let folder = PathBuf::from(folder);
            (vec![folder.join("include"), folder.join("third_party/include")], folder)
        }
        None => {
            let folder = fetch()?;
            (vec![folder.join("include")], folder)
        }
    };
    ensure!(
        folders[0].join("user_interface.h").exists(),
        "there are no headers of the SDK in {}/include: the declarations cannot be checked",
        from.display()
    );
    Ok(folders)
}

/// A checkout of the SDK has its libraries in `lib`, the package in `libs`; a bare folder of archives will do as well.
fn libraries_in(folder: &Path) -> Result<PathBuf> {
    let candidates = ["lib", "libs", ""].map(|name| folder.join(name));
    let found = candidates.into_iter().find(|candidate| candidate.join(ARCHIVES[0].0).exists());
    found.with_context(|| {
        format!(
            "{FOLDER} is {}, where there is no {}, nor in lib/: name a checkout of ESP8266_NONOS_SDK, tag v3.0.6",
            folder.display(),
            ARCHIVES[0].0
        )
    })
}

/// Lets cargo fetch the locked package, and returns its directory.
fn fetch() -> Result<PathBuf> {
    let manifest = paths::firmware().join("sdk-link/Cargo.toml");
    let mut cargo = toolchain::cargo_for_host();
    cargo.args(["metadata", "--locked", "--format-version=1"]);
    cargo.arg("--manifest-path").arg(manifest);
    let done = process::output(&mut cargo)?;
    if !done.status.success() {
        let said = process::telling_lines(&String::from_utf8_lossy(&done.stderr));
        bail!(
            "cannot fetch the package {PACKAGE} ({}): is the network there? {FOLDER} may name a local SDK instead",
            said.lines().next().unwrap_or("cargo says nothing")
        );
    }
    let metadata = String::from_utf8(done.stdout).context("cargo's metadata is not UTF-8")?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo's metadata is no JSON")?;
    directory_of(&metadata, PACKAGE)
        .with_context(|| format!("cargo's metadata does not tell where {PACKAGE} is"))
}

/// The directory of a package in the output of `cargo metadata`.
fn directory_of(metadata: &Value, name: &str) -> Option<PathBuf> {
    let packages = metadata.get("packages")?.as_array()?;
    let package = packages.iter().find(|package| package["name"] == name)?;
    Some(Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf())
}

fn check(path: &Path, expected: &str) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = format!("{:x}", Sha256::digest(&bytes));
    ensure!(
        found == expected,
        "{} is not the one of SDK 3.0.6: its SHA-256 is {found}, expected {expected}",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_archive_is_refused() {
        let path = env::temp_dir().join(format!("spore-xtask-{}.a", std::process::id()));
        fs::write(&path, "abc").unwrap();
        // SHA-256 of "abc": FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let accepted = check(&path, digest);
        fs::write(&path, "abd").unwrap();
        let refused = check(&path, digest);
        fs::remove_file(&path).unwrap();
        assert!(accepted.is_ok());
        assert!(refused.unwrap_err().to_string().contains("SHA-256"));
    }

    #[test]
    fn the_package_is_found_in_the_metadata() {
        let metadata = serde_json::json!({"packages": [
            {"name": "other", "manifest_path": "/a/Cargo.toml"},
            {"name": PACKAGE, "manifest_path": "/b/c/Cargo.toml"},
        ]});
        assert_eq!(directory_of(&metadata, PACKAGE), Some(PathBuf::from("/b/c")));
    }
}
