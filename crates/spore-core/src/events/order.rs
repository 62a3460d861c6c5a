//! Order and gaps: what is delivered when, and what is given up.

use super::bus::Bus;
use super::ended::{Boot, EndedBoots};
use super::publishers::{Publisher, Since};
use super::{Events, Phase, ticks, ticks_in};
use crate::node::Event;
use crate::seeded::seeded;
use crate::time::{Duration, Instant};
use crate::wire::{EventKey, NodeId, U24};

/// For so long an event waits for those before it: 39 times 262 ms.
pub const PATIENCE: Duration = Duration::from_millis(10_224);

/// The same in quarters of a second, as [`Publisher`] counts them.
const PATIENCE_QUARTERS: u8 = 39;

/// For so long the first event of a publisher's new boot waits for those of the boot before.
pub const SETTLING: Duration = Duration::from_millis(1_049);

const SETTLING_QUARTERS: u8 = 4;

/// So many gaps are reported at once. The others follow, so that a small log does not lose any.
const REPORTS: u8 = 8;

/// From some reports to the next ones.
const REPORTS_PAUSE: Duration = Duration::from_millis(20);

/// How often the waiting events are looked at.
const CHECK: Duration = Duration::from_millis(250);

impl Events<'_> {
    /// Delivers what has its turn, gives up what was waited for long enough, and reports it. `gone`
    /// holds for those who are no live members.
    pub(crate) fn deliver(&mut self, now: Instant, gone: &impl Fn(NodeId) -> bool) {
        if self.check.is_none_or(|check| now < check) {
            return;
        }
        if let Phase::CatchingUp(until) = self.phase {
            if until.is_none_or(|until| now < until) {
                self.check = until;
                return;
            }
            self.phase = Phase::CaughtUp;
        }
        let since = Since::new(now.as_micros());
        let mut reports = REPORTS;
        let moment = Moment { now, since, clock: self.clock };
        self.review(moment, &mut reports);
        for index in (0..self.window.entries().len()).rev() {
            if reports == 0 {
                break;
            }
            self.deliver_one(moment, index, &mut reports, gone);
        }
        self.report_ended(now, &mut reports);
        if reports > 0 && self.phase == Phase::CaughtUp {
            self.phase = Phase::Settled;
        }
        let waiting = |row: &mut Publisher| row.is_waiting() || row.lacks();
        self.check = if reports == 0 {
            Some(now + REPORTS_PAUSE)
        } else {
            self.publishers.split_mut().0.iter_mut().any(waiting).then_some(now + CHECK)
        };
    }

    /// Gives up events that publishers were waited for long enough, or for which one that came after
    /// them has: its own wait counts, however many gaps there were before it.
    fn review(&mut self, moment: Moment, reports: &mut u8) {
        let Moment { now, since, clock } = moment;
        let Self { bus, window, publishers, .. } = self;
        let (rows, ended) = publishers.split_mut();
        for row in rows {
            let (id, epoch) = (row.id, row.epoch);
            let pending = window.entries().iter().rev().filter(|entry| {
                entry.is_pending() && entry.key.publisher == id && entry.key.epoch >= epoch
            });
            let came = pending.clone().map(|entry| entry.arrived).min();
            let tired =
                came.is_some_and(|came| ticks(now) >= came.saturating_add(ticks_in(PATIENCE)));
            let mut pending = pending.map(|entry| entry.key);
            if row.lacks() {
                let present = pending.find(|key| key.epoch == epoch);
                if present.is_some_and(|key| key.seq <= row.next) {
                    continue;
                }
                row.wait(since);
                if *reports > 0 && (tired || row.waited(since) >= PATIENCE_QUARTERS) {
                    let last = present.and_then(|key| before(key.seq)).unwrap_or(row.known);
                    bus.miss(now, row, last, reports);
                }
            } else if row.is_waiting() && row.waited(since) >= SETTLING_QUARTERS {
                match pending.map(|key| key.epoch).find(|other| *other > epoch) {
                    Some(epoch) => row.reboot(epoch, ended, clock),
                    None => row.rest(),
                }
            }
        }
    }

    /// Reports what was missed of boots that are over, or that the window has nothing of any more, and that
    /// nothing is waited for of: what was dropped is older than all that can still come.
    fn report_ended(&mut self, now: Instant, reports: &mut u8) {
        let Self { bus, window, publishers, .. } = self;
        let (rows, ended) = publishers.split_mut();
        let over = |boot: &Boot| {
            let of_it = |key: EventKey| (key.publisher, key.epoch) == (boot.id, boot.epoch);
            let mut entries = window.entries().iter();
            match rows.iter().find(|row| row.id == boot.id) {
                Some(row) if row.epoch > boot.epoch => true,
                Some(row) if row.is_waiting() => false,
                _ => !entries.any(|entry| entry.is_pending() && of_it(entry.key)),
            }
        };
        while *reports > 0 {
            let Some((boot, from)) = ended.report(over) else { break };
            let Boot { id: publisher, epoch, last: to, .. } = boot;
            bus.note(now, Event::EventsMissed { publisher, epoch, from, to });
            *reports = reports.saturating_sub(1);
        }
    }

    /// Delivers the event at `index` in the window, if it has its turn or cannot wait.
    fn deliver_one(
        &mut self,
        moment: Moment,
        index: usize,
        reports: &mut u8,
        gone: &impl Fn(NodeId) -> bool,
    ) {
        let Self { bus, window, publishers, phase, .. } = self;
        let Some(key) = window.entries().get(index).filter(|entry| entry.is_pending()) else {
            return;
        };
        let key = key.key;
        // Without a row there is no order to keep.
        let mut turn = Turn::Now;
        let named = (key.publisher, key.epoch, key.seq);
        if let Some((row, ended)) = publishers.enrol(named, moment.clock, gone) {
            let urgent = *phase == Phase::CaughtUp || window.is_endangered(index);
            turn = bus.turn(moment, (row, ended), key, urgent, reports);
            if turn == Turn::Now {
                row.advance(key.seq);
            }
        }
        let Some(entry) = window.entries_mut().get_mut(index) else { return };
        match turn {
            Turn::Now => entry.number = bus.count(),
            Turn::Past => entry.pass_over(),
            Turn::Later => (),
        }
    }
}

