//! `spore ota all`.

use super::follow::follow;
use super::images::Image;
use super::plan::{self, Candidate, Care};
use super::progress::{self, Tracked};
use super::rollout::{Document, PATH};
use crate::client::{Member, NodeStatus, Request, Signer, Target, parse, print_document};
use crate::key_file::{KeyFile, ReleaseKeyFile};
use crate::output::{note, print, print_line};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use spore_core::ota::plan::{RolloutId, SignedPlan};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Update all nodes of the cluster, some first, the others in waves.
///
/// Each image is given to one node of its board; from there on the nodes do it themselves: they fetch it from each other, restart when it is
/// their turn, and stop everywhere if too many fail. Ctrl-C leaves the rollout running.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct All {
    /// The images, one for each board [default: the last builds for the boards that are there]
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    care: Care,
    /// Begin, and do not wait for how it ends
    #[arg(long)]
    no_wait: bool,
    /// Write the signed plan to a file, and do nothing else: the dashboard takes the images and begins with it
    #[arg(long, value_name = "FILE", conflicts_with = "no_wait")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    release: ReleaseKeyFile,
}

const EXAMPLES: &str = "\
Examples:
  spore ota all                                             the last builds
  spore ota all esp-01.spore host.spore
  spore ota all --canary 1 --waves 10%,50%,100% --gate 60s --max-failures 1

Exit code 0 only if no node has failed and the rollout was not halted; with --no-wait, if it has begun.";

/// How long a node may take for an image.
const UPLOAD: Duration = Duration::from_secs(600);

/// `GET /api/node/update`, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Update {
    image: Option<Running>,
}

#[derive(Debug, Deserialize)]
struct Running {
    sequence: u32,
    stage: String,
}

/// A member that may be updated.
#[derive(Debug)]
struct Node {
    candidate: Candidate,
    hostname: String,
    api: String,
    running: Running,
}

impl All {
    pub(super) fn run(&self, target: &Target, key: &KeyFile) -> Result<()> {
        let signer = Signer::new(key)?;
        let release = self.release.read()?;
        let nodes = nodes(target)?;
        let images = self.images(&nodes)?;
        let known: Document = parse(&target.get(&target.node(), PATH)?)?;
        if known.rollout.as_ref().is_some_and(|it| it.state == "running") && !known.has_ended() {
            bail!("a rollout is under way; `spore ota status` shows it, `spore ota halt` stops it");
        }
        let mut wanted = Vec::new();
        for image in images {
            let behind = nodes.iter().filter(|node| image.is_for(node) && image.is_newer(node));
            let behind: Vec<_> = behind.collect();
            if behind.is_empty() {
                note(format_args!(
                    "spore: no node of the board {} is behind image {}",
                    image.head.board(),
                    image.sequence()
                ));
                continue;
            }
            if self.plan.is_none() {
                self.give(target, &signer, &image, &behind)?;
            }
            wanted.push(image);
        }
        if wanted.is_empty() {
            bail!("there is nothing to update");
        }
        let mut random = [0; 4];
        getrandom::fill(&mut random).context("the system gives no random numbers")?;
        let number = known.rollout.map_or(0, |rollout| rollout.number()).saturating_add(1);
        let id = RolloutId { number, random: u32::from_be_bytes(random) };
        let candidates: Vec<_> = nodes
            .iter()
            .filter(|node| wanted.iter().any(|image| image.is_for(node) && image.is_newer(node)))
            .map(|node| node.candidate.clone())
            .collect();
        let signed = plan::make(&self.care, id, &wanted, &candidates, &release)?;
        let mut bytes = [0; SignedPlan::MAX];
        let len = signed.encode(&mut bytes);
        if let Some(file) = &self.plan {
            fs::write(file, &bytes[..len])
                .with_context(|| format!("cannot write {}", file.display()))?;
            if target.json {
                return print_line(json!({ "rollout": id.to_string(), "file": file }));
            }
            return print_line(format_args!("The plan of rollout {id} is in {}.", file.display()));
        }
        let content_type = Some("application/octet-stream");
        let request = Request { method: "POST", target: PATH, body: &bytes[..len], content_type };
        let answer = target.client().send_signed(&target.node(), &request, &signer)?;
        if self.no_wait {
            return match target.json {
                true => print_document(&answer.text()),
                false => {
                    print_line(format_args!("Rollout {id} has begun; `spore ota status` shows it."))
                }
            };
        }
        let (body, document) = follow(target, &id.to_string())?;
        if target.json {
            print_document(&body)?;
        } else {
            print(document.table())?;
            print_line(document.summary())?;
        }
        match document.rollout {
            Some(rollout) if rollout.state != "running" => {
                bail!("rollout {id} was {}", rollout.state)
            }
            _ if document.count(&["failed", "rolled_back"]) > 0 => {
                bail!("some nodes have failed")
            }
            _ => Ok(()),
        }
    }

