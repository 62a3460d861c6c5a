//! What the body provides besides sockets and time.

use crate::{ServiceReply, Slots};
use embedded_storage_async::nor_flash::NorFlash;
use spore_boot::layout::Layout;
use spore_core::api::ServiceRequest;
use spore_core::network::RadioCommand;
use spore_core::node::StoreFailed;
use spore_core::security::{Question, ReleaseKey, Verdict};
#[cfg(doc)]
use spore_core::sprockets::State;
use spore_core::tasks::TaskRun;
use spore_core::{Event, Facts, Hostname, Key, Node, Resources, Seed};
use spore_image::{Head, SignatureError};

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
    /// Where the slots for images are; [`NoLayout`](crate::slots::NoLayout) if there are none.
    type Layout: Layout;
    /// The flash that they are in; [`NoFlash`](crate::slots::NoFlash) if there are none.
    type Flash: NorFlash;

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
    /// there is none, `None` if it could not be read. Only [`Key::Crash`] and [`Key::Claim`] are asked for.
    async fn recall(&self, key: Key, buf: &mut [u8]) -> Option<usize> {
        let _ = (key, buf);
        Some(0)
    }

    /// Writes the [record](spore_core::crash::CrashRecord) of the crash that this start follows into `buf`, of at least
    /// [`MAX_VALUE`](spore_core::store::MAX_VALUE) bytes: what was [`Stored::crashed`](spore_core::Stored::crashed). Its length; 0 if there
    /// was none.
    fn crashed(&self, buf: &mut [u8]) -> usize {
        let _ = buf;
        0
    }

    /// Whether the new release key may be taken, or the plan of a rollout: what [`Question::judge`] says, where there is
    /// the stack for it.
    fn verify(&self, question: &Question<'_>) -> Verdict;

    /// The slots of the body, opened anew, and which one runs; `None` if it has none.
    fn slots(&self) -> Option<Slots<Self::Flash>>;

    /// What the job that `begin` makes comes to, which is one with the slots; `None` if there is no memory for it now. A body whose
    /// flash never keeps it waiting does it at once, where it has the stack for it: then nothing of it takes memory for as long as
    /// the node lives.
    fn complete<T, J: Future<Output = T>>(
        &self,
        begin: impl FnOnce() -> J,
    ) -> impl Future<Output = Option<T>> {
        self.hold(begin)
    }

    /// What the job that `begin` makes comes to, which waits for what comes over the network; `None` if there is no memory for it
    /// now. A body that is short of memory has some for the job only while that lasts.
    fn hold<T, J: Future<Output = T>>(
        &self,
        begin: impl FnOnce() -> J,
    ) -> impl Future<Output = Option<T>> {
        let job = begin();
        async { Some(job.await) }
    }

    /// Whether the image was signed with `key`: what [`Head::verify`] says, where there is the stack for it.
    fn verify_image(&self, head: &Head, key: &ReleaseKey) -> Result<(), SignatureError> {
        head.verify(&key.0)
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
