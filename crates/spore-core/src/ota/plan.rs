//! The plan of a rollout: which images, in which order, and when to stop.
//!
//! The operator's tool makes it, the release key signs it, and every node keeps it as it was signed.
//! `docs/protocol.md` has its bytes as a table.

use crate::security::ReleaseKey;
use crate::text::{decimal, hex};
use crate::wire::{self, Full, NodeId, Reader, Writer};
use core::fmt;
use core::ops::Range;
use heapless::Vec;

/// Which rollout it is. Of two, the one with the higher id holds, and no id is ever used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutId {
    /// One more than that of the rollout before.
    pub number: u32,
    /// Drawn at random, so that two operators who take the same number do not mean the same rollout.
    pub random: u32,
}

impl RolloutId {
    fn bytes(self) -> [u8; 8] {
        (u64::from(self.number) << 32 | u64::from(self.random)).to_be_bytes()
    }

    /// 16 bits that stand for the rollout in what members say of themselves; never 0.
    pub fn tag(self) -> u16 {
        let [.., high, low] = self.hash(&[]).to_be_bytes();
        u16::from_be_bytes([high, low]).max(1)
    }

    /// The rank of `node` in this rollout: whoever ranks lower comes sooner.
    pub fn rank(self, node: NodeId) -> u32 {
        self.hash(&node.0)
    }

    /// FNV-1a over the id and `more`, with the final mix of MurmurHash3.
    pub(crate) fn hash(self, more: &[u8]) -> u32 {
        wire::well_mixed_fnv(self.bytes().iter().chain(more))
    }
}

impl RolloutId {
    /// The id as people and the API write it: a number, a hyphen and eight hexadecimal digits.
    pub(crate) fn to_text(self) -> heapless::String<19, u8> {
        let mut text = heapless::String::new();
        // Ten digits at most, one hyphen, and eight digits.
        let _ = text.push_str(&decimal(self.number)).and_then(|()| text.push('-'));
        let _ = text.push_str(&hex::<8>(&self.random.to_be_bytes()));
        text
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// The image for one kind of board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name as it stands in the image: ASCII characters that can be seen, padded with zeros.
    pub board: [u8; Self::BOARD],
    /// The sequence number.
    pub sequence: u32,
    /// The first bytes of the SHA-256 of the container's head, signature included.
    pub digest: [u8; Self::DIGEST],
}

impl Image {
    /// The most bytes of a board's name.
    pub const BOARD: usize = 16;

    /// The bytes of a digest. Nobody can make another signed head with the same 128 bits.
    pub const DIGEST: usize = 16;

    const LEN: usize = Self::BOARD + 4 + Self::DIGEST;

    /// The name of its board.
    pub fn board(&self) -> &str {
        let name = self.board.split(|byte| *byte == 0).next().unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }

    /// Whether the name is one.
    fn is_named(&self) -> bool {
        let name = self.board();
        let padding = self.board.get(name.len()..).unwrap_or_default();
        let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
        !name.is_empty() && visible && padding.iter().all(|byte| *byte == 0)
    }
}

/// What is to be done, by whom, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which rollout it is.
    pub id: RolloutId,
    /// The images, one for each kind of board that takes part: 1 to 3.
    pub images: Vec<Image, { Self::IMAGES }, u8>,
    /// Who tries them first: 1 to 4.
    pub canaries: Vec<NodeId, { Self::CANARIES }, u8>,
    /// What share of all nodes, in percent, is to be updated when each wave is over: 1 to 4 numbers, each
    /// above the one before, the last 100.
    pub waves: Vec<u8, { Self::WAVES }, u8>,
    /// So many seconds must all be well with those who came before, until the next wave restarts.
    pub gate: u16,
    /// With so many failed members the rollout is halted: 1 or more.
    pub max_failures: u8,
    /// So many hours after it was heard of first it ends by itself: 1 to [`MAX_EXPIRY`](Self::MAX_EXPIRY).
    pub expiry: u16,
    /// Whether a node takes part that was away when it began.
    pub catches_up: bool,
}

/// The bytes are no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPlan;

impl fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these bytes are no plan of a rollout")
    }
}

impl core::error::Error for InvalidPlan {}

const FORMAT: u8 = 1;
const CATCHES_UP: u8 = 1;

impl Plan {
    /// The most images.
    pub const IMAGES: usize = 3;
    /// The most canaries.
    pub const CANARIES: usize = 4;
    /// The most waves.
    pub const WAVES: usize = 4;
    /// The longest time that a rollout may take, in hours: six weeks.
    pub const MAX_EXPIRY: u16 = 1_008;

    /// The most bytes of a plan, without its signature.
    pub const MAX: usize =
        18 + Self::IMAGES * Image::LEN + Self::CANARIES * NodeId::LEN + Self::WAVES;

