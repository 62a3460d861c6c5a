//! All that happens in a run: as text, or as a capture.

use super::pcap;
use crate::output;
use anyhow::{Context as _, Result};
use spore_core::security::Sealer;
use spore_core::wire::{Kind, Message, Rumor};
use spore_core::{ClusterKey, Destination, Event};
use spore_sim::Simulation;
use spore_sim::log::{Entry, Sink};
use std::cell::RefCell;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A file in which it is told what happens.
#[derive(Clone, Debug)]
pub(super) struct File(Rc<RefCell<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    out: BufWriter<fs::File>,
    capture: bool,
    /// The first that went wrong.
    error: Option<io::Error>,
}

impl File {
    /// A file of this name, for Wireshark if that ends in `.pcap`.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let wrong = || format!("cannot write {}", path.display());
        let capture = path.extension().is_some_and(|extension| extension == "pcap");
        let mut out = BufWriter::new(fs::File::create(path).with_context(wrong)?);
        if capture {
            pcap::begin(&mut out).with_context(wrong)?;
        }
        let path = path.to_owned();
        Ok(Self(Rc::new(RefCell::new(Open { path, out, capture, error: None }))))
    }

    /// What whoever opens a capture needs.
    fn tell_key(&self, key: &ClusterKey) {
        let open = self.0.borrow();
        if open.capture {
            let digits: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            output::note(format!(
                "{} is sealed with the cluster key {digits}",
                open.path.display()
            ));
        }
    }

    fn add(&self, sealer: &Sealer, at: Duration, entry: &Entry<'_>) {
        let mut open = self.0.borrow_mut();
        let written = match (open.capture, *entry) {
            (true, Entry::Sent { from, to, bytes }) => {
                pcap::write(&mut open.out, at, from, to, bytes)
            }
            (true, _) => Ok(()),
            (false, _) => writeln!(open.out, "{}", line(sealer, at, entry)),
        };
        if let (Err(error), None) = (written, &open.error) {
            open.error = Some(error);
        }
    }

    /// Whether all of it was written.
    pub(super) fn finish(self) -> Result<()> {
        let mut open = self.0.borrow_mut();
        let flushed = open.out.flush();
        let result = open.error.take().map_or(flushed, Err);
        result.with_context(|| format!("cannot write {}", open.path.display()))
    }
}

/// Where what happens goes: to a file, and, datagrams excepted, to stdout if it `tells`.
pub(super) fn sink(file: Option<&File>, tells: bool, world: &Simulation) -> Option<Sink> {
    if file.is_none() && !tells {
        return None;
    }
    let (file, sealer) =
        (file.cloned(), Sealer::new(&ClusterKey::from_bytes(*world.key().as_bytes())));
    if let Some(file) = &file {
        file.tell_key(world.key());
    }
    Some(Box::new(move |at, entry| {
        if let Some(file) = &file {
            file.add(&sealer, at, entry);
        }
        if tells
            && !matches!(
                entry,
                Entry::Sent { .. }
                    | Entry::Delivered { .. }
                    | Entry::Asked { .. }
                    | Entry::Answered { .. }
            )
        {
            // Who does not read any more will not be told.
            let _ = output::print_line(line(&sealer, at, entry));
        }
    }))
}

/// What happened, in a line.
fn line(sealer: &Sealer, at: Duration, entry: &Entry<'_>) -> String {
    let what = match *entry {
        Entry::Started(node, id) => format!("node {node} starts as {id}"),
        Entry::Killed(node) => format!("node {node} loses its power, or has left"),
        Entry::Leaving(node) => format!("node {node} begins to leave"),
        Entry::Stalled(node) => format!("node {node} stands still"),
        Entry::Resumed(node) => format!("node {node} goes on"),
        Entry::NetworkChanged => "the network changes".to_owned(),
        Entry::Obeyed(command) => format!("command: {command:?}"),
        Entry::Sent { from, to, bytes } => {
            let to = match to {
                Destination::Unicast(to) => to.ip().to_string(),
                Destination::Broadcast => "everyone".to_owned(),
            };
            format!("{} sends {} to {to}", from.ip(), datagram(sealer, bytes))
        }
        Entry::Delivered { from, to, bytes } => {
            format!("node {to} gets {} from {}", datagram(sealer, bytes), from.ip())
        }
        Entry::Asked { from, to } => format!("node {to} is asked for its status by node {from}"),
        Entry::Answered { node, status, body } => {
            format!("node {node} answers {status} with {} bytes", body.len())
        }
        Entry::Published { node, key } => format!("node {node} publishes event {}", event(&key)),
        Entry::EventDelivered { node, key } => {
            format!("node {node} delivers event {}", event(&key))
        }
        Entry::TaskBegan { node, run } => {
            format!("node {node} runs task {} ({})", run.task.name(), run.id.number)
        }
        Entry::Membership { observer, event } => format!("node {observer}: {}", noted(event)),
    };
    format!("{:>14.6} {what}", at.as_secs_f64())
}

fn event(key: &spore_core::wire::EventKey) -> String {
    format!("{} of {} in its boot {}", key.seq, key.publisher, key.epoch)
}

fn noted(event: Event) -> String {
    match event.member() {
        Some(id) => format!("{} {id}", event.topic()),
        None => format!("{} {event:?}", event.topic()),
    }
}

/// What a datagram is.
fn datagram(sealer: &Sealer, bytes: &[u8]) -> String {
    let mut opened = bytes.to_vec();
    let parsed = sealer.open(&mut opened).ok().and_then(|(header, message)| {
        Message::parse(message, header.sender).ok().map(|message| kind(&message))
    });
    format!("{} ({} bytes)", parsed.unwrap_or("junk"), bytes.len())
}

fn kind(message: &Message<'_>) -> &'static str {
    match (&message.kind, &message.own.rumor) {
        (Kind::Announce, Rumor::Left) => "left",
        (Kind::Announce, _) => "announce",
        (Kind::Ping(_), _) => "ping",
        (Kind::Ack(_), _) => "ack",
        (Kind::PingReq { .. }, _) => "ping-req",
        (Kind::RelayPing { .. }, _) => "relay-ping",
        (Kind::RelayAck { .. }, _) => "relay-ack",
        (Kind::IndirectAck { .. }, _) => "indirect-ack",
        (Kind::Events, _) => "events",
        (Kind::Window { .. }, _) => "window",
        (Kind::Rollout, _) => "rollout",
        (Kind::Want { .. }, _) => "want",
        (Kind::Piece { .. }, _) => "piece",
    }
}
