//! `spore sub`.

use crate::client::{
    Answer, BUSY_PAUSE, Client, Frame, Request, Signer, Stream, Target, one_line, parse,
};
use crate::key_file::KeyFile;
use crate::output::{end_with_reader, note, tell};
use crate::table::span;
use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use spore_core::Filter;
use std::collections::{HashMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

/// Show events as they happen, until Ctrl-C.
///
/// It begins with the retained ones, and goes on where it was when the connection breaks: no event
/// is shown twice, and what was missed is said.
#[derive(Debug, Args)]
#[command(name = "sub", after_help = EXAMPLES)]
pub(crate) struct Subscribe {
    /// Which topics: one, or with + for any level and # for any further levels
    #[arg(default_value = "#", value_parser = filter)]
    filter: String,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Begin with all events that the node still has
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore sub                         all that happens
  spore sub 'kitchen/#'             what is below kitchen (the quotes keep # from the shell)
  spore sub '+/temperature' --json  one line of JSON for each event
  spore sub door/opened -n 1        wait for one event

Each line: when, since the node that is asked has started; topic; who published it; what it says.
A board serves one stream at a time. Exit codes: 0 done, or ended by Ctrl-C; 1 the node does not
answer or refuses; 2 wrong usage.";

/// Between two attempts to connect again.
const PAUSE: Duration = Duration::from_secs(1);

/// So many events are known again when a node that has restarted tells them once more.
const REMEMBERED: usize = 64;

/// How often the member list may be asked for the name of a publisher.
const LOOK_UP: Duration = Duration::from_secs(5);

fn filter(text: &str) -> Result<String, String> {
    Filter::new(text).map(|filter| filter.as_str().to_owned()).map_err(|error| error.to_string())
}

/// An event, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Event {
    topic: String,
    publisher: String,
    epoch: Option<u32>,
    number: Option<u32>,
    uptime_ms: u64,
    payload: Option<Value>,
    payload_hex: Option<String>,
}

/// `events/lost`.
#[derive(Debug, Deserialize)]
struct Lost {
    count: u64,
}

/// Which events of the cluster were shown lately, so that none is shown twice.
#[derive(Debug, Default)]
struct Shown(VecDeque<(String, u32, u32)>);

impl Shown {
    /// Notes an event; whether it is new. Those of one node alone come once.
    fn is_new(&mut self, event: &Event) -> bool {
        let (Some(epoch), Some(number)) = (event.epoch, event.number) else { return true };
        let key = (event.publisher.clone(), epoch, number);
        if self.0.contains(&key) {
            return false;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(key);
        true
    }
}

/// The hostnames of members by id.
#[derive(Default)]
struct Names {
    known: HashMap<String, String>,
    asked: Option<Instant>,
}

impl Names {
    /// The hostname of a member, or its id.
    fn of(&mut self, target: &Target, id: &str) -> String {
        let may_ask = self.asked.is_none_or(|asked| asked.elapsed() >= LOOK_UP);
        if !self.known.contains_key(id) && may_ask {
            self.asked = Some(Instant::now());
            let members = target.members().map(|list| list.members).unwrap_or_default();
            self.known.extend(members.into_iter().map(|member| (member.id, member.hostname)));
        }
        self.known.get(id).map_or(id, String::as_str).to_owned()
    }
}

/// One that reads a stream.
struct Reader<'a> {
    command: &'a Subscribe,
    signer: Signer,
    client: Client,
    node: String,
    /// What to ask for, at first.
    path: String,
    /// The last event that was read.
    seen: Option<String>,
    shown: Shown,
    names: Names,
    /// How many events are to be shown yet.
    left: Option<u64>,
}

/// Why there is no stream.
enum Failed {
    /// Nobody answers.
    Unanswered(anyhow::Error),
    /// The node refuses.
    Refused(Answer, anyhow::Error),
}

impl Failed {
    /// Whether the node has no time now.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Refused(answer, _) if answer.is_refusal("busy"))
    }

    /// Whether it may be otherwise later, where there was a stream before.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused(answer, _) => answer.status >= 500 || answer.is_refusal("nonce_stale"),
        }
    }
}

impl From<Failed> for anyhow::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unanswered(error) | Failed::Refused(_, error) => error,
        }
    }
}

