//! What is known of other members besides what keeps the cluster together: their services, and
//! what their status says.
//!
//! It lies apart from the member list, since most of it is shared. A service is stored once
//! ([`Known`]), with its name, and who offers it is a bit for each member; a board and version
//! ([`Build`]) is stored once for all members that have it. So a board remembers the whole
//! catalogues of 63 members in less than a kilobyte.
//!
//! # Limits
//!
//! Different services in the cluster, and different builds, are limited by the
//! [`Profile`](crate::Profile). A service beyond the limit is not known here: its providers'
//! catalogues are partial in this node's view, which is counted
//! ([`Node::services_lost`](crate::Node::services_lost)) and no error. A build beyond the limit is shown as unknown. What no member has
//! any more makes room.

use super::{ServiceId, ServiceIds};
use crate::profile::{List as _, Profile};
use crate::wire::NodeId;
use heapless::VecView;

/// What is kept for each other member.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    id: NodeId,
    /// The status version that was fetched last; 0 for none.
    polled: u16,
    /// Its place among the builds, or [`NO_BUILD`].
    build: u8,
    /// How often fetching its status failed since it last changed or was fetched.
    failures: u8,
    /// How many of its services there was no room for.
    lost: u8,
}

const NO_BUILD: u8 = u8::MAX;

/// A service that some member offers.
#[derive(Clone, Debug)]
pub struct Known {
    id: ServiceId,
    /// Its name; empty until it was fetched.
    name: Name,
}

/// A service's name.
pub(super) type Name = heapless::String<{ super::Service::NAME_MAX }, u8>;
/// The kind of body that a member is, cut to 8 characters.
pub(super) type Board = heapless::String<8, u8>;
/// The version of a member's program, cut to 12 characters.
pub(super) type Version = heapless::String<12, u8>;

/// What is new about a member that is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It was suspected or dead, and that is all.
    Returned,
    /// Its status version is another one.
    Version,
    /// It has booted, under whatever status version.
    Boot,
}

/// What a member runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    pub(super) board: Board,
    pub(super) version: Version,
}

impl Build {
    /// The kind of body, cut to 8 characters.
    pub fn board(&self) -> &str {
        &self.board
    }

    /// The version of the program, cut to 12 characters.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it is that of `board`, as far as its name tells.
    pub(crate) fn is_of(&self, board: &str) -> bool {
        board.get(..self.board.capacity()).unwrap_or(board) == self.board()
    }
}

/// The directory of one node. It knows nothing of the node's own services.
#[derive(Debug)]
pub(crate) struct Directory<'a> {
    /// Members have the same place as long as they are known.
    slots: &'a mut VecView<Slot>,
    known: &'a mut VecView<Known>,
    /// A row of bits for each slot: whether it offers the service at that place.
    offers: &'a mut VecView<u8>,
    builds: &'a mut VecView<Build>,
    /// Whether there may be something new to fetch.
    changed: bool,
}

impl<'a> Directory<'a> {
    /// An empty directory in `storage`.
    pub(crate) fn new<P: Profile>(
        slots: &'a mut P::Slots,
        known: &'a mut P::Services,
        offers: &'a mut P::Offers,
        builds: &'a mut P::Builds,
    ) -> Self {
        let (slots, known) = (slots.view(), known.view());
        let (offers, builds) = (offers.view(), builds.view());
        slots.clear();
        known.clear();
        builds.clear();
        offers.clear();
        // All of it, whatever it holds: rows of zeros.
        let _ = offers.resize(offers.capacity(), 0);
        Self { slots, known, offers, builds, changed: false }
    }

    /// Takes note that `member` offers `services`. `is_listed` tells whose slots are still needed.
    pub(crate) fn set(
        &mut self,
        member: NodeId,
        services: &ServiceIds,
        is_listed: impl Fn(NodeId) -> bool,
    ) {
        let Some(slot) = self.slot(member, &is_listed) else { return };
        let offered = self.known.iter().enumerate().filter(|(place, _)| self.offers(slot, *place));
        let same = offered.clone().count() == services.as_slice().len()
            && offered.clone().all(|(_, known)| services.contains(known.id));
        if same {
            return;
        }
        self.clear_row(slot);
        let mut lost = 0u8;
        for id in services.as_slice() {
            // Making room for a service may move slots.
            match (self.place(*id, &is_listed), self.position(member)) {
                (Some(place), Some(slot)) => self.set_bit(slot, place),
                _ => lost = lost.saturating_add(1),
            }
        }
        if let Some(slot) = self.position(member).and_then(|at| self.slots.get_mut(at)) {
            slot.lost = lost;
        }
    }

