//! The page that flashes boards from a browser: esp-web-tools (`web/flasher`), the firmware, and for each board a memory of its own.
//!
//! What is served has the cluster key in it, and this machine may have other users. So the server listens on the loopback address alone, under a
//! path that nobody can guess and that is told to whoever has started it; and a page from elsewhere, which a browser was led to by a
//! name of its own, is refused by its `Host`.

mod images;

use crate::http::{self, Answer, answer};
use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, StatusCode};
use images::{Image, List, Part};
use serde::Deserialize;
use serde_json::{Value, json};
use spore_core::Hostname;
use spore_core::network::{Credentials, Password, Ssid};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub use images::Images;

/// What a board is to know at its first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether it is to be a member of the cluster.
    pub claim: bool,
    /// Its name; without one it makes one up.
    pub hostname: Option<Hostname>,
    /// The WiFi that it is to join; without one it opens its access point.
    pub wifi: Option<Credentials>,
}

/// The memory of a new board.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What is written into its flash.
    pub settings: Vec<u8>,
    /// The password of its access point, which nobody can read later.
    pub access_point_password: String,
}

/// Who makes the memory of boards.
pub trait Desk: Send + Sync {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    fn make(&self, wanted: &Wanted) -> Result<Memory>;
}

/// What serves the page.
pub struct Flasher {
    images: Images,
    desk: Box<dyn Desk>,
    /// In the path of all that is served.
    token: String,
    address: SocketAddr,
    boards: Mutex<Boards>,
}

/// What was made for the boards that were flashed last: all of it at one time, since somebody may build meanwhile.
#[derive(Default)]
struct Boards {
    made: VecDeque<Made>,
    last: u64,
}

struct Made {
    number: u64,
    image: Image,
    /// Whether it knows its WiFi.
    wifi: bool,
}

/// Of so many boards; one is half a megabyte.
const BOARDS: usize = 4;
/// No order for a board is longer, in bytes.
const ORDER: usize = 4096;
/// What the page may do: it needs nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const JSON: &str = "application/json";

