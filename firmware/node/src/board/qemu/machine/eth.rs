//! Frames between the network card and a [`Link`].

use qemu::eth::Ethernet;

use crate::net::ethernet::BROADCAST;
use crate::net::link::{FRAME_MAX, Link};

/// Moves what `card` has received to `link`, and what `link` has to send to the card.
///
/// To be called from the main loop whenever it comes round. Never waits.
pub fn service<const N: usize>(card: &mut Ethernet, link: &Link<N>) {
    const { assert!(FRAME_MAX <= qemu::eth::FRAME_MAX) };
    if card.acknowledge() {
        link.note_lost();
    }
    card.receive(|frame| {
        // One that is too short for an address is refused, whoever it was for.
        let receiver = frame.first_chunk().copied().unwrap_or(BROADCAST);
        link.deliver(receiver, frame.len(), |place| place.copy_from_slice(frame));
    });
    if card.can_transmit() && link.start_transmit(|frame| card.transmit(frame)) {
        // The card has its copy; a radio would say so later.
        link.transmit_done();
    }
}
