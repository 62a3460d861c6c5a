//! The rows of the member list, sorted by id.

use super::member::Member;
use crate::random;
use crate::time::Instant;
use crate::wire::NodeId;
use heapless::VecView;

#[derive(Debug)]
pub(super) struct Table<'a>(&'a mut VecView<Member>);

impl<'a> Table<'a> {
    /// A table in `rows`, emptied.
    pub(super) fn new(rows: &'a mut VecView<Member>) -> Self {
        rows.clear();
        Self(rows)
    }

    pub(super) fn rows(&self) -> &[Member] {
        self.0
    }

    pub(super) fn rows_mut(&mut self) -> &mut [Member] {
        self.0
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Member> {
        let index = self.position(id).ok()?;
        self.0.get(index)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Member> {
        let index = self.position(id).ok()?;
        self.0.get_mut(index)
    }

    /// Adds `member`, who must not be listed yet. If there is no room, the one that has been gone
    /// longest makes some; if none is gone, nothing happens and the answer is false.
    pub(super) fn insert(&mut self, member: Member, now: Instant) -> bool {
        if self.0.is_full() && !self.evict(now) {
            return false;
        }
        match self.position(member.id) {
            Ok(_) => false,
            Err(index) => self.0.insert(index, member).is_ok(),
        }
    }

    /// Whether `id` is listed, or could be.
    pub(super) fn has_room_for(&self, id: NodeId, now: Instant) -> bool {
        let expendable = || self.0.iter().any(|row| row.is_expendable(now));
        self.position(id).is_ok() || !self.0.is_full() || expendable()
    }

    /// Removes the rows for which `gone` holds.
    pub(super) fn remove(&mut self, mut gone: impl FnMut(&Member) -> bool) {
        self.0.retain(|member| !gone(member));
    }

    /// How many members are active or suspect.
    pub(super) fn live(&self) -> usize {
        self.0.iter().filter(|member| member.status.is_live()).count()
    }

    /// The digests of all live members, combined so that their order does not matter.
    pub(super) fn digest(&self) -> u32 {
        self.0.iter().fold(0, |digest, member| digest ^ member.digest())
    }

    /// One of the members for whom `wanted` holds, each as likely as another.
    pub(super) fn choose(
        &self,
        rng: &mut fastrand::Rng,
        wanted: impl Fn(&Member) -> bool,
    ) -> Option<&Member> {
        let count = self.0.iter().filter(|member| wanted(member)).count();
        let nth = random::below(rng, count);
        self.0.iter().filter(|member| wanted(member)).nth(nth)
    }

    fn evict(&mut self, now: Instant) -> bool {
        let expendable = self.0.iter().enumerate().filter(|(_, row)| row.is_expendable(now));
        match expendable.min_by_key(|(_, row)| row.since) {
            Some((index, _)) => {
                self.0.remove(index);
                true
            }
            None => false,
        }
    }

    fn position(&self, id: NodeId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |member| member.id)
    }
}
