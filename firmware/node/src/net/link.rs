//! The place where a board and the IP stack exchange frames.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use super::ethernet::{MacAddress, is_unicast};
use super::frame_queue::{self, FrameQueue};

/// The longest Ethernet frame without its check sum: 14 bytes of header, 1,500 of payload.
pub const FRAME_MAX: usize = 1514;

/// The longest frame that is sent: Ethernet's, IP's and UDP's headers, and 548 bytes, the longest message of DHCP. No socket here has
/// more to say at once, and memory for longer ones would lie idle.
pub const TRANSMIT_MAX: usize = 42 + 548;

/// Free bytes in front of a frame that is sent: the radio of an ESP8266 writes the header of 802.11 over Ethernet's,
/// and before that (`EP_OFFSET` of Espressif's lwIP).
pub const HEADROOM: usize = 36;

/// A node's memory for received frames, in bytes: two of the longest that are sent to it, since its TCP windows and the cluster's
/// datagrams are of 512 bytes, and one of half that length; or some eight datagrams of a quiet cluster.
pub const BOARD_QUEUE: usize = 1456;

/// The longest frame that is sent to one node alone: Ethernet's, IP's and TCP's headers, and the 512 bytes of a window or of a datagram.
const UNICAST_MAX: usize = 54 + 512;

/// Shortest Ethernet header: two addresses and a type. Anything shorter is noise.
pub const FRAME_MIN: usize = 14;

/// What the board must do with the frame buffer next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outgoing {
    /// The stack may write the next frame.
    Free,
    /// A frame of this many bytes waits to be sent.
    Ready(usize),
    /// The board is still reading the frame.
    InAir,
}

/// Aligned, since the radio reads words.
#[repr(C, align(4))]
struct TransmitBuffer {
    bytes: [u8; HEADROOM + TRANSMIT_MAX],
    state: Outgoing,
}

/// Frames on their way between one board and one IP stack.
///
/// `QUEUE_BYTES` is the memory for received frames, see [`FrameQueue`]; one frame of
/// [`TRANSMIT_MAX`] bytes more is for sending. A received frame that finds no room is dropped, as a radio does.
///
/// The last place in the queue, for one frame of any length that nodes are sent, is kept for what is sent to this node alone. Else
/// whoever has much to say to all, as a node that gives an image on, would push out the probes that this node must answer.
///
/// The board calls [`deliver`](Self::deliver), [`start_transmit`](Self::start_transmit) and
/// [`transmit_done`](Self::transmit_done); the stack works through
/// [`LinkDriver`](super::driver::LinkDriver). Neither may call from an interrupt, nor from inside
/// a closure that the other is running: both run in tasks of the SDK, which are never interrupted by each other.
pub struct Link<const QUEUE_BYTES: usize> {
    received: RefCell<FrameQueue<QUEUE_BYTES>>,
    transmit: RefCell<TransmitBuffer>,
    waker: RefCell<Option<Waker>>,
    up: Cell<bool>,
}

impl<const QUEUE_BYTES: usize> Link<QUEUE_BYTES> {
    /// A link that is down, with nothing to receive or to send.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            received: RefCell::new(FrameQueue::new()),
            transmit: RefCell::new(TransmitBuffer {
                bytes: [0; HEADROOM + TRANSMIT_MAX],
                state: Outgoing::Free,
            }),
            waker: RefCell::new(None),
            up: Cell::new(false),
        }
    }

    /// Board: the cable was plugged in, or the radio has joined; or the opposite.
    pub fn set_up(&self, up: bool) {
        if self.up.replace(up) != up {
            self.wake();
        }
    }

    /// Whether the board says that frames can pass.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.get()
    }

    /// Board: a frame of `len` bytes, without check sum, came in for `receiver`; `fill` writes all of it.
    ///
    /// Returns whether the stack will see it. Frames of impossible length and those that find
    /// the queue full are dropped, without a call of `fill`. What is for a group finds it full
    /// as soon as there would be no room for the longest frame to this node alone.
    pub fn deliver(&self, receiver: MacAddress, len: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        const LAST_PLACE: usize = frame_queue::HEADER + UNICAST_MAX;
        // DHCP's messages are as long in as out, and may be for all.
        const { assert!(QUEUE_BYTES >= LAST_PLACE + frame_queue::HEADER + TRANSMIT_MAX) };
        let spare = if is_unicast(receiver) { 0 } else { LAST_PLACE };
        let taken = (FRAME_MIN..=FRAME_MAX).contains(&len)
            && self.received.borrow_mut().push(len, spare, fill).is_ok();
        if taken {
            self.wake();
        }
        taken
    }

    /// Board: if a frame waits to be sent, `send` is called with it.
    ///
    /// The bytes stay as they are until [`transmit_done`](Self::transmit_done), also after
    /// `send` has returned: a radio may read them while it is sending. Returns whether `send` was
    /// called.
    pub fn start_transmit(&self, send: impl FnOnce(&[u8])) -> bool {
        self.start_transmit_in_place(|bytes| send(&bytes[HEADROOM..]))
    }

    /// As [`start_transmit`](Self::start_transmit), for a board that writes into the frame: its [`HEADROOM`] free bytes
    /// come first.
    pub fn start_transmit_in_place(&self, send: impl FnOnce(&mut [u8])) -> bool {
        let mut transmit = self.transmit.borrow_mut();
        let Outgoing::Ready(len) = transmit.state else {
            return false;
        };
        transmit.state = Outgoing::InAir;
        send(&mut transmit.bytes[..HEADROOM + len]);
        true
    }

    /// Board: the frame handed out last is no longer read.
    pub fn transmit_done(&self) {
        self.transmit.borrow_mut().state = Outgoing::Free;
        self.wake();
    }

    /// Stack: looks at the oldest received frame, if there is one, and leaves it there, as it is then.
    pub(super) fn peek_received<R>(&self, look: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.received.borrow_mut().front_mut().map(look)
    }

    /// Stack: reads the oldest received frame and forgets it. Without one, `read` gets nothing.
    pub(super) fn take_received<R>(&self, read: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut received = self.received.borrow_mut();
        let result = read(received.front_mut().unwrap_or_default());
        received.pop();
        result
    }

    /// Stack: whether the next frame can be written.
    pub(super) fn can_transmit(&self) -> bool {
        self.transmit.borrow().state == Outgoing::Free
    }

    /// Stack: `write` writes the next frame and returns its length, or 0 if there is nothing to
    /// send after all.
    pub(super) fn write_transmit<R>(
        &self,
        write: impl FnOnce(&mut [u8; TRANSMIT_MAX]) -> (usize, R),
    ) -> R {
        let mut transmit = self.transmit.borrow_mut();
        let frame = transmit.bytes.last_chunk_mut().expect("the frame is a part of the bytes");
        let (len, result) = write(frame);
        if len > 0 {
            transmit.state = Outgoing::Ready(len);
        }
        result
    }

    /// Stack: `waker` is to be woken when anything changes.
    pub(super) fn register(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        match &mut *slot {
            Some(known) => known.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl<const QUEUE_BYTES: usize> Default for Link<QUEUE_BYTES> {
    fn default() -> Self {
        Self::new()
    }
}
