//! `spore pub`.

use crate::client::{Request, Signer, Target, print_document};
use crate::input::Input;
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use spore_core::Topic;
use spore_core::wire::EventRecord;

/// Publish an event, to all members of the cluster.
///
/// Who follows its topic on any of them gets it (spore sub). What it says is JSON, at most 256 bytes
/// of it; what is none is sent as a JSON string.
#[derive(Debug, Args)]
#[command(name = "pub", after_help = EXAMPLES)]
pub(crate) struct Publish {
    /// The topic: up to 48 characters, in levels separated by /
    #[arg(value_parser = topic)]
    topic: String,
    /// What it says: a text, @FILE, or - for stdin [default: null]
    payload: Option<Input>,
    /// On the node that is asked alone
    #[arg(long, conflicts_with = "retained")]
    local: bool,
    /// Keep it until there is a newer one of its topic; the cluster has room for four such topics
    #[arg(long)]
    retained: bool,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore pub kitchen/lamp on                     the text \"on\"
  spore pub kitchen/lamp '{\"on\":true}' --retained
  date | spore pub clock -                      what a command prints, as a text
  spore pub door/opened --local                 that it happened, on this node alone

Topics that begin with cluster, events, network, node, ota or tasks are the system's own.
Exit codes: 0 it is published, 1 it is not, or nobody knows, 2 wrong usage.";

fn topic(text: &str) -> Result<String, String> {
    let topic =
        Topic::new(text).map_err(|error| format!("{error}; this has {} bytes", text.len()))?;
    if topic.is_reserved() {
        return Err(
            "what begins with cluster, events, network, node, ota or tasks is the system's own"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// What is sent: JSON as it is, and a text as one, without the end of its last line.
fn payload(bytes: &[u8]) -> Result<Value> {
    if let Ok(json) = serde_json::from_slice(bytes) {
        return Ok(json);
    }
    let text = std::str::from_utf8(bytes).context("what is no JSON must be text")?;
    Ok(text.strip_suffix('\n').unwrap_or(text).into())
}

/// The value, if its JSON is no longer than an event may be.
fn short_enough(value: Value) -> Result<Value> {
    const MAX: usize = EventRecord::MAX_PAYLOAD;
    match value.to_string().len() {
        ..=MAX => Ok(value),
        len => Err(Misuse::error(format_args!(
            "what an event says has at most {MAX} bytes of JSON; this has {len}"
        ))),
    }
}

impl Publish {
    pub(crate) fn run(self) -> Result<()> {
        let signer = Signer::new(&self.key)?;
        let bytes = self.payload.as_ref().map(Input::read).transpose()?;
        let payload = bytes.as_deref().map(payload).transpose()?.map(short_enough).transpose()?;
        let body = json!({
            "topic": self.topic,
            "payload": payload,
            "scope": if self.local { "local" } else { "cluster" },
            "retained": self.retained,
        });
        let body = body.to_string();
        let request = Request::with_json("POST", "/api/events", body.as_bytes());
        let sent = self.target.client().send_signed(&self.target.node(), &request, &signer)?;
        if self.target.json { print_document(&sent.text()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{payload, short_enough, topic};
    use serde_json::json;

    #[test]
    fn what_is_json_is_sent_as_that_and_what_is_not_as_text() {
        for (bytes, value) in [
            (&b"on"[..], json!("on")),
            (b"7", json!(7)),
            (b"\"7\"", json!("7")),
            (b" {\"a\": [1]}\n", json!({ "a": [1] })),
            (b"two\nlines\n", json!("two\nlines")),
            (b"", json!("")),
            ("21 °C".as_bytes(), json!("21 °C")),
        ] {
            assert_eq!(payload(bytes).unwrap(), value);
        }
        assert!(payload(b"\xFF").unwrap_err().to_string().contains("must be text"));
    }

    #[test]
    fn topics_are_checked_before_anybody_is_asked() {
        assert_eq!(topic("a/b").as_deref(), Ok("a/b"));
        for wrong in ["", "a//b", "a/#", "a b"] {
            assert!(topic(wrong).unwrap_err().contains("1 to 48 bytes"), "{wrong}");
        }
        let long = topic(&"x".repeat(49)).unwrap_err();
        assert!(long.contains("48") && long.contains("this has 49 bytes"), "{long}");
        assert!(topic("node/x").unwrap_err().contains("the system's own"));
    }

    #[test]
    fn what_is_too_long_is_told_with_its_length() {
        assert!(short_enough("x".repeat(254).into()).is_ok());
        let error = short_enough("x".repeat(255).into()).unwrap_err().to_string();
        assert!(error.contains("at most 256 bytes of JSON; this has 257"), "{error}");
    }
}
