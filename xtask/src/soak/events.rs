//! Events while nodes are disturbed: they are published at random nodes, and one reader per node
//! follows what is delivered there.

use std::fmt;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use spore_core::security::request::{Credentials, Signed, SigningKey};

use super::deliveries::{Counts, Deliveries, Frame, Publisher};
use crate::e2e::api::Api;

/// Between two events: two a second.
const PERIOD: Duration = Duration::from_millis(500);
/// How long a node may take to answer who publishes.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// Between two attempts of a reader whose node is down.
const PAUSE: Duration = Duration::from_millis(300);
/// How soon a reader notices that it is to end.
const TICK: Duration = Duration::from_millis(250);
/// A stream that carries nothing for so long is dead: nodes send something every 15 seconds, and
/// stall for 10.
const SILENCE: Duration = Duration::from_secs(40);
/// How many wrong things a message shows.
const SHOWN_FAULTS: usize = 10;

/// What is published, and what becomes of it.
pub(super) struct Events {
    key: SigningKey,
    rng: Rng,
    readers: Vec<Reader>,
    stop: Arc<AtomicBool>,
    /// When the next event is published.
    next: Duration,
    payload: u64,
    /// What comes of the attempts, each of which is a thread.
    outcomes: (Sender<Result<Outcome>>, Receiver<Result<Outcome>>),
    tally: Tally,
}

/// Who reads what is delivered on a node.
struct Reader {
    api: Api,
    deliveries: Arc<Mutex<Deliveries>>,
    thread: JoinHandle<()>,
}

/// What came of the attempts to publish.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    published: u64,
    refused: u64,
    unanswered: u64,
}

/// An event that was published.
pub(super) struct Published {
    publisher: Publisher,
    number: u64,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of {}", self.number, self.publisher)
    }
}

enum Outcome {
    Published(Published),
    /// The cluster carries no more for now.
    Refused,
    /// The node was ended, or was not up yet.
    Unanswered,
}

