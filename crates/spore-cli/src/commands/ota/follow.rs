//! Bars of a rollout that is under way.

use super::progress;
use super::rollout::{Document, Node, PATH};
use crate::client::{Target, parse};
use crate::output::{harmless, note};
use anyhow::{Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// So long nobody may answer: the node that was asked may be restarting into its image.
const SILENCE: Duration = Duration::from_secs(120);

/// With more nodes there is a bar for the whole alone.
const BARS: usize = 24;

/// Follows the rollout until all has come of it that will; how it stands then.
pub(super) fn follow(target: &Target, id: &str) -> Result<(String, Document)> {
    let asked = id.to_owned();
    // Another handler would be one of this process, which has none.
    let _ = ctrlc::set_handler(move || {
        note(format_args!(
            "\nRollout {asked} goes on without this command: `spore ota status` shows it, `spore ota halt` stops it."
        ));
        process::exit(130);
    });
    let mut bars = Bars::new();
    let mut nodes = vec![target.node()];
    let mut heard = Instant::now();
    loop {
        let answer = nodes.iter().find_map(|node| {
            let body = target.get(node, PATH).ok()?;
            let document = parse::<Document>(&body).ok()?;
            // A node that has just restarted may not know it yet.
            document.rollout.as_ref().is_some_and(|it| it.id == id).then_some((body, document))
        });
        if let Some((body, document)) = answer {
            heard = Instant::now();
            bars.show(&document);
            if document.has_ended() {
                bars.clear();
                return Ok((body, document));
            }
            // Others answer, too, while it restarts.
            if nodes.len() == 1
                && let Ok(list) = target.members()
            {
                nodes.extend(list.active_apis());
            }
        } else if heard.elapsed() > SILENCE {
            bars.clear();
            bail!("nobody answers; rollout {id} goes on");
        }
        thread::sleep(PAUSE);
    }
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    nodes: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(progress::target());
        let whole = bar("{msg:<24} {bar:30} {pos} of {len} nodes, {elapsed}");
        whole.set_message("all");
        let whole = all.add(whole);
        Self { all, whole, nodes: BTreeMap::new() }
    }

    fn show(&mut self, document: &Document) {
        let part = document.nodes.iter().filter(|node| node.state != "out");
        let (done, of) = (document.count(&["updated"]), part.clone().count());
        self.whole.set_length(of as u64);
        self.whole.set_position(done as u64);
        if of > BARS {
            return;
        }
        // Those first whose turn comes first, as in the table.
        let mut part: Vec<_> = part.collect();
        part.sort_by_key(|node| node.rank());
        for node in part {
            let Self { all, nodes, .. } = self;
            let bar = nodes.entry(node.id.clone()).or_insert_with(|| {
                let bar = bar("{prefix:<24} {bar:30} {msg}");
                bar.set_length(100);
                bar.set_prefix(harmless(&node.hostname).into_owned());
                all.add(bar)
            });
            bar.set_position(position(node));
            bar.set_message(harmless(&node.result()).into_owned());
        }
    }

    fn clear(&self) {
        // There is nothing to be done about a terminal that is gone.
        let _ = self.all.clear();
    }
}

/// A bar that is not drawn before it is added to the others.
fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// How far a node is, in hundredths: most of it is the image.
fn position(node: &Node) -> u64 {
    match node.state.as_str() {
        "fetching" => u64::from(node.percent.unwrap_or(0)) * 70 / 100,
        "ready" => 70,
        "on_trial" => 85,
        "updated" => 100,
        _ => 0,
    }
}
