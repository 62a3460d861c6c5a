//! `cargo xtask doctor`: which pieces of the toolchain are there, which were tested, and how to get the rest.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
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

/// LLVM's name for the chip's variant of the core.
const CPU: &str = "esp8266";

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
    /// Whether building and running the firmware needs it.
    required: bool,
    /// Looks for it.
    found: fn() -> Found,
}

/// What a look for a piece brings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// Its version, or "present" for what has none.
    Version(String),
    /// Something of that name, and why it is of no use.
    Useless(String),
    Nothing,
}

impl From<Option<String>> for Found {
    fn from(version: Option<String>) -> Self {
        version.map_or(Self::Nothing, Self::Version)
    }
}

/// In the order in which a build needs them.
const PIECES: [Piece; 13] = [
    Piece {
        name: "rustc",
        purpose: "Rust for the LX106 (Debian's rustc-web)",
        tested: "1.96.0",
        repair: "apt-get install rustc-web (Debian 12 has the right version in its security archive, \
                 bookworm-security, which must be among apt's sources; its main archive has 1.85, which is too old)",
        required: true,
        found: rustc,
    },
    Piece {
        name: "cargo",
        purpose: "drives that rustc (Debian's)",
        tested: "1.96.0",
        repair: "apt-get install cargo-web",
        required: true,
        found: || version(Command::new(toolchain::cargo()).arg("--version")).into(),
    },
    Piece {
        name: "rust-src",
        purpose: "the core library, compiled for the LX106",
        tested: "present",
        repair: "apt-get install rust-web-src",
        required: true,
        found: || rust_src().into(),
    },
    Piece {
        name: "xtensa gcc",
        purpose: "assembles and links",
        tested: "12.2.0",
        repair: "apt-get install gcc-xtensa-lx106",
        required: true,
        found: || output(Command::new(toolchain::GCC).arg("-dumpfullversion")).into(),
    },
    Piece {
        name: "xtensa binutils",
        purpose: "the assembler and linker behind gcc",
        tested: "2.40",
        repair: "apt-get install binutils-xtensa-lx106",
        required: true,
        found: || version(Command::new("xtensa-lx106-elf-ld").arg("--version")).into(),
    },
    Piece {
        name: "picolibc",
        purpose: "memcpy and its like",
        tested: "present",
        repair: "apt-get install picolibc-xtensa-lx106-elf",
        required: true,
        found: || picolibc().into(),
    },
    Piece {
        name: "qemu lx106",
        purpose: "runs the firmware (difftest, emu)",
        tested: "7.2",
        repair: "apt-get install qemu-system-misc",
        required: true,
        found: || qemu().into(),
    },
    Piece {
        name: "setpriv",
        purpose: "ends emulated nodes with whoever started them (difftest, emu)",
        tested: "2.38",
        repair: "apt-get install util-linux",
        required: true,
        found: || version(Command::new("setpriv").arg("--version")).into(),
    },
    Piece {
        name: "unshare",
        purpose: "isolates the network of `cargo xtask e2e`; nothing else needs it",
        tested: "2.38",
        repair: "apt-get install util-linux",
        required: false,
        found: || version(Command::new("unshare").arg("--version")).into(),
    },
    Piece {
        name: "nsenter",
        purpose: "starts nodes in that network; nothing else needs it",
        tested: "2.38",
        repair: "apt-get install util-linux",
        required: false,
        found: || version(Command::new("nsenter").arg("--version")).into(),
    },
    Piece {
        name: "ip",
        purpose: "makes the network of `cargo xtask e2e`; nothing else needs it",
        tested: "6.1.0",
        repair: "apt-get install iproute2",
        required: false,
        found: || version(Command::new("ip").arg("-V")).into(),
    },
    Piece {
        name: "/dev/net/tun",
        purpose: "puts emulated nodes on that network; nothing else needs it",
        tested: "present",
        repair: "modprobe tun (in a container: give it the device)",
        required: false,
        found: || present(Path::new("/dev/net/tun")).into(),
    },
    Piece {
        name: "esptool",
        purpose: "flashes a board; nothing else needs it",
        tested: "5.6",
        repair: "pip install esptool",
        required: false,
        found: || version(Command::new("esptool").arg("version")).into(),
    },
];

