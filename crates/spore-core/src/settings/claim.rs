//! What is written into a node's memory at the desk, when it is claimed, and what of it is replaced since.

use super::field;
use crate::network::{Credentials, Password};
use crate::security::ClusterKey;
use crate::security::rotation::{Enrolment, Secret};
use crate::store::Stored;
use crate::wire::{Full, Reader, Writer};

/// What a node was given before its first start: whose it is, and how it gets into its network. It
/// holds before what is configured. The node changes nothing of it but its keys.
///
/// Stored under [`Key::Claim`](crate::Key::Claim) as
///
/// | bytes | what |
/// |---|---|
/// | 1 | version of the format, 1 |
/// | 1, 1, n | tag, length n, value; as often as there are fields |
///
/// | tag | value |
/// |---|---|
/// | 1 | [`key`](Self::key), 32 bytes |
/// | 2 | [`access_point`](Self::access_point), 8 to 63 bytes |
/// | 3 | [`wifi`](Self::wifi): name and password, each behind its length of one byte |
/// | 4 | [`enrolment`](Self::enrolment): 16 bytes of the secret, 4 of the number, most significant first, and perhaps 32 of the next key |
///
/// Fields with other tags, which a newer program has written, are skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The cluster's key. A node that has none here, and none in its
    /// [`Config`](crate::Config::key), is unclaimed.
    pub key: Option<ClusterKey>,
    /// The password of the node's own access point, never an empty one.
    pub access_point: Option<Password>,
    /// What to connect with as long as nothing was set through the API.
    pub wifi: Option<Credentials>,
    /// What rotations of the key need.
    pub enrolment: Option<Enrolment>,
}

const FORMAT: u8 = 1;
const TAG_KEY: u8 = 1;
const TAG_ACCESS_POINT: u8 = 2;
const TAG_WIFI: u8 = 3;
const TAG_ENROLMENT: u8 = 4;

/// The most bytes of a network's name and password, each behind its length.
const WIFI_MAX: usize = 97;

impl Claim {
    /// The claim of a node that starts; an empty one if it was never claimed. `None` if it was, and what was written is
    /// damaged or of a newer program: the node is somebody's then, and nobody can tell whose. It joins nobody, and is
    /// not to be taken over by who comes first; somebody at the machine must decide.
    pub fn restore(stored: &Stored<'_>) -> Option<Self> {
        match stored.claim {
            _ if stored.claim_damaged => None,
            [] => Some(Self::default()),
            value => Self::decode(value),
        }
    }

    /// The claim in a stored value; `None` if it is not one, or not whole.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        if reader.u8().ok()? != FORMAT {
            return None;
        }
        let mut claim = Self::default();
        while !reader.is_empty() {
            let (tag, len) = (reader.u8().ok()?, reader.u8().ok()?);
            let field = reader.slice(usize::from(len)).ok()?;
            let twice = match tag {
                TAG_KEY => {
                    let key = ClusterKey::from_bytes(field.try_into().ok()?);
                    claim.key.replace(key).is_some()
                }
                TAG_ACCESS_POINT => {
                    let password = Password::new(field).ok().filter(|it| !it.is_open())?;
                    claim.access_point.replace(password).is_some()
                }
                TAG_WIFI => {
                    let mut reader = Reader::new(field);
                    let wifi = Credentials::read(&mut reader).filter(|_| reader.is_empty())?;
                    claim.wifi.replace(wifi).is_some()
                }
                TAG_ENROLMENT => claim.enrolment.replace(read_enrolment(field)?).is_some(),
                _ => false,
            };
            if twice {
                return None;
            }
        }
        Some(claim)
    }

    /// Writes the value to store into `buf`. Returns its length, or 0 if there is no room.
    pub fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.write(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(FORMAT)?;
        if let Some(key) = &self.key {
            field(writer, TAG_KEY, key.as_bytes())?;
        }
        if let Some(password) = self.access_point.filter(|it| !it.is_open()) {
            field(writer, TAG_ACCESS_POINT, password.as_str().as_bytes())?;
        }
        if let Some(wifi) = &self.wifi {
            let mut value = [0; WIFI_MAX];
            let mut inner = Writer::new(&mut value);
            wifi.write(&mut inner)?;
            let len = inner.len();
            field(writer, TAG_WIFI, value.get(..len).unwrap_or_default())?;
        }
        if let Some(enrolment) = &self.enrolment {
            let next = enrolment.next.as_ref();
            writer.u8(TAG_ENROLMENT)?;
            writer.u8(if next.is_some() { 52 } else { 20 })?;
            writer.put(&enrolment.secret.0)?;
            writer.u32(enrolment.number)?;
            writer.put(next.map_or(&[][..], |key| key.as_bytes()))?;
        }
        Ok(())
    }
}

