//! What the engine keeps of each sprocket while the node runs.

use super::manifest::Manifest;
use super::settings::{Full, Values};
use super::{MAX_SPROCKETS, Value};
use crate::api::Error;
use crate::object::read_object;
use crate::place::Place;
use crate::services::Service;
use crate::settings::commit::{Commit, Ticket};
use crate::time::{Duration, Instant};

/// How a sprocket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Its handlers are called.
    #[default]
    Running,
    /// It has panicked with this message, and is not called again before the node restarts.
    Failed(&'static str),
    /// The node had to be restarted because of it, too often in a row, and it was not even started.
    Quarantined,
    /// The node is in safe mode: it was not even started.
    Suspended,
}

impl State {
    /// The most bytes of a message that are shown, so that a piece of the status fits into
    /// [`MIN_PIECE`](crate::api::MIN_PIECE).
    pub const MESSAGE_MAX: usize = 64;

    /// The state as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed(_) => "failed",
            Self::Quarantined => "quarantined",
            Self::Suspended => "suspended",
        }
    }

    /// The message of the panic.
    pub const fn message(self) -> Option<&'static str> {
        match self {
            Self::Failed(message) => Some(message),
            Self::Running | Self::Quarantined | Self::Suspended => None,
        }
    }
}

/// What a sprocket has done since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handlers that were called.
    pub runs: u32,
    /// Those that took longer than [`SLOW`]; 65,535 stands for more, too.
    pub slow: u16,
    /// How long the longest one took, in microseconds.
    pub longest_us: u32,
    /// Events that it wanted to publish and that were refused; 65,535 stands for more, too.
    pub refused: u16,
    /// Restarts of the node before this one, in a row, that were because of it.
    pub restarts: u8,
}

/// A handler that takes longer holds up everything else on the node, and is counted.
pub const SLOW: Duration = Duration::from_millis(100);

/// A sprocket because of which the node had to be restarted so often in a row is left out.
pub const MAX_RESTARTS: u8 = 3;

/// Events that a sprocket can publish at once. Afterwards, one in each [`EVENT_EVERY_MS`].
pub const EVENTS_AT_ONCE: u8 = 8;

/// From one event that a busy sprocket may publish to the next, in milliseconds.
pub const EVENT_EVERY_MS: u32 = 500;

/// One sprocket: 28 bytes on a board. All zeros at first, so that a board's image need not hold it.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// What it said when it panicked.
    failed: Option<&'static str>,
    runs: u32,
    longest_us: u32,
    /// When it was last allowed one more event, in milliseconds modulo 2³²: if that was fifty days ago, it may take
    /// a moment to be so again.
    allowed_ms: u32,
    slow: u16,
    refused: u16,
    restarts: u8,
    /// The events of its allowance that it has published.
    spent: u8,
}

impl Row {
    const NEW: Self = Self {
        failed: None,
        runs: 0,
        longest_us: 0,
        allowed_ms: 0,
        slow: 0,
        refused: 0,
        restarts: 0,
        spent: 0,
    };

    const fn state(&self, suspended: bool) -> State {
        match self.failed {
            Some(message) => State::Failed(message),
            None if self.restarts >= MAX_RESTARTS => State::Quarantined,
            None if suspended => State::Suspended,
            None => State::Running,
        }
    }

    const fn counters(&self) -> Counters {
        let Self { runs, slow, longest_us, refused, restarts, .. } = *self;
        Counters { runs, slow, longest_us, refused, restarts }
    }

    /// Takes an event of the allowance, if there is one.
    fn spend(&mut self, now: Instant) -> bool {
        let now_ms = millis(now);
        let mut waited = now_ms.wrapping_sub(self.allowed_ms);
        while let (Some(spent), Some(rest)) =
            (self.spent.checked_sub(1), waited.checked_sub(EVENT_EVERY_MS))
        {
            (self.spent, waited) = (spent, rest);
        }
        self.allowed_ms = if self.spent > 0 { now_ms.wrapping_sub(waited) } else { now_ms };
        let left = self.spent < EVENTS_AT_ONCE;
        if left {
            self.spent = self.spent.saturating_add(1);
        }
        left
    }
}

fn millis(at: Instant) -> u32 {
    let [_, _, _, _, a, b, c, d] = at.as_millis().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The memory of all sprockets of a node.
pub(crate) struct SprocketStorage {
    kept: Kept,
    commit: Place<Commit>,
}

/// What is kept of them.
#[derive(Debug)]
struct Kept {
    rows: [Row; MAX_SPROCKETS],
    current: Values,
    next: Values,
}

impl SprocketStorage {
    pub(crate) const NEW: Self = Self { kept: Kept::NEW, commit: Place::Empty };
}

impl Kept {
    const NEW: Self =
        Self { rows: [Row::NEW; MAX_SPROCKETS], current: Values::EMPTY, next: Values::EMPTY };
}

/// The sprockets of a node.
#[derive(Debug)]
pub(crate) struct Sprockets<'a> {
    manifests: &'static [&'static Manifest],
    kept: &'a mut Kept,
    commit: &'a mut Commit,
    /// Whether none of them runs.
    suspended: bool,
}

