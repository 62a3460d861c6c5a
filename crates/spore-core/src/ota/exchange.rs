//! Images between nodes: who asks whom for which pieces, and who sends them to whom.
//!
//! A node that fetches says which pieces it lacks, all at once ([`Kind::Want`](crate::wire::Kind::Want)), to one that has the
//! image. That one sends them ([`Kind::Piece`](crate::wire::Kind::Piece)) one after the other with a pause after each: to the one that wants them, or by broadcast
//! as soon as there are several. So a fleet costs the air little more than one node does, however large it is, though half of all
//! broadcasts get lost: whatever a node lacks when the sender comes to an end, it asks for once more.
//! Each piece says how many are still to come, so that the nodes know when that is. (Deluge does likewise: Hui and Culler, "The Dynamic
//! Behavior of a Data Dissemination Protocol for Network Programming at Scale", SenSys 2004.)
//!
//! One page is in memory at a time. A piece that comes while it is not free is lost, as others are on the air; and a sender
//! that has something else to do sends later. What is written is judged by the body, chunk by chunk, against what was signed: see
//! [`Job`] and `docs/image.md`, which also says how an image is cut.

use super::Refused;
use super::bits::Bits;
use crate::random;
use crate::time::{Duration, Instant};
use core::net::SocketAddrV4;
use core::ops::Range;

/// Which image: the first bytes of the SHA-256 of its head.
pub type ImageId = [u8; 16];

/// Bytes of a piece at most: a page of flash.
pub const PIECE: usize = 256;

/// Pages of a chunk: a sector of flash.
const PAGES: u16 = 16;

/// The pieces that have the head.
const HEAD: Cut = Cut { manifest: 2, count: 2 };

/// Nothing was heard of a sender for so long: it has ended, or nothing of it arrives.
const QUIET: Duration = Duration::from_millis(200);

/// How much later than it could a sender ends, because it has other things to do.
const SLACK: Duration = Duration::from_millis(30);

/// Questions to one node are spread over so much time for each member…
const SPREAD: Duration = Duration::from_millis(2);
/// …up to this much.
const SPREAD_MAX: Duration = Duration::from_millis(150);

/// A sender waits so long for others that want something, too.
const GATHER: Duration = Duration::from_millis(20);

/// A sender that hears another one is silent for so many of its pauses, so that one sends at a time…
const YIELD: u64 = 10;
/// …and up to so many more, so that one of them is the next.
const YIELD_SPREAD: u64 = 50;

/// So often the flash may fail during a fetch.
const FAULTS: u8 = 20;

/// How an image is cut into pieces: first the pages of the manifest, then those of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Pieces of the manifest.
    pub manifest: u16,
    /// All pieces.
    pub count: u16,
}

impl Cut {
    /// The chunk that a piece of the payload belongs to.
    pub fn chunk(self, piece: u16) -> Option<u16> {
        // The header is the first page of the first chunk, and no piece.
        let page = piece.checked_sub(self.manifest).filter(|_| piece < self.count)?;
        Some(page.saturating_add(1) / PAGES)
    }

    /// The pieces of a chunk; none behind the last one.
    pub fn pieces(self, chunk: u16) -> Range<u16> {
        let page = chunk.saturating_mul(PAGES);
        let piece = |page: u16| self.manifest.saturating_add(page.saturating_sub(1));
        let end = piece(page.saturating_add(PAGES)).min(self.count);
        piece(page).min(end)..end
    }
}

/// What the body is to do with its slots for the exchange of images. It reports the end with [`Completion::Exchange`](crate::Completion::Exchange).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// See what there is of this image in the slot that does not run, and make that ready.
    Prepare(ImageId),
    /// Write [`Node::piece`](crate::Node::piece) there.
    Write,
    /// See whether this chunk is whole there, and make room for it if it is not.
    Check(u16),
    /// See which slot has this image, with its manifest.
    Offer(ImageId),
    /// Read this piece, and hand it in with [`Node::handle_piece`](crate::Node::handle_piece).
    Read {
        /// Its number.
        piece: u16,
        /// Out of the slot that does not run.
        held: bool,
    },
}

