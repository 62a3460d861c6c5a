//! How the [exchange of images](crate::ota) travels: among members that have proved to be fresh, and behind all else.

use super::Cluster;
use super::member::{Member, Status};
use crate::node::Destination;
use crate::ota::Letter;
use crate::ota::state::State;
use crate::time::Instant;
use crate::wire::{Kind, Message, MessageWriter};
use core::net::SocketAddrV4;

impl Cluster<'_> {
    /// Takes in what a member lacks, or a piece that it has sent.
    pub(super) fn hear_pieces(&mut self, now: Instant, from: SocketAddrV4, message: &Message<'_>) {
        match message.kind {
            Kind::Want { image, first } => {
                self.exchange.handle_want(now, from, (image, first), message.pieces());
            }
            Kind::Piece { image, number, left } => {
                let around = (&mut self.rng, self.table.live());
                let piece = (image, number, left);
                self.exchange.handle_piece(now, from, piece, message.pieces(), around);
            }
            _ => (),
        }
    }

    /// Makes the next message of the exchange in `message`: where it goes, and its length.
    pub(super) fn write_pieces(
        &mut self,
        now: Instant,
        message: &mut [u8],
    ) -> Option<(Destination, usize)> {
        // Who has left is believed a goodbye and its last events, and nothing else.
        if self.is_leaving() || !self.exchange.has_letter(now) {
            return None;
        }
        let (head, own) = (self.head(), self.own_record());
        let Self { exchange, rollout, table, rng, port, directory, .. } = self;
        // As long as there is no rollout, anybody may have it.
        let plan = rollout.current().map(|told| &told.signed.plan);
        let tag = plan.map(|plan| plan.id.tag());
        let wanted = exchange.image();
        let image = plan.and_then(|plan| plan.images.iter().find(|image| image.digest == wanted));
        // A member of another board has another image.
        let fits = |member: &Member| {
            let build = directory.build(member.id());
            image.zip(build).is_none_or(|(image, build)| build.is_of(image.board()))
        };
        let has = |member: &Member| {
            let state = tag.map(|tag| member.update.of(tag));
            let whole = [State::Ready, State::OnTrial, State::Updated].map(Some);
            state.is_none_or(|state| whole.contains(&state))
        };
        let able = |member: &Member| {
            let there = member.status == Status::Active && member.is_verified();
            there && has(member) && fits(member)
        };
        let holder = |rng: &mut _| Some(table.choose(rng, able)?.contact(*port).1);
        let letter = exchange.poll_letter(now, rng, table.live(), holder)?;
        let (kind, to, bytes) = match letter {
            Letter::Want { to, image, first, missing } => {
                (Kind::Want { image, first }, Destination::Unicast(to), missing)
            }
            Letter::Piece { to, image, number, left, bytes } => {
                let to = to.map_or(Destination::Broadcast, Destination::Unicast);
                (Kind::Piece { image, number, left }, to, bytes)
            }
        };
        let mut writer = MessageWriter::new(message, kind, head, &own).ok()?;
        writer.push_pieces(bytes).ok()?;
        Some((to, writer.finish()))
    }
}
