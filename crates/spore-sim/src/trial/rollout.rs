//! An image for all, as an operator would begin it, and what became of it.

use super::chaos;
use super::plan::{Image, Rollout};
use crate::scenario::{Fleet, Nature, Work};
use crate::{Simulation, images};
use ed25519_dalek::{Signer as _, SigningKey};
use spore_core::NodeId;
use spore_core::api::{Method, Request};
use spore_core::ota::announcement::Ended;
use spore_core::ota::plan::{Image as Listed, Plan, RolloutId, SignedPlan};
use spore_core::security::ReleaseKey;
use std::time::Duration;

/// What all run at first.
const OLD: u32 = 1;
/// What they are to run.
const NEW: u32 = 2;
/// An image that is there, and that nobody has signed a plan for.
const FOREIGN: u32 = 3;
const HOLDER: usize = 0;
pub(super) const CANARY: usize = 1;
const PATH: &str = "/api/cluster/update";

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

/// The images of a world in which there is a rollout.
pub(super) fn fleet(rollout: &Rollout) -> Fleet {
    let images = vec![(NEW, Nature::from(rollout.image)), (FOREIGN, Nature::Good)];
    let release_key = ReleaseKey(key(5).verifying_key().to_bytes());
    Fleet { release_key, first: OLD, images, work: Work::BOARD }
}

/// A rollout that is to come, or under way.
#[derive(Debug)]
pub(super) struct Operator {
    rollout: Rollout,
    /// When it is tried next.
    pub(super) next: Duration,
    /// Whether the plan was ever sent to a node, which may have taken it without saying so.
    sent: bool,
    /// When a node has taken the plan.
    pub(super) begun: Option<Duration>,
    /// When it was done: see [`is_done`](Self::is_done).
    pub(super) done: Option<Duration>,
}

impl Operator {
    pub(super) fn new(rollout: &Rollout, now: Duration) -> Self {
        let rollout = rollout.clone();
        Self { next: now + rollout.at.0, rollout, sent: false, begun: None, done: None }
    }

    /// Tries to begin, first with a plan that somebody else has signed.
    pub(super) fn act(&mut self, sim: &mut Simulation) -> Result<(), String> {
        self.next = sim.now() + Duration::from_secs(1);
        if self.begun.is_some() {
            return Ok(());
        }
        let Some(canary) = sim.node(CANARY).map(|node| node.own().id) else { return Ok(()) };
        let forged = self.plan(2, FOREIGN, canary);
        if matches!(post(sim, &signed(forged, &key(6))), Some(..400)) {
            return Err("a node takes a plan that somebody else has signed".into());
        }
        // Once: it may run by now, and what it would fall back to be where it was held.
        if !self.sent {
            sim.hold_image(HOLDER, &images::container(NEW));
        }
        self.sent = true;
        if post(sim, &signed(self.plan(1, NEW, canary), &key(5))) == Some(200) {
            self.begun = Some(sim.now());
        }
        Ok(())
    }

    fn plan(&self, number: u32, sequence: u32, canary: NodeId) -> Plan {
        let mut board = [0; Listed::BOARD];
        board[..images::BOARD.len()].copy_from_slice(images::BOARD.as_bytes());
        let image = Listed { board, sequence, digest: images::id(sequence) };
        Plan {
            id: RolloutId { number, random: 7 },
            images: [image].into_iter().collect(),
            canaries: [canary].into_iter().collect(),
            waves: self.rollout.waves.iter().copied().collect(),
            gate: u16::try_from(self.rollout.gate.0.as_secs()).unwrap_or(u16::MAX),
            max_failures: 1,
            expiry: Plan::MAX_EXPIRY,
            catches_up: true,
        }
    }

    /// Notes whether it is done: a good image runs on all nodes, a bad one is halted on all.
    pub(super) fn look(&mut self, sim: &Simulation) {
        if self.begun.is_some() && self.done.is_none() && self.is_done(sim) {
            self.done = Some(sim.now());
        }
    }

    fn is_done(&self, sim: &Simulation) -> bool {
        (0..sim.size()).all(|node| match self.rollout.image {
            Image::Good => sim.started_images(node).last() == Some(&NEW),
            Image::Deaf | Image::Crashes | Image::Hangs => sim
                .node(node)
                .and_then(spore_core::Node::rollout)
                .is_some_and(|told| told.ended == Ended::Halted),
        })
    }

    /// What must never be: an image runs that nobody has signed a plan for, or a bad one on a node that is no canary.
    pub(super) fn check(&self, sim: &Simulation) -> Result<(), String> {
        let bad = self.rollout.image != Image::Good;
        for node in 0..sim.size() {
            for image in sim.started_images(node) {
                let may = *image == OLD || *image == NEW && (node == CANARY || !bad);
                if !may || *image == NEW && !self.sent {
                    return Err(format!("node {node} has started image {image}"));
                }
            }
            let confirmed = sim.confirmed_images(node).iter();
            let good = |image: u32| image == OLD || image == NEW && self.sent && !bad;
            if let Some(image) = confirmed.copied().find(|image| !good(*image)) {
                return Err(format!("node {node} has confirmed image {image}"));
            }
        }
        Ok(())
    }
}

fn signed(plan: Plan, key: &SigningKey) -> SignedPlan {
    let mut message = [0; Plan::MESSAGE];
    let len = plan.message(&mut message);
    SignedPlan { signature: key.sign(&message[..len]).to_bytes(), plan }
}

/// The status of the answer; `None` if there is none.
fn post(sim: &mut Simulation, signed: &SignedPlan) -> Option<u16> {
    let mut body = [0; SignedPlan::MAX];
    let len = signed.encode(&mut body);
    let body = &body[..len];
    let method = Method::Post;
    let field = chaos::credentials(sim, HOLDER, (method, PATH), body)?.to_string();
    let request = Request { authorization: Some(&field), body, ..Request::new(method, PATH) };
    sim.request(HOLDER, &request).map(|(status, _)| status)
}