impl Events {
    /// Begins to read at all nodes, which need not run.
    pub(super) fn follow(apis: Vec<Api>, key: SigningKey, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let reader = |api: Api| {
            let deliveries = Arc::<Mutex<Deliveries>>::default();
            let (shared, key, stop) = (Arc::clone(&deliveries), key.clone(), Arc::clone(&stop));
            let at = api.clone();
            let thread = thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // It ends with the node, which has to be up to begin with.
                    let _ = read(&at, &key, &shared, &stop);
                    thread::sleep(PAUSE);
                }
            });
            Reader { api, deliveries, thread }
        };
        Self {
            readers: apis.into_iter().map(reader).collect(),
            key: key.clone(),
            rng: Rng::with_seed(seed),
            stop,
            next: Duration::ZERO,
            payload: 0,
            outcomes: channel(),
            tally: Tally::default(),
        }
    }

    /// Publishes an event at one of the nodes of `awake`, if one is due `at` this time since the
    /// beginning. Does not wait for the answer.
    ///
    /// # Errors
    /// When an earlier one got an answer that is none.
    pub(super) fn publish_due(&mut self, at: Duration, awake: &[usize]) -> Result<()> {
        self.count()?;
        if self.next > at {
            return Ok(());
        }
        // What was not published in time is not made up for: that would be more than two a second.
        self.next = at.max(self.next + PERIOD);
        let Some(index) = self.rng.choice(awake) else { return Ok(()) };
        self.payload += 1;
        let (api, key) = (self.readers[*index].api.clone(), self.key.clone());
        let (payload, done) = (self.payload, self.outcomes.0.clone());
        thread::spawn(move || done.send(publish(&api, &key, payload)));
        Ok(())
    }

    /// Publishes an event that all nodes are to know in the end; `None` if it has to be tried again.
    ///
    /// # Errors
    /// When the answer is none.
    pub(super) fn publish_last(&mut self, awake: &[usize]) -> Result<Option<Published>> {
        let index = *self.rng.choice(awake).context("no node runs")?;
        self.payload += 1;
        let outcome = publish(&self.readers[index].api, &self.key, self.payload)?;
        Ok(self.tally.add(outcome))
    }

    /// The nodes of `awake` that have neither delivered the event nor reported it as missed.
    pub(super) fn without(&self, event: &Published, awake: &[usize]) -> Vec<&str> {
        let readers = awake.iter().map(|index| &self.readers[*index]);
        let without =
            readers.filter(|reader| !reader.deliveries().knows(&event.publisher, event.number));
        without.map(|reader| reader.api.name.as_str()).collect()
    }

    /// Ends all readers; the figures, if nothing is wrong with what they have read.
    ///
    /// # Errors
    /// What is wrong, and on which nodes.
    pub(super) fn finish(mut self) -> Result<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.count()?;
        let (mut faults, mut sum) = (Vec::new(), Counts::default());
        for Reader { api, deliveries, thread } in self.readers {
            ensure!(thread.join().is_ok(), "the reader of {} has panicked", api.name);
            let deliveries = lock(&deliveries);
            faults.extend(deliveries.faults().iter().map(|fault| format!("{}: {fault}", api.name)));
            let Counts { boots, delivered, missed, lost } = deliveries.counts();
            sum.boots += boots;
            sum.delivered += delivered;
            sum.missed += missed;
            sum.lost += lost;
        }
        if !faults.is_empty() {
            let shown = faults.iter().take(SHOWN_FAULTS).map(String::as_str).collect::<Vec<_>>();
            bail!("{} faults in what was delivered:\n{}", faults.len(), shown.join("\n"));
        }
        let Tally { published, refused, unanswered } = self.tally;
        println!(
            "promise E1 published={published} delivered={} boots={} missed={} faults=0",
            sum.delivered, sum.boots, sum.missed
        );
        Ok(format!(
            "events: {published} published, {refused} refused, {unanswered} unanswered, \
             {} delivered in {} boots, {} missed and reported, {} lost to readers, 0 twice",
            sum.delivered, sum.boots, sum.missed, sum.lost
        ))
    }

    /// Counts what has come of the attempts.
    fn count(&mut self) -> Result<()> {
        while let Ok(outcome) = self.outcomes.1.try_recv() {
            self.tally.add(outcome?);
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, outcome: Outcome) -> Option<Published> {
        match outcome {
            Outcome::Published(event) => {
                self.published += 1;
                return Some(event);
            }
            Outcome::Refused => self.refused += 1,
            Outcome::Unanswered => self.unanswered += 1,
        }
        None
    }
}

impl Reader {
    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        lock(&self.deliveries)
    }
}

/// Who has panicked is noticed at the end.
fn lock(deliveries: &Mutex<Deliveries>) -> MutexGuard<'_, Deliveries> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The head of a signed request, but for its end.
fn head(api: &Api, key: &SigningKey, method: &str, target: &str, body: &[u8]) -> Result<String> {
    let document = api.get("/api/auth/nonce")?;
    let nonce = document["nonce"].as_str().and_then(|text| text.parse().ok());
    let nonce = nonce.context("no nonce")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mac = key.sign(&Signed { method, path, query, nonce, body });
    Ok(format!(
        "{method} {target} HTTP/1.0\r\nHost: {}\r\nAuthorization: {}\r\n",
        api.address,
        Credentials { nonce, mac }
    ))
}

/// Publishes an event.
fn publish(api: &Api, key: &SigningKey, payload: u64) -> Result<Outcome> {
    let topic = format!("soak/{}", api.name);
    let body = json!({ "topic": topic, "payload": payload }).to_string();
    // A node may be ended at any moment.
    let Ok(head) = head(api, key, "POST", "/api/events", body.as_bytes()) else {
        return Ok(Outcome::Unanswered);
    };
    let kind = "Content-Type: application/json";
    let request = format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    match api.exchange(request.as_bytes(), ANSWER_LIMIT) {
        Ok(answer) => outcome(&String::from_utf8_lossy(&answer))
            .with_context(|| format!("POST /api/events of {}", api.name)),
        Err(_) => Ok(Outcome::Unanswered),
    }
}

