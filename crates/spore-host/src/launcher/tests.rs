use super::{BOARD, FILE, LaunchError, Launcher};
use crate::slots::SlotFile;
use embassy_futures::block_on;
use spore_boot::layout::Host;
use spore_boot::map::Slot;
use spore_image::trial::{self, Found};
use spore_image::{Refusal, Target, build};
use std::fs;
use std::path::Path;

/// A program that writes its name to `log` in its folder, and ends with a code.
fn script(name: &str, code: u8) -> String {
    format!("#!/bin/sh\necho {name} $SPORE_SLOT $* >> \"${{SPORE_SLOTS%/*}}/log\"\nexit {code}\n")
}

fn launcher(folder: &Path, program: &str) -> Launcher {
    let path = folder.join("first");
    fs::write(&path, program).unwrap();
    let arguments = vec!["node".into()];
    Launcher {
        folder: folder.join("slots"),
        program: path,
        version: "1".into(),
        arguments,
        on_start: |_| (),
    }
}

fn log(launcher: &Launcher) -> Vec<String> {
    let text = fs::read_to_string(launcher.folder.join("log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn flash(launcher: &Launcher) -> SlotFile {
    SlotFile::open(&launcher.folder.join(FILE)).unwrap()
}

/// Installs a program in slot B, on trial, as a node in slot A does.
fn update(launcher: &Launcher, program: &str) {
    let mut flash = flash(launcher);
    let container = build::program(program.as_bytes(), BOARD, "2", 2).unwrap();
    block_on(trial::confirm::<Host, _>(&mut flash, Slot::A, 0)).unwrap();
    let target = Target { board: BOARD, slot: Slot::B, floor: 0, quarantined: None, length: None };
    let installed = block_on(spore_image::install::<Host, _, _>(
        &mut flash,
        &mut container.as_slice(),
        &target,
        |_| Ok(()),
    ));
    assert_eq!(installed.map(|head| head.header.sequence), Ok(2));
}

#[test]
fn the_first_program_goes_into_slot_a_and_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = launcher(folder.path(), &script("first", 0));
    assert_eq!(launcher.run(|| false).unwrap(), 0);
    // From the slot now: the file is not looked at again.
    fs::remove_file(&launcher.program).unwrap();
    assert_eq!(launcher.run(|| false).unwrap(), 0);
    assert_eq!(log(&launcher), ["first a node", "first a node"]);
    assert_eq!(block_on(trial::sequence::<Host, _>(&mut flash(&launcher), Slot::A)), Ok(0));
    let found = block_on(trial::find::<Host, _>(&mut flash(&launcher), Slot::A));
    assert_eq!(found, Ok(Found::Fallback { tried: None }), "it confirms itself");
}

#[test]
fn wrong_usage_ends_the_launcher_and_its_code_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(launcher(folder.path(), &script("first", 2)).run(|| false).unwrap(), 2);
}

#[test]
fn a_program_on_trial_that_ends_is_tried_three_times_and_then_the_old_one_runs() {
    for (code, starts) in [(1, 3), (2, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let launcher = launcher(folder.path(), &script("old", 0));
        launcher.run(|| false).unwrap();
        update(&launcher, &script("new", code));
        assert_eq!(launcher.run(|| false).unwrap(), 0);
        let log = log(&launcher);
        assert_eq!(log.iter().filter(|line| *line == "new b node").count(), starts, "{log:?}");
        assert_eq!(log.last().unwrap(), "old a node");
        let found = block_on(trial::find::<Host, _>(&mut flash(&launcher), Slot::A));
        assert_eq!(found, Ok(Found::Fallback { tried: Some(2) }));
    }
}

#[test]
fn what_is_no_program_for_this_machine_counts_as_one_that_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = launcher(folder.path(), &script("old", 0));
    launcher.run(|| false).unwrap();
    update(&launcher, "\u{7f}ELF of something else");
    assert_eq!(launcher.run(|| false).unwrap(), 0);
    assert_eq!(log(&launcher), ["old a node", "old a node"]);
}

#[test]
fn a_program_that_confirms_itself_stays() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = launcher(folder.path(), &script("old", 0));
    launcher.run(|| false).unwrap();
    update(&launcher, &script("new", 0));
    let mut on_trial = flash(&launcher);
    assert_eq!(block_on(trial::find::<Host, _>(&mut on_trial, Slot::B)), Ok(Found::Trial));
    block_on(trial::confirm::<Host, _>(&mut on_trial, Slot::B, 2)).unwrap();
    assert_eq!(launcher.run(|| false).unwrap(), 0);
    assert_eq!(log(&launcher).last().unwrap(), "new b node");
    // Another update, that is given up.
    assert_eq!(
        block_on(trial::give_up::<Host, _>(&mut on_trial, Slot::B)),
        Err(Refusal::Unconfirmed)
    );
}

#[test]
fn it_stops_the_program_when_it_is_to_stop_and_shares_its_folder_with_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let program = "#!/bin/sh\ntrap 'exit 7' TERM\n: > \"${SPORE_SLOTS%/*}/ready\"\n\
                   while :; do sleep 0.05; done\n";
    let launcher = launcher(folder.path(), program);
    let inner = launcher.clone();
    // Not before it would notice.
    let stopped = move || {
        let is_ready = inner.folder.join("ready").exists();
        if is_ready {
            assert!(matches!(inner.run(|| true), Err(LaunchError::InUse(_))));
        }
        is_ready
    };
    assert_eq!(launcher.run(stopped).unwrap(), 7);
}
