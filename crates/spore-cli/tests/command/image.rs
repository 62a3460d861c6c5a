//! Images: made, shown, signed and verified.

use crate::support::{Corner, stderr};
use spore_boot::Slot;
use spore_boot::image::{Header, IN_PLACE, MAX_SEGMENTS, Segment};
use std::fs;
use std::path::Path;
use std::process::Output;

/// What a linker makes of a program of six words, of which two point into its slot.
fn slot(slot: Slot) -> Vec<u8> {
    let start = slot.window() + IN_PLACE;
    let contents = [1, start, 2, start + 4, 3, 4].map(u32::to_le_bytes).concat();
    let segments = [Segment::default(); MAX_SEGMENTS];
    let (board, version) = ([0; 16], [0; 24]);
    let mut header = Header { sequence: 7, entry: start, in_place: 24, board, version, segments };
    header.board[..6].copy_from_slice(b"esp-01");
    header.version[..5].copy_from_slice(b"1.2.3");
    [&header.encode(&contents)[..], &contents].concat()
}

fn corner() -> Corner {
    let corner = Corner::new();
    for (name, of) in [("a.bin", Slot::A), ("b.bin", Slot::B)] {
        fs::write(corner.path().join(name), slot(of)).unwrap();
    }
    corner
}

const BUILD: [&str; 6] = ["image", "build", "a.bin", "b.bin", "--output", "x.spore"];

#[track_caller]
fn refused(output: &Output, what: &str) {
    assert_eq!(output.status.code(), Some(1), "{what}: {}", stderr(output));
    assert!(stderr(output).contains(what), "{what}: {}", stderr(output));
    assert!(output.stdout.is_empty());
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_image_is_made_signed_and_verified() {
    let corner = corner();
    let verify = ["image", "verify", "x.spore"];
    let made = corner.json(&[&BUILD[..], &["--json"]].concat());
    assert_eq!((&made["board"], &made["version"]), (&"esp-01".into(), &"1.2.3".into()));
    assert_eq!((&made["sequence"], &made["words_that_move"]), (&7.into(), &2.into()));
    assert_eq!(made["signed"], false, "there is no key yet");
    refused(&corner.run(&verify), "no release key");
    refused(&corner.run(&["image", "sign", "x.spore"]), "`spore key new release`");
    let said = corner.json(&["image", "sign", "x.spore", "--if-key", "--json"]);
    assert_eq!(said["signed"], false);

    let key = corner.json(&["key", "new", "release", "--json"]);
    refused(&corner.run(&verify), "it is not signed");
    assert_eq!(corner.json(&["image", "sign", "x.spore", "--json"])["signed"], true);
    let verified = corner.json(&[&verify[..], &["--json"]].concat());
    assert_eq!(verified["signed_by"], key["public"]);
    let signed = fs::read(corner.path().join("x.spore")).unwrap();
    assert_eq!(corner.json(&[&BUILD[..], &["--json"]].concat())["signed"], true);
    assert_eq!(fs::read(corner.path().join("x.spore")).unwrap(), signed);
    let unsigned = [&BUILD[..], &["--unsigned", "--json"]].concat();
    assert_eq!(corner.json(&unsigned)["signed"], false);
    assert_eq!(files(corner.path()), ["a.bin", "b.bin", "spore", "x.spore"]);

    // Elsewhere the public part is enough, and another key's signature is none.
    fs::write(corner.path().join("x.spore"), &signed).unwrap();
    let by = |public: &str| corner.run(&[&verify[..], &["--public", public]].concat());
    assert!(by(key["public"].as_str().unwrap()).status.success());
    let other = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
    refused(&by(other), "not that of the release key");
    assert_eq!(by("12").status.code(), Some(2));
}

#[test]
fn a_program_for_linux_is_an_image_as_well() {
    let corner = corner();
    fs::write(corner.path().join("program"), "#!/bin/sh\n").unwrap();
    let build = ["image", "build", "--program", "program", "--output", "x.spore"];
    assert_eq!(corner.run(&build).status.code(), Some(2), "it has no sequence number");
    let made = corner.json(&[&build[..], &["--sequence", "3", "--json"]].concat());
    assert_eq!((&made["board"], &made["program"]), (&"host".into(), &true.into()));
    assert_eq!((&made["payload"], &made["sequence"]), (&12.into(), &3.into()));
    let said = corner.run(&["image", "inspect", "x.spore"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("a program for Linux") && said.contains("signed    no"), "{said}");
    let named = ["--sequence", "3", "--image-version", "a b"];
    refused(&corner.run(&[&build[..], &named].concat()), "ASCII characters without spaces");
    assert_eq!(corner.run(&[&BUILD[..], &["--sequence", "3"]].concat()).status.code(), Some(2));
}

#[test]
fn what_is_no_image_is_neither_made_nor_signed() {
    let corner = corner();
    assert!(corner.run(&["key", "new", "release"]).status.success());
    let swapped = ["image", "build", "b.bin", "a.bin", "--output", "x.spore"];
    refused(&corner.run(&swapped), "linked for another one");
    refused(&corner.run(&["image", "inspect", "x.spore"]), "there is no file x.spore");
    assert!(corner.run(&BUILD).status.success());
    let good = fs::read(corner.path().join("x.spore")).unwrap();
    for (name, bytes, what) in [
        ("cut", good[..good.len() - 1].to_vec(), "as long as it says"),
        ("empty", vec![], "as long as it says"),
        ("a.bin", slot(Slot::A), "does not begin as an image"),
        ("altered", [&good[..good.len() - 1], &[0xFF]].concat(), "chunk 0 is not what it was"),
    ] {
        fs::write(corner.path().join(name), &bytes).unwrap();
        for action in ["inspect", "sign", "verify"] {
            refused(&corner.run(&["image", action, name]), what);
        }
        assert_eq!(fs::read(corner.path().join(name)).unwrap(), bytes, "{name} was changed");
    }
    fs::create_dir(corner.path().join("folder")).unwrap();
    refused(&corner.run(&["image", "inspect", "folder"]), "cannot read folder");
    let into = ["image", "build", "a.bin", "b.bin", "--output", "none/x.spore"];
    refused(&corner.run(&into), "cannot write none/x.spore");
}
