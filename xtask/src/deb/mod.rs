//! `cargo xtask deb`: a Debian package of `spore`, with units for systemd, completions and manual pages.
//!
//! Nothing but dpkg-deb is needed to make one. What is in it is used then, by programs that are not ours ([`check`]).

mod check;
mod room;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::{e2e, paths, process};

/// Make the Debian package, and check what is in it.
#[derive(Args)]
pub(crate) struct Deb {
    /// The program to put into it [default: a release build of this tree].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
}

/// Where completions are looked for by each shell.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/spore"),
    ("zsh", "usr/share/zsh/vendor-completions/_spore"),
    ("fish", "usr/share/fish/vendor_completions.d/spore.fish"),
];
const MAN: &str = "usr/share/man/man1";
const DOC: &str = "usr/share/doc/spore";
const MAINTAINER: &str = "SPORE <spore@localhost>";
const UNITS: &str = "lib/systemd/system";
/// What runs when the package comes and goes.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

impl Deb {
    /// Makes the package, and checks it.
    ///
    /// # Errors
    /// When something does not build, or what is in the package is not as it should be.
    pub(crate) fn run(self) -> Result<()> {
        let folder = paths::repository().join("target/deb");
        let _folder = e2e::empty_folder(&folder)?;
        let spore = match self.spore {
            Some(spore) => fs::canonicalize(&spore)
                .with_context(|| format!("there is no program {}", spore.display()))?,
            None => {
                let spore = release()?;
                // A node that `spore launch` starts runs it from a slot.
                room::check(&spore)?;
                spore
            }
        };
        let root = folder.join("root");
        fill(&root, &spore)?;
        let package = pack(&folder, &root)?;
        check::package(&folder, &package)?;
        let bytes = fs::metadata(&package).context("the package is gone")?.len();
        println!("{}: {bytes} bytes, and what is in it works", package.display());
        Ok(())
    }
}

/// A release build of `spore`.
fn release() -> Result<PathBuf> {
    let mut cargo = crate::toolchain::cargo_for_host();
    cargo.current_dir(paths::repository());
    process::run(cargo.args(["build", "--release", "--package", "spore-cli", "--bin", "spore"]))?;
    Ok(paths::repository().join("target/release/spore"))
}

/// Puts everything where it is to be on a machine.
fn fill(root: &Path, spore: &Path) -> Result<()> {
    put(root, "usr/bin/spore", &read(spore)?, 0o755)?;
    let installed = root.join("usr/bin/spore");
    process::run(Command::new("strip").arg("--strip-unneeded").arg(&installed))?;
    for (shell, file) in COMPLETIONS {
        let script = process::run(Command::new(spore).args(["completions", shell]))?;
        put(root, file, script.as_bytes(), 0o644)?;
    }
    let man = root.join(MAN);
    fs::create_dir_all(&man).with_context(|| format!("cannot make {}", man.display()))?;
    process::run(Command::new(spore).args(["man", "--output"]).arg(&man))?;
    let repository = paths::repository();
    put(root, &format!("{DOC}/changelog"), &read(&repository.join("CHANGELOG.md"))?, 0o644)?;
    put(root, &format!("{DOC}/copyright"), copyright(&repository)?.as_bytes(), 0o644)?;
    put(root, &format!("{DOC}/changelog.Debian"), changelog()?.as_bytes(), 0o644)?;
    let mut compress = ["changelog", "changelog.Debian"].map(|it| root.join(DOC).join(it)).to_vec();
    for page in fs::read_dir(&man).context("cannot list the pages")? {
        compress.push(page.context("cannot list the pages")?.path());
    }
    process::run(Command::new("gzip").arg("-9n").args(&compress))?;
    let ours = repository.join("packaging/debian");
    for unit in units(&ours)? {
        put(root, &format!("{UNITS}/{unit}"), &read(&ours.join(&unit))?, 0o644)?;
    }
    put(root, "etc/default/spore-node", &read(&ours.join("spore-node.default"))?, 0o644)?;
    put(root, "DEBIAN/conffiles", b"/etc/default/spore-node\n", 0o644)?;
    for script in SCRIPTS {
        put(root, &format!("DEBIAN/{script}"), &read(&ours.join(script))?, 0o755)?;
    }
    put(root, "DEBIAN/control", control()?.as_bytes(), 0o644)
}

