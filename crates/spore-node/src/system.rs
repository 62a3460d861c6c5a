//! What the body provides besides sockets and time.

use spore_core::node::StoreFailed;
use spore_core::{Event, Facts, Identity, Node, Resources, Seed};

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

    /// The identity that was stored last, or `None` if there is none or it cannot be read.
    fn load_identity(&self) -> Option<Identity>;

    /// Stores `identity` in place of any earlier one. It MUST be durable when this returns `Ok`. A
    /// body that cannot remember returns `Ok`, and `None` from
    /// [`load_identity`](Self::load_identity) ever after.
    async fn store_identity(&self, identity: Identity) -> Result<(), StoreFailed>;

    /// Something has happened; `node` is the state after it. For the log.
    fn report(&self, event: Event, node: &Node<'_>);
}
