//! A node that says what a test has it say, on a loopback address; it checks signatures as nodes do.

use serde_json::{Value, json};
use spore_core::ClusterKey;
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// What stood in the request line.
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Status, media type and body of an answer.
pub(crate) type Said = (u16, &'static str, Vec<u8>);

/// What a node does with its requests.
type Handler = dyn Fn(&Asked) -> Said + Send + Sync;

/// A node that runs until the test ends.
pub(crate) struct Canned {
    pub(crate) api: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(crate) fn said(status: u16, body: &Value) -> Said {
    (status, "application/json", body.to_string().into_bytes())
}

pub(crate) fn refusal(status: u16, code: &str) -> Said {
    said(status, &json!({ "error": { "code": code, "message": format!("because of {code}") } }))
}

impl Canned {
    /// Starts a node that answers with what `handler` says.
    pub(crate) fn start(handler: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (handler, log): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
                thread::spawn(move || serve(&stream.unwrap(), &*handler, &log));
            }
        });
        Self { api, asked }
    }

    /// What was asked so far, without questions for nonces.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.target != "/api/auth/nonce").cloned().collect()
    }

    /// How many nonces were asked for.
    pub(crate) fn nonces(&self) -> usize {
        let all = self.asked.lock().unwrap().len();
        all - self.asked().len()
    }

    /// Itself as the member list and the list of providers have it.
    pub(crate) fn entry(&self, hostname: &str, status: &str) -> Value {
        let (address, port) = self.api.split_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        json!({
            "id": format!("id-of-{hostname}"), "hostname": hostname, "address": address,
            "http_port": port, "status": status, "status_version": 1, "last_seen_ms": 1,
            "rtt_us": 1, "self": false,
        })
    }
}

fn serve(stream: &TcpStream, handler: &Handler, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        log.lock().unwrap().push(asked.clone());
        let (status, content_type, body) = handler(&asked);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    }
}

/// One request; `None` at the end.
fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (mut authorization, mut content_type, mut length) = (None, None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-type" => content_type = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            "transfer-encoding" => panic!("nodes take no {value}"),
            _ => (),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, target, authorization, content_type, body })
}

/// The nonce that is given out, always the same one.
pub(crate) const NONCE: [u8; 14] = [0xA1; 14];

/// The answer to a question for a nonce.
pub(crate) fn nonce() -> Said {
    let nonce = Nonce::from_bytes(NONCE).to_string();
    said(200, &json!({ "nonce": nonce, "expires_ms": 60_000 }))
}

/// Whether `asked` is signed with `key`; else the refusal.
pub(crate) fn check(asked: &Asked, key: &ClusterKey) -> Result<(), Said> {
    let Some(field) = &asked.authorization else {
        return Err(refusal(401, "credentials_missing"));
    };
    let Ok(Credentials { nonce, mac }) = Credentials::from_field(field) else {
        return Err(refusal(401, "credentials_malformed"));
    };
    assert_eq!(nonce.to_bytes(), NONCE);
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let signed = Signed { method: &asked.method, path, query, nonce, body: &asked.body };
    if SigningKey::derive(key).verify(&signed, &mac) {
        Ok(())
    } else {
        Err(refusal(401, "credentials_invalid"))
    }
}
