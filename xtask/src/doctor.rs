//! `cargo xtask doctor`: which pieces of the toolchain are there, which were tested, and how to get the rest.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::{machine, paths, process, toolchain};

/// Say which pieces of the firmware's toolchain are missing or untested.
#[derive(Args)]
pub(crate) struct Doctor {
    /// For programs.
    #[arg(long)]
    json: bool,
}

/// The state of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// There, in a version that nobody has tried.
    Untested,
    Missing,
    /// Not there, and nothing that is needed.
    Absent,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Untested => "untested",
            Self::Missing => "missing",
            Self::Absent => "absent",
        })
    }
}

/// One piece of the toolchain.
struct Piece {
    name: &'static str,
    /// What it is needed for.
    purpose: &'static str,
    /// The version that this repository was last tested with.
    tested: &'static str,
    /// The command that repairs it.
    repair: &'static str,
    /// Whether the firmware, or a test that everybody runs, needs it.
    required: bool,
    /// The version that is there, or "present" for what has none.
    found: fn() -> Option<String>,
}

/// In the order in which a build needs them.
const PIECES: [Piece; 10] = [
    Piece {
        name: "rustc",
        purpose: "Rust for the LX106 (Debian's, since rustup's knows no Xtensa)",
        tested: "1.96.0",
        repair: "apt-get install rustc-web",
        required: true,
        found: || {
            version(Command::new(toolchain::rustc()).arg("--version")).filter(|_| knows_xtensa())
        },
    },
    Piece {
        name: "cargo",
        purpose: "drives that rustc (Debian's)",
        tested: "1.96.0",
        repair: "apt-get install cargo-web",
        required: true,
        found: || version(Command::new(toolchain::cargo()).arg("--version")),
    },
    Piece {
        name: "rust-src",
        purpose: "the core library, compiled for the LX106",
        tested: "present",
        repair: "apt-get install rust-web-src",
        required: true,
        found: rust_src,
    },
    Piece {
        name: "xtensa gcc",
        purpose: "assembles and links",
        tested: "12.2.0",
        repair: "apt-get install gcc-xtensa-lx106",
        required: true,
        found: || output(Command::new(toolchain::GCC).arg("-dumpfullversion")),
    },
    Piece {
        name: "xtensa binutils",
        purpose: "the assembler and linker behind gcc",
        tested: "2.40",
        repair: "apt-get install binutils-xtensa-lx106",
        required: true,
        found: || version(Command::new("xtensa-lx106-elf-ld").arg("--version")),
    },
    Piece {
        name: "picolibc",
        purpose: "memcpy and its like",
        tested: "present",
        repair: "apt-get install picolibc-xtensa-lx106-elf",
        required: true,
        found: picolibc,
    },
    Piece {
        name: "qemu lx106",
        purpose: "runs the firmware (difftest, emu)",
        tested: "7.2",
        repair: "apt-get install qemu-system-misc",
        required: true,
        found: qemu,
    },
    Piece {
        name: "ip",
        purpose: "networks for tests with emulated nodes",
        tested: "6.1.0",
        repair: "apt-get install iproute2",
        required: true,
        found: || version(Command::new("ip").arg("-V")),
    },
    Piece {
        name: "/dev/net/tun",
        purpose: "puts emulated nodes on those networks",
        tested: "present",
        repair: "modprobe tun",
        required: true,
        found: || present(Path::new("/dev/net/tun")),
    },
    Piece {
        name: "esptool",
        purpose: "flashes a board; nothing else needs it",
        tested: "5.6",
        repair: "pip install esptool",
        required: false,
        found: || version(Command::new("esptool").arg("version")),
    },
];

impl Piece {
    fn examine(&self) -> (State, Option<String>) {
        let found = (self.found)();
        let state = match &found {
            Some(version) if is_tested(version, self.tested) => State::Ok,
            Some(_) => State::Untested,
            None if self.required => State::Missing,
            None => State::Absent,
        };
        (state, found)
    }
}

