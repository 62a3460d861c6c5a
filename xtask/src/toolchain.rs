//! The compilers: Debian's Rust, whose LLVM knows the LX106, and GNU's assembler and linker.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// GNU's compiler driver for the LX106; it assembles and links here, and compiles nothing.
pub(crate) const GCC: &str = "xtensa-lx106-elf-gcc";
/// The name of our target: `firmware/targets/<name>.json`.
pub(crate) const TARGET: &str = "xtensa-esp8266-none-elf";

/// Variables that rustup's cargo hands to `cargo xtask`, or that a developer may have set for the host.
/// Left in place, they would steer Debian's cargo to the wrong compiler or flags.
const FOREIGN_VARIABLES: [&str; 12] = [
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "CARGO_MANIFEST_DIR",
];

/// Debian's `rustc-web`, or what `SPORE_RUSTC` names.
pub(crate) fn rustc() -> PathBuf {
    env::var_os("SPORE_RUSTC").map_or_else(|| PathBuf::from("/usr/bin/rustc"), PathBuf::from)
}

/// Debian's `cargo-web`, or what `SPORE_CARGO` names.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("SPORE_CARGO").map_or_else(|| PathBuf::from("/usr/bin/cargo"), PathBuf::from)
}

/// Debian's cargo, set up to drive Debian's rustc with the unstable features that a custom target needs.
pub(crate) fn cargo_for_lx106() -> Command {
    let mut command = Command::new(cargo());
    for name in FOREIGN_VARIABLES {
        command.env_remove(name);
    }
    command.env("RUSTC", rustc()).env("RUSTC_BOOTSTRAP", "1");
    command
}

/// The cargo that started us (rustup's, usually), for what runs on this machine.
pub(crate) fn cargo_for_host() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
    command
}
