//! Who is away, over a restart into another image.
//!
//! Nobody is told of those who are gone. So a node that restarts for an update would know none of them, and count fewer nodes than its
//! cluster has. They are remembered with [the update](crate::ota), and listed again by the image that runs next: for as long as the dead are
//! listed, or until they are back, of whatever boot.

use super::Cluster;
use super::member::{Member, Status};
use crate::ota::state::UpdateState;
use crate::text::hex;
use crate::time::Instant;
use crate::wire::{Full, Hostname, Incarnation, Malformed, NodeId, Reader, Writer};
use core::net::Ipv4Addr;

/// The bytes of a row without a name: 13 of them fit behind the record of the update, which has 16 of 208.
const ROW: usize = 1 + NodeId::LEN + 4 + UpdateState::LEN;
/// Beside the length of the name: it has left.
const LEFT: u8 = 0x80;

impl Cluster<'_> {
    fn away(&self) -> impl Iterator<Item = &Member> {
        self.table.rows().iter().filter(|member| !member.status.is_live())
    }

    /// 32 bits that stand for who is away; 0 if nobody is.
    pub(crate) fn away_for_update(&self) -> u32 {
        self.away().fold(0, |all, member| all ^ member.hash())
    }

    /// Writes who is away into `buf`, as far as there is room: those first who have been for longest, and names give way to further members.
    /// Returns how many bytes that are.
    pub(crate) fn write_away_for_update(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        let mut left = self.away().count().min(writer.room() / ROW);
        let order = |member: &&Member| (member.since, member.id);
        let mut next = self.away().min_by_key(order);
        while let Some(member) = next.filter(|_| left > 0) {
            left = left.saturating_sub(1);
            let name = member.hostname.as_str().as_bytes();
            let needed = ROW.saturating_mul(left.saturating_add(1));
            let name = if name.len().saturating_add(needed) <= writer.room() { name } else { &[] };
            if write_for_update(member, name, &mut writer).is_err() {
                break;
            }
            next = self.away().filter(|it| order(it) > order(&member)).min_by_key(order);
        }
        writer.len()
    }

    /// Lists those again that are in `bytes`. Who was written without a name is called by its id.
    pub(crate) fn restore_away_for_update(&mut self, now: Instant, bytes: &[u8]) {
        let http_port = self.own_api().port();
        let mut reader = Reader::new(bytes);
        while let Ok(member) = read_for_update(now, http_port, &mut reader) {
            self.table.insert(member, now);
        }
    }
}

fn read_for_update(
    now: Instant,
    http_port: u16,
    reader: &mut Reader<'_>,
) -> Result<Member, Malformed> {
    let flags = reader.u8()?;
    let id = NodeId(reader.array()?);
    let address = Ipv4Addr::from(reader.array::<4>()?);
    let update = UpdateState::parse(reader)?;
    let name = reader.slice((flags & !LEFT).into())?;
    let name = core::str::from_utf8(name).unwrap_or_default();
    let hostname = Hostname::new(name).or_else(|_| Hostname::new(&hex::<12>(&id.0)));
    Ok(Member {
        id,
        status: if flags & LEFT == 0 { Status::Dead } else { Status::Left },
        hostname: hostname.map_err(|_| Malformed::Hostname)?,
        address,
        http_port,
        status_version: 0,
        update,
        incarnation: Incarnation::default(),
        since: now,
        seen: None,
        rtt: 0,
        news: 0,
        probed: true,
        doubted: false,
    })
}

fn write_for_update(member: &Member, name: &[u8], writer: &mut Writer<'_>) -> Result<(), Full> {
    let left = if member.status == Status::Left { LEFT } else { 0 };
    let start = writer.len();
    let length = u8::try_from(name.len()).map_err(|_| Full)?;
    let written = writer
        .u8(length | left)
        .and_then(|()| writer.put(&member.id.0))
        .and_then(|()| writer.put(&member.address.octets()))
        .and_then(|()| member.update.emit(writer))
        .and_then(|()| writer.put(name));
    written.inspect_err(|_| writer.truncate(start))
}