/// When something happens.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now: Instant,
    /// The same as waiting is counted.
    since: Since,
    /// The highest logical time that was heard of.
    clock: u32,
}

/// Whether an event is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is the next one.
    Now,
    /// It waits for others.
    Later,
    /// Others were delivered that come after it: it was missed.
    Past,
}

impl Bus<'_> {
    /// Whether the event with this key is to be delivered now. If it is urgent, what is missing
    /// before it is given up.
    fn turn(
        &mut self,
        Moment { now, since, clock }: Moment,
        (row, ended): (&mut Publisher, &mut EndedBoots),
        key: EventKey,
        urgent: bool,
        reports: &mut u8,
    ) -> Turn {
        if key.epoch < row.epoch {
            ended.missed(key, false, clock);
            return seeded!("former-boot-delivered", Turn::Now, Turn::Past);
        }
        let ahead = key.epoch > row.epoch || key.seq > row.next;
        if ahead && !urgent {
            if key.epoch == row.epoch {
                row.known = row.known.max(key.seq);
            }
            row.wait(since);
            return Turn::Later;
        }
        if key.epoch > row.epoch {
            if row.lacks() {
                self.miss(now, row, row.known, reports);
            }
            row.reboot(key.epoch, ended, clock);
        }
        match before(key.seq) {
            Some(last) if last >= row.next => self.miss(now, row, last, reports),
            _ => (),
        }
        if key.seq == row.next { Turn::Now } else { Turn::Past }
    }

    /// Gives up the events of a publisher up to the number `last`, and says so.
    fn miss(&mut self, now: Instant, row: &mut Publisher, last: U24, reports: &mut u8) {
        let Publisher { id: publisher, epoch, next: from, .. } = *row;
        self.note(now, Event::EventsMissed { publisher, epoch, from, to: last });
        row.advance(last);
        *reports = reports.saturating_sub(1);
    }
}

/// The number before `seq`.
fn before(seq: U24) -> Option<U24> {
    U24::new(seq.get().checked_sub(1)?)
}
