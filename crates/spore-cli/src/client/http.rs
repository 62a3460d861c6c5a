//! One request and its answer.

use super::LOCAL_NODE;
use super::authority::Authority;
use super::stream::Stream;
use anyhow::{Result, anyhow};
use serde::Deserialize;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::thread;
use std::time::{Duration, Instant};
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

/// What to ask a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// The path, and the query if there is one: what stands in the request line.
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
    /// The media type of the body; without one, no body is sent.
    pub(crate) content_type: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub(crate) fn get(target: &'a str) -> Self {
        Self { method: "GET", target, body: b"", content_type: None }
    }

    pub(crate) fn with_json(method: &'a str, target: &'a str, body: &'a [u8]) -> Self {
        Self { method, target, body, content_type: Some("application/json") }
    }

    /// Whether doing it twice is the same as doing it once (RFC 9110, section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS")
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method {
            "GET" => f.write_str(self.target),
            method => write!(f, "{method} {}", self.target),
        }
    }
}

/// What a node said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// Whether the node may have got the request, and acted on it.
    pub(crate) sent: bool,
    pub(crate) error: anyhow::Error,
}

impl From<Unanswered> for anyhow::Error {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.error
    }
}

/// The body of every refusal.
#[derive(Deserialize)]
struct Failure {
    error: Refusal,
}

/// Why a node refused.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Refusal {
    /// A word for programs.
    pub(crate) code: String,
    /// A sentence for people.
    pub(crate) message: String,
    /// The field or parameter that is to blame.
    pub(crate) field: Option<String>,
}

impl Answer {
    /// Whether the node did what it was asked for.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a SPORE node gives with an error status.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let failure = serde_json::from_slice::<Failure>(&self.body);
        failure.ok().filter(|_| !self.is_success()).map(|failure| failure.error)
    }

    /// Whether it is the refusal with this code.
    pub(crate) fn is_refusal(&self, code: &str) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == code)
    }

    /// The error that says what `node` has against `request`.
    pub(crate) fn error(&self, node: &str, request: &Request<'_>) -> anyhow::Error {
        let status = self.status;
        match self.refusal() {
            Some(Refusal { code, message, field }) => {
                let field = field.map_or_else(String::new, |field| format!("{field}: "));
                anyhow!("{node} refuses {request}: {field}{message} ({status}, {code})")
            }
            None => anyhow!("{node} refuses {request} with {status}; is it a SPORE node?"),
        }
    }

    /// The answer if it is none that refuses.
    pub(crate) fn accepted(self, node: &str, request: &Request<'_>) -> Result<Self> {
        if self.is_success() { Ok(self) } else { Err(self.error(node, request)) }
    }

    /// The body as text; what is not UTF-8 in it is replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Before a node that is busy is asked again: what its `Retry-After` says.
pub(crate) const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What asks nodes.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    timeout: Duration,
}

impl Client {
    /// A client that waits so long for each answer, from the first look-up to the last byte.
    pub(crate) fn new(timeout: Duration) -> Self {
        let config = Self::config(timeout).timeout_global(Some(timeout)).build();
        Self { agent: ureq::Agent::new_with_config(config), timeout }
    }

    fn config(timeout: Duration) -> ConfigBuilder<AgentScope> {
        ureq::Agent::config_builder()
            // So that a node that cannot be reached is told from one that is slow to answer.
            .timeout_connect(Some(timeout.mul_f64(0.8)))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            // A signature is for one target alone, and no node redirects.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
    }

    /// Asks `node` for the document at `path`; again if it is busy, within the time for an answer.
    pub(crate) fn get(&self, node: &str, path: &str) -> Result<String> {
        let request = Request::get(path);
        let start = Instant::now();
        loop {
            let answer = self.exchange(node, &request, None)?;
            // A board has three connections. Who reads changes nothing by asking again.
            let again = answer.is_refusal("busy") && start.elapsed() + BUSY_PAUSE < self.timeout;
            if !again {
                return Ok(answer.accepted(node, &request)?.text());
            }
            thread::sleep(BUSY_PAUSE);
        }
    }

    /// Sends `request` to `node`, with an `Authorization` field if there is one, and reads the
    /// answer, whatever its status.
    pub(crate) fn exchange(
        &self,
        node: &str,
        request: &Request<'_>,
        authorization: Option<&str>,
    ) -> Result<Answer, Unanswered> {
        let unsent = |error| Unanswered { sent: false, error };
        let authority = Authority::parse(node).map_err(unsent)?;
        let url = format!("http://{}{}", authority.text, request.target);
        let failed = |error| self.failure(&error, node, authority.has_port);
        let mut head = ureq::http::Request::builder().method(request.method).uri(url);
        if let Some(authorization) = authorization {
            head = head.header("authorization", authorization);
        }
        if let Some(content_type) = request.content_type {
            head = head.header("content-type", content_type);
        }
        // A length of 0 for what has a body as a rule: else it would come in chunks, which nodes
        // do not take.
        let has_body =
            request.content_type.is_some() || matches!(request.method, "POST" | "PUT" | "PATCH");
        let response = if has_body {
            let request = head.body(request.body).map_err(ureq::Error::from);
            request.and_then(|request| self.agent.run(request))
        } else {
            let request = head.body(()).map_err(ureq::Error::from);
            request.and_then(|request| self.agent.run(request))
        };
        Self::read(response.map_err(failed)?).map_err(failed)
    }

