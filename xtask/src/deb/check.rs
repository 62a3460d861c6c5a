//! What is in the package, used by programs that are not ours: shells, man, systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{COMPLETIONS, MAN, SCRIPTS, UNITS, units, version};
use crate::process;

/// Exposure in tenths, as `systemd-analyze security` counts it: 10 is a service without any limit, 100 of them.
const EXPOSURE: &str = "20";

/// Units that those of the package refer to.
const TARGETS: [&str; 5] = ["basic", "multi-user", "network-online", "shutdown", "sysinit"];

/// Takes the package apart, and looks at everything in it.
///
/// # Errors
/// When something is missing, or does not work.
pub(super) fn package(folder: &Path, package: &Path) -> Result<()> {
    let listed = process::run(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    for line in listed.lines() {
        ensure!(line.split_whitespace().nth(1) == Some("root/root"), "not root's: {line}");
    }
    let root = folder.join("unpacked");
    process::run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&root))?;
    let said = process::run(Command::new(root.join("usr/bin/spore")).arg("--version"))?;
    ensure!(said.trim() == format!("spore {}", version()), "it says: {said}");
    completions(folder, &root)?;
    pages(&root.join(MAN))?;
    services(&root)?;
    for script in SCRIPTS {
        process::run(Command::new("sh").arg("-n").arg(root.join("DEBIAN").join(script)))?;
    }
    let sums = Command::new("md5sum")
        .current_dir(&root)
        .args(["--check", "--quiet", "DEBIAN/md5sums"])
        .output();
    ensure!(sums.context("no md5sum")?.status.success(), "the checksums are wrong");
    Ok(())
}

/// Each shell completes `spore mem`.
fn completions(folder: &Path, root: &Path) -> Result<()> {
    for (shell, file) in COMPLETIONS {
        let file = root.join(file);
        let script = match shell {
            "bash" => {
                "source \"$1\"; COMP_WORDS=(spore mem); COMP_CWORD=1; _spore spore mem spore; echo \"${COMPREPLY[@]}\""
            }
            "fish" => "source $argv[1]; complete --do-complete 'spore mem'",
            // Its completion system wants a terminal: that it knows the function, which loads, is what can be seen.
            "zsh" => {
                "fpath=(\"${1:h}\" $fpath); autoload -Uz compinit; compinit -u -d \"$2\"; autoload +X _spore; \
                      [[ $_comps[spore] == _spore ]] && grep -o \"'members:\" \"$1\" | tr -d \"':\""
            }
            other => bail!("{other} is not known here"),
        };
        let mut command = Command::new(shell);
        command.args(match shell {
            "bash" => ["--norc", "-c"],
            "fish" => ["--no-config", "-c"],
            _ => ["-f", "-c"],
        });
        command.arg(script);
        if shell != "fish" {
            command.arg(shell);
        }
        command.arg(&file).arg(folder.join("zcompdump")).env("HOME", folder);
        let said = process::run(&mut command)?;
        let first = said.split_whitespace().next();
        ensure!(first == Some("members"), "{shell} completes `spore mem` with {said:?}");
    }
    Ok(())
}

/// man shows each page, and has nothing against it.
fn pages(folder: &Path) -> Result<()> {
    let pages = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let pages: Vec<PathBuf> = pages.flatten().map(|entry| entry.path()).collect();
    ensure!(pages.len() > 40, "there are only {} pages", pages.len());
    for page in pages {
        let name = page.display();
        let mut man = Command::new("man");
        man.args(["--local-file", "--warnings", "--encoding=UTF-8"]).arg(&page);
        man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").env("MANPAGER", "cat");
        let shown = process::output(&mut man)?;
        let (text, warnings) =
            (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
        ensure!(shown.status.success() && warnings.is_empty(), "{name}: {warnings}");
        // Between words there are as many spaces as make a line full.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            words.contains(" SYNOPSIS spore ") && words.contains("Exit code"),
            "{name}: {text}"
        );
    }
    Ok(())
}

/// systemd takes the units, and finds them hardened.
fn services(root: &Path) -> Result<()> {
    let units = units(&root.join(UNITS))?;
    ensure!(!units.is_empty(), "there are no units");
    // What every machine has.
    for target in TARGETS {
        let file = root.join(UNITS).join(format!("{target}.target"));
        fs::write(&file, format!("[Unit]\nDescription={target}\n")).context("cannot write")?;
    }
    for unit in units {
        // Of a template, one at an address.
        let unit = unit.replace("@.", "@127.0.0.1.");
        let analyze = |arguments: &[&str]| {
            let mut analyze = Command::new("systemd-analyze");
            analyze.args(arguments).arg(format!("--root={}", root.display())).arg(&unit);
            let done = process::output(&mut analyze)?;
            let said = [done.stdout, done.stderr].concat();
            Ok::<_, anyhow::Error>((
                done.status.success(),
                String::from_utf8_lossy(&said).into_owned(),
            ))
        };
        let (good, said) = analyze(&["verify", "--man=no"])?;
        ensure!(good && said.is_empty(), "{unit}: {said}");
        let (good, said) = analyze(&[
            "security",
            "--offline=yes",
            "--no-pager",
            &format!("--threshold={EXPOSURE}"),
        ])?;
        ensure!(good, "{unit} is not hardened enough: {said}");
    }
    Ok(())
}
