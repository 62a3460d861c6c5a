//! A change to the settings, as JSON.

use crate::api::Error;
use crate::network::{Password, Ssid};
use crate::object;
use crate::security::{ReleaseKey, Succession};
use crate::tasks::change::TaskChange;
use crate::wire::{self, Hostname};
use core::str::FromStr;

/// What is to be changed. Fields that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The version of the settings that the change is meant for.
    pub(crate) version: Option<u32>,
    pub(crate) hostname: Option<Hostname>,
    pub(crate) release_key: Option<ReleaseKey>,
    /// By the present release key; or what is sealed for this node alone, which is as long.
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
    /// `/api/cluster/key`.
    Key,
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
        let mut wanted = Self::default();
        object::read_object(body, &mut |name, json| wanted.take(document, name, json))?;
        Ok(wanted)
    }

    /// Takes the field of this name, with the value that `json` is.
    fn take(&mut self, document: Document, name: &str, json: &str) -> Result<(), Error> {
        use Document::{Config, Key, Task, Wifi};
        let mut room = [0; TEXT_MAX];
        let text = object::text(json, &mut room);
        let (name, is_taken) = match (document, name) {
            (Wifi, "ssid") => ("ssid", put(&mut self.ssid, parsed(text))),
            (Wifi, "password") => ("password", put(&mut self.password, parsed(text))),
            (Config, "version") => ("version", put(&mut self.version, object::number(json))),
            (Config, "hostname") => ("hostname", put(&mut self.hostname, parsed(text))),
            (Config, "release_key") => ("release_key", put(&mut self.release_key, parsed(text))),
            (Key, "sealed") => ("sealed", put(&mut self.signature, text.and_then(wire::parse_hex))),
            (Config, "release_key_signature") => {
                let signature = text.and_then(wire::parse_hex);
                ("release_key_signature", put(&mut self.signature, signature))
            }
            (Task, "enabled") => ("enabled", put(&mut self.task.enabled, object::flag(json))),
            (Task, "interval_ms") => {
                let interval = match json {
                    "null" => Some(None),
                    _ => object::number(json).map(Some),
                };
                ("interval_ms", put(&mut self.task.interval_ms, interval))
            }
            (Task, "run") => ("run", put(&mut self.task.run, object::flag(json))),
            _ => return Err(Error::unknown_field(name)),
        };
        is_taken.then_some(()).ok_or(Error::InvalidField(name))
    }
}

/// A text as what it stands for.
fn parsed<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// Puts a value in its place. False if there is none, or its field is there twice.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    value.is_some() && core::mem::replace(place, value).is_none()
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