    /// Asks `node` for the stream that `request` stands for, behind the event `seen` if there is
    /// one. An answer that is none is a refusal.
    pub(crate) fn open(
        &self,
        node: &str,
        request: &Request<'_>,
        authorization: &str,
        seen: Option<&str>,
    ) -> Result<Result<Stream, Answer>, Unanswered> {
        let unsent = |error| Unanswered { sent: false, error };
        let authority = Authority::parse(node).map_err(unsent)?;
        let url = format!("http://{}{}", authority.text, request.target);
        let failed = |error| self.failure(&error, node, authority.has_port);
        let mut head = ureq::http::Request::get(url).header("authorization", authorization);
        if let Some(seen) = seen {
            head = head.header("last-event-id", seen);
        }
        // The answer must come in time, and then it goes on for as long as it does.
        let config = Self::config(self.timeout).timeout_recv_response(Some(self.timeout)).build();
        let agent = ureq::Agent::new_with_config(config);
        let request = head.body(()).map_err(ureq::Error::from);
        let response = request.and_then(|request| agent.run(request)).map_err(failed)?;
        if response.status() == 200 {
            return Ok(Ok(Stream::new(response.into_body().into_reader())));
        }
        Self::read(response).map(Err).map_err(failed)
    }

    /// Sends an image of so many bytes to `node`, and reads the answer, whatever its status.
    pub(super) fn send_image(
        &self,
        node: &str,
        request: &Request<'_>,
        authorization: &str,
        (image, length): (&mut dyn Read, usize),
        patience: Duration,
    ) -> Result<Answer, Unanswered> {
        let unsent = |error| Unanswered { sent: false, error };
        let authority = Authority::parse(node).map_err(unsent)?;
        let url = format!("http://{}{}", authority.text, request.target);
        let client = Self { timeout: patience, agent: self.agent.clone() };
        let failed = |error| client.failure(&error, node, authority.has_port);
        let config = Self::config(self.timeout).timeout_global(Some(patience)).build();
        let agent = ureq::Agent::new_with_config(config);
        let head = ureq::http::Request::builder()
            .method(request.method)
            .uri(url)
            .header("authorization", authorization)
            .header("content-type", "application/octet-stream")
            .header("content-length", length)
            // Who is refused need not send it.
            .header("expect", "100-continue");
        let body = ureq::SendBody::from_reader(image);
        let request = head.body(body).map_err(ureq::Error::from);
        let response = request.and_then(|request| agent.run(request)).map_err(failed)?;
        Self::read(response).map_err(failed)
    }

    /// Reads an answer to its end.
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
        let content_type = response.headers().get("content-type");
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.body_mut().read_to_vec()?;
        Ok(Answer { status: response.status().as_u16(), content_type, body })
    }

    /// What went wrong between this command and `node`, in words that help.
    fn failure(&self, error: &ureq::Error, node: &str, has_port: bool) -> Unanswered {
        let refused =
            matches!(error, ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused);
        let mut text = match error {
            ureq::Error::Timeout(_) => {
                format!("{node} gives no answer within {} s", self.timeout.as_secs_f64())
            }
            ureq::Error::Io(_) if refused => {
                let hint = if has_port { "" } else { " (host nodes serve at :8080)" };
                format!("{node} refuses the connection{hint}")
            }
            ureq::Error::Io(error) => format!("cannot ask {node}: {error}"),
            other => format!("cannot ask {node}: {other}"),
        };
        if node == LOCAL_NODE && (refused || matches!(error, ureq::Error::Timeout(_))) {
            text.push_str("; is `spore up` running? Another node is chosen by --node or API_NODE");
        }
        Unanswered { sent: !refused && may_have_been_sent(error), error: anyhow!(text) }
    }
}

/// Whether the request may have reached the node. What is not known to be before that, may be after.
fn may_have_been_sent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(when) => {
            !matches!(when, ureq::Timeout::Resolve | ureq::Timeout::Connect)
        }
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        ),
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Http(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::Client;
    use crate::client::get;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn a_refused_connection_is_called_that_at_once() {
        // A port that was free a moment ago may be another one's by now; none is given out of these.
        let gone = "127.99.0.1:9";
        let start = Instant::now();
        let error = get(gone, "/", Duration::from_secs(60)).unwrap_err().to_string();
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(error, format!("{gone} refuses the connection"));
    }

    #[test]
    fn who_named_no_port_is_told_which_one_host_nodes_have() {
        let refused = ureq::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        let text = |node, has_port| {
            let failure = Client::new(Duration::from_secs(1)).failure(&refused, node, has_port);
            assert!(!failure.sent);
            failure.error.to_string()
        };
        let hint = "10.0.0.1 refuses the connection (host nodes serve at :8080)";
        assert_eq!(text("10.0.0.1", false), hint);
        assert_eq!(text("10.0.0.1:80", true), "10.0.0.1:80 refuses the connection");
        assert!(text(crate::client::LOCAL_NODE, true).contains("is `spore up` running?"));
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
