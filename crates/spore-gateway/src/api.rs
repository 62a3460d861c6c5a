//! What the gateway needs of the HTTP API.

use anyhow::Result;

/// A client of nodes' HTTP API, which holds the cluster key.
pub trait Api: Send + Sync + 'static {
    /// The document at `path` of the node at `node`, an address with a port.
    fn get(&self, node: &str, path: &str) -> Result<String>;

    /// The answer to a signed request, whatever its status.
    fn send(&self, node: &str, method: &str, path: &str, body: &[u8]) -> Result<Answer>;

    /// The events that are delivered on `node`, behind that with the id `after` or from the oldest that it still has. It ends
    /// when the connection does.
    fn events(&self, node: &str, after: Option<&str>) -> Result<Frames>;
}

/// What a node said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// The document.
    pub body: String,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What to ask for to go on behind it.
    pub id: Option<String>,
    /// The topic.
    pub event: String,
    /// A document.
    pub data: String,
}

/// A stream of events.
pub type Frames = Box<dyn Iterator<Item = Frame> + Send>;