fn read_enrolment(field: &[u8]) -> Option<Enrolment> {
    let mut reader = Reader::new(field);
    let (secret, number) = (Secret(reader.array().ok()?), reader.u32().ok()?);
    let next = match reader.rest() {
        [] => None,
        key => Some(ClusterKey::from_bytes(key.try_into().ok()?)),
    };
    Some(Enrolment { secret, number, next })
}

#[cfg(test)]
mod tests {
    use super::{Claim, ClusterKey, Credentials, Enrolment, Password, Secret, Stored};
    use crate::store::MAX_VALUE;
    use std::vec::Vec;

    fn full() -> Claim {
        let (ssid, password) = ("s".repeat(32), "p".repeat(63));
        Claim {
            key: Some(ClusterKey::from_bytes([7; 32])),
            access_point: Some(Password::new("a".repeat(63).as_bytes()).unwrap()),
            wifi: Some(Credentials {
                ssid: ssid.parse().unwrap(),
                password: password.parse().unwrap(),
            }),
            enrolment: Some(Enrolment {
                secret: Secret([9; 16]),
                number: 0x0102_0304,
                next: Some(ClusterKey::from_bytes([8; 32])),
            }),
        }
    }

    fn encoded(claim: &Claim) -> Vec<u8> {
        let mut value = [0; MAX_VALUE];
        let len = claim.encode(&mut value);
        value[..len].to_vec()
    }

    #[test]
    fn a_claim_is_read_back_and_no_part_of_it_is_taken_for_all() {
        let unclaimed = Claim { key: None, wifi: None, ..full() };
        let open = Credentials { ssid: "guest".parse().unwrap(), password: Password::OPEN };
        let steady = full().enrolment.map(|enrolment| Enrolment { next: None, ..enrolment });
        let steady = Claim { enrolment: steady, ..full() };
        let plain = Claim { wifi: Some(open), enrolment: None, ..full() };
        for claim in [full(), unclaimed, steady, plain, Claim::default()] {
            let value = encoded(&claim);
            assert_eq!(Claim::decode(&value), Some(claim.clone()));
            assert_eq!(claim.encode(&mut [0; MAX_VALUE][..value.len() - 1]), 0);
        }
        let value = encoded(&full());
        assert_eq!(value.len(), 253, "as the documentation says");
        // Cut between two fields it is whole; storage must not do that.
        for cut in (0..value.len()).filter(|cut| ![1, 35, 100, 199].contains(cut)) {
            assert_eq!(Claim::decode(&value[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn later_formats_and_damage_are_refused_and_unknown_fields_skipped() {
        let mut value = encoded(&full());
        value.extend([200, 3, 1, 2, 3]);
        assert_eq!(Claim::decode(&value), Some(full()));
        value[0] = 2;
        assert_eq!(Claim::decode(&value), None);
        assert_eq!(Claim::decode(&[]), None);
        let key = [&[1, 32][..], &[7; 32]].concat();
        for (wrong, what) in [
            (&[1, 1, 0][..], "no key"),
            (&[2, 0], "an open access point"),
            (&[2, 7, 1, 2, 3, 4, 5, 6, 7], "no password"),
            (&[3, 3, 1, b'a', 9], "no network"),
            (&[3, 4, 1, b'a', 0, 0], "more than a network"),
            (&[4, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "no number"),
            (&[&[4, 21][..], &[0; 21]].concat(), "no key that is next"),
            (&[&key[..], &key].concat(), "twice"),
        ] {
            assert_eq!(Claim::decode(&[&[1], wrong].concat()), None, "{what}");
        }
    }

    #[test]
    fn a_claim_that_is_lost_is_not_taken_for_none() {
        let restored = |claim: &[u8], claim_damaged| {
            Claim::restore(&Stored { claim, claim_damaged, ..Stored::default() })
        };
        let value = encoded(&full());
        assert_eq!(restored(&value, false), Some(full()));
        assert_eq!(restored(&[], false), Some(Claim::default()), "never claimed");
        assert_eq!(restored(&[], true), None);
        assert_eq!(restored(&value, true), None, "of an earlier owner, maybe");
        assert_eq!(restored(&value[..9], false), None);
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let text = std::format!("{:?}", full());
        assert!(!text.contains("aaaa") && !text.contains("pppp"));
        assert!(!text.contains("7, 7") && !text.contains("8, 8") && !text.contains("9, 9"));
    }
}
