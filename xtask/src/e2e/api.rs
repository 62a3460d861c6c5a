//! A client of the HTTP API that is small enough to be beyond doubt.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long a node may take to answer, as promise H2 has it: what TCP loses is sent again after 1 s, 3 s, 7 s.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries with a node that refuses.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A node's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api {
    /// The node's name, for messages.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) address: Ipv4Addr,
    /// Its TCP port.
    pub(crate) port: u16,
}

/// A node's view of the cluster: status by host name.
pub(crate) type Members = BTreeMap<String, Member>;

/// What is the same in all views of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its id.
    pub(crate) id: String,
    /// Its address.
    pub(crate) address: String,
    /// `active`, `suspect`, `dead` or `left`.
    pub(crate) status: String,
}

impl Api {
    /// `GET /api/cluster/members`.
    ///
    /// # Errors
    /// When the node does not answer as it must.
    pub(crate) fn members(&self) -> Result<Members> {
        let body = self.get("/api/cluster/members")?;
        let rows = body["members"].as_array().context("no list of members")?;
        let mut members = Members::new();
        for row in rows {
            let text = |field: &str| {
                let value = row[field].as_str();
                value.map(str::to_owned).with_context(|| format!("a member without {field}"))
            };
            let member =
                Member { id: text("id")?, address: text("address")?, status: text("status")? };
            let name = text("hostname")?;
            ensure!(members.insert(name.clone(), member).is_none(), "{name} is listed twice");
        }
        Ok(members)
    }

    /// `GET /api/node/status`: how long the node has been running.
    ///
    /// # Errors
    /// When the node does not answer as it must.
    pub(crate) fn uptime(&self) -> Result<Duration> {
        let uptime = self.get("/api/node/status")?["uptime_ms"].as_u64();
        uptime.map(Duration::from_millis).context("no uptime")
    }

    /// `GET /api/node/status`: how many datagrams were refused, for whatever reason.
    ///
    /// # Errors
    /// When the node does not answer as it must.
    pub(crate) fn refused(&self) -> Result<u64> {
        let status = self.get("/api/node/status")?;
        let kinds = ["unauthentic", "malformed", "replayed", "unverified"];
        let count = |kind| status["datagrams"][kind].as_u64();
        kinds.into_iter().map(count).sum::<Option<u64>>().context("no counts of datagrams")
    }

    /// The document at `path`.
    ///
    /// # Errors
    /// When the node does not answer as it must.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let ask = || {
            // HTTP/1.0: the end of the connection is the end of the answer.
            let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
            let answer = self.exchange(request.as_bytes(), TIMEOUT)?;
            if answer.is_empty() {
                return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            let answer = String::from_utf8(answer).context("the answer is not UTF-8")?;
            let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end")?;
            let status = head.split(' ').nth(1);
            seated(status)?;
            ensure!(status == Some("200"), "answered {}", head.lines().next().unwrap_or_default());
            serde_json::from_str(body).context("the body is not JSON")
        };
        ask().with_context(|| format!("GET {path} of {}", self.name))
    }

    /// The document at `path`, which is asked for again while the node refuses.
    ///
    /// # Errors
    /// When the node does not answer as it must.
    pub(crate) fn get_patiently(&self, path: &str) -> Result<Value> {
        patiently(TIMEOUT, || self.get(path))
    }

    /// Sends `request`, says that this is all, and returns what comes back until the node closes.
    ///
    /// # Errors
    /// When the connection fails, or is not closed within `timeout`.
    pub(crate) fn exchange(&self, request: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let end = Instant::now() + timeout;
        let at = SocketAddr::from((self.address, self.port));
        let mut socket = TcpStream::connect_timeout(&at, timeout)?;
        socket.set_write_timeout(Some(timeout))?;
        socket.write_all(request)?;
        socket.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "no end of the answer within {} s", timeout.as_secs());
            socket.set_read_timeout(Some(left))?;
            match socket.read(&mut piece) {
                Ok(0) => return Ok(answer),
                Ok(len) => answer.extend_from_slice(&piece[..len]),
                // The time is over, and the next round says so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether an answer with this status is one to the request.
///
/// # Errors
/// When it is that there was no seat for it, or none any more.
pub(crate) fn seated(status: Option<&str>) -> std::io::Result<()> {
    match status {
        Some(refusal @ ("408" | "503")) => {
            Err(std::io::Error::new(ErrorKind::ResourceBusy, format!("answered {refusal}")))
        }
        _ => Ok(()),
    }
}

/// Whether the answer was 503 or 408, or the connection was refused or ended before an answer came: what
/// a board does while it is busy, which has no queue for connections. A later try may succeed.
pub(crate) fn is_refusal(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(
        kind,
        Some(
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::NotConnected
                | ErrorKind::UnexpectedEof
                | ErrorKind::ResourceBusy
        )
    )
}

/// Asks again while the node refuses, for `limit` at most.
///
/// # Errors
/// What the last try failed with.
pub(crate) fn patiently<T>(limit: Duration, ask: impl Fn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(error) if is_refusal(&error) && start.elapsed() < limit => {
                std::thread::sleep(RETRY_PAUSE);
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::cell::Cell;
    use std::io;

    fn refusal() -> anyhow::Error {
        anyhow::Error::from(io::Error::from(ErrorKind::ConnectionRefused)).context("GET /")
    }

    #[test]
    fn a_refusal_is_tried_again_and_a_wrong_answer_is_not() {
        let tries = Cell::new(0);
        let third = patiently(Duration::from_secs(5), || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(refusal()) } else { Ok(tries.get()) }
        });
        assert_eq!(third.unwrap(), 3);

        tries.set(0);
        let wrong = patiently(Duration::from_secs(5), || -> Result<()> {
            tries.set(tries.get() + 1);
            bail!("the body is not JSON")
        });
        assert!(wrong.is_err());
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn patience_ends() {
        let answer = patiently(Duration::ZERO, || -> Result<()> { Err(refusal()) });
        assert!(is_refusal(&answer.unwrap_err()));
    }
}
