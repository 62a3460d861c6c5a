//! What was set of the sprockets' settings: a small list of values under ids, as it is stored.

use super::manifest::{Kind, Manifest, Setting};
use super::{MAX_SPROCKETS, Value};
use heapless::Vec;

/// The most bytes that all that was set takes. More is refused.
pub const SETTINGS_MAX: usize = 128;

/// The id of a setting: the 32-bit FNV-1a hash (draft-eastlake-fnv) of `SPROCKET.SETTING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SettingId([u8; 4]);

impl SettingId {
    pub(super) const fn of(sprocket: &str, setting: &str) -> Self {
        let mut hash = 0x811C_9DC5_u32;
        let mut parts: &[&[u8]] = &[sprocket.as_bytes(), b".", setting.as_bytes()];
        while let [part, others @ ..] = parts {
            let mut part: &[u8] = part;
            while let [byte, tail @ ..] = part {
                hash = (hash ^ u32::from_be_bytes([0, 0, 0, *byte])).wrapping_mul(0x0100_0193);
                part = tail;
            }
            parts = others;
        }
        Self(hash.to_be_bytes())
    }

    pub(super) const fn is(self, other: Self) -> bool {
        u32::from_be_bytes(self.0) == u32::from_be_bytes(other.0)
    }
}

/// There is no room for one more value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The values that are not the defaults.
///
/// Stored under [`Key::Sprockets`](crate::Key::Sprockets) as
///
/// | bytes | what |
/// |---|---|
/// | 1 | version of the format, 1 |
/// | 4, 1, n | id of the setting, length n, value; as often as there are values |
///
/// A truth value is one byte, 0 or 1; a number four, most significant first; a text its bytes. Values of settings that
/// this program does not have, or does not take, are kept as long as there is room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values(Vec<u8, SETTINGS_MAX, u8>);

const FORMAT: u8 = 1;

/// From one entry to the next: id and length.
const HEAD: usize = 5;

impl Values {
    /// No value.
    pub(super) const EMPTY: Self = Self(Vec::new());

    /// Takes the values of a stored value; none if it is not one, or not whole.
    pub(super) fn decode(&mut self, stored: &[u8]) {
        self.0.clear();
        let [FORMAT, entries @ ..] = stored else { return };
        if self.0.extend_from_slice(entries).is_err() {
            return;
        }
        let mut at = 0;
        while at < self.0.len() {
            match self.end(at) {
                Some(end) => at = end,
                None => return self.0.clear(),
            }
        }
    }

    /// Writes the value to store into `buf`. Returns its length, or 0 if there is no room.
    pub(super) fn encode(&self, buf: &mut [u8]) -> usize {
        let len = self.0.len().saturating_add(1);
        match buf.get_mut(..len) {
            Some([format, entries @ ..]) => {
                *format = FORMAT;
                entries.copy_from_slice(&self.0);
                len
            }
            _ => 0,
        }
    }

    /// What `setting` of `sprocket` is: what was set, if it can have that, else the default.
    pub(super) fn get(&self, sprocket: &Manifest, setting: &Setting) -> Value<'_> {
        let found = self.find(SettingId::of(sprocket.name, setting.name));
        let value = found.and_then(|at| self.value(at, setting));
        value.filter(|value| setting.takes(value)).unwrap_or(setting.default())
    }

    /// Sets `setting` of `sprocket`, which takes `value`. When there is no room, what is there of settings that none
    /// of `sprockets` has makes some.
    pub(super) fn set(
        &mut self,
        sprocket: &Manifest,
        setting: &Setting,
        value: &Value<'_>,
        sprockets: &[&Manifest],
    ) -> Result<(), Full> {
        let id = SettingId::of(sprocket.name, setting.name);
        if let Some(at) = self.find(id) {
            self.remove(at);
        }
        if *value == setting.default() {
            return Ok(());
        }
        let number;
        let bytes: &[u8] = match value {
            Value::Bool(flag) => {
                if *flag {
                    &[1]
                } else {
                    &[0]
                }
            }
            Value::Number(value) => {
                number = value.to_be_bytes();
                &number
            }
            Value::Text(text) => text.as_bytes(),
            Value::Object(_) => return Err(Full),
        };
        let room = HEAD.saturating_add(bytes.len());
        while SETTINGS_MAX.saturating_sub(self.0.len()) < room {
            let at = self.foreign(sprockets).ok_or(Full)?;
            self.remove(at);
        }
        let len = u8::try_from(bytes.len()).map_err(|_| Full)?;
        let parts: [&[u8]; 3] = [&id.0, &[len], bytes];
        parts.iter().try_for_each(|part| self.0.extend_from_slice(part)).map_err(|_| Full)
    }

    /// Where the entry of `id` is.
    fn find(&self, id: SettingId) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.0.get(at..)?.starts_with(&id.0) {
                return Some(at);
            }
            at = self.end(at)?;
        }
    }

    /// The first entry that is none of these sprockets'.
    fn foreign(&self, sprockets: &[&Manifest]) -> Option<usize> {
        let known = |id: SettingId| {
            sprockets.iter().take(MAX_SPROCKETS).any(|sprocket| {
                sprocket.settings.iter().any(|own| SettingId::of(sprocket.name, own.name) == id)
            })
        };
        let mut at = 0;
        loop {
            let id = self.0.get(at..)?.first_chunk()?;
            if !known(SettingId(*id)) {
                return Some(at);
            }
            at = self.end(at)?;
        }
    }

    /// Where the entry at `at` ends; `None` if it is not whole.
    fn end(&self, at: usize) -> Option<usize> {
        let len = usize::from(*self.0.get(at.checked_add(HEAD)?.checked_sub(1)?)?);
        let end = at.checked_add(HEAD)?.checked_add(len)?;
        (end <= self.0.len()).then_some(end)
    }

    fn value(&self, at: usize, setting: &Setting) -> Option<Value<'_>> {
        let bytes = self.0.get(at.checked_add(HEAD)?..self.end(at)?)?;
        match setting.kind {
            Kind::Flag(_) => match bytes {
                [0] => Some(Value::Bool(false)),
                [1] => Some(Value::Bool(true)),
                _ => None,
            },
            Kind::Number { .. } => Some(Value::Number(i32::from_be_bytes(bytes.try_into().ok()?))),
            Kind::Text(_) => Some(Value::Text(str::from_utf8(bytes).ok()?)),
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(end) = self.end(at) else { return };
        self.0.copy_within(end.., at);
        let gone = end.saturating_sub(at);
        self.0.truncate(self.0.len().saturating_sub(gone));
    }
}
