//! embassy's executor and timer queue: who runs when, and in which order.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Instant, Ticker, Timer, with_timeout};

use crate::tasks::Tasks;
use crate::{Inputs, Trace};

/// Which task did something, when, and what.
type Log = Rc<RefCell<Vec<(u8, u64, u64)>>>;

const LIMIT: Duration = Duration::from_secs(60);

fn trace_log(log: &Log, trace: &mut Trace<'_>) {
    for (task, when, what) in log.borrow_mut().drain(..) {
        trace.word(task);
        trace.word(when);
        trace.word(what);
    }
}

fn note(log: &Log, task: u8, what: u64) {
    log.borrow_mut().push((task, Instant::now().as_ticks(), what));
}

/// Sleepers, some of which end at the same instant, tickers, and waits that are given up.
pub(super) fn timers(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..8 {
        let (tasks, log) = (Tasks::new(), Log::default());
        for task in 0..12 {
            let spans: Vec<u64> =
                (0..20).map(|_| inputs.edge() % 3_000_000 / 1000 * 1000).collect();
            let log = log.clone();
            tasks.spawn(sleeper(task, spans, log));
        }
        let period = Duration::from_micros(1 + inputs.below(400_000));
        let ticks = log.clone();
        tasks.spawn(async move {
            let mut ticker = Ticker::every(period);
            for tick in 0..30 {
                ticker.next().await;
                note(&ticks, 100, tick);
            }
        });
        tasks.run(LIMIT, trace);
        trace_log(&log, trace);
    }
}

async fn sleeper(task: u8, spans: Vec<u64>, log: Log) {
    for (step, &span) in spans.iter().enumerate() {
        let span = Duration::from_micros(span);
        match step % 3 {
            0 => Timer::after(span).await,
            1 => {
                // The shorter of two waits; the other one stays in the queue until its time has come.
                let other = Timer::after(span / 2 + Duration::from_micros(7));
                let first = select(Timer::after(span), other).await;
                note(&log, task, u64::from(matches!(first, Either::First(()))));
            }
            _ => {
                let long = Timer::after(span * 2);
                note(&log, task, u64::from(with_timeout(span, long).await.is_err()));
            }
        }
        note(&log, task, span.as_ticks());
    }
}

/// A ring of tasks that hand numbers on, each smaller than the last, until they are used up.
///
/// One task waits at each end of a channel: of several, embassy's channels remember the last, and wake the one before.
pub(super) fn wakes(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..8 {
        let (tasks, log) = (Tasks::new(), Log::default());
        let ring: Vec<Rc<Place>> = (0..7).map(|_| Rc::new(Place::new())).collect();
        // Fewer than there is room for, or the ring would stand still.
        for _ in 0..9 {
            let start = inputs.index(ring.len());
            trace.word(ring[start].try_send(inputs.edge() >> 1).is_ok());
        }
        for (task, from) in (0..).zip(&ring) {
            let to = ring[(usize::from(task) + 1) % ring.len()].clone();
            tasks.spawn(hand_on(task, from.clone(), to, log.clone()));
        }
        tasks.run(LIMIT, trace);
        trace_log(&log, trace);
    }
}

/// Where a number waits for the next task of the ring.
type Place = Channel<NoopRawMutex, u64, 2>;

async fn hand_on(task: u8, from: Rc<Place>, to: Rc<Place>, log: Log) {
    loop {
        let value = from.receive().await;
        note(&log, task, value);
        match value % 5 {
            0 => yield_now().await,
            1 => Timer::after_micros(value % 1000).await,
            _ => {}
        }
        if value > 0 {
            to.send(value - value.div_ceil(3)).await;
        }
    }
}