/// The parts of the page, compressed, with their types.
macro_rules! page {
    ($($name:literal is $kind:literal),* $(,)?) => {
        [$(($name, $kind, include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")))),*]
    };
}
static PAGE: [(&str, &str, &[u8]); 4] = page![
    "index.html" is "text/html; charset=utf-8",
    "flasher.js" is "text/javascript; charset=utf-8",
    "style.css" is "text/css; charset=utf-8",
    "licenses.txt" is "text/plain; charset=utf-8",
];

impl Flasher {
    /// Serves the page on a thread of its own, at a free port, as long as the process runs. Returns where it is: whoever knows that can
    /// have a board made that is a member of the cluster.
    ///
    /// # Errors
    ///
    /// If there is no port or no random number.
    pub fn start(images: Images, desk: Box<dyn Desk>) -> Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("cannot serve the flasher")?;
        let address = listener.local_addr().context("cannot serve the flasher")?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).context("there are no random numbers")?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let flasher = Self { images, desk, token, address, boards: Mutex::default() };
        let url = format!("http://{address}{}", flasher.root());
        let flasher = Arc::new(flasher);
        let thread = thread::Builder::new().name("flasher".to_owned());
        let serve = move || {
            http::serve(listener, move |request| {
                let flasher = Arc::clone(&flasher);
                async move { secured(flasher.answer(request).await) }
            })
            .map(drop)
        };
        thread.spawn(serve).context("cannot start a thread")?;
        Ok(url)
    }

    fn root(&self) -> String {
        format!("/flash/{}/", self.token)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if !self.is_ours(request.headers()) {
            let why = "this address is for the flasher's own page, by the address that `spore` has printed";
            return refusal(StatusCode::MISDIRECTED_REQUEST, "misdirected", why);
        }
        let path = request.uri().path().to_owned();
        let Some(name) = path.strip_prefix(&self.root()) else { return nothing() };
        match (request.method(), name) {
            (&Method::GET | &Method::HEAD, name) => self.get(name),
            (&Method::POST, "boards") => self.order(request).await,
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "GET it"),
        }
    }

    /// Whether the request is to this server by its address, and from its own page if it is from one.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let port = self.address.port();
        let hosts = [self.address.to_string(), format!("localhost:{port}")];
        let is = |name: HeaderName, wanted: &str| {
            headers.get(name).and_then(|it| it.to_str().ok()).map(|it| it == wanted)
        };
        hosts.iter().any(|host| {
            is(HOST, host) == Some(true) && is(ORIGIN, &format!("http://{host}")) != Some(false)
        })
    }

    fn get(&self, name: &str) -> Answer {
        let name = if name.is_empty() { "index.html" } else { name };
        if let Some((_, kind, bytes)) = PAGE.iter().find(|(it, ..)| *it == name) {
            let mut answer = answer(StatusCode::OK, kind, *bytes);
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return answer;
        }
        if name == "image" {
            return said(StatusCode::OK, &self.image());
        }
        let board = name.strip_prefix("boards/").and_then(|it| it.split_once('/'));
        board
            .and_then(|(number, file)| self.file(number.parse().ok()?, file))
            .unwrap_or_else(nothing)
    }

    /// What there is to flash, or why there is nothing.
    fn image(&self) -> Value {
        match self.images.read() {
            Ok(Image { list: List { board, version, signed, .. }, .. }) => json!({
                "image": { "board": board, "version": version, "signed": signed }, "why": null,
            }),
            Err(error) => json!({ "image": null, "why": format!("{error:#}") }),
        }
    }

    /// A file of what was made for a board.
    fn file(&self, number: u64, name: &str) -> Option<Answer> {
        let boards = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        let Made { image: Image { list, parts }, wifi, .. } =
            boards.made.iter().find(|made| made.number == number)?;
        if name == "manifest.json" {
            return Some(said(StatusCode::OK, &manifest(list, *wifi)));
        }
        let name = name.strip_suffix(".bin")?;
        let index = list.parts.iter().position(|part| part.name == name)?;
        Some(answer(StatusCode::OK, "application/octet-stream", parts.get(index)?.clone()))
    }

    /// Has the memory of a board made.
    async fn order(&self, request: Request<Incoming>) -> Answer {
        let bad = |why: &str| refusal(StatusCode::BAD_REQUEST, "bad_request", why);
        let Ok(body) = Limited::new(request.into_body(), ORDER).collect().await else {
            return bad("the order is too long, or broke off");
        };
        let wanted = match Order::parse(&body.to_bytes()) {
            Ok(wanted) => wanted,
            Err(error) => return bad(&format!("{error:#}")),
        };
        match self.make(&wanted) {
            Ok(made) => said(StatusCode::CREATED, &made),
            Err(error) => {
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "failed", &format!("{error:#}"))
            }
        }
    }

    fn make(&self, wanted: &Wanted) -> Result<Value> {
        let mut image = self.images.read()?;
        let Memory { settings, access_point_password } = self.desk.make(wanted)?;
        image.put_settings(settings)?;
        let mut boards = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        boards.last += 1;
        let number = boards.last;
        boards.made.push_back(Made { number, image, wifi: wanted.wifi.is_some() });
        if boards.made.len() > BOARDS {
            boards.made.pop_front();
        }
        Ok(json!({
            "manifest": format!("boards/{number}/manifest.json"),
            "access_point_password": access_point_password,
        }))
    }
}

/// What the page sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    claim: bool,
    hostname: Option<String>,
    wifi: Option<Wifi>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wifi {
    ssid: String,
    password: String,
}

impl Order {
    fn parse(body: &[u8]) -> Result<Wanted> {
        let Self { claim, hostname, wifi } =
            serde_json::from_slice(body).context("this is no order for a board")?;
        let hostname = hostname.map(|it| it.parse()).transpose().context("the name")?;
        let wifi = wifi.map(|Wifi { ssid, password }| {
            let ssid: Ssid = ssid.parse().context("the name of the WiFi")?;
            let password: Password = password.parse().context("the password of the WiFi")?;
            Ok::<_, anyhow::Error>(Credentials { ssid, password })
        });
        Ok(Wanted { claim, hostname, wifi: wifi.transpose()? })
    }
}

/// What esp-web-tools is told (<https://esphome.github.io/esp-web-tools/>). All of the flash is erased before.
fn manifest(list: &List, wifi: bool) -> Value {
    let part = |Part { name, address, .. }: &Part| json!({ "path": format!("{name}.bin"), "offset": address });
    let parts: Vec<_> = list.parts.iter().map(part).collect();
    json!({
        "name": "SPORE",
        "version": list.version,
        // In seconds. A board that knows a WiFi does not ask for one (Improv).
        "new_install_improv_wait_time": if wifi { 0 } else { 10 },
        "builds": [{ "chipFamily": "ESP8266", "parts": parts }],
    })
}

fn said(status: StatusCode, document: &Value) -> Answer {
    answer(status, JSON, document.to_string())
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
    said(status, &json!({ "error": { "code": code, "message": message } }))
}

fn nothing() -> Answer {
    refusal(
        StatusCode::NOT_FOUND,
        "not_found",
        "nothing is here; open the address that `spore` has printed",
    )
}

fn secured(mut answer: Answer) -> Answer {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests;
