//! What a sprocket is handed of an event.

use spore_core::NodeId;
use spore_core::sprockets::Value;

/// An event that a sprocket subscribed to.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// What it says: by convention JSON.
    pub payload: &'a [u8],
    /// Who published it.
    pub publisher: NodeId,
    /// Whether it is the current value of its topic.
    pub retained: bool,
}

impl Event<'_> {
    /// The payload as a truth value, if it is one.
    pub fn flag(&self) -> Option<bool> {
        match Value::parse(self.payload) {
            Some(Value::Bool(flag)) => Some(flag),
            _ => None,
        }
    }

    /// The payload as a whole number, if it is one.
    pub fn number(&self) -> Option<i32> {
        match Value::parse(self.payload) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// The payload as a text, if it is one without escapes.
    pub fn text(&self) -> Option<&str> {
        match Value::parse(self.payload) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}
