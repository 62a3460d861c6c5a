//! Sprockets in the API: how they are, in the node's status, and what is set of them.

use super::body::{Full, Piece};
use super::{Body, Error, Request, Response};
use crate::node::Node;
use crate::sprockets::{Setting, Value};
use crate::time::Instant;
use serde::Serialize;

/// What comes next of a sprocket's settings: the sprocket's place, and the setting's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u8, u8);

impl Place {
    /// The beginning of the document.
    pub(super) const fn start(sprocket: u8) -> Self {
        Self(sprocket, 0)
    }
}

/// A sprocket, as the status of its node lists it.
#[derive(Serialize)]
struct SprocketView {
    name: &'static str,
    state: &'static str,
    /// What it said when it panicked.
    message: Option<&'static str>,
    runs: u32,
    slow: u16,
    longest_us: u32,
    refused: u16,
    /// Restarts in a row that were because of it.
    restarts: u8,
}

/// `GET /api/sprockets/{name}/config`.
pub(super) fn config(node: &mut Node<'_>, request: &Request<'_>) -> Result<Response, Error> {
    Ok(Response::ok(Body::sprocket(at(node, request)?)))
}

/// `PUT /api/sprockets/{name}/config`.
pub(super) fn set(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    let place = at(node, request)?;
    Ok(node.set_sprocket(now, place, request.body))
}

/// The place of the sprocket that the path names.
fn at(node: &Node<'_>, request: &Request<'_>) -> Result<u8, Error> {
    let name = request.path.split('/').nth(3).unwrap_or_default();
    let place = node.sprockets.find(name).ok_or(Error::NotFound)?;
    // There are few.
    u8::try_from(place).map_err(|_| Error::NotFound)
}

impl Piece<'_> {
    /// Writes the sprocket at `index` of the list in the status; false if there is none.
    pub(super) fn sprocket(&mut self, node: &Node<'_>, index: usize) -> Result<bool, Full> {
        let Some((manifest, state, counters)) = node.sprockets.get(index) else { return Ok(false) };
        self.text(if index == 0 { "" } else { "," })?;
        self.json(&SprocketView {
            name: manifest.name(),
            state: state.name(),
            message: state.message(),
            runs: counters.runs,
            slow: counters.slow,
            longest_us: counters.longest_us,
            refused: counters.refused,
            restarts: counters.restarts,
        })?;
        Ok(true)
    }

    /// Writes the next piece of a sprocket's settings; what follows it, `None` at the end.
    pub(super) fn sprocket_config(
        &mut self,
        node: &Node<'_>,
        Place(sprocket, index): Place,
    ) -> Result<Option<Place>, Full> {
        let place = usize::from(sprocket);
        let Some((manifest, ..)) = node.sprockets.get(place) else { return Ok(None) };
        if index == 0 {
            self.text("{\"sprocket\":\"")?;
            self.text(manifest.name())?;
            self.text("\",\"settings\":[")?;
        }
        let Some(setting) = manifest.settings().get(usize::from(index)) else {
            self.text("]}")?;
            return Ok(None);
        };
        self.text(if index == 0 { "" } else { "," })?;
        let value = node.sprockets.setting(place, setting.name());
        self.setting(setting, value.unwrap_or(setting.default()))?;
        Ok(Some(Place(sprocket, index.saturating_add(1))))
    }

    /// A setting, with all that is known of it. Names and summaries need no escapes.
    fn setting(&mut self, setting: &Setting, value: Value<'_>) -> Result<(), Full> {
        let mut members = [("", Value::Number(0)); 6];
        let all = [
            ("name", Some(setting.name().into())),
            ("value", Some(value)),
            ("default", Some(setting.default())),
            ("least", setting.range().map(|(least, _)| least.into())),
            ("most", setting.range().map(|(_, most)| most.into())),
            ("summary", Some(setting.summary().into())),
        ];
        let mut len = 0usize;
        for (place, (name, value)) in
            members.iter_mut().zip(all.into_iter().filter_map(|(name, value)| Some((name, value?))))
        {
            *place = (name, value);
            len = len.saturating_add(1);
        }
        self.value(&Value::Object(members.get(..len).unwrap_or_default()))
    }
}
