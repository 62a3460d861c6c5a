//! A client of the HTTP API.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The first node of `spore up`.
pub(crate) const LOCAL_NODE: &str = "127.42.0.1:8080";

/// Whom to ask, and how.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The node to ask: an address, with a port if its API is not at 80
    #[arg(long, value_name = "ADDRESS", env = "API_NODE", default_value = LOCAL_NODE)]
    node: String,
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
}

/// `GET /api/cluster/members`.
#[derive(Debug, Deserialize)]
pub(crate) struct MemberList {
    pub(crate) members: Vec<Member>,
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
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Asks `node` for the document at `path`; what was chosen but for that stays.
    pub(crate) fn get(&self, node: &str, path: &str) -> Result<String> {
        get(node, path, Duration::from_secs_f64(self.timeout))
    }

    /// The member list of the node that was chosen.
    pub(crate) fn members(&self) -> Result<MemberList> {
        parse(&self.get(&self.node, "/api/cluster/members")?)
    }
}

/// Asks `node` for the document at `path`.
pub(crate) fn get(node: &str, path: &str, timeout: Duration) -> Result<String> {
    let url = format!("http://{}{path}", authority(node)?);
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut response = agent.get(&url).call().with_context(|| no_answer(node, timeout))?;
    let status = response.status();
    let body = response.body_mut().read_to_string().with_context(|| no_answer(node, timeout))?;
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

fn no_answer(node: &str, timeout: Duration) -> String {
    let seconds = timeout.as_secs_f64();
    let mut text = format!("{node} gives no answer within {seconds} s");
    if node == LOCAL_NODE {
        text.push_str("; is `spore up` running? Another node is chosen by --node or API_NODE");
    }
    text
}

/// Reads an answer.
pub(crate) fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).context("the answer is not what a SPORE node gives")
}

/// The host and port in `node`, which may be a URL.
fn authority(node: &str) -> Result<&str> {
    let bare = node.strip_prefix("http://").unwrap_or(node).trim_end_matches('/');
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if bare.is_empty() || !bare.chars().all(good) {
        bail!("{node:?} is not a node's address; one looks like 192.168.1.20 or 127.0.0.1:8080");
    }
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::{authority, get};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn addresses_are_taken_with_and_without_port_and_scheme() {
        assert_eq!(authority("10.0.0.1").unwrap(), "10.0.0.1");
        assert_eq!(authority("http://10.0.0.1:81/").unwrap(), "10.0.0.1:81");
        for wrong in ["", "http://", "a b", "x/../y", "user@host"] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
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