impl Job {
    /// How it ends in a body that cannot do it.
    pub const fn failed(self) -> Done {
        match self {
            Self::Prepare(_) => Done::Prepared(Err(Refused::Flash)),
            Self::Write => Done::Written(false),
            Self::Check(_) => Done::Checked(None),
            Self::Offer(_) => Done::Offered(None),
            Self::Read { .. } => Done::Read(false),
        }
    }
}

/// How a [`Job`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// What there is of the manifest, or why the image will never do.
    Prepared(Result<Found, Refused>),
    /// Whether the piece is written. There may be no such piece.
    Written(bool),
    /// Whether the chunk is whole; no answer if the flash failed.
    Checked(Option<bool>),
    /// How the image is cut, and whether it is in the slot that does not run; no answer if it is nowhere.
    Offered(Option<(Cut, bool)>),
    /// Whether the piece was read.
    Read(bool),
}

/// What there is of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The pieces that have the head, which is the one that is meant.
    Head(Cut),
    /// All of it.
    Manifest(Cut),
}

/// What has become of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The image is complete, and verified chunk by chunk.
    Whole,
    /// It will never do, or the flash fails.
    Refused(Refused),
}

/// A piece in memory.
#[derive(Debug)]
pub(crate) struct Page {
    number: u16,
    length: u16,
    bytes: [u8; PIECE],
}

impl Page {
    pub(crate) const NEW: Self = Self { number: 0, length: 0, bytes: [0; PIECE] };

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }

    fn put(&mut self, number: u16, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        (self.number, self.length) = (number, u16::try_from(bytes.len()).unwrap_or(0));
        !bytes.is_empty()
    }

    /// A page without bytes is free.
    const fn is_free(&self) -> bool {
        self.length == 0
    }

    const fn free(&mut self) {
        self.length = 0;
    }
}

/// A message that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter<'a> {
    /// "These pieces I lack", from `first` on, a bit each.
    Want { to: SocketAddrV4, image: u32, first: u16, missing: &'a [u8] },
    /// A piece, to one node or to all, and how many are still to come.
    Piece { to: Option<SocketAddrV4>, image: u32, number: u16, left: u16, bytes: &'a [u8] },
}

/// The exchange of images at one node, which fetches one, or gives one on.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    /// The pieces that are to come: those that this node lacks, or those that others want of it.
    bits: Bits<'a>,
    page: &'a mut Page,
    /// A sender's pause after a piece.
    pause: Duration,
    image: ImageId,
    role: Role,
    /// The body is at work.
    busy: bool,
    /// What it works at is not wanted any more.
    stale: bool,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Idle,
    Fetching(Fetching),
    Serving(Serving),
}

#[derive(Clone, Copy, Debug)]
struct Fetching {
    step: Step,
    cut: Cut,
    /// Pieces from this one on are not wanted yet.
    end: u16,
    /// When to ask, and whether somebody was asked for what is missing now.
    ask: Instant,
    asked: bool,
    /// Who has sent the last piece, or was asked last, and how often that one was asked in vain.
    source: Option<SocketAddrV4>,
    silence: u8,
    /// Who has sent what was wrong. Nothing is taken from it for a while.
    doubted: Option<SocketAddrV4>,
    faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Prepare,
    /// Look at all chunks, from this one on.
    Survey(u16),
    /// Get what is missing.
    Get,
    /// This chunk has all its pieces.
    Check(u16),
}

#[derive(Clone, Copy, Debug)]
struct Serving {
    /// How the image is cut, and whether it is in the slot that does not run; `None` until the body has found it.
    found: Option<(Cut, bool)>,
    wants: Wants,
    /// When the next piece may be sent.
    next: Instant,
    /// Where the next one is looked for.
    cursor: u16,
}

