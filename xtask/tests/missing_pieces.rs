//! Each piece of the toolchain is taken away in turn: building firmware says which one it is and how to get it, in one
//! line, before it has done anything.
//!
//! The pieces are scripts that answer as the real ones do, so the test needs none of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Name, the script's answer to any arguments, and what repairs its absence.
const TOOLS: [(&str, &str, &str); 4] = [
    (
        "rustc",
        "case \"$*\" in\n*sysroot) echo \"$SYSROOT\" ;;\n*target-cpus*) echo '    esp8266' ;;\n\
         *) echo 'rustc 1.96.0' ;;\nesac",
        "apt-get install rustc-web",
    ),
    (
        "cargo",
        "[ \"$1\" = --version ] && echo 'cargo 1.96.0' && exit\necho 'error: the stand-in compiles nothing' >&2\nexit 1",
        "apt-get install cargo-web",
    ),
    (
        "xtensa-lx106-elf-gcc",
        "case \"$1\" in\n-dumpfullversion) echo 12.2.0 ;;\n*) echo \"$LIBC\" ;;\nesac",
        "apt-get install gcc-xtensa-lx106",
    ),
    (
        "xtensa-lx106-elf-ld",
        "echo 'GNU ld (2.40-2+5+b1) 2.40'",
        "apt-get install binutils-xtensa-lx106",
    ),
];

/// A toolchain of scripts in a folder of its own.
struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("missing-{name}"));
        let _ = fs::remove_dir_all(&folder);
        let core = folder.join("sysroot/lib/rustlib/src/rust/library/core/src");
        fs::create_dir_all(&core).unwrap();
        fs::write(core.join("lib.rs"), "").unwrap();
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("libc.a"), "").unwrap();
        for (tool, script, _) in TOOLS {
            let file = folder.join("bin").join(tool);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder }
    }

    fn remove(&self, piece: &str) {
        let path = self.folder.join(piece);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
    }

    fn build(&self) -> Output {
        let bin = self.folder.join("bin");
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        xtask.args(["firmware", "build", "--package", "boot"]);
        xtask.env("PATH", &bin).env("SPORE_RUSTC", bin.join("rustc"));
        xtask.env("SPORE_CARGO", bin.join("cargo"));
        xtask.env("SYSROOT", self.folder.join("sysroot")).env("LIBC", self.folder.join("libc.a"));
        xtask.output().unwrap()
    }

    /// What it says without the piece.
    fn said_without(&self, piece: &str) -> String {
        self.remove(piece);
        let done = self.build();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{piece}: {said}");
        assert_eq!(said.lines().count(), 1, "{piece}: {said}");
        assert!(said.starts_with("error: firmware needs ") && said.contains("missing"), "{said}");
        said
    }
}

#[test]
fn with_all_pieces_it_goes_on_to_compile() {
    let done = Toolchain::new("nothing").build();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        said.contains("boot does not compile:\nerror: the stand-in compiles nothing"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_missing_tool_is_named_with_what_repairs_it() {
    for (tool, _, repair) in TOOLS {
        let said = Toolchain::new(tool).said_without(&format!("bin/{tool}"));
        assert!(said.contains(repair), "{tool}: {said}");
    }
}

#[test]
fn a_missing_source_of_the_library_and_a_missing_libc_are_named() {
    let said = Toolchain::new("source").said_without("sysroot");
    assert!(said.contains("rust-src") && said.contains("apt-get install rust-web-src"), "{said}");
    let said = Toolchain::new("libc").said_without("libc.a");
    assert!(said.contains("apt-get install picolibc-xtensa-lx106-elf"), "{said}");
}

#[test]
fn a_compiler_that_does_not_know_the_chip_is_told_from_a_missing_one() {
    let toolchain = Toolchain::new("chip");
    let rustc = toolchain.folder.join("bin/rustc");
    let script = fs::read_to_string(&rustc).unwrap();
    fs::write(&rustc, script.replace("    esp8266", "    esp32")).unwrap();
    let said = String::from_utf8(toolchain.build().stderr).unwrap();
    assert!(said.contains("cannot compile for xtensa-esp8266-none-elf"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_folder_without_the_sdk_and_a_network_that_is_not_there_are_told() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing-sdk");
    fs::create_dir_all(&folder).unwrap();
    let sdk = |variables: &[(&str, &Path)]| {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        xtask.arg("sdk").envs(variables.iter().copied());
        let done = xtask.output().unwrap();
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
        said
    };
    let said = sdk(&[("SPORE_SDK", &folder)]);
    assert!(said.contains("where there is no libmain.a") && said.contains("tag v3.0.6"), "{said}");
    // A cargo that has nothing and may fetch nothing.
    let said = sdk(&[("CARGO_HOME", &folder), ("CARGO_NET_OFFLINE", Path::new("true"))]);
    assert!(said.contains("esp8266-nonos-sdk") && said.contains("SPORE_SDK"), "{said}");
}
