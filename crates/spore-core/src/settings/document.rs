//! A change to the settings, as JSON.

use crate::api::{Error, FieldName};
use crate::network::{Password, Ssid};
use crate::security::{ReleaseKey, Succession};
use crate::tasks::change::TaskChange;
use crate::wire::{self, Hostname};
use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json_core::de::Error::ExpectedObjectCommaOrEnd;

/// What is to be changed. Fields that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The version of the settings that the change is meant for.
    pub(crate) version: Option<u32>,
    pub(crate) hostname: Option<Hostname>,
    pub(crate) release_key: Option<ReleaseKey>,
    /// By the present release key.
    pub(crate) signature: Option<[u8; Succession::SIGNATURE]>,
    pub(crate) ssid: Option<Ssid>,
    pub(crate) password: Option<Password>,
    pub(crate) task: TaskChange,
}

/// What a body is about. One reader for all takes less flash than one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// `/api/node/config`.
    Config,
    /// `/api/network/wifi`.
    Wifi,
    /// `/api/tasks/{name}`.
    Task,
}

/// The longest text: a signature in hexadecimal digits. Longer ones are refused.
const TEXT_MAX: usize = 128;

impl Wanted {
    /// Reads a change from a request's body.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidJson`] for what is no JSON object, [`Error::InvalidField`] for a value that
    /// is not as it must be, [`Error::UnknownField`] for a field that there is not.
    pub(crate) fn parse(document: Document, body: &[u8]) -> Result<Self, Error> {
        let mut error = Error::InvalidJson;
        let mut text = [0; TEXT_MAX];
        let mut deserializer = serde_json_core::de::Deserializer::new(body, Some(&mut text));
        let mut number = None;
        let object = Object { document, error: &mut error, number: &mut number };
        let wanted = object.deserialize(&mut deserializer).map_err(|cause| match number {
            // The deserialiser reads the digits of `1.5`, and finds no comma behind them.
            Some(field) if cause == ExpectedObjectCommaOrEnd && has_fraction(body) => {
                Error::InvalidField(field)
            }
            _ => error,
        })?;
        // What stands behind the object must be blank.
        deserializer.end().map_err(|_| Error::InvalidJson)?;
        Ok(wanted)
    }
}

/// Whether a number seems to have a fraction or an exponent.
fn has_fraction(body: &[u8]) -> bool {
    body.windows(2).any(|pair| matches!(pair, [b'0'..=b'9', b'.' | b'e' | b'E']))
}

/// Reads the object, and says what was wrong with it: the deserialiser's own errors name no field.
struct Object<'e> {
    document: Document,
    error: &'e mut Error,
    /// The field that was read last, if it is a number.
    number: &'e mut Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Wanted;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Wanted, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Wanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wanted, A::Error> {
        let mut wanted = Wanted::default();
        while let Some(Parsed(name)) = map.next_key::<Parsed<FieldName>>()? {
            *self.number = None;
            // Nothing but texts, numbers and truth values are read, so no value nests.
            let of_config = self.document == Document::Config;
            let of_wifi = self.document == Document::Wifi;
            let of_task = self.document == Document::Task;
            let twice = match name.as_str() {
                "ssid" if of_wifi => {
                    *self.error = Error::InvalidField("ssid");
                    let Parsed(ssid) = map.next_value()?;
                    wanted.ssid.replace(ssid).is_some()
                }
                "password" if of_wifi => {
                    *self.error = Error::InvalidField("password");
                    let Parsed(password) = map.next_value()?;
                    wanted.password.replace(password).is_some()
                }
                "version" if of_config => {
                    *self.error = Error::InvalidField("version");
                    let number = map.next_value()?;
                    *self.number = Some("version");
                    wanted.version.replace(number).is_some()
                }
                "hostname" if of_config => {
                    *self.error = Error::InvalidField("hostname");
                    let Parsed(name) = map.next_value()?;
                    wanted.hostname.replace(name).is_some()
                }
                "release_key" if of_config => {
                    *self.error = Error::InvalidField("release_key");
                    let Parsed(key) = map.next_value()?;
                    wanted.release_key.replace(key).is_some()
                }
                "release_key_signature" if of_config => {
                    *self.error = Error::InvalidField("release_key_signature");
                    let Parsed(Signature(signature)) = map.next_value()?;
                    wanted.signature.replace(signature).is_some()
                }
                "enabled" if of_task => {
                    *self.error = Error::InvalidField("enabled");
                    wanted.task.enabled.replace(map.next_value()?).is_some()
                }
                "interval_ms" if of_task => {
                    *self.error = Error::InvalidField("interval_ms");
                    let number = map.next_value()?;
                    *self.number = Some("interval_ms");
                    wanted.task.interval_ms.replace(number).is_some()
                }
                "run" if of_task => {
                    *self.error = Error::InvalidField("run");
                    wanted.task.run.replace(map.next_value()?).is_some()
                }
                _ => {
                    *self.error = Error::UnknownField(name);
                    true
                }
            };
            if twice {
                return Err(A::Error::custom("a field that must not be there"));
            }
            *self.error = Error::InvalidJson;
        }
        Ok(wanted)
    }
}

/// A text that is read as something else.
struct Parsed<T>(T);

impl<'de, T: FromStr> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData)).map(Self)
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::custom("not as it must be"))
    }
}

struct Signature([u8; Succession::SIGNATURE]);

impl FromStr for Signature {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        wire::parse_hex(text).map(Self).ok_or(())
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