/// Who wants the pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Nobody,
    One(SocketAddrV4),
    Several,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(bits: Bits<'a>, page: &'a mut Page, pause: Duration) -> Self {
        page.free();
        Self {
            bits,
            page,
            pause,
            image: ImageId::default(),
            role: Role::Idle,
            busy: false,
            stale: false,
        }
    }

    /// Fetches `image` from now on, unless that is under way or done.
    pub(crate) fn fetch(&mut self, now: Instant, image: ImageId) {
        if self.image == image && !matches!(self.role, Role::Idle) {
            return;
        }
        let (step, cut) = (Step::Prepare, HEAD);
        let fetching = Fetching {
            step,
            cut,
            end: 0,
            ask: now,
            asked: false,
            source: None,
            silence: 0,
            doubted: None,
            faults: 0,
        };
        self.begin(image, Role::Fetching(fetching));
    }

    /// Gives `image` on from now on, which is in one of the slots.
    pub(crate) fn serve(&mut self, now: Instant, image: ImageId) {
        if self.image == image && matches!(self.role, Role::Serving(_)) {
            return;
        }
        self.begin(image, Role::Serving(Serving::new(now, None)));
    }

    /// Neither fetches nor gives on.
    pub(crate) fn stop(&mut self) {
        self.begin(ImageId::default(), Role::Idle);
    }

    fn begin(&mut self, image: ImageId, role: Role) {
        self.bits.clear_all();
        self.page.free();
        (self.image, self.role, self.stale) = (image, role, self.busy);
    }

    /// How much of the image is still to come, of how much; `None` while it is not fetched, or that is not known.
    pub(crate) fn progress(&self) -> Option<(u16, u16)> {
        match &self.role {
            Role::Fetching(Fetching { cut, .. }) if *cut != HEAD => {
                Some((self.bits.ones(), cut.count))
            }
            _ => None,
        }
    }

    /// Whether `image` is given on here.
    pub(crate) fn has(&self, image: ImageId) -> bool {
        let found = matches!(&self.role, Role::Serving(Serving { found: Some(_), .. }));
        found && self.image == image
    }

    /// The piece that is to be written.
    pub(crate) fn piece(&self) -> (u16, &[u8]) {
        (self.page.number, self.page.bytes())
    }

    /// The piece that was to be read.
    pub(crate) fn handle_read(&mut self, number: u16, bytes: &[u8]) {
        if matches!(self.role, Role::Serving(_)) && !self.stale {
            self.page.put(number, bytes);
        }
    }

    /// What the body is to do next.
    pub(crate) fn poll_job(&mut self, now: Instant) -> Option<Job> {
        if self.busy {
            return None;
        }
        let job = match &self.role {
            Role::Idle => None,
            Role::Fetching(Fetching { step, .. }) => match step {
                Step::Prepare => Some(Job::Prepare(self.image)),
                Step::Survey(chunk) | Step::Check(chunk) => Some(Job::Check(*chunk)),
                Step::Get => (!self.page.is_free()).then_some(Job::Write),
            },
            Role::Serving(Serving { found: None, .. }) => Some(Job::Offer(self.image)),
            Role::Serving(Serving { found: Some((cut, held)), next, cursor, .. }) => {
                let due = self.page.is_free() && now >= *next;
                // Whoever lacks the manifest can do nothing with all the rest.
                let first = self.bits.next(0).filter(|piece| *piece < cut.manifest);
                let piece = first.or_else(|| self.bits.next(*cursor)).filter(|_| due);
                piece.map(|piece| Job::Read { piece, held: *held })
            }
        };
        self.busy = job.is_some();
        job
    }

    /// The body has ended a job. What has become of the fetch, if that is decided.
    pub(crate) fn done(&mut self, now: Instant, done: Done) -> Option<Fetched> {
        self.busy = false;
        if core::mem::take(&mut self.stale) {
            return None;
        }
        match (&mut self.role, done) {
            (Role::Fetching(fetching), done) => {
                let ended = fetching.done(now, done, &mut self.bits, self.page);
                match ended {
                    None => (),
                    Some(Fetched::Whole) => {
                        let cut = fetching.cut;
                        self.begin(self.image, Role::Serving(Serving::new(now, Some((cut, true)))));
                    }
                    Some(Fetched::Refused(_)) => self.stop(),
                }
                return ended;
            }
            (Role::Serving(_), Done::Offered(None)) => self.stop(),
            (Role::Serving(serving), Done::Offered(found)) => serving.found = found,
            (Role::Serving(serving), Done::Read(false)) => {
                // The flash has failed, or what is wanted is none: later, perhaps.
                self.page.free();
                self.bits.clear_all();
                serving.wants = Wants::Nobody;
            }
            // Of what is not wanted any more.
            _ => (),
        }
        None
    }

    /// Somebody lacks pieces.
    pub(crate) fn handle_want(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        (image, first): (u32, u16),
        missing: &[u8],
    ) {
        let meant = self.tag() == image;
        let Role::Serving(serving) = &mut self.role else { return };
        let Some((cut, _)) = serving.found.filter(|_| meant) else { return };
        self.bits.merge(first, missing, cut.count);
        serving.wants = match serving.wants {
            Wants::Nobody => {
                serving.next = serving.next.max(now + GATHER);
                Wants::One(from)
            }
            Wants::One(one) if one == from => Wants::One(one),
            _ => Wants::Several,
        };
    }

    /// A piece has come.
    pub(crate) fn handle_piece(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        (image, number, left): (u32, u16, u16),
        bytes: &[u8],
        (rng, members): (&mut fastrand::Rng, usize),
    ) {
        if self.tag() != image {
            return;
        }
        match &mut self.role {
            Role::Idle => (),
            Role::Serving(serving) => {
                // Whoever wants it of this node, too, has just heard it; and the air is the other one's.
                self.bits.clear(number);
                let more = random::up_to(rng, self.pause.times(YIELD_SPREAD).as_micros());
                let next = now + self.pause.times(YIELD) + Duration::from_micros(more);
                serving.next = serving.next.max(next);
            }
            Role::Fetching(fetching) if fetching.doubted == Some(from) => (),
            Role::Fetching(fetching) => {
                // Without the manifest, it is of no use that others get their payload.
                if fetching.asked && number < fetching.end {
                    let rest = self.pause.times(left.into()) + SLACK;
                    fetching.ask = now + rest.min(QUIET) + spread(rng, members);
                }
                (fetching.source, fetching.silence) = (Some(from), 0);
                // Without the first one nobody knows how long the second one must be.
                let early = fetching.cut == HEAD && number > 0 && self.bits.has(0);
                let ready = matches!(fetching.step, Step::Get | Step::Check(_));
                let get = ready && self.page.is_free();
                if get && self.bits.has(number) && !early {
                    self.page.put(number, bytes);
                }
            }
        }
    }

    /// Whether [`poll_letter`](Self::poll_letter) has something to do.
    pub(crate) fn has_letter(&self, now: Instant) -> bool {
        match &self.role {
            Role::Idle => false,
            Role::Fetching(fetching) => fetching.is_asking() && now >= fetching.ask,
            Role::Serving(_) => !self.page.is_free() && !self.busy,
        }
    }

    /// The next message to be sent. `holder` is one of the members that may have the image, among so many that are there.
    pub(crate) fn poll_letter(
        &mut self,
        now: Instant,
        rng: &mut fastrand::Rng,
        members: usize,
        holder: impl FnOnce(&mut fastrand::Rng) -> Option<SocketAddrV4>,
    ) -> Option<Letter<'_>> {
        let image = self.tag();
        match &mut self.role {
            Role::Fetching(fetching) if fetching.is_asking() && now >= fetching.ask => {
                // Others are asked only if it was not heard of twice: each one that sends takes its share of the air.
                let source = fetching.source.filter(|_| fetching.silence < 2);
                fetching.silence =
                    if source.is_some() { fetching.silence.saturating_add(1) } else { 0 };
                if fetching.source.is_some() && source.is_none() {
                    // There may be no other one than the one that is not believed.
                    fetching.doubted = None;
                }
                fetching.source = source.or_else(|| holder(rng));
                let to = fetching.source;
                fetching.ask = now + QUIET + spread(rng, members);
                fetching.asked = true;
                let (first, missing) = self.bits.window();
                to.map(|to| Letter::Want { to, image, first, missing })
            }
            Role::Serving(serving) if !self.page.is_free() && !self.busy => {
                let number = self.page.number;
                self.bits.clear(number);
                let to = match serving.wants {
                    Wants::One(to) => Some(to),
                    _ => None,
                };
                serving.cursor = number.wrapping_add(1);
                // The time that it took to read it counts.
                let pause = self.pause.times(if to.is_some() { 2 } else { 1 });
                serving.next = (serving.next + pause).max(now);
                let left = self.bits.ones();
                if left == 0 {
                    serving.wants = Wants::Nobody;
                }
                let length = core::mem::take(&mut self.page.length);
                let bytes = self.page.bytes.get(..length.into()).unwrap_or_default();
                Some(Letter::Piece { to, image, number, left, bytes })
            }
            _ => None,
        }
    }

    /// When something is due next, if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.role {
            Role::Fetching(fetching) if fetching.is_asking() => Some(fetching.ask),
            Role::Serving(serving) if self.bits.ones() > 0 && !self.busy => Some(serving.next),
            _ => None,
        }
    }

    /// How the image is called in messages.
    fn tag(&self) -> u32 {
        let [a, b, c, d, ..] = self.image;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl Fetching {
    const fn is_asking(&self) -> bool {
        matches!(self.step, Step::Get)
    }

    fn done(
        &mut self,
        now: Instant,
        done: Done,
        bits: &mut Bits<'_>,
        page: &mut Page,
    ) -> Option<Fetched> {
        match done {
            Done::Prepared(Err(refused)) => return Some(Fetched::Refused(refused)),
            Done::Prepared(Ok(found)) => return self.prepared(now, found, bits),
            Done::Written(written) => {
                let number = page.number;
                page.free();
                if written {
                    bits.clear(number);
                }
                match self.cut.chunk(number) {
                    Some(chunk) if bits.is_clear(self.cut.pieces(chunk)) => {
                        self.step = Step::Check(chunk);
                    }
                    None if bits.ones() == 0 => self.step = Step::Prepare,
                    _ => (),
                }
                return self.failed(!written);
            }
            Done::Checked(whole) => {
                let (Step::Check(chunk) | Step::Survey(chunk)) = self.step else { return None };
                // What could not be checked is fetched again.
                bits.put(self.cut.pieces(chunk), whole != Some(true));
                if whole == Some(false) && matches!(self.step, Step::Check(_)) {
                    // Somebody has sent what is wrong: the one that was heard last, or so it seems.
                    self.doubted = self.source.take();
                }
                let next = chunk.saturating_add(1);
                let surveyed = self.cut.pieces(next).is_empty();
                self.step = match self.step {
                    Step::Survey(_) if !surveyed => Step::Survey(next),
                    _ => Step::Get,
                };
                if self.step == Step::Get && bits.ones() == 0 {
                    return Some(Fetched::Whole);
                }
                return self.failed(whole.is_none());
            }
            Done::Offered(_) | Done::Read(_) => (),
        }
        None
    }

    fn prepared(&mut self, now: Instant, found: Found, bits: &mut Bits<'_>) -> Option<Fetched> {
        if found == Found::Nothing && self.end > 0 {
            // Likewise, of the manifest.
            self.doubted = self.source.take();
        }
        let (cut, missing, step) = match found {
            Found::Nothing => (HEAD, 0..HEAD.count, Step::Get),
            Found::Head(cut) => (cut, HEAD.count..cut.manifest, Step::Get),
            Found::Manifest(cut) => (cut, cut.manifest..cut.count, Step::Survey(0)),
        };
        if usize::from(cut.count) > bits.len() {
            return Some(Fetched::Refused(Refused::TooLarge));
        }
        bits.clear_all();
        self.end = missing.end;
        bits.put(missing, true);
        (self.cut, self.step, self.ask, self.asked) = (cut, step, now, false);
        None
    }

    /// A flash that always fails must not be worn out.
    fn failed(&mut self, failed: bool) -> Option<Fetched> {
        self.faults = self.faults.saturating_add(failed.into());
        (self.faults > FAULTS).then_some(Fetched::Refused(Refused::Flash))
    }
}

impl Serving {
    const fn new(now: Instant, found: Option<(Cut, bool)>) -> Self {
        Self { found, wants: Wants::Nobody, next: now, cursor: 0 }
    }
}

/// A random time, so that not all ask at once.
fn spread(rng: &mut fastrand::Rng, members: usize) -> Duration {
    let members = u64::try_from(members).unwrap_or(u64::MAX);
    let most = SPREAD.times(members).min(SPREAD_MAX);
    Duration::from_micros(random::up_to(rng, most.as_micros()))
}

#[cfg(test)]
mod tests;
