//! A client of the HTTP API.

use crate::variables;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::Ipv6Addr;
use std::time::Duration;

/// The first node of `spore up`.
pub(crate) const LOCAL_NODE: &str = "127.42.0.1:8080";

/// Whom to ask, and how.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The node to ask: an address, with a port if its API is not at 80 [env: API_NODE]
    /// [default: 127.42.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    node: Option<String>,
    /// How long to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    timeout: f64,
    /// Print the API's answer as it is, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.01 to 3600".to_owned()),
    }
}

/// One member, as `GET /api/cluster/members` has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) address: String,
    pub(crate) http_port: u16,
    pub(crate) status: String,
    pub(crate) status_version: u16,
    pub(crate) last_seen_ms: Option<u64>,
    pub(crate) rtt_us: Option<u64>,
    /// Whether this is the node that was asked; the others need not say that they are not.
    #[serde(default, rename = "self")]
    itself: Option<bool>,
}

impl Member {
    /// Where its API is.
    pub(crate) fn api(&self) -> String {
        format!("{}:{}", self.address, self.http_port)
    }

    /// Whether it counts as there.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.status.as_str(), "active" | "suspect")
    }

    /// Whether it is the node that was asked.
    pub(crate) fn is_self(&self) -> bool {
        self.itself == Some(true)
    }
}

/// `GET /api/cluster/members`.
#[derive(Debug, Deserialize)]
pub(crate) struct MemberList {
    pub(crate) members: Vec<Member>,
}

impl MemberList {
    /// Where the APIs of the active members are.
    pub(crate) fn active_apis(&self) -> BTreeSet<String> {
        let active = self.members.iter().filter(|member| member.status == "active");
        active.map(Member::api).collect()
    }
}

#[derive(Deserialize)]
struct Failure {
    error: FailureDetail,
}

#[derive(Deserialize)]
struct FailureDetail {
    code: String,
    message: String,
}

impl Target {
    /// The node that was chosen.
    pub(crate) fn node(&self) -> String {
        self.node.clone().unwrap_or_else(default_node)
    }

    /// Asks `node` for the document at `path`; what was chosen but for that stays.
    pub(crate) fn get(&self, node: &str, path: &str) -> Result<String> {
        get(node, path, Duration::from_secs_f64(self.timeout))
    }

    /// The member list of the node that was chosen.
    pub(crate) fn members(&self) -> Result<MemberList> {
        parse(&self.get(&self.node(), "/api/cluster/members")?)
    }
}

/// The node that is asked if no option says otherwise.
pub(crate) fn default_node() -> String {
    let chosen = variables::variable("API_NODE");
    chosen.map_or_else(|| LOCAL_NODE.to_owned(), |node| node.to_string_lossy().into_owned())
}

/// Asks `node` for the document at `path`.
pub(crate) fn get(node: &str, path: &str, timeout: Duration) -> Result<String> {
    let authority = Authority::parse(node)?;
    let url = format!("http://{}{path}", authority.text);
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let failed = |error| failure(&error, node, authority.has_port, timeout);
    let mut response = agent.get(&url).call().map_err(failed)?;
    let status = response.status();
    let body = response.body_mut().read_to_string().map_err(failed)?;
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_str::<Failure>(&body) {
        Ok(Failure { error }) => {
            bail!("{node} refuses {path}: {} ({status}, {})", error.message, error.code)
        }
        Err(_) => bail!("{node} refuses {path} with {status}; is it a SPORE node?"),
    }
}

/// What went wrong between this command and `node`, in words that help.
fn failure(error: &ureq::Error, node: &str, has_port: bool, limit: Duration) -> anyhow::Error {
    let mut text = match error {
        ureq::Error::Timeout(_) => {
            format!("{node} gives no answer within {} s", limit.as_secs_f64())
        }
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let hint = if has_port { "" } else { " (host nodes serve at :8080)" };
            format!("{node} refuses the connection{hint}")
        }
        ureq::Error::Io(error) => return anyhow!("cannot ask {node}: {error}"),
        other => return anyhow!("cannot ask {node}: {other}"),
    };
    if node == LOCAL_NODE {
        text.push_str("; is `spore up` running? Another node is chosen by --node or API_NODE");
    }
    anyhow!(text)
}

