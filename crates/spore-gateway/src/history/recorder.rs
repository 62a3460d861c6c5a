//! What has changed since the last look. No I/O, no clock.

use super::{Batch, Entry, Kind};
use crate::api::Frame;
use crate::cluster::{Cluster, Node};
use crate::events::{self, Sent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So many members are known again, with those that have left.
const MEMBERS: usize = 512;

/// A boot that began so much later than the last one was another one; the time that an answer takes, and clocks that are not the same, are less.
const SLACK_MS: i64 = 10_000;
/// As much between two gateways, who may have had other clocks.
const SLACK_BETWEEN_MS: i64 = 60_000;
/// So exactly it is remembered when a boot began.
const STEP_MS: i64 = 2_000;

/// A gateway that has just begun has not met everyone; whom only an earlier one has met is not held for dead so soon.
const MEET: Duration = Duration::from_secs(30);

/// Where in the file what is known of a member stands, of what was published, and of the rollout.
const MEMBER: &str = "member/";
const PUBLISHER: &str = "publisher/";
const ROLLOUT: &str = "rollout";

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// In milliseconds since 1970, by the machine's clock, which may be set.
    pub(super) wall_ms: i64,
    /// By a clock that only goes on.
    pub(super) now: Instant,
}

impl Clock {
    pub(super) fn now() -> Self {
        Self { wall_ms: wall_ms(), now: Instant::now() }
    }
}

/// The machine's time, in milliseconds since 1970.
pub(super) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What was known of a member last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Last {
    hostname: String,
    status: String,
    image: Option<u32>,
    version: Option<String>,
    /// When it has started, in milliseconds since 1970.
    started_ms: Option<i64>,
    /// When it said how long it had been up, and how long, if this gateway has heard it.
    #[serde(skip)]
    uptime: Option<(Instant, i64)>,
    /// Whether this gateway has seen it live.
    #[serde(skip)]
    is_met: bool,
}

impl Last {
    fn is_live(&self) -> bool {
        matches!(&*self.status, "active" | "suspect")
    }

    /// What the file has of it.
    fn in_file(&self) -> Self {
        Self { uptime: None, is_met: false, ..self.clone() }
    }

    /// What has become of a member of this status, in a word.
    fn word(&self, status: &str) -> Option<&'static str> {
        match (&*self.status, status) {
            ("", "active" | "suspect") => Some("joined"),
            ("dead" | "left", "active" | "suspect") => Some("rejoined"),
            ("active", "suspect") => Some("suspect"),
            ("suspect", "active") => Some("recovered"),
            ("active" | "suspect", "dead") => Some("died"),
            ("active" | "suspect", "left") => Some("left"),
            _ => None,
        }
    }
}

/// How far a rollout was last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    id: String,
    state: String,
    nodes: BTreeMap<String, (String, Option<String>)>,
}

/// Notes what changes.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    members: BTreeMap<String, Last>,
    progress: Progress,
    published: Sent,
    /// When it first looked.
    began: Option<Instant>,
    batch: Batch,
}

impl Recorder {
    /// Goes on where the last one ended, by what that one knew.
    pub(super) fn new(known: &BTreeMap<String, String>) -> Self {
        // What cannot be read was of no spore.
        let read = known.iter().filter_map(|(name, value)| {
            let id = name.strip_prefix(MEMBER)?;
            Some((id.to_owned(), serde_json::from_str(value).ok()?))
        });
        let members = read.collect();
        let read = known.iter().filter_map(|(name, value)| {
            let id = name.strip_prefix(PUBLISHER)?;
            Some((id.to_owned(), serde_json::from_str(value).ok()?))
        });
        let published = read.collect();
        let progress = known.get(ROLLOUT).and_then(|value| serde_json::from_str(value).ok());
        Self { members, published, progress: progress.unwrap_or_default(), ..Self::default() }
    }

