//! A rollout as a node tells of it, and what `spore ota status` and `halt` do.

use crate::client::{Request, Signer, Target, one_line, parse, print_document};
use crate::key_file::KeyFile;
use crate::output::print_line;
use crate::table::Table;
use crate::watch::Watch;
use anyhow::Result;
use serde::Deserialize;
use std::fmt::Write as _;

/// Where a node tells of it.
pub(super) const PATH: &str = "/api/cluster/update";

/// `GET /api/cluster/update`.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) rollout: Option<Rollout>,
    counts: Counts,
    pub(super) nodes: Vec<Node>,
}

/// How many nodes are how far, as the engine counts them.
#[derive(Debug, Deserialize)]
struct Counts {
    updated: u16,
    pending: u16,
    failed: u16,
    rolled_back: u16,
    absent: u16,
    out: u16,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rollout {
    /// Its number and 8 hexadecimal digits.
    pub(super) id: String,
    pub(super) state: String,
    age_min: u16,
    expiry_h: u16,
    gate_s: u16,
    max_failures: u16,
    waves: Vec<u8>,
    images: Vec<Image>,
}

#[derive(Debug, Deserialize)]
struct Image {
    board: String,
    sequence: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) hostname: String,
    board: Option<String>,
    wave: Option<u8>,
    pub(super) state: String,
    pub(super) percent: Option<u8>,
    reason: Option<String>,
}

impl Rollout {
    /// The first part of its id; 0 if it is none.
    pub(super) fn number(&self) -> u32 {
        self.id.split_once('-').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
    }
}

impl Node {
    /// Whether nothing more will become of it, while the rollout goes on.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state.as_str(), "updated" | "failed" | "rolled_back" | "out" | "away")
    }

    /// What became of it, for people.
    pub(super) fn result(&self) -> String {
        let why = self.reason.as_deref().unwrap_or_default();
        match (self.state.as_str(), why) {
            ("rolled_back", "not_started") => {
                "rolled back: it crashed, hung, or lost its power".into()
            }
            ("rolled_back", "no_network") => "rolled back: its network did not come up".into(),
            ("rolled_back", "no_peer") => "rolled back: no other member has heard of it".into(),
            ("failed", "refused") => "failed: it does not take the image".into(),
            ("failed", "flash") => "failed: its flash does not hold the image".into(),
            ("failed", why) => format!("failed: {why}"),
            ("away", _) => "absent".into(),
            ("out", _) => "takes no part".into(),
            ("unheard", _) => "has not heard of it".into(),
            ("on_trial", _) => "on trial".into(),
            ("fetching", _) => format!("fetching, {} %", self.percent.unwrap_or(0)),
            (state, _) => state.to_owned(),
        }
    }

    /// Its place among the others: those come first whose turn comes first.
    pub(super) fn rank(&self) -> (Option<u8>, String, String) {
        (self.wave, self.hostname.clone(), self.id.clone())
    }

    fn turn(&self) -> String {
        match self.wave {
            Some(0) => "canary".into(),
            Some(wave) => format!("wave {wave}"),
            None => String::new(),
        }
    }
}

impl Document {
    /// The number of nodes in one of these states.
    pub(super) fn count(&self, states: &[&str]) -> usize {
        self.nodes.iter().filter(|node| states.contains(&node.state.as_str())).count()
    }

    /// Whether all has come of it that will.
    pub(super) fn has_ended(&self) -> bool {
        match &self.rollout {
            None => true,
            Some(rollout) if rollout.state == "running" => self.nodes.iter().all(Node::is_done),
            Some(_) => self.count(&["on_trial"]) == 0,
        }
    }

