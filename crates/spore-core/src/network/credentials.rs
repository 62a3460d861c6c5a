//! Names and passwords of networks, and how they are remembered over a change.

use crate::text;
use crate::wire::{Full, Reader, Writer};
use core::fmt;
use core::str::FromStr;

/// The name of a network: 1 to 32 bytes of UTF-8 without control characters.
///
/// IEEE 802.11 allows any bytes; names that are no text can be neither typed nor shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ssid {
    len: u8,
    bytes: [u8; Self::MAX],
}

/// The password of a network: empty if that is open, or 8 to 63 printable ASCII characters (IEEE
/// 802.11, annex J.4). Never shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password {
    len: u8,
    bytes: [u8; Self::MAX],
}

/// The text is not the name of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSsid;

/// The text is not the password of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPassword;

impl fmt::Display for InvalidSsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a network has 1 to 32 bytes and no control characters")
    }
}

impl fmt::Display for InvalidPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a password has 8 to 63 printable ASCII characters, or none for an open network",
        )
    }
}

impl core::error::Error for InvalidSsid {}
impl core::error::Error for InvalidPassword {}

impl Ssid {
    /// The most bytes.
    pub const MAX: usize = 32;

    /// No name.
    const NONE: Self = Self { len: 0, bytes: [0; Self::MAX] };

    /// The name in these bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidSsid`] if they are none, too many, not UTF-8, or hold a control character.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidSsid> {
        let text = str::from_utf8(bytes).map_err(|_| InvalidSsid)?;
        let control = |c: char| c < ' ' || ('\u{7F}'..='\u{9F}').contains(&c);
        if text.is_empty() || text.chars().any(control) {
            return Err(InvalidSsid);
        }
        let (bytes, len) = fixed(bytes).ok_or(InvalidSsid)?;
        Ok(Self { len, bytes })
    }

    /// The name of the access point of the board with this number: `SPORE-` and the last six of
    /// its hexadecimal digits.
    pub(crate) fn of_access_point(chip_id: u32) -> Self {
        let [_, low @ ..] = chip_id.to_be_bytes();
        let digits: heapless::String<6, u8> = text::hex(&low);
        let mut bytes = [0; Self::MAX];
        for (to, from) in bytes.iter_mut().zip(b"SPORE-".iter().chain(digits.as_bytes())) {
            *to = *from;
        }
        Self { len: 12, bytes }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        text(&self.bytes, self.len)
    }
}

impl Password {
    /// The most characters.
    pub const MAX: usize = 63;

    /// The fewest characters, but for none.
    pub const MIN: usize = 8;

    /// None, for an open network.
    pub const OPEN: Self = Self { len: 0, bytes: [0; Self::MAX] };

    /// The password in these bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidPassword`] if they are too few or too many, or one is no printable ASCII character.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidPassword> {
        let short = !bytes.is_empty() && bytes.len() < Self::MIN;
        if short || bytes.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
            return Err(InvalidPassword);
        }
        let (bytes, len) = fixed(bytes).ok_or(InvalidPassword)?;
        Ok(Self { len, bytes })
    }

    /// The secret itself.
    pub fn as_str(&self) -> &str {
        text(&self.bytes, self.len)
    }

    /// Whether there is none.
    pub const fn is_open(&self) -> bool {
        self.len == 0
    }
}

/// `bytes` in an array that has room for as many or more, and their number.
fn fixed<const N: usize>(bytes: &[u8]) -> Option<([u8; N], u8)> {
    let mut array = [0; N];
    array.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some((array, u8::try_from(bytes.len()).ok()?))
}

/// What was text when it was made.
fn text(bytes: &[u8], len: u8) -> &str {
    let bytes = bytes.get(..usize::from(len)).unwrap_or_default();
    str::from_utf8(bytes).unwrap_or_default()
}

impl fmt::Debug for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl FromStr for Ssid {
    type Err = InvalidSsid;

    fn from_str(text: &str) -> Result<Self, InvalidSsid> {
        Self::new(text.as_bytes())
    }
}

impl FromStr for Password {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        Self::new(text.as_bytes())
    }
}

/// What it takes to join a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Which network.
    pub ssid: Ssid,
    /// Its password.
    pub password: Password,
}

impl Credentials {
    /// None. Putting it in the place of others wipes those.
    pub(super) const NONE: Self = Self { ssid: Ssid::NONE, password: Password::OPEN };

