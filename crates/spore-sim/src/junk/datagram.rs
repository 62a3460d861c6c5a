//! Hostile datagrams.

use super::Junk;
use spore_core::NodeId;
use spore_core::security::{Header, OVERHEAD, Sealer};
use spore_core::wire::{MAX_DATAGRAM, Message, U24};

/// The most bytes of junk: a UDP datagram that needs no fragments on an Ethernet.
const MAX_JUNK: usize = 1472;

/// Where the sender's id stands in a message of this kind: after the kind, the token and the id of
/// a third node if there are such, or the names of image and piece, and what the sender knows, and one byte into the first record.
const fn sender_in(kind: Option<&u8>) -> usize {
    let head = match kind {
        Some(2 | 3) => 1 + 14,
        Some(12) => 1 + 4 + 2,
        Some(13) => 1 + 4 + 2 + 2,
        Some(1 | 8..) => 1,
        _ => 1 + 14 + 6,
    };
    head + 16 + 1
}

/// The kinds of hostile datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatagramKind {
    /// Random bytes of a random length, none and too many included.
    Random,
    /// A recorded datagram with one to eight bits flipped.
    BitsFlipped,
    /// The beginning of a recorded datagram.
    Truncated,
    /// A recorded datagram with bytes behind it.
    Extended,
    /// A recorded datagram, changed in several ways.
    Mutated,
    /// A recorded datagram as it was.
    Replayed,
    /// Random bytes, sealed with the key.
    SealedRandom,
    /// A recorded message from its own sender, made senseless and sealed with the key.
    SealedMalformed,
    /// A recorded message, changed but often still sensible, sealed with the key in the name of a
    /// stranger.
    SealedStranger,
    /// A recorded message, changed but often still sensible, sealed with the key in the name of its
    /// own sender, as its newest one: a member gone bad. Those who trust the key believe what of
    /// it makes sense, so it may change their state; it must not make them panic.
    SealedInsider,
}

impl DatagramKind {
    /// The kinds that need no key. None of them may change anything.
    pub const KEYLESS: [Self; 6] = [
        Self::Random,
        Self::BitsFlipped,
        Self::Truncated,
        Self::Extended,
        Self::Mutated,
        Self::Replayed,
    ];

    /// The kinds that need the key and all the same may change nothing.
    pub const SEALED: [Self; 3] = [Self::SealedRandom, Self::SealedMalformed, Self::SealedStranger];

    /// Whether the key is needed to make it.
    pub fn needs_key(self) -> bool {
        !Self::KEYLESS.contains(&self)
    }
}

impl Junk {
    /// A datagram of a random kind among those that may change nothing; sealed ones only if the key
    /// is known.
    pub fn datagram(&mut self, recording: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let sealed: &[_] = if self.sealer.is_some() { &DatagramKind::SEALED } else { &[] };
        let kinds = [&DatagramKind::KEYLESS[..], sealed].concat();
        let kind = self.rng.choice(kinds).unwrap_or(DatagramKind::Random);
        self.datagram_of(kind, recording)
    }

    /// A datagram of this kind. Without a recording, or without the key where it is needed, it is
    /// [`DatagramKind::Random`].
    pub fn datagram_of(&mut self, kind: DatagramKind, recording: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let Some(recorded) = self.rng.choice(recording).map(|datagram| datagram.as_ref().to_vec())
        else {
            return match kind {
                DatagramKind::SealedRandom => self.sealed_random(),
                _ => self.noise(MAX_JUNK),
            };
        };
        match kind {
            DatagramKind::Random => self.noise(MAX_JUNK),
            DatagramKind::BitsFlipped => self.bits_flipped(recorded),
            DatagramKind::Truncated => {
                let len = self.rng.usize(..recorded.len().max(1));
                recorded[..len.min(recorded.len())].to_vec()
            }
            DatagramKind::Extended => {
                let tail = self.noise(MAX_JUNK.saturating_sub(recorded.len() + 1));
                [&recorded[..], &[self.rng.u8(..)], &tail].concat()
            }
            DatagramKind::Mutated => {
                let mut bytes = recorded.clone();
                // Several changes may undo each other.
                while bytes == recorded {
                    self.mutate(&mut bytes);
                }
                bytes
            }
            DatagramKind::Replayed => recorded,
            DatagramKind::SealedRandom => self.sealed_random(),
            DatagramKind::SealedMalformed => self.sealed_malformed(recorded),
            DatagramKind::SealedStranger => self.sealed_stranger(recorded),
            DatagramKind::SealedInsider => self.sealed_insider(recorded),
        }
    }

