//! What one node says of a member.

use super::bytes::{Full, Reader, Writer};
use super::{Hostname, Incarnation, Malformed, NodeId, U24};
use crate::ota::state::UpdateState;
use crate::services::ServiceIds;
use core::net::Ipv4Addr;

/// A statement about one member, as of one incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whom it is about.
    pub id: NodeId,
    /// How new it is.
    pub incarnation: Incarnation,
    /// So many events it has published for the cluster in that boot, as far as is known.
    pub published: U24,
    /// What it says.
    pub rumor: Rumor,
}

/// What a [`Record`] says. Only *alive* describes the member; the others need no more than its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rumor {
    /// It is there.
    Alive {
        /// Where its cluster port and its HTTP API are reached.
        address: Ipv4Addr,
        /// The TCP port of its HTTP API.
        http_port: u16,
        /// Changes whenever the stable part of its `/api/node/status` does.
        status_version: u16,
        /// How far it is with a rollout.
        update: UpdateState,
        /// Its name.
        hostname: Hostname,
        /// What it offers.
        services: ServiceIds,
    },
    /// It did not answer; it may refute with a higher incarnation.
    Suspect,
    /// It did not refute in time.
    Dead,
    /// It said that it goes. That is no death.
    Left,
}

const ALIVE: u8 = 0;
const SUSPECT: u8 = 1;
const DEAD: u8 = 2;
const LEFT: u8 = 3;

impl Record {
    /// The most bytes that a record takes.
    pub const MAX: usize =
        Self::MIN + 4 + 2 + 2 + UpdateState::LEN + 1 + Hostname::MAX + ServiceIds::MAX;

    /// The fewest bytes that a record takes.
    pub const MIN: usize = 1 + 6 + 6 + 3;

    /// Reads one record.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let status = reader.u8()?;
        let id = NodeId(reader.array()?);
        let incarnation = Incarnation { epoch: reader.u24()?, refutation: reader.u24()? };
        let published = reader.u24()?;
        let rumor = match status {
            ALIVE => Rumor::Alive {
                address: Ipv4Addr::from(reader.array::<4>()?),
                http_port: reader.u16()?,
                status_version: reader.u16()?,
                update: UpdateState::parse(reader)?,
                hostname: parse_hostname(reader)?,
                services: ServiceIds::parse(reader)?,
            },
            SUSPECT => Rumor::Suspect,
            DEAD => Rumor::Dead,
            LEFT => Rumor::Left,
            _ => return Err(Malformed::Status),
        };
        Ok(Self { id, incarnation, published, rumor })
    }

    /// Appends the record, or nothing at all if it does not fit.
    pub fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let start = writer.len();
        self.emit_fields(writer).inspect_err(|_| writer.truncate(start))
    }

    fn emit_fields(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(match self.rumor {
            Rumor::Alive { .. } => ALIVE,
            Rumor::Suspect => SUSPECT,
            Rumor::Dead => DEAD,
            Rumor::Left => LEFT,
        })?;
        writer.put(&self.id.0)?;
        writer.put(&self.incarnation.epoch.to_be_bytes())?;
        writer.put(&self.incarnation.refutation.to_be_bytes())?;
        writer.put(&self.published.to_be_bytes())?;
        if let Rumor::Alive { address, http_port, status_version, update, hostname, services } =
            &self.rumor
        {
            writer.put(&address.octets())?;
            writer.u16(*http_port)?;
            writer.u16(*status_version)?;
            update.emit(writer)?;
            let name = hostname.as_str().as_bytes();
            writer.u8(u8::try_from(name.len()).map_err(|_| Full)?)?;
            writer.put(name)?;
            services.emit(writer)?;
        }
        Ok(())
    }
}

fn parse_hostname(reader: &mut Reader<'_>) -> Result<Hostname, Malformed> {
    let len = usize::from(reader.u8()?);
    let name = core::str::from_utf8(reader.slice(len)?).map_err(|_| Malformed::Hostname)?;
    Hostname::new(name).map_err(|_| Malformed::Hostname)
}
