//! What happened lately: a bounded list of events, for `GET /api/node/log`.

use crate::node::Event;
use crate::time::Instant;
use crate::wire::NodeId;
use heapless::VecView;
use serde::Serialize;

/// One event and when it was noted.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry {
    at: Instant,
    event: Event,
}

/// The latest events. The oldest one makes room.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    entries: &'a mut VecView<LogEntry>,
    /// The number of the next entry; the first one of a boot is 1.
    next: u32,
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
        Self { entries, next: 1 }
    }

    /// Adds an event. Refusals on end are one entry, which tells of the latest and counts them all:
    /// whoever has no key must not push out what happened.
    pub(crate) fn add(&mut self, at: Instant, event: Event) {
        if let (Some(LogEntry { at: latest, event: Event::RequestsRefused(count) }), true) =
            (self.entries.last_mut(), matches!(event, Event::RequestsRefused(_)))
        {
            *latest = at;
            *count = count.saturating_add(event.count());
            return;
        }
        if self.entries.is_full() {
            self.entries.remove(0);
        }
        if self.entries.push(LogEntry { at, event }).is_ok() {
            self.next = self.next.saturating_add(1);
        }
    }

    /// The first entry whose number is above `after`, in a boot that began at `started`; and its
    /// number.
    pub(crate) fn after(&self, after: u32, started: Instant) -> Option<(u32, LogView)> {
        let len = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let first = self.next.saturating_sub(len);
        let seq = after.saturating_add(1).max(first);
        let index = usize::try_from(seq.saturating_sub(first)).ok()?;
        let LogEntry { at, event } = self.entries.get(index)?;
        let uptime_ms = at.since(started).as_millis();
        let (member, count) = (event.member(), event.count());
        Some((seq, LogView { seq, uptime_ms, event: event.topic(), member, count }))
    }
}
