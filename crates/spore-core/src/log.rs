//! What happened lately: a bounded list of system events, for `GET /api/node/log` and the bus.

use crate::node::Event;
use crate::time::Instant;
use crate::wire::NodeId;
use heapless::VecView;
use serde::Serialize;

/// One event and when it was noted.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry {
    pub(crate) at: Instant,
    pub(crate) event: Event,
    /// Its number on this node's bus.
    pub(crate) number: u32,
}

/// The latest events. The oldest one makes room.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    entries: &'a mut VecView<LogEntry>,
    /// The number of the last one that the shell has fetched.
    fetched: u32,
    /// Refusals that were added to an entry after it was fetched.
    refused: u32,
}

/// An entry as the API shows it.
#[derive(Serialize)]
pub(crate) struct LogView {
    seq: u32,
    uptime_ms: u64,
    event: &'static str,
    member: Option<NodeId>,
    /// How many of the kind this entry stands for.
    count: u32,
}

impl<'a> Log<'a> {
    /// A log in `entries`, emptied.
    pub(crate) fn new(entries: &'a mut VecView<LogEntry>) -> Self {
        entries.clear();
        Self { entries, fetched: 0, refused: 0 }
    }

    /// Adds an event under its number.
    pub(crate) fn add(&mut self, number: u32, at: Instant, event: Event) {
        if self.entries.is_full() {
            self.entries.remove(0);
        }
        // There is room.
        let _ = self.entries.push(LogEntry { at, event, number });
    }

    /// Adds an event to the last one, if both are refusals; whether they are. Refusals on end are
    /// one entry, which tells of the latest and counts them all: whoever has no key must not push
    /// out what happened.
    pub(crate) fn merge(&mut self, at: Instant, event: Event) -> bool {
        let Event::RequestsRefused(more) = event else { return false };
        let Some(LogEntry { at: latest, event: Event::RequestsRefused(count), number }) =
            self.entries.last_mut()
        else {
            return false;
        };
        *latest = at;
        *count = count.saturating_add(more);
        if *number <= self.fetched {
            self.refused = self.refused.saturating_add(more);
        }
        true
    }

    /// The next event that the shell has not fetched.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        if self.refused > 0 {
            return Some(Event::RequestsRefused(core::mem::take(&mut self.refused)));
        }
        let entry = self.entries.iter().find(|entry| entry.number > self.fetched)?;
        self.fetched = entry.number;
        Some(entry.event)
    }

    /// The entries, oldest first.
    pub(crate) fn entries(&self) -> &[LogEntry] {
        self.entries
    }

    /// The first entry whose number is above `after`, in a boot that began at `started`; and its
    /// number.
    pub(crate) fn after(&self, after: u32, started: Instant) -> Option<(u32, LogView)> {
        let entry = self.entries.iter().find(|entry| entry.number > after)?;
        let LogEntry { at, event, number } = *entry;
        let uptime_ms = at.since(started).as_millis();
        let (member, count) = (event.member(), event.count());
        Some((number, LogView { seq: number, uptime_ms, event: event.topic(), member, count }))
    }
}
