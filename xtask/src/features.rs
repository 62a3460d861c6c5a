//! What is compiled for the whole workspace must do for `spore-cli` alone, and for a project that
//! `spore new-sprocket` makes.
//!
//! Cargo compiles a crate once for each set of features, and the set is that of all packages which are built together.
//! One more feature of a crate deep down, and the engine with all around it is compiled twice.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Result;

use crate::{paths, process, toolchain};

/// Each crate that a build of `packages` takes, with its version and features.
fn crates(packages: &[&str]) -> Result<BTreeSet<String>> {
    let mut cargo: Command = toolchain::cargo_for_host();
    cargo.current_dir(paths::repository()).args(["tree", "--offline", "--prefix=none"]);
    cargo.args(["--edges=normal,build", "--format={p} {f}"]).args(packages);
    let lines = process::run(&mut cargo)?;
    Ok(lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}

#[test]
fn the_command_alone_is_compiled_with_the_features_that_it_has_in_the_workspace() {
    let all = crates(&["--workspace", "--edges=normal,build,dev"]).unwrap();
    let of_the_command = crates(&["--package=spore-cli"]).unwrap();
    assert!(of_the_command.iter().any(|name| name.starts_with("spore-core ")));
    let others: Vec<_> = of_the_command.difference(&all).collect();
    assert!(
        others.is_empty(),
        "{others:#?} are compiled once more for spore-cli alone; give it, or a crate of its own \
         that uses them, the features that they have in the workspace: {:#?}",
        all.iter()
            .filter(|one| others.iter().any(|other| name(one) == name(other)))
            .collect::<Vec<_>>()
    );
}

/// Name and version.
fn name(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