    /// The images that were named, or the last builds.
    fn images(&self, nodes: &[Node]) -> Result<Vec<Image>> {
        if !self.images.is_empty() {
            return self.images.iter().map(|file| Image::read(file)).collect();
        }
        let boards: BTreeSet<_> = nodes.iter().map(|node| node.candidate.board.as_str()).collect();
        let (mut images, mut missing) = (Vec::new(), Vec::new());
        for board in boards {
            match Image::last_build(board) {
                Ok(image) => images.push(image),
                Err(error) => missing.push(format!("{error:#}")),
            }
        }
        if images.is_empty() {
            bail!("there is nothing to update with: {}", missing.join("; "));
        }
        missing.iter().for_each(|what| note(format_args!("spore: {what}")));
        Ok(images)
    }

    /// Gives an image to one of these nodes, which holds it for the others.
    fn give(&self, target: &Target, signer: &Signer, image: &Image, nodes: &[&Node]) -> Result<()> {
        let mut why = None;
        for node in nodes {
            let bar = progress::bytes(&node.hostname, image.bytes.len() as u64);
            let request = Request { method: "POST", ..Request::get("/api/node/update?start=no") };
            let mut source = Tracked::new(&image.bytes, &bar);
            let client = target.client();
            let sent =
                client.upload(&node.api, &request, signer, &mut source, image.bytes.len(), UPLOAD);
            bar.finish_and_clear();
            match sent {
                Ok(answer) if answer.is_success() => return Ok(()),
                Ok(answer) => why = Some(signer.error(&answer, &node.api, &request)),
                Err(error) => why = Some(error),
            }
        }
        let board = image.head.board();
        Err(why.unwrap_or_else(|| anyhow::anyhow!("there is no node of the board {board}")))
            .with_context(|| format!("no node of the board {board} has taken the image"))
    }
}

impl Image {
    fn is_for(&self, node: &Node) -> bool {
        self.head.board() == node.candidate.board
    }

    fn is_newer(&self, node: &Node) -> bool {
        self.sequence() > node.running.sequence
    }
}

/// The active members that take updates, and run an image that is confirmed.
fn nodes(target: &Target) -> Result<Vec<Node>> {
    let members = target.members()?.members;
    let active = members.iter().filter(|member| member.status == "active");
    let mut nodes = Vec::new();
    for member in active {
        match node(target, member) {
            Ok(found) => nodes.extend(found),
            Err(error) => note(format_args!("spore: {}: {error:#}", member.hostname)),
        }
    }
    if nodes.is_empty() {
        bail!("no active member takes updates");
    }
    Ok(nodes)
}

fn node(target: &Target, member: &Member) -> Result<Option<Node>> {
    let api = member.api();
    let update: Update = parse(&target.get(&api, "/api/node/update")?)?;
    let Some(running) = update.image.filter(|image| image.stage == "confirmed") else {
        return Ok(None);
    };
    let board = match &member.board {
        Some(board) => board.clone(),
        None => parse::<NodeStatus>(&target.get(&api, "/api/node/status")?)?.board,
    };
    let id = member.id.parse().ok().context("its id is none")?;
    let hostname = member.hostname.clone();
    Ok(Some(Node { candidate: Candidate { id, board }, hostname, api, running }))
}
