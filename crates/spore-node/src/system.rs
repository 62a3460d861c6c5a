//! What the body provides besides sockets and time.

use crate::ServiceReply;
use spore_core::api::ServiceRequest;
use spore_core::network::RadioCommand;
use spore_core::node::StoreFailed;
use spore_core::ota::{Cut, Found, ImageId, PIECE, Refused, Step, StepFailed, Wanted};
use spore_core::security::{Succession, Verdict};
#[cfg(doc)]
use spore_core::sprockets::State;
use spore_core::tasks::TaskRun;
use spore_core::{Event, Facts, Hostname, Key, Node, Resources, Seed};

/// A sprocket of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its place among all, the first being at 0.
    pub place: usize,
    /// Its name.
    pub name: &'static str,
}

/// The body of a node, as far as the engine depends on it.
///
/// Everything is called on the shell's one thread, between two awaits, and must return soon.
#[allow(async_fn_in_trait, reason = "the shell runs on one thread and needs no Send")]
pub trait System {
    /// What does not change while the node runs: the board, its chip, why it was reset.
    fn facts(&self) -> Facts;

    /// What does change. Asked before each HTTP request is answered.
    fn resources(&self) -> Resources;

    /// Entropy for this boot. It MUST differ in each boot, and SHOULD come from a hardware source.
    fn seed(&self) -> Seed;

    /// Stores `value` in place of any earlier one of `key`. It MUST be durable when this returns
    /// `Ok`, and after a power cut at any moment either the old value or the new one MUST be there,
    /// and all others. A body that cannot remember returns `Ok`.
    async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed>;

    /// Reads the value of `key` into `buf`, of at least [`MAX_VALUE`](spore_core::store::MAX_VALUE) bytes. Its length; 0 if
    /// there is none. Only [`Key::Crash`] is asked for.
    async fn recall(&self, key: Key, buf: &mut [u8]) -> usize {
        let _ = (key, buf);
        0
    }

    /// Writes the [record](spore_core::crash::CrashRecord) of the crash that this start follows into `buf`, of at least
    /// [`MAX_VALUE`](spore_core::store::MAX_VALUE) bytes: what was [`Stored::crashed`](spore_core::Stored::crashed). Its length; 0 if there
    /// was none.
    fn crashed(&self, buf: &mut [u8]) -> usize {
        let _ = buf;
        0
    }

    /// Whether the new release key may be taken: what [`Succession::judge`] says, where there is the
    /// stack for it.
    fn verify(&self, succession: &Succession) -> Verdict;

    /// Does this with the slots of images. Only a body with slots ([`Facts::image`]) is asked. After a power cut at any moment the
    /// image that ran, or the one that was to, MUST be started.
    async fn update(&self, step: Step) -> Result<(), StepFailed> {
        let _ = step;
        Err(StepFailed)
    }

    /// See what there is of `image` in the slot that does not run, if it may be taken as `wanted` says, and make the
    /// slot ready for the rest: `spore_image::pieces::prepare`. What runs MUST be the same after a power cut at any moment.
    async fn prepare_image(&self, image: ImageId, wanted: Wanted) -> Result<Found, Refused> {
        let _ = (image, wanted);
        Err(Refused::Flash)
    }

    /// Write a piece there, and say whether that was done: `spore_image::pieces::write`.
    async fn write_piece(&self, number: u16, bytes: &[u8]) -> bool {
        let _ = (number, bytes);
        false
    }

    /// Whether this chunk is whole there; its sector is blank if it is not: `spore_image::pieces::check_chunk`. `None` if the flash fails.
    async fn check_chunk(&self, number: u16) -> Option<bool> {
        let _ = number;
        None
    }

    /// How `image` is cut, and whether it is in the slot that does not run, if it is in one of them:
    /// `spore_image::pieces::offered`.
    async fn find_image(&self, image: ImageId) -> Option<(Cut, bool)> {
        let _ = image;
        None
    }

    /// Read a piece out of the slot that runs, or of the other one, where it is held, and return its length: `spore_image::pieces::read`.
    async fn read_piece(&self, number: u16, held: bool, room: &mut [u8; PIECE]) -> Option<usize> {
        let _ = (number, held, room);
        None
    }

    /// Restarts the node at once, with what was stored. Nothing of the shell runs after that.
    async fn restart(&self) -> !;

    /// Has the radio begin with `command`; `node` knows with which [credentials](Node::station) and
    /// as which [access point](Node::access_point). What comes of it is reported later, with
    /// [`Shell::handle_radio`](crate::Shell::handle_radio), and MUST NOT be from within this.
    /// Only a body whose node has a radio ([`Config::radio`](spore_core::Config::radio)) is asked.
    fn radio(&self, command: RadioCommand, node: &Node<'_>) {
        let _ = (command, node);
    }

    /// Answers a call of one of the services that the node, now called `hostname`, offers, with a body that it
    /// writes into `reply`, of at least [`MIN_PIECE`](spore_core::api::MIN_PIECE) bytes. The future
    /// may be dropped: after [`Timeouts::response`](crate::http::Timeouts::response) nobody waits
    /// for it. Several calls may be under way at once.
    async fn call(
        &self,
        hostname: &Hostname,
        request: &ServiceRequest<'_>,
        reply: &mut [u8],
    ) -> ServiceReply;

    /// Runs a task of the program, once. It may take long only if it waits at its awaits: until the
    /// next one, nothing else of the node goes on.
    async fn run_task(&self, run: &TaskRun);

    /// Calls a handler of `sprocket`, once, and returns what it said when it panicked, at most
    /// [`State::MESSAGE_MAX`] bytes of printable ASCII. A body on which a panic ends everything does not return
    /// then, and SHOULD remember whose handler it was, as it SHOULD for one that does not return.
    fn guard(&self, sprocket: Named, handler: &mut dyn FnMut()) -> Result<(), &'static str> {
        let _ = sprocket;
        handler();
        Ok(())
    }

    /// How often in a row the node had to be restarted because of `sprocket`. Asked once, at the start.
    fn restarts(&self, sprocket: Named) -> u8 {
        let _ = sprocket;
        0
    }

    /// Something has happened; `node` is the state after it. For the log.
    fn report(&self, event: Event, node: &Node<'_>);
}
