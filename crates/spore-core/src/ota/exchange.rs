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

mod fetching;
mod job;

use super::bits::Bits;
use crate::random;
use crate::time::{Duration, Instant};
use core::net::SocketAddrV4;
use fetching::{Fetching, HEAD, Step};

pub(crate) use fetching::Fetched;
pub use job::{Cut, Done, Found, ImageId, Job, PIECE};

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
        self.begin(image, Role::Fetching(Fetching::new(now)));
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

    /// Whether the slot that does not run is being written, or may be: a job that is not wanted any more may still be under way.
    pub(crate) const fn needs_slot(&self) -> bool {
        self.stale || matches!(self.role, Role::Fetching(_))
    }

    /// The image that is fetched or given on.
    pub(crate) const fn image(&self) -> ImageId {
        self.image
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
                let first = || self.bits.next(0).filter(|piece| *piece < cut.manifest);
                let piece = || first().or_else(|| self.bits.next(*cursor));
                due.then(piece).flatten().map(|piece| Job::Read { piece, held: *held })
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