/// The units of this folder.
fn units(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".service")).collect())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn put(root: &Path, file: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let path = root.join(file);
    let written = fs::create_dir_all(path.parent().unwrap_or(root))
        .and_then(|()| fs::write(&path, bytes))
        .and_then(|()| File::open(&path)?.set_permissions(fs::Permissions::from_mode(mode)));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The version of the workspace.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// What dpkg is told of the package.
fn control() -> Result<String> {
    let told = |program: &str, arguments: &[&str]| {
        process::run(Command::new(program).args(arguments)).map(|text| text.trim().to_owned())
    };
    let architecture = told("dpkg", &["--print-architecture"])?;
    // At least what it was linked with.
    let libc = told("dpkg-query", &["-W", "-f", "${source:Upstream-Version}", "libc6"])?;
    Ok(format!(
        "Package: spore\n\
         Version: {}-1\n\
         Architecture: {architecture}\n\
         Maintainer: {MAINTAINER}\n\
         Section: net\n\
         Priority: optional\n\
         Depends: libc6 (>= {libc}), libgcc-s1\n\
         Suggests: esptool\n\
         Description: cluster engine for ESP8266 boards\n \
         Turns a handful of boards into one cluster that you can see, program\n \
         and update as a whole, with no server and no broker. This package has\n \
         the command, which also runs nodes on Linux, and a unit for such nodes.\n",
        version()
    ))
}

/// The changelog of the packaging, as Debian wants one; it is as old as the last commit.
fn changelog() -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(paths::repository()).args(["log", "-1", "--format=%cD"]);
    let date = process::run(&mut git)?;
    Ok(format!(
        "spore ({}-1) unstable; urgency=medium\n\n  * What has changed is in changelog.gz.\n\n -- {MAINTAINER}  {}\n",
        version(),
        date.trim()
    ))
}

/// The licences, in the format that Debian has for them.
fn copyright(repository: &Path) -> Result<String> {
    let indented = |file: &str| -> Result<String> {
        let text = fs::read_to_string(repository.join(file))
            .with_context(|| format!("there is no {file}"))?;
        let line =
            |line: &str| if line.trim().is_empty() { " .\n".into() } else { format!(" {line}\n") };
        Ok(text.lines().map(line).collect())
    };
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: spore\n\n\
         Files: *\n\
         Copyright: the contributors to SPORE\n\
         License: MIT or Apache-2.0\n\n\
         License: MIT\n{}\n\
         License: Apache-2.0\n \
         On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.\n",
        indented("LICENSE-MIT")?
    ))
}

/// Makes the package of what is in `root`.
fn pack(folder: &Path, root: &Path) -> Result<PathBuf> {
    process::run(
        Command::new("sh").current_dir(root).args([
            "-c",
            "find * -path DEBIAN -prune -o -type f -exec md5sum {} + > DEBIAN/md5sums",
        ]),
    )?;
    let package = folder.join(format!("spore_{}-1.deb", version()));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-z5", "--build"]).arg(root).arg(&package);
    process::run(&mut pack)?;
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::{control, paths};
    use std::fs;

    #[test]
    fn dpkg_is_told_of_the_package_in_lines_that_it_reads() {
        let control = control().unwrap();
        for line in control.lines() {
            assert!(line.starts_with(' ') || line.contains(": "), "{line}");
        }
        assert!(control.contains(&format!("Version: {}-1\n", env!("CARGO_PKG_VERSION"))));
    }

    #[test]
    fn the_container_installs_what_ctl_sh_installs() {
        let file = paths::repository().join("packaging/Containerfile");
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("RUN ./ctl.sh setup"), "{text}");
        let copied = text.lines().find_map(|line| line.strip_prefix("COPY ")).unwrap();
        for name in copied.split_whitespace().filter(|name| *name != "./") {
            assert!(paths::repository().join(name).is_file(), "{name}");
        }
        // Debian's own packages are there before: ctl.sh downloads with none of them.
        let before = text.lines().find(|line| line.contains("apt-get install")).unwrap();
        assert!(before.ends_with("ca-certificates curl git"), "{before}");
    }
}