    /// The services of `member`, as far as they are known.
    pub(crate) fn services(&self, member: NodeId) -> ServiceIds {
        let mut ids = ServiceIds::EMPTY;
        if let Some(slot) = self.position(member) {
            for (_, known) in
                self.known.iter().enumerate().filter(|(place, _)| self.offers(slot, *place))
            {
                // No member has more than there is room for.
                ids.insert(known.id);
            }
        }
        ids
    }

    /// The known service with the lowest id above `after`.
    pub(crate) fn next_service(&self, after: Option<ServiceId>) -> Option<ServiceId> {
        let ids = self.known.iter().map(|known| known.id);
        ids.filter(|id| after.is_none_or(|after| *id > after)).min()
    }

    /// The member with the lowest id above `after` that offers `service`.
    pub(crate) fn next_provider(
        &self,
        service: ServiceId,
        after: Option<NodeId>,
    ) -> Option<NodeId> {
        let place = self.known.iter().position(|known| known.id == service)?;
        let rows = self.slots.iter().enumerate();
        rows.filter(|(_, row)| after.is_none_or(|after| row.id > after))
            .filter(|(slot, _)| self.offers(*slot, place))
            .map(|(_, row)| row.id)
            .min()
    }

    /// The members that offer `service`, in no order, live or not.
    pub(crate) fn providers(&self, service: ServiceId) -> impl Iterator<Item = NodeId> {
        let place = self.known.iter().position(|known| known.id == service);
        let rows = self.slots.iter().enumerate();
        rows.filter(move |(slot, _)| place.is_some_and(|place| self.offers(*slot, place)))
            .map(|(_, row)| row.id)
    }

    /// The name of a service, if it was fetched.
    pub(crate) fn name(&self, service: ServiceId) -> Option<&str> {
        let known = self.known.iter().find(|known| known.id == service)?;
        Some(known.name.as_str()).filter(|name| !name.is_empty())
    }

    /// What `member` runs, if it was fetched.
    pub(crate) fn build(&self, member: NodeId) -> Option<&Build> {
        let slot = self.slots.get(self.position(member)?)?;
        self.builds.get(usize::from(slot.build))
    }

    /// How many services of members there was no room for.
    pub(crate) fn lost(&self) -> u32 {
        self.slots.iter().map(|slot| u32::from(slot.lost)).fold(0, u32::saturating_add)
    }

    /// Forgets `member`.
    pub(crate) fn forget(&mut self, member: NodeId) {
        self.retain(|id| id != member);
    }

    /// `member` is back, or has something new. In another boot, nothing that was fetched holds.
    pub(crate) fn renewed(&mut self, member: NodeId, renewal: Renewal) {
        self.changed = true;
        let Some(slot) = self.position(member).and_then(|at| self.slots.get_mut(at)) else {
            return;
        };
        if renewal != Renewal::Returned {
            slot.failures = 0;
        }
        if renewal == Renewal::Boot {
            slot.polled = 0;
        }
    }

    /// Whether there may be something new to fetch since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// The members, each with the status version that was last fetched and the failures since.
    pub(super) fn polled(&self) -> impl Iterator<Item = (NodeId, u16, u8)> {
        self.slots.iter().map(|slot| (slot.id, slot.polled, slot.failures))
    }

    /// The status of `member` was fetched.
    pub(super) fn fetched(&mut self, member: NodeId, version: u16, build: &Build, names: &[Name]) {
        for name in names {
            let id = ServiceId::of(name);
            let theirs = self.services(member).contains(id);
            let known = self.known.iter_mut().find(|known| known.id == id && theirs);
            if let Some(known) = known {
                known.name.clone_from(name);
            }
        }
        let build = self.build_place(build);
        if let Some(slot) = self.position(member).and_then(|at| self.slots.get_mut(at)) {
            (slot.polled, slot.failures, slot.build) = (version, 0, build.unwrap_or(NO_BUILD));
        }
    }

    /// The status of `member` could not be fetched.
    pub(super) fn failed(&mut self, member: NodeId) {
        if let Some(slot) = self.position(member).and_then(|at| self.slots.get_mut(at)) {
            slot.failures = slot.failures.saturating_add(1);
        }
    }

