//! The compilers: Debian's Rust, whose LLVM knows the LX106, and GNU's assembler and linker.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{paths, process};

/// GNU's compiler driver for the LX106; it assembles and links here, and compiles nothing.
pub(crate) const GCC: &str = "xtensa-lx106-elf-gcc";
/// GNU's archiver for the LX106.
pub(crate) const AR: &str = "xtensa-lx106-elf-ar";
/// The name of our target: `firmware/targets/<name>.json`.
pub(crate) const TARGET: &str = "xtensa-esp8266-none-elf";

/// Variables that rustup's cargo hands to `cargo xtask`, or that a developer may have set for the host.
/// Left in place, they would steer Debian's cargo to the wrong compiler or flags.
const FOREIGN_VARIABLES: [&str; 10] = [
    "CARGO",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "CARGO_MANIFEST_DIR",
];

/// Settings of cargo as variables: each of them outranks what `firmware/Cargo.toml` says.
const FOREIGN_PREFIXES: [&str; 4] =
    ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_UNSTABLE_"];

/// Whether a variable would steer the build of the firmware from outside.
fn is_foreign(name: &str) -> bool {
    FOREIGN_VARIABLES.contains(&name)
        || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Debian's `rustc-web`, or what `SPORE_RUSTC` names.
pub(crate) fn rustc() -> PathBuf {
    env::var_os("SPORE_RUSTC").map_or_else(|| PathBuf::from("/usr/bin/rustc"), PathBuf::from)
}

/// Debian's `cargo-web`, or what `SPORE_CARGO` names.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("SPORE_CARGO").map_or_else(|| PathBuf::from("/usr/bin/cargo"), PathBuf::from)
}

/// Debian's cargo, set up to drive Debian's rustc with the unstable features that a custom target needs. What it
/// builds goes to the firmware's target directory.
pub(crate) fn cargo_for_lx106() -> Command {
    let mut command = Command::new(cargo());
    for (name, _) in env::vars_os() {
        if is_foreign(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command.env("RUSTC", rustc()).env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_TARGET_DIR", paths::firmware_target());
    command
}

/// The versions of the two compilers, on one line: code of other versions differs in size.
///
/// # Errors
/// When one of them cannot be run.
pub(crate) fn versions() -> Result<String> {
    let rust = process::run(Command::new(rustc()).arg("--version"))?;
    let gcc = process::run(Command::new(GCC).arg("-dumpfullversion"))?;
    Ok(format!("{}; {GCC} {}", rust.trim(), gcc.trim()))
}

/// The cargo that started us (rustup's, usually), for what runs on this machine.
pub(crate) fn cargo_for_host() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
    command
}

#[cfg(test)]
mod tests {
    use super::is_foreign;

    #[test]
    fn what_steers_cargo_is_kept_out_and_the_rest_is_not() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_TARGET_DIR",
            "CARGO_TARGET_XTENSA_ESP8266_NONE_ELF_RUSTFLAGS",
            "CARGO_UNSTABLE_BUILD_STD",
        ] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_REGISTRIES_X_INDEX"]
        {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