    pub(super) const fn are_some(&self) -> bool {
        self.ssid.len > 0
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let len = reader.u8().ok()?;
        let ssid = Ssid::new(reader.slice(usize::from(len)).ok()?).ok()?;
        let len = reader.u8().ok()?;
        let password = Password::new(reader.slice(usize::from(len)).ok()?).ok()?;
        Some(Self { ssid, password })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(self.ssid.len)?;
        writer.put(self.ssid.as_str().as_bytes())?;
        writer.u8(self.password.len)?;
        writer.put(self.password.as_str().as_bytes())
    }
}

/// The credentials in force, and those that return if a change fails: the value of
/// [`Key::Network`](crate::Key::Network).
///
/// The value is the version of its format, the number of boots of the trial under way (0 if there
/// is none), and the credentials: SSID and password, each behind its length. Those that return
/// follow, if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Those to connect with.
    pub(super) current: Credentials,
    /// Those that return if the trial fails.
    pub(super) previous: Credentials,
    /// In how many boots the present ones were tried so far; 0 if they are kept.
    pub(super) boots: u8,
}

impl Remembered {
    const FORMAT: u8 = 1;

    /// What was stored as `value`; `None` if it is not such a value, or not whole.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        if reader.u8().ok()? != Self::FORMAT {
            return None;
        }
        let boots = reader.u8().ok()?;
        let (mut current, mut previous) = (Credentials::NONE, Credentials::NONE);
        if !reader.is_empty() {
            current = Credentials::read(&mut reader)?;
        }
        if boots > 0 && !reader.is_empty() {
            previous = Credentials::read(&mut reader)?;
        }
        let sound = reader.is_empty() && (boots == 0 || current.are_some());
        sound.then_some(Self { current, previous, boots })
    }

    /// Writes the value to store into `buf`. Returns its length, or 0 if there is no room.
    pub(super) fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        let mut written = writer.u8(Self::FORMAT).and_then(|()| writer.u8(self.boots));
        for credentials in [&self.current, &self.previous] {
            if credentials.are_some() {
                written = written.and_then(|()| credentials.write(&mut writer));
            }
        }
        if written.is_ok() { writer.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Password, Remembered, Ssid};
    use crate::store::MAX_VALUE;
    use std::format;

    fn credentials(ssid: &str, password: &str) -> Credentials {
        Credentials { ssid: ssid.parse().unwrap(), password: password.parse().unwrap() }
    }

    #[test]
    fn names_are_short_texts_and_passwords_are_as_wpa2_has_them() {
        for good in ["a", "Café ☕", &"x".repeat(32), " ", "\"\\"] {
            assert_eq!(Ssid::new(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in [&b""[..], &[b'x'; 33], b"a\n", b"\x00", b"\xFF", "a\u{85}".as_bytes(), b"\x7F"]
        {
            assert!(Ssid::new(bad).is_err(), "{bad:?}");
        }
        for good in ["", "12345678", " ~ ~ ~ ~", &"p".repeat(63)] {
            assert_eq!(Password::new(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in ["1", "1234567", &"p".repeat(64), "passwörd", "12345678\n"] {
            assert!(Password::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let text = format!("{:?}", credentials("home", "secret-secret"));
        assert!(text.contains("home") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn credentials_are_read_back_and_nothing_else_is_taken_for_some() {
        let longest = credentials(&"s".repeat(32), &"p".repeat(63));
        let short = credentials("a", "");
        for remembered in [
            Remembered { current: longest, previous: longest, boots: 3 },
            Remembered { current: short, previous: Credentials::NONE, boots: 1 },
            Remembered { current: longest, previous: Credentials::NONE, boots: 0 },
            Remembered { current: Credentials::NONE, previous: Credentials::NONE, boots: 0 },
        ] {
            let mut value = [0; MAX_VALUE];
            let len = remembered.encode(&mut value);
            assert!((2..=196).contains(&len));
            assert_eq!(Remembered::decode(&value[..len]), Some(remembered.clone()));
            assert_eq!(Remembered::decode(&value[..len + 1]), None, "more than there can be");
            for cut in 0..len {
                // Cut between two fields it is whole; storage must not do that.
                let whole = Remembered::decode(&value[..cut]).is_some();
                let between = cut == 2 || remembered.boots > 0 && cut + 97 == len;
                assert!(!whole || between, "cut at {cut} of {len}");
                assert_eq!(remembered.encode(&mut [0; MAX_VALUE][..cut]), 0);
            }
            value[0] = 2;
            assert_eq!(Remembered::decode(&value[..len]), None, "of a later format");
        }
        assert_eq!(Remembered::decode(&[1, 1]), None, "a trial of nothing");
    }
}
