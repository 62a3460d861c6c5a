//! Services as other nodes know them: 32 bits each.

use super::MAX_SERVICES;
use crate::text::hex;
use crate::wire::{Full, Malformed, Reader, Writer};
use core::fmt;

/// The id of a service, or of a clustered task that a node carries: the 32-bit FNV-1a hash of its
/// name (draft-eastlake-fnv), the highest bit of which is 0 for a service and 1 for a task. Eight
/// hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub [u8; 4]);

/// Tells tasks from services.
const TASK: u32 = 1 << 31;

impl ServiceId {
    /// The id of the service that is called `name`.
    pub const fn of(name: &str) -> Self {
        Self((fnv(name) & !TASK).to_be_bytes())
    }

    /// The id of the clustered task that is called `name`.
    pub const fn of_task(name: &str) -> Self {
        Self((fnv(name) | TASK).to_be_bytes())
    }

    /// Whether it is a task's. In ascending order tasks follow all services.
    pub const fn is_task(self) -> bool {
        u32::from_be_bytes(self.0) & TASK != 0
    }
}

/// The 32-bit FNV-1a hash of `name`.
pub(crate) const fn fnv(name: &str) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ u32::from_be_bytes([0, 0, 0, *byte])).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    hash
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::<8>(&self.0))
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for ServiceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::<8>(&self.0))
    }
}

/// The services of one node: up to [`MAX_SERVICES`] different ids in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceIds(heapless::Vec<ServiceId, MAX_SERVICES, u8>);

impl ServiceIds {
    /// The most bytes that they take in a record: a count, and the ids.
    pub const MAX: usize = 1 + 4 * MAX_SERVICES;

    /// No services.
    pub const EMPTY: Self = Self(heapless::Vec::new());

    /// The ids in ascending order.
    pub fn as_slice(&self) -> &[ServiceId] {
        &self.0
    }

    /// Whether `id` is among them.
    pub fn contains(&self, id: ServiceId) -> bool {
        self.0.contains(&id)
    }

    /// Adds `id` at its place; false if it is there already, or if there is no room.
    pub fn insert(&mut self, id: ServiceId) -> bool {
        match self.0.binary_search(&id) {
            Ok(_) => false,
            Err(index) => self.0.insert(index, id).is_ok(),
        }
    }

    /// Reads them from a record.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut ids = Self::EMPTY;
        for _ in 0..reader.u8()? {
            let id = ServiceId(reader.array()?);
            // One set of services has one form: ascending, none twice.
            if ids.0.last().is_some_and(|last| id <= *last) {
                return Err(Malformed::Services);
            }
            ids.0.push(id).map_err(|_| Malformed::Services)?;
        }
        Ok(ids)
    }

    /// Appends them to a record.
    pub(crate) fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::try_from(self.0.len()).map_err(|_| Full)?)?;
        self.0.iter().try_for_each(|id| writer.put(&id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{ServiceId, fnv};
    use std::format;

    #[test]
    fn an_id_is_fnv_1a_with_a_bit_for_the_kind() {
        // Test vectors of the draft, appendix C.
        for (name, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv(name), hash);
        }
        let (service, task) = (ServiceId::of("foobar"), ServiceId::of_task("foobar"));
        assert_eq!(
            (format!("{service}"), format!("{task}")),
            ("3f9cf968".into(), "bf9cf968".into())
        );
        assert!(!service.is_task() && task.is_task() && service < task);
    }
}
