//! The OpenCores 10/100 Ethernet MAC: frames in and out of its memory.
//!
//! The card keeps frames in 16 KB of memory of its own, which the ESP8266 does not have. So it
//! gets only [`RECEIVE_BUFFERS`] places there, and every frame is to be copied into the program's memory
//! at the first chance. On the chip, received frames lie in pbufs that the SDK takes from its heap
//! until they are handed back; how many it holds, and what they take, is not known, so these places
//! model nothing of it. They are memory that the firmware's budget does not count.
//!
//! The card's memory is read and written by ordinary accesses, and the descriptor that says whose it
//! is by volatile ones, so a fence stands between them. It binds the compiler; the core and QEMU
//! keep the order of the program by themselves.
//! Registers and descriptors: OpenCores Ethernet IP Core Specification, revision 1.19.

use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::cpu;
use crate::mmio::Register;

const REGISTERS: usize = 0x9D03_0000;
const DESCRIPTORS: usize = REGISTERS + 0x400;
const BUFFERS: usize = 0x9D80_0000;
const BUFFER_SIZE: usize = 1600;

/// The longest frame that is sent: 14 bytes of header, 1,500 of payload.
pub const FRAME_MAX: usize = 1514;

/// Frames that the card can hold until the main loop comes round. One more is lost, and counted as
/// dropped. QEMU hands over whole bursts while the core stands still: under the load of `cargo xtask
/// footprint`, two places cost a hundred frames, four as few as eight do.
pub const RECEIVE_BUFFERS: usize = 4;
const TRANSMIT_BUFFERS: usize = 1;

const MODE: Register = register(0x00);
const INTERRUPT_SOURCE: Register = register(0x04);
const INTERRUPT_MASK: Register = register(0x08);
const TRANSMIT_DESCRIPTORS: Register = register(0x20);
const ADDRESS_LOW: Register = register(0x40);
const ADDRESS_HIGH: Register = register(0x44);

const MODE_RECEIVE: u32 = 1;
const MODE_TRANSMIT: u32 = 1 << 1;
const MODE_PROMISCUOUS: u32 = 1 << 5;
const MODE_RESET: u32 = 1 << 11;
const MODE_PAD: u32 = 1 << 15;

const INTERRUPT_RECEIVED: u32 = 1 << 2;
const INTERRUPT_BUSY: u32 = 1 << 4;
const INTERRUPT_ALL: u32 = 0x7F;

/// In a descriptor: the card may use the buffer (to receive into, or to send).
const CARD_OWNS: u32 = 1 << 15;
const RAISE_INTERRUPT: u32 = 1 << 14;
const LAST_OF_RING: u32 = 1 << 13;
const PAD_AND_CHECKSUM: u32 = 1 << 12 | 1 << 11;
/// Overrun, invalid symbol, too long, check sum. A frame below 60 bytes is no error: QEMU's
/// networks do not pad.
const RECEIVE_ERRORS: u32 = 1 << 6 | 1 << 5 | 1 << 3 | 1 << 1;

/// The four bytes of check sum that the card counts in with a received frame.
const CHECKSUM_LEN: usize = 4;

const fn register(offset: usize) -> Register {
    // SAFETY: the card's registers and descriptors lie here on every XTFPGA board without an MMU.
    unsafe { Register::at(REGISTERS + offset) }
}

/// One entry of the card's descriptor rings, with the buffer that belongs to it.
#[derive(Clone, Copy)]
struct Slot {
    index: usize,
    ring_bits: u32,
}

impl Slot {
    const fn transmit() -> Self {
        Self { index: 0, ring_bits: LAST_OF_RING }
    }

    const fn receive(number: usize) -> Self {
        let last = if number == RECEIVE_BUFFERS - 1 { LAST_OF_RING } else { 0 };
        Self { index: TRANSMIT_BUFFERS + number, ring_bits: last | RAISE_INTERRUPT }
    }

    fn status(self) -> Register {
        register(DESCRIPTORS - REGISTERS + self.index * 8)
    }

    fn buffer(self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(BUFFERS + self.index * BUFFER_SIZE)
    }

    fn place_buffer(self) {
        // Addresses have 32 bits here.
        let address = self.buffer().expose_provenance() as u32;
        register(DESCRIPTORS - REGISTERS + self.index * 8 + 4).write(address);
    }

