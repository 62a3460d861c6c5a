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
    expect_shared(&of_the_command, &all);
}

#[test]
fn a_project_for_a_sprocket_takes_no_gateway_and_shares_the_rest_with_the_workspace() {
    let all = crates(&["--workspace", "--edges=normal,build,dev"]).unwrap();
    let mut of_a_node = crates(&["--package=spore-cli", "--no-default-features"]).unwrap();
    // The one that is another: it has no gateway.
    of_a_node.retain(|line| !line.starts_with("spore-cli "));
    expect_shared(&of_a_node, &all);
    let is_there = |crates: &BTreeSet<String>, wanted| {
        crates.iter().any(|line| name(line).starts_with(wanted))
    };
    for wanted in ["spore-gateway ", "libsqlite3-sys ", "rustls ", "tokio "] {
        assert!(is_there(&all, wanted) && !is_there(&of_a_node, wanted), "{wanted}");
    }
}

/// Each of the crates has the features that it has in the workspace.
fn expect_shared(crates: &BTreeSet<String>, all: &BTreeSet<String>) {
    assert!(crates.iter().any(|name| name.starts_with("spore-core ")));
    let others: Vec<_> = crates.difference(all).collect();
    assert!(
        others.is_empty(),
        "{others:#?} are compiled once more for spore-cli alone, or without its gateway; give it, or a crate of its own \
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
