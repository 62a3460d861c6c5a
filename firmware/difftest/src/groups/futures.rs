//! State machines that the compiler makes of `async`, and embassy's pieces for them, polled by hand.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use embassy_futures::{join, select, yield_now};
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::channel::Channel;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;

use crate::{Inputs, Trace};

/// Polls after which a test counts as hung; both machines reach it alike.
const MAX_POLLS: u32 = 20_000;

/// Polls `future` to its end and traces how often it was polled and woken.
fn run<F: Future>(trace: &mut Trace<'_>, future: F) -> Option<F::Output> {
    let wakes = Cell::new(0_u32);
    // SAFETY: the waker lives no longer than `wakes`: no future here keeps one beyond its own end.
    let waker = unsafe { Waker::from_raw(counting(&raw const wakes as *const ())) };
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    for polls in 0..MAX_POLLS {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            trace.word(polls);
            trace.word(wakes.get());
            return Some(output);
        }
    }
    trace.word(u32::MAX);
    None
}

fn counting(wakes: *const ()) -> RawWaker {
    fn wake(wakes: *const ()) {
        // SAFETY: `run` hands out wakers on its own live counter only.
        let wakes = unsafe { &*wakes.cast::<Cell<u32>>() };
        wakes.set(wakes.get() + 1);
    }
    const TABLE: RawWakerVTable = RawWakerVTable::new(counting, wake, wake, |_| {});
    RawWaker::new(wakes, &TABLE)
}

/// Is ready at the given poll.
struct After(u32, u64);

impl Future for After {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        if self.0 == 0 {
            return Poll::Ready(self.1);
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Values of many sizes live across the suspension points: they all land in the state machine.
async fn deep(depth: u32, seed: u64) -> u64 {
    let wide = u128::from(seed).wrapping_mul(0x1_0000_0001_0000_0001);
    let bytes = seed.to_be_bytes();
    let first = After(depth % 4, seed ^ 0x55).await;
    let rest = match depth {
        0 => After(1, first.rotate_left(7)).await,
        _ if seed & 1 == 0 => Box::pin(deep(depth - 1, first.wrapping_add(1))).await,
        _ => {
            let inner = Box::pin(deep(depth - 1, !first)).await;
            yield_now().await;
            inner ^ u64::from(bytes[(depth % 8) as usize])
        }
    };
    (wide >> 32) as u64 ^ rest.wrapping_mul(31)
}

async fn fallible(step: u32, seed: u64) -> Result<u64, u8> {
    if After(step % 3, seed).await % 11 == 0 { Err(seed as u8) } else { Ok(seed >> 1) }
}

pub(super) fn machines(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..40 {
        let (depth, seed) = (inputs.below(7) as u32, inputs.edge());
        if let Some(value) = run(trace, deep(depth, seed)) {
            trace.word(value);
        }
        let chain = async {
            let mut sum = 0_u64;
            for step in 0..10 {
                sum =
                    sum.wrapping_add(fallible(step, seed.wrapping_mul(u64::from(step) + 1)).await?);
            }
            Ok::<u64, u8>(sum)
        };
        let chained = run(trace, chain);
        trace.display(format_args!("{chained:?}"));
    }
}

pub(super) fn combinators(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..60 {
        let mut after = || After(inputs.below(5) as u32, inputs.edge());
        let joined = run(trace, join::join3(after(), after(), after()));
        trace.display(format_args!("{joined:?}"));
        let array = run(trace, join::join_array([after(), after(), after(), after()]));
        trace.display(format_args!("{array:?}"));
        let first = run(trace, select::select(after(), after()));
        trace.display(format_args!("{first:?}"));
        let first = run(trace, select::select_array([after(), after(), after()]));
        trace.display(format_args!("{first:?}"));
        let boxed: Vec<Pin<Box<dyn Future<Output = u64>>>> =
            (0..3).map(|_| Box::pin(after()) as Pin<Box<dyn Future<Output = u64>>>).collect();
        let mut sum = 0_u64;
        for future in boxed {
            sum ^= run(trace, future).unwrap_or(0);
        }
        trace.word(sum);
    }
}

pub(super) fn channels(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..20 {
        let channel = Channel::<CriticalSectionRawMutex, (u8, u64), 3>::new();
        let done = Signal::<CriticalSectionRawMutex, u32>::new();
        let total = Mutex::<NoopRawMutex, u64>::new(0);
        let values: Vec<u64> = (0..1 + inputs.below(30)).map(|_| inputs.edge()).collect();
        let producer = async {
            for (number, &value) in values.iter().enumerate() {
                channel.send((number as u8, value)).await;
                if value & 3 == 0 {
                    yield_now().await;
                }
            }
            done.signal(values.len() as u32);
        };
        let consumer = async {
            let mut received = 0_u32;
            loop {
                match select::select(channel.receive(), done.wait()).await {
                    select::Either::First((number, value)) => {
                        let mut total = total.lock().await;
                        After(value as u32 % 3, 0).await;
                        *total = total.rotate_left(u32::from(number)) ^ value;
                        received += 1;
                    }
                    select::Either::Second(sent) => return (received, sent),
                }
            }
        };
        let bystander = async {
            for round in 0..10 {
                *total.lock().await ^= round;
                yield_now().await;
            }
        };
        let ended = run(trace, join::join3(producer, consumer, bystander));
        trace.display(format_args!("{ended:?} {}", channel.len()));
        trace.word(total.try_lock().map_or(1, |total| *total));
    }
}