    fn bits_flipped(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        // Distinct ones, so that no flip undoes another.
        let bits = bytes.len() * 8;
        let flips = self.rng.usize(1..=8).min(bits);
        let mut chosen = std::collections::BTreeSet::new();
        while chosen.len() < flips {
            chosen.insert(self.rng.usize(..bits));
        }
        for bit in chosen {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes
    }

    fn sealed_random(&mut self) -> Vec<u8> {
        let header = self.stranger();
        let message = self.noise(MAX_JUNK - OVERHEAD);
        self.seal(&header, &message)
    }

    fn sealed_malformed(&mut self, recorded: Vec<u8>) -> Vec<u8> {
        let Some((header, mut message)) = self.open(recorded) else {
            return self.sealed_random();
        };
        while Message::parse(&message, header.sender).is_ok() {
            self.mutate(&mut message);
        }
        let header = self.newest(&header);
        self.seal(&header, &message)
    }

    fn sealed_stranger(&mut self, recorded: Vec<u8>) -> Vec<u8> {
        let Some((_, mut message)) = self.open(recorded) else { return self.sealed_random() };
        self.mutate(&mut message);
        let header = self.stranger();
        let at = sender_in(message.first());
        if let Some(sender) = message.get_mut(at..at + 6) {
            sender.copy_from_slice(&header.sender.0);
        }
        self.seal(&header, &message)
    }

    fn sealed_insider(&mut self, recorded: Vec<u8>) -> Vec<u8> {
        let Some((header, mut message)) = self.open(recorded) else {
            return self.sealed_random();
        };
        self.mutate(&mut message);
        let header = self.newest(&header);
        self.seal(&header, &message)
    }

    /// Opens a recorded datagram: its header and its message.
    fn open(&self, mut recorded: Vec<u8>) -> Option<(Header, Vec<u8>)> {
        let (header, message) = self.sealer.as_ref()?.open(&mut recorded).ok()?;
        Some((header, message.to_vec()))
    }

    /// Numbers that nobody has used yet, in the name of the same sender.
    fn newest(&mut self, header: &Header) -> Header {
        let counter = header.counter.get() + self.rng.u32(1 << 16..1 << 20);
        Header { counter: U24::new(counter).unwrap_or(U24::MAX), ..*header }
    }

    fn stranger(&mut self) -> Header {
        let mut numbers = [0; 12];
        self.rng.fill(&mut numbers);
        let [a, b, c, d, e, f, g, h, i, j, k, l] = numbers;
        Header {
            sender: NodeId([a, b, c, d, e, f]),
            epoch: U24::from_be_bytes([g, h, i]),
            counter: U24::from_be_bytes([j, k, l]),
        }
    }

    /// Seals as much of `message` as fits; some of what is sealed is longer than
    /// [`MAX_DATAGRAM`], which nodes do not send.
    fn seal(&mut self, header: &Header, message: &[u8]) -> Vec<u8> {
        let Some(sealer) = &self.sealer else { return self.noise(MAX_DATAGRAM) };
        let mut datagram = vec![0; message.len() + OVERHEAD];
        Sealer::message(&mut datagram).copy_from_slice(message);
        let sealed = sealer.seal(header, &mut datagram, message.len());
        sealed.map_or_else(Vec::new, |_| datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::{DatagramKind, Header, Junk, OVERHEAD, Sealer};
    use spore_core::ota::state::UpdateState;
    use spore_core::wire::{
        Head, Hostname, Incarnation, Kind, Message, MessageWriter, Record, Rumor, U24,
    };
    use spore_core::{ClusterKey, NodeId};

    const KEY: ClusterKey = ClusterKey::from_bytes([7; 32]);
    const ID: NodeId = NodeId([1, 2, 3, 4, 5, 6]);

    fn announcement() -> Vec<u8> {
        message(Kind::Announce, &[])
    }

    /// What nodes send each other for images.
    fn exchange() -> [Vec<u8>; 2] {
        let (image, number) = (0x0102_0304, 7);
        let want = message(Kind::Want { image, first: 0 }, &[0xFF; 40]);
        [want, message(Kind::Piece { image, number, left: 3 }, &[0xA5; 256])]
    }

    fn message(kind: Kind, pieces: &[u8]) -> Vec<u8> {
        let rumor = Rumor::Alive {
            address: [10, 0, 0, 1].into(),
            http_port: 80,
            status_version: 1,
            update: UpdateState::NONE,
            hostname: Hostname::new("node").unwrap(),
            services: Default::default(),
        };
        let own =
            Record { id: ID, incarnation: Incarnation::default(), published: U24::ZERO, rumor };
        let mut datagram = vec![0; 512];
        let room = Sealer::message(&mut datagram);
        let mut writer = MessageWriter::new(room, kind, Head::default(), &own).unwrap();
        writer.push_pieces(pieces).unwrap();
        let len = writer.finish();
        let header = Header { sender: ID, epoch: U24::ZERO, counter: U24::ZERO };
        let len = Sealer::new(&KEY).seal(&header, &mut datagram, len).unwrap();
        datagram.truncate(len);
        datagram
    }

    #[test]
    fn equal_seeds_give_equal_junk() {
        let recording = [announcement()];
        let make = |seed| {
            let mut junk = Junk::new(seed).with_key(&KEY);
            (0..100).map(|_| junk.datagram(&recording)).collect::<Vec<_>>()
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }

    #[test]
    fn what_is_made_without_the_key_does_not_open_unless_it_is_a_replay() {
        let (recording, sealer) = ([announcement()], Sealer::new(&KEY));
        let mut junk = Junk::new(3);
        for kind in DatagramKind::KEYLESS {
            for _ in 0..1000 {
                let mut datagram = junk.datagram_of(kind, &recording);
                let opens = sealer.open(&mut datagram).is_ok();
                assert_eq!(opens, kind == DatagramKind::Replayed, "{kind:?}");
            }
        }
    }

    #[test]
    fn what_is_made_with_the_key_opens_and_is_as_its_kind_says() {
        for recorded in [announcement()].into_iter().chain(exchange()) {
            sealed_junk_is_as_its_kind_says(&[recorded]);
        }
    }

    fn sealed_junk_is_as_its_kind_says(recording: &[Vec<u8>]) {
        let sealer = Sealer::new(&KEY);
        let mut junk = Junk::new(4).with_key(&KEY);
        let mut sensible = 0;
        for _ in 0..1000 {
            for kind in DatagramKind::SEALED {
                let mut datagram = junk.datagram_of(kind, recording);
                assert!(kind.needs_key() && datagram.len() >= OVERHEAD);
                let (header, message) = sealer.open(&mut datagram).unwrap();
                let known = header.sender == ID;
                let parsed = Message::parse(message, header.sender).is_ok();
                assert_eq!(known, kind == DatagramKind::SealedMalformed, "{kind:?}");
                assert!(!known || !parsed);
                sensible += u32::from(kind == DatagramKind::SealedStranger && parsed);
            }
        }
        assert!(sensible > 50, "strangers must get past the parser: {sensible} of 1000");
    }
}