    /// The nodes in a table, those first whose turn comes first.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["NODE", "ID", "BOARD", "TURN", "STATE"]);
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| node.rank());
        for node in nodes {
            let board = node.board.clone().unwrap_or_default();
            let cells = [node.hostname.clone(), node.id.clone(), board, node.turn()];
            table.row(cells.into_iter().chain([node.result()]));
        }
        table.to_string()
    }

    /// What the rollout is, in some lines.
    fn heading(&self) -> String {
        let Some(rollout) = &self.rollout else { return "There was no rollout yet.\n".into() };
        let images: Vec<_> = rollout
            .images
            .iter()
            .map(|image| format!("{} {}", image.board, image.sequence))
            .collect();
        let waves: Vec<_> = rollout.waves.iter().map(|percent| format!("{percent}%")).collect();
        let mut text = format!("rollout {}: {}\n", rollout.id, rollout.state);
        // Writing to a text cannot fail.
        let _ = writeln!(text, "images   {}", images.join(", "));
        let _ = writeln!(
            text,
            "waves    {}, each {} s after all before are well; {} failed halt it",
            waves.join(", "),
            rollout.gate_s,
            rollout.max_failures
        );
        let _ = writeln!(text, "age      {} min of {} h", rollout.age_min, rollout.expiry_h);
        text
    }

    /// How many nodes became what.
    pub(super) fn summary(&self) -> String {
        let Counts { updated, pending, failed, rolled_back, absent, out } = self.counts;
        format!(
            "{updated} updated, {pending} pending, {failed} failed, {rolled_back} rolled back, {absent} absent, {out} take no part"
        )
    }
}

/// Shows the rollout as a node sees it.
pub(super) fn status(target: &Target, watch: &Watch) -> Result<()> {
    watch.show(target.json, || {
        let body = target.get(&target.node(), PATH)?;
        if target.json {
            return Ok(one_line(&body)? + "\n");
        }
        let document: Document = parse(&body)?;
        let mut text = document.heading();
        if document.rollout.is_some() {
            text.push_str(&document.table());
            text.push_str(&document.summary());
            text.push('\n');
        }
        Ok(text)
    })
}

/// Halts the rollout.
pub(super) fn halt(target: &Target, key: &KeyFile) -> Result<()> {
    let signer = Signer::new(key)?;
    let request = Request { method: "DELETE", ..Request::get(PATH) };
    let answer = target.client().send_signed(&target.node(), &request, &signer)?;
    if target.json {
        return print_document(&answer.text());
    }
    let document: Document = parse(&answer.text())?;
    let id = document.rollout.map(|rollout| rollout.id).unwrap_or_default();
    print_line(format_args!(
        "Rollout {id} is halted here, and on the other nodes within seconds. It cannot be taken up again."
    ))
}

#[cfg(test)]
mod tests {
    use super::Document;
    use serde_json::json;

    fn document(state: &str, nodes: &[(&str, u8)]) -> Document {
        let nodes: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(n, (state, wave))| {
                json!({
                    "id": format!("{n:012}"), "hostname": format!("n{n}"), "status": "active", "board": "host",
                    "wave": wave, "state": state, "percent": null, "reason": (*state == "rolled_back").then_some("no_peer"),
                })
            })
            .collect();
        let rollout = json!({
            "id": "7-89abcdef", "state": state, "age_min": 1, "expiry_h": 24, "gate_s": 60, "max_failures": 1,
            "catches_up": true, "waves": [10, 100], "images": [{ "board": "host", "sequence": 9, "digest": "" }],
            "canaries": [],
        });
        let counts = json!({ "updated": 1, "pending": 2, "failed": 3, "rolled_back": 4, "absent": 5, "out": 6 });
        serde_json::from_value(json!({ "rollout": rollout, "counts": counts, "nodes": nodes }))
            .unwrap()
    }

    #[test]
    fn a_rollout_has_ended_when_nothing_more_becomes_of_any_node() {
        let done = [("updated", 0), ("failed", 1), ("rolled_back", 1), ("away", 1), ("out", 2)];
        assert!(document("running", &done).has_ended());
        for state in ["fetching", "ready", "on_trial", "unheard", "idle"] {
            let open = document("running", &[done[0], (state, 1)]);
            assert!(!open.has_ended(), "{state}");
            assert_eq!(document("halted", &[(state, 1)]).has_ended(), state != "on_trial");
        }
        let document = document("halted", &done);
        assert_eq!(document.rollout.as_ref().unwrap().number(), 7);
        let summary = "1 updated, 2 pending, 3 failed, 4 rolled back, 5 absent, 6 take no part";
        assert_eq!(document.summary(), summary);
        let table = document.table();
        assert!(table.lines().nth(1).unwrap().contains("canary"), "{table}");
        assert!(table.contains("rolled back: no other member has heard of it"), "{table}");
        assert!(document.heading().contains("rollout 7-89abcdef: halted"));
    }
}