    /// The card's last word on this slot, if the card has finished with it. After that the buffer
    /// is ours.
    fn status_if_done(self) -> Option<u32> {
        let status = self.status().read();
        // No access to the buffer may come before the look at its owner.
        compiler_fence(Ordering::Acquire);
        (status & CARD_OWNS == 0).then_some(status)
    }

    fn hand_to_card(self, bits: u32) {
        // No access to the buffer may come after it has changed hands.
        compiler_fence(Ordering::Release);
        self.status().write(CARD_OWNS | self.ring_bits | bits);
    }
}

/// The card, running.
pub struct Ethernet {
    next_receive: usize,
}

impl Ethernet {
    /// Starts the card under the MAC address `address`, which also filters what is received.
    #[must_use]
    pub fn start(address: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = address;
        MODE.write(MODE_RESET);
        MODE.write(MODE_PAD);
        ADDRESS_LOW.write(u32::from_be_bytes([c, d, e, f]));
        ADDRESS_HIGH.write(u32::from_be_bytes([0, 0, a, b]));
        TRANSMIT_DESCRIPTORS.write(TRANSMIT_BUFFERS as u32);
        Slot::transmit().place_buffer();
        Slot::transmit().status().write(LAST_OF_RING);
        for number in 0..RECEIVE_BUFFERS {
            Slot::receive(number).place_buffer();
            Slot::receive(number).hand_to_card(0);
        }
        INTERRUPT_SOURCE.write(INTERRUPT_ALL);
        INTERRUPT_MASK.write(INTERRUPT_RECEIVED | INTERRUPT_BUSY);
        MODE.write(MODE_PAD | MODE_RECEIVE | MODE_TRANSMIT);
        Self { next_receive: 0 }
    }

    /// From here on frames to all addresses are received.
    pub fn hear_all(&mut self) {
        MODE.write(MODE.read() | MODE_PROMISCUOUS);
    }

    /// Clears the card's interrupt. To be called before [`receive`](Self::receive): a frame that comes in
    /// between rings again.
    ///
    /// Returns whether the card has lost frames since the last call. It does not say how many.
    pub fn acknowledge(&mut self) -> bool {
        cpu::clear_interrupts(cpu::INTERRUPT_ETHERNET);
        let source = INTERRUPT_SOURCE.read();
        INTERRUPT_SOURCE.write(source);
        source & INTERRUPT_BUSY != 0
    }

    /// Calls `take` with the frames that were received, without their check sums; at most
    /// [`RECEIVE_BUFFERS`], so that a flood cannot keep other work from being done. Never waits.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8])) {
        for _ in 0..RECEIVE_BUFFERS {
            let slot = Slot::receive(self.next_receive);
            let Some(status) = slot.status_if_done() else { break };
            if status & RECEIVE_ERRORS == 0 {
                let len = ((status >> 16) as usize).saturating_sub(CHECKSUM_LEN).min(BUFFER_SIZE);
                // SAFETY: the buffer has that many bytes, of which any pattern is valid, and the card
                // does not write there until it is handed back.
                take(unsafe { core::slice::from_raw_parts(slot.buffer(), len) });
            }
            slot.hand_to_card(0);
            self.next_receive = (self.next_receive + 1) % RECEIVE_BUFFERS;
        }
    }

    /// Whether the card can take a frame to [`transmit`](Self::transmit).
    #[must_use]
    pub fn can_transmit(&self) -> bool {
        Slot::transmit().status_if_done().is_some()
    }

    /// Sends `frame`, without its check sum. The card has its copy when this returns.
    ///
    /// # Panics
    /// If the card is busy, or the frame is longer than [`FRAME_MAX`].
    pub fn transmit(&mut self, frame: &[u8]) {
        let slot = Slot::transmit();
        assert!(frame.len() <= FRAME_MAX && slot.status_if_done().is_some(), "no room for a frame");
        const { assert!(FRAME_MAX <= BUFFER_SIZE) };
        // SAFETY: the buffer is long enough, as was checked, and the card has finished with it.
        unsafe { ptr::copy_nonoverlapping(frame.as_ptr(), slot.buffer(), frame.len()) };
        slot.hand_to_card((frame.len() as u32) << 16 | PAD_AND_CHECKSUM);
    }
}
