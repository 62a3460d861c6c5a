//! How far a node is with a rollout, in the three bytes that its record tells of it.

use crate::wire::{Full, Malformed, Reader, Writer};

/// What became of a rollout on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It does nothing for it: it knows of none, or of one that has ended.
    Idle,
    /// It fetches its image, of which it has so many quarters: 0 to 3.
    Fetching(u8),
    /// It has the image whole, and waits for its turn.
    Ready,
    /// It restarts into the image, or runs it on trial.
    OnTrial,
    /// It runs the image, which is confirmed.
    Updated,
    /// It takes no part: there is no image for it, it runs a newer one, it cannot be updated, or it was away when the
    /// rollout began, which is not to catch up.
    Out,
    /// It has failed.
    Failed(Reason),
}

/// Why a node has failed: 0 to 15. Later versions may know more reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(u8);

impl Reason {
    /// The image was not confirmed, and the old one is back: it crashed, hung, or lost its power at each start.
    pub const NOT_STARTED: Self = Self(0);
    /// Likewise, as its network did not come up in time.
    pub const NO_NETWORK: Self = Self(1);
    /// Likewise, as no peer has acknowledged it in time.
    pub const NO_PEER: Self = Self(2);
    /// The node does not take the image: it is signed by somebody else, too large, or too old.
    pub const REFUSED: Self = Self(3);
    /// The flash does not hold what was written.
    pub const FLASH: Self = Self(4);

    /// The last one that there can be.
    pub const LAST: Self = Self(15);

    /// Whether the node has tried the image, and runs the old one again.
    pub const fn is_of_trial(self) -> bool {
        matches!(self, Self::NOT_STARTED | Self::NO_NETWORK | Self::NO_PEER)
    }

    /// The reason as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NOT_STARTED => "not_started",
            Self::NO_NETWORK => "no_network",
            Self::NO_PEER => "no_peer",
            Self::REFUSED => "refused",
            Self::FLASH => "flash",
            _ => "unknown",
        }
    }
}

impl State {
    /// The state as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Fetching(_) => "fetching",
            Self::Ready => "ready",
            Self::OnTrial => "on_trial",
            Self::Updated => "updated",
            Self::Out => "out",
            Self::Failed(reason) if reason.is_of_trial() => "rolled_back",
            Self::Failed(_) => "failed",
        }
    }
}

/// A [`State`], and the [tag](super::plan::RolloutId::tag) of the rollout that it is about; 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpdateState([u8; Self::LEN]);

const FETCHING: u8 = 1;
const LAST_QUARTER: u8 = FETCHING + 3;
const READY: u8 = 5;
const ON_TRIAL: u8 = 6;
const UPDATED: u8 = 7;
const OUT: u8 = 8;
const FAILED: u8 = 16;
const LAST_FAILURE: u8 = FAILED + Reason::LAST.0;

impl UpdateState {
    /// The bytes that it takes.
    pub const LEN: usize = 3;

    /// A node that knows of no rollout.
    pub const NONE: Self = Self([0; Self::LEN]);

    /// `state` of the rollout with this tag.
    pub fn new(state: State, tag: u16) -> Self {
        let code = match state {
            State::Idle => 0,
            State::Fetching(quarters) => quarters.min(3).saturating_add(FETCHING),
            State::Ready => READY,
            State::OnTrial => ON_TRIAL,
            State::Updated => UPDATED,
            State::Out => OUT,
            State::Failed(Reason(reason)) => reason.saturating_add(FAILED),
        };
        let [high, low] = tag.to_be_bytes();
        Self([code, high, low])
    }

    /// The state.
    pub fn state(self) -> State {
        let [code, ..] = self.0;
        match code {
            FETCHING..=LAST_QUARTER => State::Fetching(code.saturating_sub(FETCHING)),
            READY => State::Ready,
            ON_TRIAL => State::OnTrial,
            UPDATED => State::Updated,
            OUT => State::Out,
            FAILED..=LAST_FAILURE => State::Failed(Reason(code.saturating_sub(FAILED))),
            _ => State::Idle,
        }
    }

    /// The tag.
    pub const fn tag(self) -> u16 {
        let [_, high, low] = self.0;
        u16::from_be_bytes([high, low])
    }

    /// The state, if it is about the rollout with this tag.
    pub fn of(self, tag: u16) -> Option<State> {
        (self.tag() == tag).then(|| self.state())
    }

    /// Reads one.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let [code, high, low] = reader.array()?;
        match code {
            0..=OUT | FAILED..=LAST_FAILURE => Ok(Self([code, high, low])),
            _ => Err(Malformed::Update),
        }
    }

    /// Appends it.
    pub(crate) fn emit(self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(&self.0)
    }
}

impl core::fmt::Debug for UpdateState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} of {:04x}", self.state(), self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reader, Reason, State, UpdateState, Writer};
    use std::vec::Vec;

    #[test]
    fn each_state_is_read_back_and_other_codes_are_none() {
        let fetching = (0..=3).map(State::Fetching);
        let failed = (0..=15).map(|reason| State::Failed(Reason(reason)));
        let others = [State::Idle, State::Ready, State::OnTrial, State::Updated, State::Out];
        let states: Vec<State> = fetching.chain(failed).chain(others).collect();
        let mut known = Vec::new();
        for state in &states {
            let told = UpdateState::new(*state, 0x1234);
            assert_eq!((told.state(), told.tag()), (*state, 0x1234));
            assert_eq!((told.of(0x1234), told.of(0x1235)), (Some(*state), None));
            let mut bytes = [0; 3];
            told.emit(&mut Writer::new(&mut bytes)).unwrap();
            assert_eq!(UpdateState::parse(&mut Reader::new(&bytes)), Ok(told));
            known.push(bytes[0]);
        }
        for code in 0..=u8::MAX {
            let read = UpdateState::parse(&mut Reader::new(&[code, 0, 0]));
            assert_eq!(read.is_ok(), known.contains(&code), "{code}");
            assert!(read.is_ok() || read == Err(Malformed::Update));
        }
        assert_eq!(states.len(), known.len());
    }
}
