//! The whole cluster is updated over the air: boards and Linux nodes, with a good image, with one that never comes up, and with a
//! board that is unplugged meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spore_boot::image::{HEADER, Header};
use spore_boot::map::Slot;

use super::api::{self, Api};
use super::cluster::{Cluster, POLL, Plan};
use crate::firmware::Build;
use crate::image::container;
use crate::process;
use crate::sdk_emu::{StandIn, labelled};

/// Sequence numbers of the images: the second one never comes up.
const GOOD: u32 = 12;
const BAD: u32 = 13;
const LAST: u32 = 14;

/// How long a rollout may take. A board in QEMU writes flash as slowly as the chip, beside other boards on the same processor.
const ROLLOUT: Duration = Duration::from_secs(600);
/// How long the rest may take to hear that it was halted.
const HALT: Duration = Duration::from_secs(20);
/// How long a node may refuse connections.
const PATIENCE: Duration = Duration::from_secs(10);
/// The gate between waves.
const GATE: &str = "2s";

/// Makes the images for boards, in `folder`: not signed.
///
/// # Errors
/// When the firmware does not build.
pub(super) fn build(stand_in: &StandIn, folder: &Path) -> Result<()> {
    let elves = Slot::BOTH.map(|slot| stand_in.image(&Build::esp01(), slot).map(|made| made.1));
    let [a, b] = elves;
    let (a, b) = (a?, b?);
    for sequence in [GOOD, BAD, LAST] {
        let of = |elf: &Path, slot| {
            let image = labelled(elf, slot, sequence)?;
            if sequence == BAD { broken(&image, slot) } else { Ok(image) }
        };
        let made = container::of(&of(&a, Slot::A)?, &of(&b, Slot::B)?)?;
        let file = board_image(folder, sequence);
        fs::write(&file, made.bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// An image whose first instructions are none: it is whole, and never comes up.
fn broken(image: &[u8], slot: Slot) -> Result<Vec<u8>> {
    let head = image.first_chunk::<HEADER>().context("an image without a header")?;
    let header = Header::decode::<spore_boot::Esp>(slot, head)
        .map_err(|error| anyhow::anyhow!("no image: {error:?}"))?;
    let mut contents = image[HEADER..].to_vec();
    let mut entry = header.entry.checked_sub(slot.window()).map(|at| at as usize - HEADER);
    if entry.is_none_or(|at| at >= contents.len()) {
        // In instruction RAM: its segment is behind what runs in place.
        let mut at = header.in_place as usize;
        entry = header.segments.iter().find_map(|segment| {
            let start = at;
            at += segment.length as usize;
            let within = header.entry.checked_sub(segment.address)?;
            (within < segment.length).then_some(start + within as usize)
        });
    }
    let entry = entry.context("the entry is nowhere")?;
    // Zeros are the instruction that is illegal by definition (ILL).
    contents.get_mut(entry..entry + 16).context("the entry is behind the end")?.fill(0);
    Ok([header.encode(&contents).as_slice(), &contents].concat())
}

fn board_image(folder: &Path, sequence: u32) -> PathBuf {
    folder.join(format!("board-{sequence}.spore"))
}

/// A program for Linux nodes that is `spore`, and can be told from others.
///
/// # Errors
/// When it cannot be written.
pub(super) fn program(plan: &Plan<'_>, sequence: u32) -> Result<PathBuf> {
    let file = plan.logs.join(format!("program-{sequence}"));
    let does = if sequence == BAD {
        "exit 3".to_owned()
    } else {
        format!("exec {} \"$@\"", plan.spore.display())
    };
    fs::write(&file, format!("#!/bin/sh\n# {sequence}\n{does}\n"))
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Runs the test.
///
/// # Errors
/// What was not as it must be.
pub(super) fn run(plan: &Plan<'_>) -> Result<()> {
    let mut cluster = Cluster::start(plan)?;
    cluster.expect_agreement()?;
    let images = Images { plan, entry: cluster.hosts[0].1.clone() };
    let begun = Instant::now();
    let good = images.make(GOOD)?;
    let rollout = images.spore("all", &good, &["--gate", GATE])?;
    ensure!(rollout.status.success(), "the rollout has failed: {}", said(&rollout));
    for api in cluster.apis() {
        expect_image(api, GOOD)?;
    }
    let seconds = begun.elapsed().as_secs_f32();
    println!("e2e: {} nodes were updated in {seconds:.0} s", cluster.apis().count());

    let bad = images.make(BAD)?;
    let rollout = images.spore("all", &bad, &["--gate", GATE])?;
    ensure!(rollout.status.code() == Some(1), "a bad image was taken: {}", said(&rollout));
    let begun = Instant::now();
    let mut rolled_back = 0;
    for api in cluster.apis() {
        expect_image(api, GOOD)?;
        let state = api::patiently(PATIENCE, || api.get("/api/node/update"))?;
        rolled_back += u32::from(state["quarantined"] == BAD);
        loop {
            let rollout = api::patiently(PATIENCE, || api.get("/api/cluster/update"))?;
            if rollout["rollout"]["state"] == "halted" {
                break;
            }
            ensure!(begun.elapsed() < HALT, "{} has not heard of the halt: {rollout}", api.name);
            std::thread::sleep(POLL);
        }
    }
    // One of each kind of board is first.
    ensure!((1..=2).contains(&rolled_back), "{rolled_back} nodes have tried the bad images");
    println!("e2e: bad images got no further than {rolled_back} canaries, and all have heard so");

    let last = images.make(LAST)?;
    let started = images.spore("all", &last, &["--gate", GATE, "--no-wait"])?;
    ensure!(started.status.success(), "the rollout does not begin: {}", said(&started));
    // While images are on their way.
    std::thread::sleep(Duration::from_secs(3));
    let index = cluster.boards.len() - 1;
    cluster.boards[index].0.switch_off();
    std::thread::sleep(Duration::from_secs(3));
    cluster.switch_on(index)?;
    let begun = Instant::now();
    for api in cluster.apis() {
        loop {
            match expect_image(api, LAST) {
                Ok(()) => break,
                Err(error) => ensure!(begun.elapsed() < ROLLOUT, "{error:#}"),
            }
            std::thread::sleep(POLL);
        }
    }
    println!("e2e: updates passed; one board was unplugged meanwhile");
    Ok(())
}

/// The images, and who gives them to the cluster.
struct Images<'a> {
    plan: &'a Plan<'a>,
    /// The node that is asked.
    entry: Api,
}

impl Images<'_> {
    /// Signed images with this number, for boards and for Linux nodes.
    fn make(&self, sequence: u32) -> Result<[PathBuf; 2]> {
        let logs = self.plan.logs;
        let key = logs.join("release.key");
        let board = board_image(logs, sequence);
        let sign = ["image".as_ref(), "sign".as_ref(), board.as_os_str()];
        process::run(Command::new(self.plan.spore).args(sign).arg("--release-key-file").arg(&key))?;
        let host = logs.join(format!("host-{sequence}.spore"));
        let mut build = Command::new(self.plan.spore);
        build.args(["image", "build", "--program"]).arg(program(self.plan, sequence)?);
        build.args(["--sequence", &sequence.to_string(), "--output"]).arg(&host);
        process::run(build.arg("--release-key-file").arg(&key))?;
        Ok([board, host])
    }

    fn spore(&self, verb: &str, images: &[PathBuf], more: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new("timeout");
        command.arg(ROLLOUT.as_secs().to_string()).arg(self.plan.spore).args(["ota", verb]);
        command.args(images).args(more).args(["--timeout", "10", "--node"]);
        command.arg(format!("{}:{}", self.entry.address, self.entry.port));
        command.arg("--key-file").arg(self.plan.logs.join("cluster.key"));
        command.arg("--release-key-file").arg(self.plan.logs.join("release.key"));
        process::output(&mut command)
    }
}

fn said(output: &std::process::Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// A node runs this image, and has confirmed it.
fn expect_image(api: &Api, sequence: u32) -> Result<()> {
    let state: Value = api::patiently(PATIENCE, || api.get("/api/node/update"))?;
    let image = &state["image"];
    ensure!(
        image["sequence"] == sequence && image["stage"] == "confirmed",
        "{} does not run image {sequence}: {state}",
        api.name
    );
    Ok(())
}
