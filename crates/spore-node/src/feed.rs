//! An image on its way from the connection that brings it to who installs it.

use core::cell::RefCell;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use heapless::Vec;

/// Bytes that wait in between. Small: whoever brings more waits.
const ROOM: usize = 128;

/// How the bringing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All has come.
    Whole,
    /// No more comes.
    Cut,
}

/// A pipe of bytes with two ends that know of each other's end.
pub(crate) struct Feed {
    state: RefCell<State>,
    filled: Signal<NoopRawMutex, ()>,
    drained: Signal<NoopRawMutex, ()>,
}

struct State {
    bytes: Vec<u8, ROOM>,
    end: Option<End>,
    /// Who takes the bytes wants no more of them.
    closed: bool,
}

/// The image did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incomplete;

impl core::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the image did not come to its end")
    }
}

impl core::error::Error for Incomplete {}

impl embedded_io_async::Error for Incomplete {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        embedded_io_async::ErrorKind::ConnectionAborted
    }
}

impl Feed {
    pub(crate) const fn new() -> Self {
        let state = State { bytes: Vec::new(), end: None, closed: true };
        Self { state: RefCell::new(state), filled: Signal::new(), drained: Signal::new() }
    }

    /// Begins anew.
    pub(crate) fn open(&self) {
        *self.state.borrow_mut() = State { bytes: Vec::new(), end: None, closed: false };
        self.filled.reset();
        self.drained.reset();
    }

    /// Brings bytes; false if no more are wanted.
    pub(crate) async fn put(&self, mut bytes: &[u8]) -> bool {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if state.closed {
                    return false;
                }
                let room = ROOM - state.bytes.len();
                let (part, rest) = bytes.split_at(room.min(bytes.len()));
                // There is room.
                let _ = state.bytes.extend_from_slice(part);
                bytes = rest;
                self.filled.signal(());
            }
            if bytes.is_empty() {
                return true;
            }
            self.drained.wait().await;
        }
    }

    /// Says that all has come, or that no more comes.
    pub(crate) fn end(&self, whole: bool) {
        self.state.borrow_mut().end = Some(if whole { End::Whole } else { End::Cut });
        self.filled.signal(());
    }

    /// Says that no more is wanted.
    pub(crate) fn close(&self) {
        self.state.borrow_mut().closed = true;
        self.drained.signal(());
    }

    /// Takes at least one byte, or none at the end.
    async fn take(&self, buf: &mut [u8]) -> Result<usize, Incomplete> {
        loop {
            {
                let mut state = self.state.borrow_mut();
                let len = buf.len().min(state.bytes.len());
                if len > 0 {
                    let (part, rest) = state.bytes.split_at(len);
                    buf[..len].copy_from_slice(part);
                    let rest = rest.len();
                    state.bytes.copy_within(len.., 0);
                    state.bytes.truncate(rest);
                    self.drained.signal(());
                    return Ok(len);
                }
                match state.end {
                    Some(End::Whole) => return Ok(0),
                    Some(End::Cut) => return Err(Incomplete),
                    None if buf.is_empty() => return Ok(0),
                    None => (),
                }
            }
            self.filled.wait().await;
        }
    }
}

/// The end of a feed that bytes are read from.
pub(crate) struct Source<'f>(pub(crate) &'f Feed);

impl embedded_io_async::ErrorType for Source<'_> {
    type Error = Incomplete;
}

impl embedded_io_async::Read for Source<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Incomplete> {
        self.0.take(buf).await
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, Incomplete, Source};
    use embassy_futures::block_on;
    use embassy_futures::join::join;
    use embedded_io_async::Read as _;
    use std::vec::Vec;

    async fn all(feed: &Feed, step: usize) -> Result<Vec<u8>, Incomplete> {
        let mut source = Source(feed);
        let (mut all, mut buf) = (Vec::new(), std::vec![0; step]);
        loop {
            match source.read(&mut buf).await? {
                0 => return Ok(all),
                len => all.extend_from_slice(&buf[..len]),
            }
        }
    }

    #[test]
    fn what_is_brought_is_taken_in_order_whatever_the_pieces_are() {
        let image: Vec<u8> = (0..=250_u8).cycle().take(5000).collect();
        for step in [1, 7, 128, 1000] {
            let feed = Feed::new();
            feed.open();
            let bring = async {
                for piece in image.chunks(300) {
                    assert!(feed.put(piece).await);
                }
                feed.end(true);
            };
            let ((), taken) = block_on(join(bring, all(&feed, step)));
            assert_eq!(taken.as_deref(), Ok(&*image));
        }
    }

    #[test]
    fn each_end_hears_of_the_other_ones_end() {
        let feed = Feed::new();
        assert!(!block_on(feed.put(&[1])), "nobody takes anything yet");
        feed.open();
        let cut = async {
            assert!(feed.put(&[1, 2, 3]).await);
            feed.end(false);
        };
        assert_eq!(block_on(join(cut, all(&feed, 8))).1, Err(Incomplete));
        feed.open();
        let close = async {
            assert_eq!(Source(&feed).read(&mut [0; 100]).await, Ok(100));
            feed.close();
        };
        assert!(!block_on(join(feed.put(&[0; 1000]), close)).0);
    }
}