impl Piece {
    fn examine(&self) -> (State, Found) {
        let found = (self.found)();
        let state = match &found {
            Found::Version(version) if is_tested(version, self.tested) => State::Ok,
            Found::Version(_) => State::Untested,
            Found::Useless(_) | Found::Nothing if self.required => State::Missing,
            Found::Useless(_) | Found::Nothing => State::Absent,
        };
        (state, found)
    }
}

/// What compiling and linking for the LX106 needs, by name.
const FOR_BUILDING: [&str; 6] =
    ["rustc", "cargo", "rust-src", "xtensa gcc", "xtensa binutils", "picolibc"];

/// Looks for what building firmware needs, before anything is done.
///
/// # Errors
/// When a piece is missing: the first one, since others may be missing with it only.
pub(crate) fn check_for_building() -> Result<()> {
    for piece in PIECES.iter().filter(|piece| FOR_BUILDING.contains(&piece.name)) {
        let (state, found) = piece.examine();
        if state == State::Missing {
            let fault = match found {
                Found::Useless(fault) => format!("; {fault}"),
                Found::Version(_) | Found::Nothing => String::new(),
            };
            bail!(
                "firmware needs {} ({}), which is missing{fault}. Repair: {}",
                piece.name,
                piece.purpose,
                piece.repair
            );
        }
    }
    Ok(())
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
                    let (version, fault) = match found {
                        Found::Version(version) => (Some(version), None),
                        Found::Useless(fault) => (None, Some(fault)),
                        Found::Nothing => (None, None),
                    };
                    json!({
                        "name": piece.name, "state": state.to_string(), "found": version, "fault": fault,
                        "tested": piece.tested, "required": piece.required, "repair": piece.repair,
                    })
                })
                .collect();
            println!("{:#}", json!({ "pieces": pieces }));
        } else {
            for (piece, (state, found)) in &findings {
                print_finding(piece, *state, found);
            }
        }
        Ok(findings.iter().all(|(_, (state, _))| *state != State::Missing))
    }
}

fn print_finding(piece: &Piece, state: State, found: &Found) {
    let version = if let Found::Version(version) = found { version } else { "-" };
    println!("{state:<9} {:<16} {version:<12} {}", piece.name, piece.purpose);
    if let Found::Useless(fault) = found {
        println!("{:10}{fault}", "");
    }
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

/// A rustc that cannot compile for our target would fail late and with a riddle.
fn rustc() -> Found {
    let program = toolchain::rustc();
    let Some(version) = version(Command::new(&program).arg("--version")) else {
        return Found::Nothing;
    };
    let target = paths::firmware().join("targets").join(format!("{}.json", toolchain::TARGET));
    let mut ask = Command::new(&program);
    ask.env("RUSTC_BOOTSTRAP", "1");
    // To list a target's processors, rustc must understand the target, and its LLVM must have the back end.
    ask.args(["-Zunstable-options", "--print=target-cpus", "--target"]).arg(target);
    match process::output(&mut ask) {
        Ok(done) if done.status.success() && lists_cpu(&String::from_utf8_lossy(&done.stdout)) => {
            Found::Version(version)
        }
        _ => Found::Useless(format!(
            "{} is {version}, which cannot compile for {}: it is too old, or was built without Xtensa",
            program.display(),
            toolchain::TARGET
        )),
    }
}

/// Whether the ESP8266's processor is in rustc's list.
fn lists_cpu(list: &str) -> bool {
    list.lines().any(|line| line.split_whitespace().next() == Some(CPU))
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
    fn the_chip_is_looked_for_in_a_list_of_processors() {
        let list = "Available CPUs for this target:\n    esp32\n    esp8266 - the default\n";
        assert!(lists_cpu(list));
        assert!(!lists_cpu("Available CPUs for this target:\n    esp32\n"));
        assert!(!lists_cpu(""));
    }

    #[test]
    fn a_later_version_is_untested_and_a_patch_of_the_tested_one_is_not() {
        assert!(is_tested("7.2.22", "7.2"));
        assert!(is_tested("1.96.0", "1.96.0"));
        assert!(!is_tested("7.20", "7.2"));
        assert!(!is_tested("1.97.0", "1.96.0"));
    }
}
