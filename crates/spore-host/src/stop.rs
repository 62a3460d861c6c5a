//! Telling nodes on other threads to leave.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A request to leave, which any thread can make, once, and any number of nodes can wait for.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    requested: bool,
    waiting: Vec<Waker>,
}

impl Stop {
    /// Makes the request. Returns whether it was made before.
    pub fn request(&self) -> bool {
        let mut state = self.state();
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
        std::mem::replace(&mut state.requested, true)
    }

    /// Whether the request was made.
    pub fn is_requested(&self) -> bool {
        self.state().requested
    }

    /// Waits for the request.
    pub(crate) async fn requested(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.requested {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// A thread that panicked here has left nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Stop;
    use futures_lite::future::{block_on, poll_once};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_request_reaches_all_who_wait_and_all_who_come_later() {
        let stop = Stop::default();
        assert_eq!(block_on(poll_once(stop.requested())), None);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                thread::spawn(move || block_on(stop.requested()))
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        assert!(!stop.request());
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(stop.request(), "it was made");
        assert_eq!(block_on(poll_once(stop.requested())), Some(()));
    }
}