    /// Gives those with more than `limit` failures one more chance.
    pub(super) fn forgive(&mut self, limit: u8) {
        for slot in self.slots.iter_mut().filter(|slot| slot.failures > limit) {
            slot.failures = limit;
            self.changed = true;
        }
    }

    /// The slot of `member`, made if need be.
    fn slot(&mut self, member: NodeId, is_listed: &impl Fn(NodeId) -> bool) -> Option<usize> {
        if let Some(slot) = self.position(member) {
            return Some(slot);
        }
        if self.slots.is_full() {
            self.retain(is_listed);
        }
        let place = self.slots.len();
        let slot = Slot { id: member, polled: 0, build: NO_BUILD, failures: 0, lost: 0 };
        self.slots.push(slot).ok()?;
        self.changed = true;
        Some(place)
    }

    /// Forgets the members for whom `keep` does not hold.
    fn retain(&mut self, keep: impl Fn(NodeId) -> bool) {
        let mut at = 0usize;
        while let Some(slot) = self.slots.get(at) {
            if keep(slot.id) {
                at = at.saturating_add(1);
                continue;
            }
            // The last one takes its place, with its row.
            let last = self.slots.len().saturating_sub(1);
            self.slots.swap_remove(at);
            for column in 0..self.stride() {
                let byte = self.byte(last, column).and_then(|at| self.offers.get_mut(at));
                let byte = byte.map(core::mem::take).unwrap_or_default();
                if at != last
                    && let Some(to) = self.byte(at, column).and_then(|to| self.offers.get_mut(to))
                {
                    *to = byte;
                }
            }
        }
    }

    /// The place of a service, made if need be.
    fn place(&mut self, id: ServiceId, is_listed: &impl Fn(NodeId) -> bool) -> Option<usize> {
        if let Some(place) = self.known.iter().position(|known| known.id == id) {
            return Some(place);
        }
        let known = Known { id, name: Name::new() };
        let len = self.known.len();
        match self.known.push(known) {
            Ok(()) => Some(len),
            Err(known) => {
                self.retain(is_listed);
                let offered = |place| (0..self.slots.len()).any(|slot| self.offers(slot, place));
                let place = (0..len).find(|place| !offered(*place))?;
                *self.known.get_mut(place)? = known;
                Some(place)
            }
        }
    }

    /// The place of a build, made if need be.
    fn build_place(&mut self, build: &Build) -> Option<u8> {
        let index = |place: usize| u8::try_from(place).ok().filter(|place| *place != NO_BUILD);
        if let Some(place) = self.builds.iter().position(|known| known == build) {
            return index(place);
        }
        let len = self.builds.len();
        if self.builds.push(build.clone()).is_ok() {
            return index(len);
        }
        let used = |place: usize| self.slots.iter().any(|slot| usize::from(slot.build) == place);
        let place = (0..len).find(|place| !used(*place))?;
        *self.builds.get_mut(place)? = build.clone();
        index(place)
    }

    fn position(&self, member: NodeId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == member)
    }

    /// Bytes in a row of offers.
    fn stride(&self) -> usize {
        self.known.capacity().div_ceil(8)
    }

    /// Where byte `column` of a row lies.
    fn byte(&self, slot: usize, column: usize) -> Option<usize> {
        slot.checked_mul(self.stride())?.checked_add(column)
    }

    fn offers(&self, slot: usize, place: usize) -> bool {
        let byte = self.byte(slot, place >> 3).and_then(|at| self.offers.get(at));
        byte.is_some_and(|byte| byte & (1 << (place & 7)) != 0)
    }

    fn set_bit(&mut self, slot: usize, place: usize) {
        if let Some(byte) = self.byte(slot, place >> 3).and_then(|at| self.offers.get_mut(at)) {
            *byte |= 1 << (place & 7);
        }
    }

    fn clear_row(&mut self, slot: usize) {
        for column in 0..self.stride() {
            if let Some(byte) = self.byte(slot, column).and_then(|at| self.offers.get_mut(at)) {
                *byte = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Build;

    #[test]
    fn a_build_is_of_a_board_as_far_as_its_name_tells() {
        let of = |board| Build { board, ..Build::default() };
        let build = of("emulated".try_into().unwrap());
        assert!(build.is_of("emulated") && build.is_of("emulated-2") && !build.is_of("emulate"));
        let build = of("esp-01".try_into().unwrap());
        assert!(build.is_of("esp-01") && !build.is_of("esp-01s") && !build.is_of("host"));
    }
}