impl Doctor {
    /// Examines every piece and prints the findings. Returns whether nothing that is required is missing.
    ///
    /// # Errors
    /// Never today; a piece that cannot be examined counts as missing.
    pub(crate) fn run(self) -> Result<bool> {
        let findings = PIECES.each_ref().map(|piece| (piece, piece.examine()));
        if self.json {
            let pieces: Vec<_> = findings
                .iter()
                .map(|(piece, (state, found))| {
                    json!({
                        "name": piece.name, "state": state.to_string(), "found": found,
                        "tested": piece.tested, "required": piece.required, "repair": piece.repair,
                    })
                })
                .collect();
            println!("{:#}", json!({ "pieces": pieces }));
        } else {
            for (piece, (state, found)) in &findings {
                print_finding(piece, *state, found.as_deref());
            }
        }
        Ok(findings.iter().all(|(_, (state, _))| *state != State::Missing))
    }
}

fn print_finding(piece: &Piece, state: State, found: Option<&str>) {
    let version = found.unwrap_or("-");
    println!("{state:<9} {:<16} {version:<12} {}", piece.name, piece.purpose);
    match state {
        State::Ok => {}
        State::Untested => {
            println!(
                "{:10}tested with {}; run `cargo xtask difftest` before you trust it",
                "", piece.tested
            );
        }
        State::Missing | State::Absent => println!("{:10}repair: {}", "", piece.repair),
    }
}

/// Whether `version` is the tested one, or the tested one with more detail.
fn is_tested(version: &str, tested: &str) -> bool {
    version
        .strip_prefix(tested)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+', '-', '~']))
}

/// The first word of a program's output that looks like a version; some print it to standard error.
fn version(command: &mut Command) -> Option<String> {
    let done = process::output(command).ok().filter(|done| done.status.success())?;
    let text = [done.stdout, done.stderr].concat();
    find_version(&String::from_utf8_lossy(&text))
}

fn find_version(text: &str) -> Option<String> {
    let trimmed = text.split_whitespace().map(|word| {
        let word = word.rsplit('-').next().unwrap_or(word);
        word.trim_start_matches('v').trim_end_matches(|c: char| !c.is_ascii_digit())
    });
    let mut versions =
        trimmed.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    versions.next().map(str::to_owned)
}

fn output(command: &mut Command) -> Option<String> {
    process::run(command).ok().map(|text| text.trim().to_owned())
}

fn present(path: &Path) -> Option<String> {
    path.exists().then(|| "present".to_owned())
}

/// rustup's rustc in place of Debian's would fail late and with a riddle.
fn knows_xtensa() -> bool {
    let target = paths::firmware().join("targets").join(format!("{}.json", toolchain::TARGET));
    let mut rustc = Command::new(toolchain::rustc());
    rustc
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["-Zunstable-options", "--print=cfg", "--target"])
        .arg(target);
    output(&mut rustc).is_some_and(|cfg| cfg.contains("target_arch=\"xtensa\""))
}

fn rust_src() -> Option<String> {
    let sysroot = output(Command::new(toolchain::rustc()).args(["--print", "sysroot"]))?;
    present(&Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs"))
}

/// GCC prints the bare name when it does not find the file.
fn picolibc() -> Option<String> {
    let path = output(Command::new(toolchain::GCC).arg("-print-file-name=libc.a"))?;
    Path::new(&path).is_absolute().then(|| present(Path::new(&path))).flatten()
}

fn qemu() -> Option<String> {
    let cpus = output(Command::new(machine::QEMU).args(["-cpu", "help"]))?;
    let knows_lx106 = cpus.split_whitespace().any(|cpu| cpu == "lx106");
    version(Command::new(machine::QEMU).arg("--version")).filter(|_| knows_lx106)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, expected) in [
            ("rustc 1.96.0 (ac68faa20 2026-05-25)", "1.96.0"),
            ("GNU ld (2.40-2+5+b1) 2.40", "2.40"),
            ("ip utility, iproute2-6.1.0, libbpf 1.1.0", "6.1.0"),
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.22"),
            ("esptool v5.6.0\n5.6.0", "5.6.0"),
        ] {
            assert_eq!(find_version(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(find_version("no such thing"), None);
    }

    #[test]
    fn a_later_version_is_untested_and_a_patch_of_the_tested_one_is_not() {
        assert!(is_tested("7.2.22", "7.2"));
        assert!(is_tested("1.96.0", "1.96.0"));
        assert!(!is_tested("7.20", "7.2"));
        assert!(!is_tested("1.97.0", "1.96.0"));
    }
}
