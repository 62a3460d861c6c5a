//! The part of a node that fetches an image: which step is next, and what is missing.

use super::job::{Cut, Done, Found};
use super::{Bits, Page};
use crate::ota::Refused;
use crate::time::Instant;
use core::net::SocketAddrV4;

/// The pieces that have the head.
pub(super) const HEAD: Cut = Cut { manifest: 2, count: 2 };

/// So often the flash may fail during a fetch.
const FAULTS: u8 = 20;

/// What has become of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The image is complete, and verified chunk by chunk.
    Whole,
    /// It will never do, or the flash fails.
    Refused(Refused),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fetching {
    pub(super) step: Step,
    pub(super) cut: Cut,
    /// Pieces from this one on are not wanted yet.
    pub(super) end: u16,
    /// When to ask, and whether somebody was asked for what is missing now.
    pub(super) ask: Instant,
    pub(super) asked: bool,
    /// Who has sent the last piece, or was asked last, and how often that one was asked in vain.
    pub(super) source: Option<SocketAddrV4>,
    pub(super) silence: u8,
    /// Who has sent what was wrong. Nothing is taken from it for a while.
    pub(super) doubted: Option<SocketAddrV4>,
    faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Prepare,
    /// Look at all chunks, from this one on.
    Survey(u16),
    /// Get what is missing.
    Get,
    /// This chunk has all its pieces.
    Check(u16),
}

impl Fetching {
    /// A fetch that begins.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            step: Step::Prepare,
            cut: HEAD,
            end: 0,
            ask: now,
            asked: false,
            source: None,
            silence: 0,
            doubted: None,
            faults: 0,
        }
    }

    pub(super) const fn is_asking(&self) -> bool {
        matches!(self.step, Step::Get)
    }

    pub(super) fn done(
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
