//! What comes from the environment, and from `.env`.

use crate::support::{Corner, stderr};
use std::fs;
use std::process::Command;

fn asked(command: &mut Command) -> String {
    stderr(&command.output().unwrap())
}

#[test]
fn the_node_to_ask_comes_from_the_option_the_environment_or_the_env_file() {
    let corner = Corner::new();
    let [from_file, from_environment, from_option] = [1, 2, 3].map(|n| corner.api(n));
    fs::write(corner.path().join(".env"), format!("API_NODE={from_file}\n")).unwrap();
    assert!(asked(&mut corner.command(&["members"])).contains(&from_file));
    let mut command = corner.command(&["members"]);
    assert!(asked(command.env("API_NODE", &from_environment)).contains(&from_environment));
    let mut command = corner.command(&["members", "--node", &from_option]);
    assert!(asked(command.env("API_NODE", &from_environment)).contains(&from_option));
    let mut command = corner.command(&["members"]);
    assert!(asked(command.env("API_NODE", "")).contains(&from_file), "empty is unset");
}

#[test]
fn the_env_file_of_a_folder_above_is_not_read() {
    let corner = Corner::new();
    fs::write(corner.path().join(".env"), "SPORE_KEY_FILE=above.key\n").unwrap();
    let below = corner.path().join("below");
    fs::create_dir(&below).unwrap();
    let made = corner.command(&["key", "new"]).current_dir(&below).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(corner.path().join("spore/cluster.key").exists());
    assert_eq!(fs::read_dir(&below).unwrap().count(), 0);
}

#[test]
fn the_key_file_is_taken_from_the_env_file_and_nothing_that_is_not_ours() {
    let corner = Corner::new();
    let lines = "XDG_STATE_HOME=/nowhere\nRUST_LOG=trace\nSPORE_KEY_FILE=from-file.key\n";
    fs::write(corner.path().join(".env"), lines).unwrap();
    let made = corner.json(&["key", "new", "--json"]);
    assert_eq!(made["file"], "from-file.key");
    let mut command = corner.command(&["key", "new"]);
    let made = command.env("SPORE_KEY_FILE", "from-environment.key").output().unwrap();
    assert!(made.status.success() && made.stderr.is_empty(), "{}", stderr(&made));
    assert!(corner.path().join("from-environment.key").exists());
    fs::write(corner.path().join(".env"), "XDG_STATE_HOME=/nowhere\n").unwrap();
    assert!(corner.run(&["key", "new"]).status.success());
    assert!(corner.path().join("spore/cluster.key").exists());
}

#[test]
fn bad_lines_in_the_env_file_are_a_warning_and_stand_in_the_way_of_nothing() {
    let corner = Corner::new();
    let file = corner.path().join(".env");
    let node = corner.api(1);
    fs::write(&file, format!("not a line\nTOKEN=my secret\nAPI_NODE={node}\n")).unwrap();
    let text = asked(&mut corner.command(&["members"]));
    assert!(text.contains("warning: .env: a line is not") && !text.contains("secret"), "{text}");
    assert!(text.contains(&format!("{node} refuses the connection")), "{text}");
    for arguments in [&["--help"][..], &["--version"], &["members", "--help"], &["sim"]] {
        let output = corner.run(arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let made = corner.run(&["key", "new"]);
    assert!(made.status.success() && stderr(&made).contains("cannot read .env"), "{made:?}");
}