/// Reads an answer.
pub(crate) fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).context("the answer is not what a SPORE node gives")
}

/// The host and port in a node's address, which may be a URL.
#[derive(Debug)]
struct Authority<'a> {
    text: &'a str,
    has_port: bool,
}

impl<'a> Authority<'a> {
    fn parse(node: &'a str) -> Result<Self> {
        let text = node.strip_prefix("http://").unwrap_or(node).trim_end_matches('/');
        // Brackets are there for the colons between them (RFC 3986, section 3.2.2).
        let (host, port) = match text.rfind(']') {
            Some(end) => text.split_at(end + 1),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => {
                let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                !host.is_empty() && host.chars().all(good)
            }
        };
        if !good {
            bail!("{node:?} is not a node's address; one looks like 192.168.1.20 or {LOCAL_NODE}");
        }
        if port.is_empty() {
            return Ok(Self { text, has_port: false });
        }
        let digits = port.strip_prefix(':').filter(|port| port.chars().all(|c| c.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse::<u16>().ok()) {
            Some(1..) => Ok(Self { text, has_port: true }),
            _ => bail!("{node:?} has no valid port; one is a number from 1 to 65535"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, get};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn addresses_are_taken_with_and_without_port_and_scheme() {
        let parse = |node| Authority::parse(node).map(|parsed| (parsed.text, parsed.has_port));
        assert_eq!(parse("10.0.0.1").unwrap(), ("10.0.0.1", false));
        assert_eq!(parse("http://10.0.0.1:81/").unwrap(), ("10.0.0.1:81", true));
        assert_eq!(parse("board-1:65535").unwrap(), ("board-1:65535", true));
        assert_eq!(parse("[::1]:1").unwrap(), ("[::1]:1", true));
        assert_eq!(parse("[fe80::1]").unwrap(), ("[fe80::1]", false));
        for wrong in ["", "http://", "a b", "x/../y", "user@host", ":80", "[::1", "[x]", "é"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("not a node's address"), "{wrong}: {error}");
        }
        for wrong in ["a:", "a:0", "a:65536", "a:+1", "a:b", "a:1:2", "::1", "[::1]80", "[::1]:"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("1 to 65535") || wrong == "::1", "{wrong}: {error}");
        }
    }

    #[test]
    fn a_refused_connection_is_called_that_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let start = Instant::now();
        let error = get(&gone, "/", Duration::from_secs(60)).unwrap_err().to_string();
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(error, format!("{gone} refuses the connection"));
    }

    #[test]
    fn who_named_no_port_is_told_which_one_host_nodes_have() {
        let refused = ureq::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        let text = |node, has_port| {
            super::failure(&refused, node, has_port, Duration::from_secs(1)).to_string()
        };
        let hint = "10.0.0.1 refuses the connection (host nodes serve at :8080)";
        assert_eq!(text("10.0.0.1", false), hint);
        assert_eq!(text("10.0.0.1:80", true), "10.0.0.1:80 refuses the connection");
        assert!(text(super::LOCAL_NODE, true).contains("is `spore up` running?"));
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_in_its_own_words() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = server.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = server.accept().unwrap();
            let _ = socket.read(&mut [0; 1024]);
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf").unwrap();
        });
        let error = get(&node, "/", Duration::from_secs(60)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot ask {node}: ")), "{error}");
        assert!(!error.contains("within") && !error.contains("refuses"), "{error}");
        thread.join().unwrap();
    }

    #[test]
    fn a_node_that_accepts_and_says_nothing_is_an_error_in_time() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = silent.local_addr().unwrap().to_string();
        let start = Instant::now();
        let error = get(&node, "/", Duration::from_millis(300)).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(3));
        assert!(error.to_string().contains("no answer within 0.3 s"), "{error}");
    }

    #[test]
    fn what_is_no_spore_node_is_named_so() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = server.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = server.accept().unwrap();
            let _ = socket.read(&mut [0; 1024]);
            let answer = "HTTP/1.1 500 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
            socket.write_all(answer.as_bytes()).unwrap();
        });
        let error = get(&node, "/", Duration::from_secs(2)).unwrap_err().to_string();
        assert!(error.contains("500") && error.contains("is it a SPORE node"), "{error}");
        thread.join().unwrap();
    }
}
