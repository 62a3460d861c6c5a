//! What the bootloader reads: the selector's two sectors, and the headers of images.

use spore_boot::image::HEADER;
use spore_boot::selector::BYTES;
use spore_boot::{Esp, Header, Selector, Slot, candidates};

use crate::See;
use crate::bytes::Bytes;

/// Two sectors, the numbers of the images in both slots, and a header.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    let mut bytes = Bytes(input);
    let (first, second) = (bytes.array::<BYTES>(), bytes.array::<BYTES>());
    let selector = Selector::read(&first, &second);
    see(format_args!("{:?} {:?}", selector.record(), selector.trial_word()));
    let sequences = [bytes.u8(), bytes.u8()];
    let sequences = sequences.map(|n| (n != 0).then_some(u32::from(n)));
    for candidate in candidates(&selector, sequences) {
        see(format_args!("{:?} {:?}", candidate.slot, candidate.count));
    }
    if let Some(write) = selector.settle() {
        // What is written then is what holds.
        see(format_args!("{:?} {:?}", write.sector, write.bytes));
        let after = Selector::read(&write.bytes, &[0xFF; BYTES]).record();
        assert!(after.is_some(), "it is a record");
    }
    let page = bytes.array::<HEADER>();
    for slot in [Slot::A, Slot::B] {
        match Header::decode::<Esp>(slot, &page) {
            Ok(header) => see(format_args!("{} {}", header.sequence, header.length())),
            Err(error) => see(format_args!("{error:?}")),
        }
    }
}