impl Subscribe {
    pub(crate) fn run(self) -> Result<()> {
        end_with_reader()?;
        let all = if self.all { "&after=0" } else { "" };
        let mut reader = Reader {
            signer: Signer::new(&self.key)?,
            client: self.target.client(),
            node: self.target.node(),
            path: format!("/api/events?topic={}{all}", encoded(&self.filter)),
            seen: None,
            shown: Shown::default(),
            names: Names::default(),
            left: self.count,
            command: &self,
        };
        let mut stream = reader.first()?;
        while reader.follow(&stream)? {
            note(format_args!("spore: the stream of {} has ended; connecting again", reader.node));
            stream = reader.again()?;
            note(format_args!("spore: {} answers again", reader.node));
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Connects; again if the node is busy, within the time for an answer.
    fn first(&self) -> Result<Stream, Failed> {
        let start = Instant::now();
        let until = Duration::from_secs_f64(self.command.target.timeout);
        loop {
            match self.open() {
                Err(failed) if failed.is_busy() && start.elapsed() + BUSY_PAUSE < until => {
                    thread::sleep(BUSY_PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Connects again, however long that takes, unless the node refuses for good.
    fn again(&self) -> Result<Stream, Failed> {
        loop {
            thread::sleep(PAUSE);
            match self.open() {
                Err(failed) if failed.may_pass() => (),
                opened => return opened,
            }
        }
    }

    fn open(&self) -> Result<Stream, Failed> {
        let request = Request::get(&self.path);
        let (client, node) = (&self.client, &*self.node);
        let unanswered = |error| Failed::Unanswered(anyhow::Error::from(error));
        let authorization =
            self.signer.authorization(client, node, &request).map_err(unanswered)?;
        let opened = client.open(node, &request, &authorization, self.seen.as_deref());
        opened.map_err(unanswered)?.map_err(|answer| {
            let error = self.signer.error(&answer, node, &request);
            Failed::Refused(answer, error)
        })
    }

    /// Shows what comes until the stream ends; false if no more is wanted.
    fn follow(&mut self, stream: &Stream) -> Result<bool> {
        while let Some(frame) = stream.next() {
            if let Some(id) = &frame.id {
                self.seen = Some(id.clone());
            }
            if !self.show(&frame)? || self.left == Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shows an event; whether somebody reads it.
    fn show(&mut self, frame: &Frame) -> Result<bool> {
        let (json, target) = (self.command.target.json, &self.command.target);
        if frame.event == "events/lost" {
            let Lost { count } = parse(&frame.data)?;
            if json {
                return tell(json!({ "topic": frame.event, "payload": { "count": count } }));
            }
            note(format_args!("spore: {count} events were gone before they could be read"));
            return Ok(true);
        }
        let event: Event = parse(&frame.data)?;
        if !self.shown.is_new(&event) {
            return Ok(true);
        }
        self.left = self.left.map(|left| left - 1);
        if json {
            return tell(one_line(&frame.data)?);
        }
        tell(line(&event, &self.names.of(target, &event.publisher)))
    }
}

/// An event for people.
fn line(event: &Event, publisher: &str) -> String {
    let says = match (&event.payload, &event.payload_hex) {
        (Some(payload), _) => payload.to_string(),
        (None, Some(digits)) => format!("0x{digits}"),
        (None, None) => "null".to_owned(),
    };
    format!("{:<14}  {:<24}  {publisher:<12}  {says}", span(event.uptime_ms), event.topic)
}

/// A filter as the value of a parameter (RFC 3986, section 2.1).
fn encoded(filter: &str) -> String {
    let mut text = String::new();
    for byte in filter.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(byte.into());
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Event, REMEMBERED, Shown, encoded, filter, line};

    fn event(number: Option<u32>, payload: &str) -> Event {
        let number = number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        let start = r#"{"topic":"a/b","publisher":"0123456789ab","epoch":1,"uptime_ms":61000"#;
        serde_json::from_str(&format!(r#"{start},"number":{number},{payload}}}"#)).unwrap()
    }

    #[test]
    fn an_event_is_a_line() {
        let start = "1 min 1 s       a/b                       node-1        ";
        for (payload, says) in [
            (r#""payload":{"on":true}"#, r#"{"on":true}"#),
            (r#""payload":"x y""#, r#""x y""#),
            (r#""payload":null"#, "null"),
            (r#""payload_hex":"00ff""#, "0x00ff"),
        ] {
            assert_eq!(line(&event(Some(1), payload), "node-1"), format!("{start}{says}"));
        }
    }

    #[test]
    fn an_event_of_the_cluster_is_shown_once_however_often_it_is_told() {
        let mut shown = Shown::default();
        let cluster = |number| event(Some(number), r#""payload":1"#);
        assert!(shown.is_new(&cluster(1)) && shown.is_new(&cluster(2)));
        assert!(!shown.is_new(&cluster(1)));
        let local = event(None, r#""payload":1"#);
        assert!(shown.is_new(&local) && shown.is_new(&local));
        for number in 3..200 {
            assert!(shown.is_new(&cluster(number)));
        }
        assert_eq!(shown.0.len(), REMEMBERED);
    }

    #[test]
    fn filters_are_checked_and_travel_as_text() {
        assert_eq!(filter("a/+/#").as_deref(), Ok("a/+/#"));
        assert!(filter("a/#/b").unwrap_err().contains("filter"));
        assert_eq!(encoded("a-1/+/b%&=/#"), "a-1/%2B/b%25%26%3D/%23");
    }
}
