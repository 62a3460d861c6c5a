//! `spore ota update`.

use super::images::Image;
use super::progress::{self, Tracked};
use crate::client::{Request, Signer, Target, parse};
use crate::key_file::KeyFile;
use crate::output::{note, print_line};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Update one node, and see how it ends.
///
/// "Updated" is said only when the node runs the new image and has confirmed it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Update {
    /// The node: an address, or a member's hostname or id
    // Not `node`: that is the name of the option for who is asked about members.
    #[arg(value_name = "NODE")]
    whom: String,
    /// The image [default: the last build for the node's board]
    #[arg(value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// Install it for other nodes to fetch, and do not start it
    #[arg(long, conflicts_with = "no_wait")]
    hold: bool,
    /// Do not wait for how it ends
    #[arg(long)]
    no_wait: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore ota update 192.168.1.20
  spore ota update pantry firmware/target/esp01/esp-01.spore
  spore ota update 127.42.0.9:8080 target/host.spore --json

Exit code 0 only if the node runs the image and has confirmed it; with --hold or --no-wait, if it has installed it.";

/// The longest that a node takes to confirm an image, or to go back: three trials of five minutes, and what is around them.
const PATIENCE: Duration = Duration::from_secs(17 * 60);

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a node may take for an image: what its own rule is, and some more.
const UPLOAD: Duration = Duration::from_secs(600);

/// `GET /api/node/update`, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    image: Option<Running>,
    last: Option<Ended>,
}

#[derive(Debug, Deserialize)]
struct Running {
    sequence: u32,
    stage: String,
}

#[derive(Debug, Deserialize)]
struct Ended {
    image: u32,
    result: String,
    reason: Option<String>,
}

/// How an update has ended.
enum End {
    Updated,
    RolledBack(String),
}

impl State {
    /// How the update to `image` has ended, if it has.
    fn end(&self, image: u32) -> Option<End> {
        let running = self.image.as_ref()?;
        if running.sequence == image && running.stage == "confirmed" {
            return Some(End::Updated);
        }
        let last = self.last.as_ref().filter(|last| last.image == image)?;
        let why = last.reason.clone().unwrap_or_default();
        (last.result == "rolled_back" && running.sequence != image).then_some(End::RolledBack(why))
    }
}

/// A reason for people.
fn explained(reason: &str) -> &str {
    match reason {
        "not_started" => "it crashed, hung, or lost its power each time it was started",
        "no_network" => "its network did not come up within five minutes",
        "no_peer" => "no other member has heard of it within five minutes",
        other => other,
    }
}

impl Update {
    pub(super) fn run(&self, target: &Target, key: &KeyFile) -> Result<()> {
        let signer = Signer::new(key)?;
        let located = target.locate(&self.whom)?;
        let api = located.api;
        if let Some(gone) = located.gone {
            note(format_args!("spore: {gone}"));
        }
        let status: crate::client::NodeStatus = parse(&target.get(&api, "/api/node/status")?)?;
        let image = match &self.image {
            Some(file) => Image::read(file)?,
            None => Image::last_build(&status.board)?,
        };
        let (board, sequence) = (image.head.board(), image.sequence());
        if board != status.board {
            let file = image.file.display();
            bail!("{file} is for the board {board}, and {} is one of {}", self.whom, status.board);
        }
        let state: State = parse(&target.get(&api, "/api/node/update")?)?;
        if state.image.is_none() {
            bail!("{} takes no updates: it has no slots for images", self.whom);
        }
        self.upload(target, &signer, &api, &image)?;
        if self.hold || self.no_wait {
            let restarting = !self.hold;
            if target.json {
                return print_line(json!({
                    "node": self.whom, "image": sequence, "result": "installed", "restarting": restarting,
                }));
            }
            let what = if self.hold { "holds" } else { "restarts into" };
            return print_line(format_args!("{} {what} image {sequence}.", self.whom));
        }
        let end = self.wait(target, &api, sequence)?;
        let (result, reason) = match &end {
            End::Updated => ("updated", None),
            End::RolledBack(reason) => ("rolled_back", Some(reason)),
        };
        if target.json {
            print_line(json!({
                "node": self.whom, "image": sequence, "version": image.head.version(), "result": result, "reason": reason,
            }))?;
        }
        match end {
            End::Updated if target.json => Ok(()),
            End::Updated => print_line(format_args!(
                "{} runs image {sequence}, version {}.",
                self.whom,
                image.head.version()
            )),
            End::RolledBack(reason) => {
                bail!(
                    "{} went back to the image before {sequence}: {}",
                    self.whom,
                    explained(&reason)
                )
            }
        }
    }

    fn upload(&self, target: &Target, signer: &Signer, api: &str, image: &Image) -> Result<()> {
        let path = if self.hold { "/api/node/update?start=no" } else { "/api/node/update" };
        let bar = progress::bytes(&self.whom, image.bytes.len() as u64);
        let request = Request { method: "POST", ..Request::get(path) };
        let mut source = Tracked::new(&image.bytes, &bar);
        let sent =
            target.client().upload(api, &request, signer, &mut source, image.bytes.len(), UPLOAD);
        bar.finish_and_clear();
        let answer = sent?;
        if answer.is_success() { Ok(()) } else { Err(signer.error(&answer, api, &request)) }
    }

    /// Waits until the update has ended.
    fn wait(&self, target: &Target, api: &str, image: u32) -> Result<End> {
        let bar = progress::waiting(format!("{} is on trial with image {image}", self.whom));
        let until = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < until {
            thread::sleep(PAUSE);
            // While it restarts, there is no answer.
            match target.get(api, "/api/node/update").and_then(|body| parse::<State>(&body)) {
                Ok(state) => {
                    if let Some(end) = state.end(image) {
                        bar.finish_and_clear();
                        return Ok(end);
                    }
                }
                Err(error) => last = Some(error),
            }
        }
        bar.finish_and_clear();
        let minutes = PATIENCE.as_secs() / 60;
        let unknown = format!("{} has not said within {minutes} minutes how it ended", self.whom);
        Err(last.unwrap_or_else(|| anyhow::anyhow!("it is still on trial"))).context(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, State};

    fn state(text: &str) -> State {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn updated_is_what_runs_and_is_confirmed_and_nothing_else() {
        let trial = state(r#"{"image":{"sequence":7,"stage":"trial"},"last":null}"#);
        assert!(trial.end(7).is_none());
        let old = state(
            r#"{"image":{"sequence":6,"stage":"confirmed"},"last":{"image":6,"result":"confirmed","reason":null}}"#,
        );
        assert!(old.end(7).is_none(), "it has not restarted yet");
        let new = state(r#"{"image":{"sequence":7,"stage":"confirmed"},"last":null}"#);
        assert!(matches!(new.end(7), Some(End::Updated)));
        let back = state(
            r#"{"image":{"sequence":6,"stage":"fallback"},"last":{"image":7,"result":"rolled_back","reason":"no_peer"}}"#,
        );
        assert!(matches!(back.end(7), Some(End::RolledBack(why)) if why == "no_peer"));
        let giving_up = state(
            r#"{"image":{"sequence":7,"stage":"trial"},"last":{"image":7,"result":"rolled_back","reason":"no_peer"}}"#,
        );
        assert!(giving_up.end(7).is_none(), "it says so before it goes");
    }
}
