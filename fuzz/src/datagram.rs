//! Datagrams: what is sealed, opened; and the message in it, read through its view.

use alloc::vec::Vec;

use spore_core::security::{Header, OVERHEAD, Sealer};
use spore_core::wire::{MAX_DATAGRAM, Message, MessageWriter, U24};
use spore_core::{ClusterKey, NodeId};

use crate::See;
use crate::bytes::Bytes;

/// That of docs/protocol-vectors.json.
const KEY: ClusterKey = ClusterKey::from_bytes([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
]);

/// The first byte says whether the rest is a datagram as it came, or a message to be sealed first.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    let mut bytes = Bytes(input);
    let sealer = Sealer::new(&KEY);
    let mut datagram: Vec<u8>;
    if bytes.u8() % 2 == 0 {
        datagram = bytes.0.to_vec();
    } else {
        let header = Header {
            sender: NodeId(bytes.array()),
            epoch: U24::from_be_bytes(bytes.array()),
            counter: U24::from_be_bytes(bytes.array()),
        };
        let message = bytes.up_to(MAX_DATAGRAM);
        datagram = alloc::vec![0; message.len() + OVERHEAD];
        Sealer::message(&mut datagram).copy_from_slice(message);
        let sealed = sealer.seal(&header, &mut datagram, message.len());
        assert_eq!(sealed, Some(datagram.len()), "there is room");
    }
    match sealer.open(&mut datagram) {
        Ok((header, message)) => {
            see(format_args!("{header:?}"));
            message_of(message, header.sender, see);
        }
        Err(error) => see(format_args!("{error:?}")),
    }
}

fn message_of(bytes: &[u8], sender: NodeId, see: See<'_>) {
    let message = match Message::parse(bytes, sender) {
        Ok(message) => message,
        Err(error) => return see(format_args!("{error:?}")),
    };
    see(format_args!("{:?} {:?} {:?}", message.kind, message.head, message.own));
    assert_eq!(message.own.id, sender, "nobody speaks for another one");
    // What was read can be written, and is read as the same.
    let mut room = [0; MAX_DATAGRAM];
    let written = MessageWriter::new(&mut room, message.kind, message.head, &message.own);
    let len = written.map(MessageWriter::finish).unwrap_or_default();
    if let Ok(again) = Message::parse(&room[..len], sender) {
        assert_eq!((again.kind, &again.own), (message.kind, &message.own));
    }
    message.records().for_each(|record| see(format_args!("{record:?}")));
    message.events().for_each(|event| see(format_args!("{event:?}")));
    message.keys().for_each(|key| see(format_args!("{key:?}")));
    see(format_args!("{:?}", message.pieces()));
}