    /// Reads a plan from its first byte to its last.
    ///
    /// # Errors
    /// If it is of another format, is cut short or goes on, or says something that makes no sense.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidPlan> {
        let mut reader = Reader::new(bytes);
        let plan = Self::read(&mut reader).ok_or(InvalidPlan)?;
        (reader.is_empty() && plan.is_sound()).then_some(plan).ok_or(InvalidPlan)
    }

    // One frame of a board's stack for it and for what calls it.
    #[inline(always)]
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.u8().ok()? != FORMAT {
            return None;
        }
        let id = RolloutId { number: reader.u32().ok()?, random: reader.u32().ok()? };
        let flags = reader.u8().ok().filter(|flags| flags & !CATCHES_UP == 0)?;
        let max_failures = reader.u8().ok()?;
        let (gate, expiry) = (reader.u16().ok()?, reader.u16().ok()?);
        let images = list(reader, |reader| {
            let (board, sequence) = (reader.array().ok()?, reader.u32().ok()?);
            Some(Image { board, sequence, digest: reader.array().ok()? })
        })?;
        let canaries = list(reader, |reader| reader.array().ok().map(NodeId))?;
        let waves = list(reader, |reader| reader.u8().ok())?;
        let catches_up = flags & CATCHES_UP != 0;
        Some(Self { id, images, canaries, waves, gate, max_failures, expiry, catches_up })
    }

    /// Whether what it says makes sense.
    fn is_sound(&self) -> bool {
        let ascending = self.waves.windows(2).all(|pair| pair.first() < pair.last());
        let first = self.waves.first().is_some_and(|percent| *percent > 0);
        let once = |node: &NodeId| self.canaries.iter().filter(|it| *it == node).count() == 1;
        let alone =
            |image: &Image| self.images.iter().filter(|it| it.board == image.board).count() == 1;
        let counts = !self.images.is_empty() && !self.canaries.is_empty() && self.max_failures > 0;
        counts
            && first
            && ascending
            && self.waves.last() == Some(&100)
            && (1..=Self::MAX_EXPIRY).contains(&self.expiry)
            && self.canaries.iter().all(once)
            && self
                .images
                .iter()
                .all(|image| image.is_named() && image.sequence > 0 && alone(image))
    }

    /// Writes the plan into `buf`. Returns its length, or 0 if there is no room.
    pub fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.write(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(FORMAT)?;
        writer.put(&self.id.bytes())?;
        writer.u8(if self.catches_up { CATCHES_UP } else { 0 })?;
        writer.u8(self.max_failures)?;
        writer.u16(self.gate)?;
        writer.u16(self.expiry)?;
        writer.u8(self.images.len().try_into().map_err(|_| Full)?)?;
        for image in &self.images {
            writer.put(&image.board)?;
            writer.u32(image.sequence)?;
            writer.put(&image.digest)?;
        }
        writer.u8(self.canaries.len().try_into().map_err(|_| Full)?)?;
        for NodeId(canary) in &self.canaries {
            writer.put(canary)?;
        }
        writer.u8(self.waves.len().try_into().map_err(|_| Full)?)?;
        writer.put(&self.waves)
    }

    /// The image for `board`; `None` if such nodes take no part.
    pub fn image(&self, board: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.board() == board)
    }

    /// When it is `node`'s turn: 0 for a canary, else the number of its wave, from 1.
    pub fn wave(&self, node: NodeId) -> u8 {
        if self.canaries.contains(&node) {
            return 0;
        }
        // 100 times the share of all ranks that are below this one, of 2^32.
        let rank = u64::from(self.id.rank(node)).saturating_mul(100);
        let later = self.waves.iter().filter(|percent| rank >= u64::from(**percent) << 32).count();
        u8::try_from(later.saturating_add(1)).unwrap_or(u8::MAX)
    }
}

/// So many things as the next byte says, if the list has room for them.
fn list<T, const N: usize>(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T, N, u8>> {
    let mut list = Vec::new();
    let count: Range<u8> = 0..reader.u8().ok()?;
    for _ in count {
        list.push(read(reader)?).ok()?;
    }
    Some(list)
}

/// What stands before the plan in the text that the release key signs.
const DOMAIN: &[u8; 15] = b"SPORE rollout 1";

/// A plan, and the signature that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPlan {
    /// The plan.
    pub plan: Plan,
    /// The Ed25519 signature (RFC 8032) by the release key over [`message`](Plan::message).
    pub signature: [u8; Self::SIGNATURE],
}

impl Plan {
    /// Writes the text that is signed into `buf`: `SPORE rollout 1` and the bytes of the plan. Returns its
    /// length.
    pub fn message(&self, buf: &mut [u8; Self::MESSAGE]) -> usize {
        let mut writer = Writer::new(buf);
        // There is room for both.
        let _ = writer.put(DOMAIN).and_then(|()| self.write(&mut writer));
        writer.len()
    }

    /// The most bytes of the text that is signed.
    pub const MESSAGE: usize = DOMAIN.len() + Self::MAX;
}

impl SignedPlan {
    /// The bytes of a signature.
    pub const SIGNATURE: usize = 64;

    /// The most bytes of a plan with its signature behind it.
    pub const MAX: usize = Plan::MAX + Self::SIGNATURE;

    /// Reads a plan with its signature behind it. Whose signature it is, is not asked.
    ///
    /// # Errors
    /// As [`Plan::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidPlan> {
        let (plan, signature) = bytes.split_last_chunk().ok_or(InvalidPlan)?;
        Ok(Self { plan: Plan::decode(plan)?, signature: *signature })
    }

    /// Writes both into `buf`. Returns the length, or 0 if there is no room.
    pub fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.write(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.plan.write(writer)?;
        writer.put(&self.signature)
    }

    /// Whether the owner of `key` has signed the plan. For the body to call, where it has the stack and
    /// the time for it.
    // Not inlined, as `Succession::judge`.
    #[inline(never)]
    pub fn is_signed_by(&self, key: &ReleaseKey) -> bool {
        let mut message = [0; Plan::MESSAGE];
        let len = self.plan.message(&mut message);
        let message = message.get(..len).unwrap_or_default();
        key.has_signed(message, &self.signature)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