impl<'a> Sprockets<'a> {
    /// These sprockets, with what was set of them, in `storage`, which is emptied.
    pub(crate) fn new(
        manifests: &'static [&'static Manifest],
        stored: &[u8],
        storage: &'a mut SprocketStorage,
    ) -> Self {
        let SprocketStorage { kept, commit } = storage;
        *kept = Kept::NEW;
        kept.current.decode(stored);
        Self { manifests, kept, commit: commit.put(Commit::new), suspended: false }
    }

    /// None of them runs from now on.
    pub(crate) const fn suspend(&mut self) {
        self.suspended = true;
    }

    /// The sprocket at `index`, how it is, and what it has done.
    pub(crate) fn get(&self, index: usize) -> Option<(&'static Manifest, State, Counters)> {
        let row = self.kept.rows.get(index)?;
        Some((self.manifests.get(index)?, row.state(self.suspended), row.counters()))
    }

    /// Whether `service` is of a sprocket that is not running.
    pub(crate) fn has_stopped(&self, service: &Service) -> bool {
        let mut all = self.manifests.iter().zip(&self.kept.rows);
        all.any(|(manifest, row)| {
            row.state(self.suspended) != State::Running && manifest.services.contains(service)
        })
    }

    /// The place of the sprocket that is called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.manifests.iter().position(|manifest| manifest.name == name)
    }

    /// What the setting `name` of the sprocket at `index` is.
    pub(crate) fn setting(&self, index: usize, name: &str) -> Option<Value<'_>> {
        let manifest = self.manifests.get(index)?;
        Some(self.kept.current.get(manifest, manifest.setting(name)?))
    }

    /// One of its handlers took so long.
    pub(crate) fn ran(&mut self, index: usize, span: Duration) {
        let Some(row) = self.kept.rows.get_mut(index) else { return };
        row.runs = row.runs.saturating_add(1);
        if span > SLOW {
            row.slow = row.slow.saturating_add(1);
        }
        let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        row.longest_us = row.longest_us.max(micros);
    }

    /// The node had to be restarted so often in a row because of it: whether it is left out.
    pub(crate) fn blamed(&mut self, index: usize, restarts: u8) -> bool {
        let Some(row) = self.kept.rows.get_mut(index) else { return false };
        row.restarts = restarts;
        row.state(false) == State::Quarantined
    }

    /// It has panicked with this message.
    pub(crate) fn failed(&mut self, index: usize, message: &'static str) {
        if let Some(row) = self.kept.rows.get_mut(index) {
            row.failed = Some(message);
        }
    }

    /// Whether it may publish one more event now. It is counted as one.
    pub(crate) fn may_publish(&mut self, now: Instant, index: usize) -> bool {
        self.kept.rows.get_mut(index).is_some_and(|row| row.spend(now))
    }

    /// An event of it was refused.
    pub(crate) fn refused(&mut self, index: usize) {
        if let Some(row) = self.kept.rows.get_mut(index) {
            row.refused = row.refused.saturating_add(1);
        }
    }

    /// Begins to set what `body` says, a JSON object; `None` if nothing is to be changed.
    ///
    /// # Errors
    ///
    /// If the body is not as it must be, if another change is under way, or if there is no room. Nothing was changed then.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        index: usize,
        body: &[u8],
    ) -> Result<Option<Ticket>, Error> {
        let manifest = *self.manifests.get(index).ok_or(Error::NotFound)?;
        if self.commit.is_busy(now) {
            return Err(Error::ChangeUnderWay);
        }
        let (current, next) = (&self.kept.current, &mut self.kept.next);
        next.clone_from(current);
        let mut seen = 0u8;
        read_object(body, &mut |name, value| {
            let mut places = manifest.settings.iter().enumerate();
            let found = places.find(|(_, setting)| setting.name == name);
            let (place, setting) = found.ok_or_else(|| Error::unknown_field(name))?;
            let bit = 1u8.rotate_left(u32::try_from(place).unwrap_or(0));
            let value = Value::parse(value.as_bytes());
            let value = value.filter(|value| setting.takes(value) && seen & bit == 0);
            seen |= bit;
            let value = value.ok_or(Error::InvalidField(setting.name))?;
            next.set(manifest, setting, &value, self.manifests).map_err(|Full| Error::SettingsFull)
        })?;
        Ok((next != current).then(|| self.commit.begin(false)))
    }

    /// Whether the body is to store the [value](Self::value) now.
    pub(crate) fn poll_store(&mut self, now: Instant) -> bool {
        self.commit.poll_store(now)
    }

    /// When to ask for that again, if nothing else happens.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.commit.poll_timeout()
    }

    /// Whether a change is under way.
    pub(crate) const fn is_changing(&self) -> bool {
        self.commit.is_changing()
    }

    /// Writes the value to store into `buf`. Returns its length.
    pub(crate) fn value(&self, buf: &mut [u8]) -> usize {
        let Kept { current, next, .. } = &*self.kept;
        if self.commit.is_storing() { next } else { current }.encode(buf)
    }

    /// The store was tried. Returns how the change ended, if one waited for that.
    pub(crate) fn stored(&mut self, now: Instant, success: bool) -> Option<Result<(), Error>> {
        let ended = self.commit.stored(now, success);
        if ended == Some(Ok(())) {
            let Kept { current, next, .. } = &mut *self.kept;
            current.clone_from(next);
        }
        ended
    }

    /// Fetches the outcome of a change: `None` while it is under way.
    pub(crate) fn outcome(&mut self, ticket: Ticket) -> Option<Result<(), Error>> {
        self.commit.outcome(ticket)
    }
}
