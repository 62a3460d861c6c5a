//! What goes in and out of a node's verbs.

use crate::network::{RadioCommand, Reason};
use crate::ota::announcement::Ended;
use crate::ota::{Done, Job, Outcome, Step, StepFailed};
use crate::security::{Subject, Verdict};
use crate::services::{Fetch, FetchFailed};
use crate::store::Key;
use crate::tasks::TaskSpec;
use crate::wire::{NodeId, U24};
#[cfg(doc)]
use crate::{Config, Node};
use core::net::SocketAddrV4;

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// To one node.
    Unicast(SocketAddrV4),
    /// To all nodes on the network, at [`Config::port`].
    Broadcast,
}

/// A datagram that was written into the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub destination: Destination,
    /// Its length in bytes, at most [`MAX_DATAGRAM`](crate::wire::MAX_DATAGRAM).
    pub len: usize,
}

/// What the shell must do. It reports the end of it with [`Node::handle_completion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Remember over restarts the [`value`](Node::value) of this key, in place of any earlier one.
    /// A body without such memory reports success at once. That of [`Key::Crash`] is what the body has
    /// brought as [`Stored::crashed`](crate::Stored::crashed).
    ///
    /// Until [`Key::Identity`] is stored, the node sends nothing; a body that does not keep it is
    /// given a new id at each start.
    Store(Key),
    /// Fetch the status of a member: `GET /api/node/status` at its address, over HTTP. Hand in the
    /// body of an answer with status 200 with [`Node::handle_fetched`], piece by piece, and report the end
    /// within a bounded time. The next one comes only after that.
    Fetch(Fetch),
    /// Judge [`Node::question`] about this, as [`Question::judge`](crate::security::Question::judge) does.
    Verify(Subject),
    /// Have the radio do this. There is no completion; what the radio does is reported with
    /// [`Node::handle_radio`]. A node without a radio is never asked.
    Radio(RadioCommand),
    /// Run the task at this place of [`Node::tasks`]; [`Node::task_run`] says which run it is. Report
    /// its end. The next run of the same task comes only after that; another task may be asked for
    /// meanwhile, which may wait until this one is over.
    RunTask(u8),
    /// Do this with the slots of images. A body without slots is never asked.
    Update(Step),
    /// Do this with the slots of images, for the exchange of one. Only a body with slots is asked; the next one comes only after that.
    Exchange(Job),
    /// Restart the node: whatever answers were given had time to leave. It never ends.
    Restart,
}

/// How an [`Action`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The value of a key was stored, or was not. A failed attempt to store an identity is repeated
    /// after a second; after a failed change of the settings, those in force are stored once more,
    /// until that succeeds.
    Store(Key, Result<(), StoreFailed>),
    /// A status was fetched to its end, or was not.
    Fetch(Result<(), FetchFailed>),
    /// What was asked about was judged.
    Verify(Subject, Verdict),
    /// A job of the exchange of images has ended.
    Exchange(Done),
    /// The run of a task has ended, however it went.
    Ran(u8),
    /// A step was done with the slots, or was not. A failed one is asked for again.
    Update(Step, Result<(), StepFailed>),
}

/// The body's memory did not take the value, or is not sure of it: at the next start the old value
/// is there, or the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFailed;

