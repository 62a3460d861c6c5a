//! What an operator sets through the API, and what a node remembers of it.
//!
//! [`Settings`] is the value, [`Claim`] what was written before the node's first start; `change` sees to it that a change is in force when it is durable,
//! and not before; `document` reads it from JSON.

pub(crate) mod change;
mod claim;
pub(crate) mod commit;
pub(crate) mod document;

pub use claim::Claim;

use crate::security::ReleaseKey;
use crate::store::Stored;
use crate::wire::{Full, Hostname, Reader, Writer};

/// The settings of a node that override its [`Config`](crate::Config).
///
/// Stored under [`Key::Settings`](crate::Key::Settings) as
///
/// | bytes | what |
/// |---|---|
/// | 1 | version of the format, 1 |
/// | 4 | [`version`](Self::version), most significant byte first |
/// | 1, 1, n | tag, length n, value; as often as there are fields |
///
/// Tags are 1 for the hostname, 2 for the release key, and 3, with a value of no bytes, for
/// [`damaged`](Self::damaged). Fields with other tags, which a newer program has stored, are
/// skipped, and gone with the next change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How often they were changed.
    pub version: u32,
    /// The node's name, instead of the configured one.
    pub hostname: Option<Hostname>,
    /// Who signs update images. `None` if they are [`damaged`](Self::damaged).
    pub release_key: Option<ReleaseKey>,
    /// Earlier settings were lost, and a release key perhaps with them. Whoever holds the cluster
    /// key alone must not gain by that: none is taken any more, until somebody at the machine has
    /// cleared this.
    pub damaged: bool,
}

const FORMAT: u8 = 1;
const TAG_HOSTNAME: u8 = 1;
const TAG_RELEASE_KEY: u8 = 2;
const TAG_DAMAGED: u8 = 3;

impl Settings {
    /// The settings of a node that starts. A value that is none was stored by a newer program, or
    /// is damaged: it counts as damaged, and stays stored until the next change.
    pub fn restore(stored: &Stored<'_>) -> Self {
        let found = Self::decode(stored.settings);
        let unknown = found.is_none() && !stored.settings.is_empty();
        let mut settings = found.unwrap_or_default();
        settings.damaged |= unknown || stored.settings_damaged;
        if settings.damaged {
            // The one that was lost may have replaced it.
            settings.release_key = None;
        }
        settings
    }

    /// The settings in a stored value; `None` if it is not one, or not whole.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        if reader.u8().ok()? != FORMAT {
            return None;
        }
        let mut settings = Self { version: reader.u32().ok()?, ..Self::default() };
        while !reader.is_empty() {
            let (tag, len) = (reader.u8().ok()?, reader.u8().ok()?);
            let field = reader.slice(usize::from(len)).ok()?;
            let twice = match tag {
                TAG_HOSTNAME => {
                    let name = Hostname::new(str::from_utf8(field).ok()?).ok()?;
                    settings.hostname.replace(name).is_some()
                }
                TAG_RELEASE_KEY => {
                    let key = ReleaseKey(field.try_into().ok()?);
                    settings.release_key.replace(key).is_some()
                }
                TAG_DAMAGED => core::mem::replace(&mut settings.damaged, true),
                _ => false,
            };
            if twice {
                return None;
            }
        }
        Some(settings)
    }

    /// Writes the value to store into `buf`. Returns its length, or 0 if there is no room.
    pub fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.write(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(FORMAT)?;
        writer.u32(self.version)?;
        if let Some(name) = &self.hostname {
            field(writer, TAG_HOSTNAME, name.as_str().as_bytes())?;
        }
        if let Some(key) = &self.release_key {
            field(writer, TAG_RELEASE_KEY, &key.0)?;
        }
        if self.damaged {
            field(writer, TAG_DAMAGED, &[])?;
        }
        Ok(())
    }
}

fn field(writer: &mut Writer<'_>, tag: u8, value: &[u8]) -> Result<(), Full> {
    writer.u8(tag)?;
    writer.u8(u8::try_from(value.len()).map_err(|_| Full)?)?;
    writer.put(value)
}

#[cfg(test)]
mod tests {
    use super::{ReleaseKey, Settings, Stored};
    use crate::store::MAX_VALUE;
    use crate::wire::Hostname;
    use std::vec::Vec;

    fn full() -> Settings {
        Settings {
            version: 0x0102_0304,
            hostname: Some(Hostname::new(&"a".repeat(Hostname::MAX)).unwrap()),
            release_key: Some(ReleaseKey([9; 32])),
            damaged: false,
        }
    }

    fn encoded(settings: &Settings) -> Vec<u8> {
        let mut value = [0; MAX_VALUE];
        let len = settings.encode(&mut value);
        value[..len].to_vec()
    }

    #[test]
    fn settings_are_read_back_and_no_part_of_them_is_taken_for_all() {
        let damaged = Settings { damaged: true, release_key: None, ..full() };
        let nameless = Settings { hostname: None, ..full() };
        for settings in [full(), Settings::default(), nameless, damaged] {
            let value = encoded(&settings);
            assert_eq!(Settings::decode(&value), Some(settings.clone()));
            assert_eq!(settings.encode(&mut [0; MAX_VALUE][..value.len() - 1]), 0);
        }
        let value = encoded(&full());
        // Cut between two fields it is whole; storage must not do that.
        for cut in (0..value.len()).filter(|cut| ![5, 5 + 34].contains(cut)) {
            assert_eq!(Settings::decode(&value[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn later_formats_and_damage_are_refused_and_unknown_fields_skipped() {
        let mut value = encoded(&full());
        value.extend([200, 3, 1, 2, 3]);
        assert_eq!(Settings::decode(&value), Some(full()));
        value[0] = 2;
        assert_eq!(Settings::decode(&value), None);
        assert_eq!(Settings::decode(&[1, 0, 0, 0, 1, 1, 1, b'-']), None, "no hostname");
        assert_eq!(Settings::decode(&[1, 0, 0, 0, 1, 2, 1, 0]), None, "no key");
        assert_eq!(Settings::decode(&[1, 0, 0, 0, 1, 1, 1, b'a', 1, 1, b'b']), None, "twice");
    }

    #[test]
    fn what_is_lost_leaves_no_release_key_and_no_room_for_one() {
        let value = encoded(&full());
        let restored = |settings: &[u8], settings_damaged| {
            Settings::restore(&Stored { settings, settings_damaged, ..Stored::default() })
        };
        let lost = Settings { damaged: true, ..Settings::default() };
        assert_eq!(restored(&value, false), full());
        assert_eq!(restored(&[], false), Settings::default());
        assert_eq!(restored(&[], true), lost);
        assert_eq!(restored(&[2, 0, 0], false), lost, "of a later format");
        let earlier = Settings { damaged: true, release_key: None, ..full() };
        assert_eq!(restored(&value, true), earlier, "the name does no harm");
        assert_eq!(restored(&encoded(&earlier), false), earlier, "until it is cleared");
    }
}