/// What an answer to who publishes means.
fn outcome(answer: &str) -> Result<Outcome> {
    // Cut off with the node.
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Ok(Outcome::Unanswered) };
    let Ok(body) = serde_json::from_str::<Value>(body) else { return Ok(Outcome::Unanswered) };
    match head.split(' ').nth(1) {
        Some("202") => {
            let number = body["number"].as_u64().context("no number")?;
            Ok(Outcome::Published(Published { publisher: Publisher::parse(&body)?, number }))
        }
        Some("429") => Ok(Outcome::Refused),
        Some("408" | "503") => Ok(Outcome::Unanswered),
        // The nonce was of the boot before.
        Some("401") if body["error"]["code"] == "nonce_stale" => Ok(Outcome::Unanswered),
        _ => bail!("answered {}: {body}", head.lines().next().unwrap_or_default()),
    }
}

/// Reads what is delivered on a node, behind what was read before, until the stream ends.
fn read(api: &Api, key: &SigningKey, to: &Mutex<Deliveries>, stop: &AtomicBool) -> Result<()> {
    let seen = lock(to).seen().map(|id| format!("Last-Event-ID: {id}\r\n"));
    // `#`: all topics.
    let head = head(api, key, "GET", "/api/events?topic=%23&after=0", b"")?;
    let at = SocketAddr::from((api.address, api.port));
    let mut socket = TcpStream::connect_timeout(&at, ANSWER_LIMIT)?;
    socket.set_write_timeout(Some(ANSWER_LIMIT))?;
    socket.set_read_timeout(Some(TICK))?;
    write!(socket, "{head}{}\r\n", seen.unwrap_or_default())?;
    let mut lines = Lines { source: BufReader::new(socket), line: Vec::new(), stop };
    let status = lines.next()?.context("no answer")?;
    ensure!(status.split(' ').nth(1) == Some("200"), "answered {status}");
    while !lines.next()?.context("no end of the head")?.is_empty() {}
    lock(to).connect();
    let mut frame = Frame::default();
    while let Some(line) = lines.next()? {
        match line.split_once(": ") {
            Some(("id", id)) => frame.id = Some(id.to_owned()),
            Some(("event", event)) => event.clone_into(&mut frame.event),
            Some(("data", data)) => data.clone_into(&mut frame.data),
            None if line.is_empty() && !frame.event.is_empty() => {
                lock(to).take(&std::mem::take(&mut frame));
            }
            // Comments.
            _ => {}
        }
    }
    Ok(())
}

/// The lines of an answer, without their ends.
struct Lines<'a> {
    source: BufReader<TcpStream>,
    line: Vec<u8>,
    stop: &'a AtomicBool,
}

impl Lines<'_> {
    /// The next one; `None` at the end, or if the reader is to end.
    fn next(&mut self) -> Result<Option<String>> {
        let start = Instant::now();
        self.line.clear();
        loop {
            match self.source.read_until(b'\n', &mut self.line) {
                // What has no end is none.
                Ok(_) if !self.line.ends_with(b"\n") => return Ok(None),
                Ok(_) => {
                    let line = String::from_utf8(std::mem::take(&mut self.line))?;
                    return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.stop.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    ensure!(start.elapsed() < SILENCE, "silent for too long");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_an_attempt_is_told_by_the_answer() {
        let answer =
            |status: &str, body: &str| outcome(&format!("HTTP/1.0 {status}\r\n\r\n{body}"));
        let good = r#"{"seq":9,"publisher":"0123456789ab","epoch":2,"number":7}"#;
        let Ok(Outcome::Published(event)) = answer("202 Accepted", good) else { panic!() };
        assert_eq!((event.publisher.epoch, event.number), (2, 7));
        assert!(matches!(answer("429 Too Many Requests", "{}"), Ok(Outcome::Refused)));
        assert!(matches!(answer("503 Service Unavailable", "{}"), Ok(Outcome::Unanswered)));
        assert!(matches!(answer("202 Accepted", "{"), Ok(Outcome::Unanswered)));
        let stale = r#"{"error":{"code":"nonce_stale"}}"#;
        assert!(matches!(answer("401 Unauthorized", stale), Ok(Outcome::Unanswered)));
        for (status, body) in [
            ("202 Accepted", "{}"),
            ("400 Bad Request", "{}"),
            ("401 Unauthorized", r#"{"error":{"code":"credentials_invalid"}}"#),
            ("500 Internal Server Error", "{}"),
        ] {
            assert!(answer(status, body).is_err(), "{status}");
        }
    }
}