/// Something that has happened: a system event. As many wait to be fetched as the log holds; the
/// oldest makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A member was heard of for the first time.
    MemberJoined(NodeId),
    /// A member did not answer, here or elsewhere.
    MemberSuspected(NodeId),
    /// A member that was suspected or dead is active again.
    MemberReturned(NodeId),
    /// A member did not refute its suspicion.
    MemberDied(NodeId),
    /// A member said that it goes.
    MemberLeft(NodeId),
    /// A dead member is no longer listed.
    MemberForgotten(NodeId),
    /// The settings were changed, and the change is durable.
    SettingsChanged,
    /// A restart was asked for.
    RestartAsked,
    /// The node has started in safe mode.
    SafeMode,
    /// So many requests were refused for their credentials since the last such event.
    RequestsRefused(u32),
    /// The station has an address.
    NetworkConnected,
    /// The station has no address any more.
    NetworkDisconnected(Reason),
    /// The access point is open.
    AccessPointOpened,
    /// The access point is closed.
    AccessPointClosed,
    /// Credentials that were on trial are kept.
    CredentialsKept,
    /// Credentials that were on trial have failed; those from before are back.
    CredentialsReturned,
    /// Events that were published for the cluster do not come any more, or came too late to be
    /// delivered in order.
    EventsMissed {
        /// Who published them.
        publisher: NodeId,
        /// In which of its boots.
        epoch: U24,
        /// The number of the first one in that boot.
        from: U24,
        /// The number of the last one.
        to: U24,
    },
    /// An image has begun to come in.
    UpdateStarted,
    /// So many hundredths of it are there. Told of at each quarter.
    UpdateProgress(u8),
    /// It was not taken, or did not come to its end.
    UpdateRefused,
    /// It was installed, and verified in flash: the number is that of the image.
    UpdateInstalled(u32),
    /// An update has ended: its image was confirmed, or it was rolled back.
    UpdateEnded(Outcome),
    /// A rollout has begun, or has ended: its number.
    Rollout(u32, Ended),
    /// A run of a task took longer than the task's interval. At most one in ten seconds is told of.
    TaskOverrun {
        /// Which task.
        task: &'static TaskSpec,
        /// How long it took, in microseconds.
        micros: u32,
    },
}

impl Event {
    /// The topic that the event is published under, on this node alone. `docs/events.md` lists them.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::MemberJoined(_) => "cluster/member/joined",
            Self::MemberSuspected(_) => "cluster/member/suspected",
            Self::MemberReturned(_) => "cluster/member/returned",
            Self::MemberDied(_) => "cluster/member/died",
            Self::MemberLeft(_) => "cluster/member/left",
            Self::MemberForgotten(_) => "cluster/member/forgotten",
            Self::SettingsChanged => "node/settings/changed",
            Self::RestartAsked => "node/restart/asked",
            Self::SafeMode => "node/safe-mode",
            Self::RequestsRefused(_) => "node/requests/refused",
            Self::NetworkConnected => "network/connected",
            Self::NetworkDisconnected(_) => "network/disconnected",
            Self::AccessPointOpened => "network/access-point/opened",
            Self::AccessPointClosed => "network/access-point/closed",
            Self::CredentialsKept => "network/credentials/kept",
            Self::CredentialsReturned => "network/credentials/returned",
            Self::EventsMissed { .. } => "events/missed",
            Self::UpdateStarted => "ota/started",
            Self::UpdateProgress(_) => "ota/progress",
            Self::UpdateRefused => "ota/refused",
            Self::UpdateInstalled(_) => "ota/installed",
            Self::UpdateEnded(Outcome { failure: None, .. }) => "ota/confirmed",
            Self::UpdateEnded(Outcome { failure: Some(_), .. }) => "ota/rolled-back",
            Self::Rollout(_, Ended::No) => "ota/rollout/begun",
            Self::Rollout(_, Ended::Expired) => "ota/rollout/expired",
            Self::Rollout(_, Ended::Halted) => "ota/rollout/halted",
            Self::TaskOverrun { .. } => "tasks/overrun",
        }
    }

    /// The member that it is about.
    pub const fn member(self) -> Option<NodeId> {
        match self {
            Self::MemberJoined(id)
            | Self::MemberSuspected(id)
            | Self::MemberReturned(id)
            | Self::MemberDied(id)
            | Self::MemberLeft(id)
            | Self::MemberForgotten(id)
            | Self::EventsMissed { publisher: id, .. } => Some(id),
            _ => None,
        }
    }

    /// How many happenings it stands for.
    pub const fn count(self) -> u32 {
        match self {
            Self::RequestsRefused(count) => count,
            Self::EventsMissed { from, to, .. } => {
                to.get().saturating_sub(from.get()).saturating_add(1)
            }
            _ => 1,
        }
    }
}

/// What the shell measures of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Free memory in bytes.
    pub free_memory: u64,
}

/// Datagrams since the node started, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Handed out by [`Node::poll_transmit`].
    pub sent: u32,
    /// Taken in and believed.
    pub accepted: u32,
    /// Not sealed with the cluster's key, of another version, or altered; all of them at a node
    /// without a key.
    pub unauthentic: u32,
    /// Sealed, but not understood.
    pub malformed: u32,
    /// Received before, or too late to tell.
    pub replayed: u32,
    /// From a sender that had not yet proved to be fresh.
    pub unverified: u32,
    /// Not sent, because the outgoing queue was full.
    pub overflowed: u32,
}