    /// What was noted since this was asked last.
    pub(super) fn take(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    fn know(&mut self, name: String, value: Option<String>) {
        self.batch.known.insert(name, value);
    }

    fn note(&mut self, kind: Kind, node: Option<&str>, what: &str, detail: Value, clock: Clock) {
        let hostname = node.and_then(|id| self.members.get(id)).map(|last| last.hostname.clone());
        let (at_ms, what) = (clock.wall_ms, what.to_owned());
        let node = node.map(ToOwned::to_owned);
        self.batch.entries.push(Entry { at_ms, kind, node, hostname, what, detail });
    }

    /// Looks at the cluster.
    pub(super) fn look(&mut self, cluster: &Cluster, clock: Clock) {
        let began = *self.began.get_or_insert(clock.now);
        let has_met = clock.now.duration_since(began) >= MEET;
        for (id, node) in cluster.nodes() {
            let is_met = self.members.get(id).is_some_and(|last| last.is_met);
            if has_met || is_met || node.member.is_live() {
                self.member(id, node, clock);
            }
        }
        self.look_for_the_missing(cluster, has_met, clock);
        self.rollout(cluster, clock);
    }

    fn member(&mut self, id: &str, node: &Node, clock: Clock) {
        let before = self.members.get(id).cloned();
        let mut last = before.clone().unwrap_or_default();
        let status = &node.member.status;
        let mut notes: Vec<(&str, Value)> = Vec::new();
        if let Some(word) = last.word(status) {
            notes.push((word, json!({ "address": node.member.api() })));
        }
        last.hostname.clone_from(&node.member.hostname);
        last.status.clone_from(status);
        last.is_met |= node.member.is_live();
        if let Some(says) = node.status() {
            let at = node.figures.as_ref().map_or(clock.now, |figures| figures.at);
            let uptime = i64::try_from(says.uptime_ms).unwrap_or(i64::MAX);
            if last.has_restarted(at, uptime, clock) {
                let detail = json!({
                    "reset_reason": says.reset_reason, "uptime_s": uptime / 1_000, "version": says.version,
                });
                notes.push(("restarted", detail));
            }
            last.hear(at, uptime, clock);
        }
        let version = node.status().map(|says| &says.version);
        if node.image.is_some() && last.image != node.image {
            if let Some(from) = last.image {
                let detail = json!({ "from": from, "image": node.image, "version": version });
                notes.push(("updated", detail));
            }
            last.image = node.image;
        }
        // Of who takes updates, the image says it, when the cluster knows it.
        if let Some(version) = version.filter(|_| node.running().is_none()) {
            if let Some(from) = last.version.as_ref().filter(|from| *from != version) {
                notes.push(("updated", json!({ "from": from, "version": version })));
            }
            last.version = Some(version.clone());
        }
        if before.as_ref() != Some(&last) {
            self.remember(id, last, before);
        }
        for (word, detail) in notes {
            self.note(Kind::Member, Some(id), word, detail, clock);
        }
    }

    /// Keeps what is known of a member, and in the file, if that is worth it.
    fn remember(&mut self, id: &str, last: Last, before: Option<Last>) {
        if before.as_ref().map(Last::in_file) != Some(last.in_file()) {
            self.know(format!("{MEMBER}{id}"), serde_json::to_string(&last).ok());
        }
        self.members.insert(id.to_owned(), last);
        if self.members.len() > MEMBERS {
            let gone = self.members.iter().find(|(other, last)| !last.is_live() && *other != id);
            if let Some(gone) = gone.map(|(gone, _)| gone.clone()) {
                self.members.remove(&gone);
                self.know(format!("{MEMBER}{gone}"), None);
            }
        }
    }

    /// Who was there, and is in no list.
    fn look_for_the_missing(&mut self, cluster: &Cluster, has_met: bool, clock: Clock) {
        let listed: BTreeSet<&str> = cluster.nodes().map(|(id, _)| id).collect();
        let missing = |(id, last): (&String, &Last)| {
            (last.is_live() && !listed.contains(&**id)).then(|| (id.clone(), last.clone()))
        };
        let missing: Vec<_> = self.members.iter().filter_map(missing).collect();
        for (id, before) in missing {
            let status = match cluster.has_left(&id) {
                true => "left",
                false if has_met || before.is_met => "dead",
                false => continue,
            };
            let word = before.word(status);
            self.remember(&id, Last { status: status.to_owned(), ..before.clone() }, Some(before));
            if let Some(word) = word {
                self.note(Kind::Member, Some(&id), word, json!({}), clock);
            }
        }
    }

    fn rollout(&mut self, cluster: &Cluster, clock: Clock) {
        let update = &cluster.update;
        let Some(rollout) = &update.rollout else { return };
        let mut progress = self.progress.clone();
        if progress.id != rollout.id {
            progress = Progress { id: rollout.id.clone(), ..Progress::default() };
        }
        let is_done = rollout.state == "running" && update.counts["pending"] == json!(0);
        let state = if is_done { "done" } else { &*rollout.state };
        // Once it was done, who has heard of it meanwhile does not make it run again.
        if state != progress.state && (&*progress.state, state) != ("done", "running") {
            state.clone_into(&mut progress.state);
            let images: Vec<_> = rollout
                .images
                .iter()
                .map(|image| json!({ "board": image.board, "sequence": image.sequence }))
                .collect();
            let detail =
                json!({ "rollout": rollout.id, "images": images, "counts": update.counts });
            self.note(Kind::Update, None, state, detail, clock);
        }
        for row in &update.nodes {
            // Whether it is there, members tell.
            if matches!(&*row.state, "unheard" | "away") {
                continue;
            }
            let now = (row.state.clone(), row.reason.clone());
            let before = progress.nodes.insert(row.id.clone(), now.clone());
            let is_nothing = before.is_none() && matches!(&*row.state, "idle" | "out");
            if before.as_ref() != Some(&now) && !is_nothing {
                let detail = json!({ "rollout": rollout.id, "reason": row.reason });
                self.note(Kind::Update, Some(&row.id), &row.state, detail, clock);
            }
        }
        if progress != self.progress {
            self.know(ROLLOUT.to_owned(), serde_json::to_string(&progress).ok());
            self.progress = progress;
        }
    }

    /// Notes an event of the cluster, once; and that some were missed.
    pub(super) fn event(&mut self, frame: &Frame, clock: Clock) {
        let Some(event) = events::parse(frame) else { return };
        let identity = event.identity();
        match &identity {
            None if !event.topic.starts_with("events/") => return,
            None => (),
            Some(identity) if self.published.has(identity) => return,
            Some(identity) => {
                if let Some(forgotten) = self.published.note(identity) {
                    self.know(format!("{PUBLISHER}{forgotten}"), None);
                }
                let (publisher, number) = identity.parts();
                self.know(format!("{PUBLISHER}{publisher}"), serde_json::to_string(&number).ok());
            }
        }
        let detail = match event.payload_hex {
            Some(digits) => json!({ "retained": event.retained, "payload_hex": digits }),
            None => json!({ "retained": event.retained, "payload": event.payload }),
        };
        self.note(Kind::Event, event.publisher.as_deref(), &event.topic, detail, clock);
    }
}

impl Last {
    /// Whether a member that has been up for so many milliseconds at some time was not before that.
    fn has_restarted(&self, at: Instant, uptime: i64, clock: Clock) -> bool {
        match (self.uptime, self.started_ms) {
            (Some((then, before)), _) => {
                let since = i64::try_from(at.duration_since(then).as_millis()).unwrap_or(i64::MAX);
                uptime + SLACK_MS < before.saturating_add(since)
            }
            (None, Some(started)) => clock.wall_ms - uptime > started + SLACK_BETWEEN_MS,
            (None, None) => false,
        }
    }

    fn hear(&mut self, at: Instant, uptime: i64, clock: Clock) {
        self.uptime = Some((at, uptime));
        // Figures may be older than the look at them.
        let age = i64::try_from(clock.now.duration_since(at).as_millis()).unwrap_or(i64::MAX);
        let started = clock.wall_ms - age - uptime;
        if self.started_ms.is_none_or(|before| (started - before).abs() > STEP_MS) {
            self.started_ms = Some(started);
        }
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
