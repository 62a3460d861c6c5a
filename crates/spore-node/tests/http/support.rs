//! What both test programs share: an application, a reader of answers, and a table of requests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use spore_core::api::{Asset, Body, Called, Error, Method, Methods, Request, Response};
use spore_node::ServiceReply;
use spore_node::http::{Api, BODY_MAX, HEAD_MAX, HEADERS_MAX, TARGET_MAX};

/// Serves `/ok`, a short document, `/long/N`, one of N bytes, `/file`, one whose head is that of
/// [`FILE`], `/elsewhere`, which is at another host, and `/echo`, which returns what is posted, as does `/image` of an image of at most
/// [`IMAGE_MAX`] bytes. One for each worker.
#[derive(Default)]
pub(crate) struct Stub {
    left: Cell<usize>,
    /// The document is a request's body.
    echo: RefCell<Option<Vec<u8>>>,
}

/// The methods of the stub's documents.
pub(crate) const GET: Methods = Methods::NONE.with(Method::Get).with(Method::Head);

/// Marks the bodies that the stub makes itself: an engine's body cannot be made from outside.
const OWN: Error = Error::InvalidField("made by the stub");

/// A file that fits into no buffer.
pub(crate) static FILE: Asset = Asset::new("/file", "text/html", &[b'f'; 5_000]);

/// The longest image that the stub takes.
pub(crate) const IMAGE_MAX: usize = 20_000;

/// The short document.
pub(crate) const OK: &str = "{\"ok\":true}";

/// Byte `index` of a long document, counted from its end.
pub(crate) fn long_byte(index: usize) -> u8 {
    b"0123456789abcdefghijklmnopqrstuvw"[index % 33]
}

impl Stub {
    fn length(path: &str) -> Option<usize> {
        match path.strip_prefix("/long/") {
            Some(number) => number.parse().ok(),
            None => match path {
                "/ok" => Some(OK.len()),
                "/file" => Some(FILE.bytes().len()),
                "/elsewhere" => Some(0),
                _ => None,
            },
        }
    }
}

impl Api for Stub {
    fn handle(&self, request: &Request<'_>) -> Response {
        if let Some(refusal) = self.handle_head(request) {
            return refusal;
        }
        let echo = (request.path == "/echo").then(|| request.body.to_vec());
        let length = echo.as_ref().map(Vec::len).or(Self::length(request.path));
        self.left.set(length.unwrap_or(0));
        self.echo.replace(echo);
        let mut response = Response::error(OWN);
        response.status = 200;
        response.asset = (request.path == "/file").then_some(&FILE);
        if request.path == "/elsewhere" {
            response.status = 302;
            response.to_page = true;
        }
        response
    }

    fn handle_head(&self, request: &Request<'_>) -> Option<Response> {
        let reads = matches!(request.method, Method::Get | Method::Head);
        match (request.path, Self::length(request.path)) {
            ("/image", _) if request.query.is_empty() => Some(Response::upload()),
            ("/image", _) => Some(Response::error(Error::CredentialsMissing)),
            ("/echo", _) if request.method == Method::Post => None,
            ("/echo", _) => {
                let post = Methods::NONE.with(Method::Post);
                Some(Response::error(Error::MethodNotAllowed(post)))
            }
            (_, None) => Some(Response::error(Error::NotFound)),
            (_, Some(_)) if !reads => Some(Response::error(Error::MethodNotAllowed(GET))),
            (_, Some(_)) => None,
        }
    }

    fn takes_upload(&self, request: &Request<'_>) -> bool {
        request.path == "/image"
    }

    fn begin_upload(&self) {
        self.echo.replace(Some(Vec::new()));
    }

    async fn feed(&self, piece: &[u8]) -> bool {
        assert!(piece.len() <= 400, "pieces are small");
        let mut echo = self.echo.borrow_mut();
        let image = echo.as_mut().expect("it has begun");
        image.extend_from_slice(piece);
        image.len() <= IMAGE_MAX
    }

    async fn finish_upload(&self, whole: bool) -> Response {
        let length = self.echo.borrow().as_ref().map_or(0, Vec::len);
        if length > IMAGE_MAX {
            return Response::error(Error::PayloadTooLarge);
        }
        if !whole {
            return Response::error(Error::RequestTimeout);
        }
        self.left.set(length);
        let mut response = Response::error(OWN);
        response.status = 200;
        response
    }

    fn poll_response(&self, _: &mut Response) -> bool {
        true
    }

    async fn call(&self, _: &Called<'_>, _: &mut [u8]) -> ServiceReply {
        unreachable!("the stub offers no service")
    }

    fn handle_called(&self, _: u16) {}

    fn poll_body(&self, body: &mut Body, buf: &mut [u8]) -> usize {
        assert!(buf.len() >= spore_core::api::MIN_PIECE, "the promised room");
        if !format!("{body:?}").contains("made by the stub") {
            return body.fill_error(buf);
        }
        let left = self.left.get();
        // A piece is never as long as the room, as with whole pieces of JSON.
        let piece = left.min(buf.len() - 1).min(700);
        if let Some(echo) = &*self.echo.borrow() {
            let start = echo.len() - left;
            buf[..piece].copy_from_slice(&echo[start..start + piece]);
            self.left.set(left - piece);
            return piece;
        }
        for (offset, byte) in buf[..piece].iter_mut().enumerate() {
            *byte = if left <= OK.len() {
                OK.as_bytes()[OK.len() - left + offset]
            } else {
                long_byte(left - offset)
            };
        }
        self.left.set(left - piece);
        piece
    }

    fn poll_stream(&self, _: &str, _: &mut Body, _: &mut [u8]) -> Option<usize> {
        unreachable!("the stub has no stream")
    }

    async fn stream_changed(&self) {
        unreachable!("the stub has no stream")
    }
}

/// One answer, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Checks what every error of the API has: a JSON body with a code and a message.
    pub(crate) fn assert_error(&self) {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("a JSON body");
        let text = |name: &str| json["error"][name].as_str().unwrap_or_default().to_owned();
        assert!(!text("code").is_empty() && !text("message").is_empty(), "{json}");
        assert_eq!(self.field("content-type"), Some("application/json"));
        assert_eq!(self.field("allow").is_some(), self.status == 405);
        assert_eq!(self.field("retry-after").is_some(), self.status == 503);
    }
}

/// Takes apart all answers that `bytes` hold; `heads` of them, the first ones, without a body.
pub(crate) fn replies(mut bytes: &[u8], heads: usize) -> Vec<Reply> {
    let mut replies: Vec<Reply> = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).expect("text");
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3));
        let fields: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").expect("a field"))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let interim = status.is_some_and(|status| status.starts_with('1'));
        let body = if replies.len() < heads || interim {
            Vec::new()
        } else if fields.contains_key("transfer-encoding") {
            dechunk(&mut bytes)
        } else {
            let length = fields.get("content-length").map(|text| text.parse().expect("a number"));
            let (body, rest) = bytes.split_at(length.unwrap_or(bytes.len()));
            bytes = rest;
            body.to_vec()
        };
        let status = status.and_then(|text| text.parse().ok()).expect("a status line");
        replies.push(Reply { status, fields, body });
    }
    replies
}

fn dechunk(bytes: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|part| part == b"\r\n").expect("a size line");
        let line = std::str::from_utf8(&bytes[..end]).expect("text");
        let size = usize::from_str_radix(line, 16).expect("a chunk size");
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        assert_eq!(&bytes[end + 2 + size..end + 4 + size], b"\r\n");
        *bytes = &bytes[end + 4 + size..];
        if size == 0 {
            return body;
        }
    }
}

/// Requests with the statuses of the answers that they must get.
pub(crate) fn cases() -> Vec<(Vec<u8>, Vec<u16>)> {
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: n\r\n{fields}\r\n");
    let post =
        |fields: &str, body: &str| format!("POST /ok HTTP/1.1\r\nHost: n\r\n{fields}\r\n{body}");
    let ok = get("/ok", "");
    let echo = |fields: &str, body: &str| post(fields, body).replace("/ok", "/echo");
    let chunked = |body: &str| echo("Transfer-Encoding: chunked\r\n", body);
    let length = |length: usize, body: &str| echo(&format!("Content-Length: {length}\r\n"), body);
    let image = |fields: &str, body: &str| post(fields, body).replace("/ok", "/image");
    let long: String = (0..9_000).map(|index| char::from(long_byte(index))).collect();
    let chunks = |body: &str| {
        let chunks = body
            .as_bytes()
            .chunks(777)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
        chunks.collect::<String>() + "0\r\n\r\n"
    };
    let part = |boundary: &str, content: &str| {
        format!("--{boundary}\r\nContent-Type: a/b\r\n\r\n{content}\r\n--{boundary}--\r\n")
    };
    let form = |boundary: &str, body: &str| {
        let media = format!("Content-Type: multipart/form-data; boundary={boundary}\r\n");
        image(&format!("Content-Length: {}\r\n{media}", body.len()), body)
    };
    let many = |count: usize| (0..count).map(|n| format!("X{n}: y\r\n")).collect::<String>();
    // A head that leaves no room in the buffer, with a body behind it.
    let full = |body: &str| {
        let start = chunked("");
        let (start, end) = start.split_at(start.len() - 2);
        format!("{start}X: {}\r\n{end}{body}", "y".repeat(HEAD_MAX - start.len() - end.len() - 5))
    };
    let table: Vec<(String, &[u16])> = vec![
        (ok.clone(), &[200]),
        (get("/ok?a=b", "Connection: close\r\n"), &[200]),
        ("GET /ok HTTP/1.0\r\n\r\n".into(), &[200]),
        (ok.repeat(3), &[200, 200, 200]),
        (format!("{ok}{}{ok}", get("/none", "")), &[200, 404, 200]),
        (format!("{}{ok}", get("/ok", "Connection: close\r\n")), &[200]),
        (format!("{ok}nonsense\r\n\r\n{ok}"), &[200, 400]),
        (post("", ""), &[405]),
        (ok.replace("GET", "BREW"), &[405]),
        (ok.replace("GET", "get"), &[405]),
        (format!("{}{ok}", post("", "")), &[405, 200]),
        // What is bound to be refused is refused before its body, which ends the connection.
        (post("Content-Length: 5\r\n", "hello") + &ok, &[405]),
        (post("Content-Length: 2000\r\n", "hel"), &[405]),
        (post("Transfer-Encoding: chunked\r\n", "zz\r\n"), &[405]),
        (format!("{}{ok}", length(5, "hello")), &[200, 200]),
        (format!("{}{ok}", length(BODY_MAX, &"x".repeat(BODY_MAX))), &[200, 200]),
        (format!("{}{ok}", chunked("5\r\nhello\r\n0\r\n\r\n")), &[200, 200]),
        (format!("{}{ok}", chunked("1;a=b\r\nx\r\n0\r\nTrailer: y\r\n\r\n")), &[200, 200]),
        (length(BODY_MAX + 1, ""), &[413]),
        (length(400_000, &"x".repeat(5_000)), &[413]),
        (chunked("fff\r\n"), &[413]),
        (chunked("zz\r\n"), &[400]),
        (chunked("5\r\nhello, world\r\n0\r\n\r\n"), &[400]),
        (length(5, "hel"), &[400]),
        (full(&"z".repeat(600)), &[400]),
        (
            format!("{}{}", full("5\r\nhello\r\n0\r\n\r\n"), ok.repeat(4)),
            &[200, 200, 200, 200, 200],
        ),
        (image(&format!("Content-Length: {}\r\n", long.len()), &long), &[200]),
        (image("Transfer-Encoding: chunked\r\n", &chunks(&long)), &[200]),
        (form("b", &part("b", &long)), &[200]),
        (form(&"-".repeat(70), &part(&"-".repeat(70), "short")), &[200]),
        (form(&"-".repeat(71), &part(&"-".repeat(71), "short")), &[400]),
        (form("b", &part("c", "short")), &[408]),
        (form("b", &"x".repeat(3_000)), &[400]),
        (image("", ""), &[200]),
        (image("Content-Length: 5\r\n", "hell"), &[400]),
        (image("Transfer-Encoding: chunked\r\n", "zz\r\n"), &[400]),
        (image("Content-Length: 99999999\r\n", ""), &[413]),
        (image("Content-Length: 30000\r\n", &"x".repeat(IMAGE_MAX + 600)), &[413]),
        (image("Content-Length: 5\r\n", "hello").replace("/image", "/image?a"), &[401]),
        (post("Content-Length: abc\r\n", ""), &[400]),
        (post("Content-Length: -1\r\n", ""), &[400]),
        (post("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), &[400]),
        (post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), &[400]),
        (post("Transfer-Encoding: gzip\r\n", ""), &[501]),
        (post("Content-Length: 5\r\nExpect: 100-continue\r\n", ""), &[405]),
        (echo("Content-Length: 5\r\n", "hello") + &ok, &[200, 200]),
        (echo("Content-Length: 5\r\n", "hell"), &[400]),
        (format!("Authorization: a\r\n{}", get("/ok", "")), &[400]),
        (get("/ok", "Authorization: a\r\nAuthorization: a\r\n"), &[400]),
        (get("/ok", "Authorization: a\r\n"), &[200]),
        ("\x16\x03\x01\x02".into(), &[400]),
        ("GET /ok\r\n\r\n".into(), &[400]),
        ("GET ok HTTP/1.1\r\nHost: n\r\n\r\n".into(), &[400]),
        ("GET /ok HTTP/1.1\r\n\r\n".into(), &[400]),
        ("GET /ok HTTP/1.1\r\nHost: n\r\nno colon\r\n\r\n".into(), &[400]),
        ("GET /ok HTTP/1.1\r\nHo".into(), &[400]),
        ("GET /ok HTTP/2.0\r\nHost: n\r\n\r\n".into(), &[505]),
        ("CONNECT n:80 HTTP/1.1\r\nHost: n\r\n\r\n".into(), &[501]),
        (get(&format!("/{}", "a".repeat(TARGET_MAX - 1)), ""), &[404]),
        (get(&format!("/{}", "a".repeat(TARGET_MAX)), ""), &[414]),
        ("A".repeat(HEAD_MAX + 500), &[414]),
        (get("/ok", &many(HEADERS_MAX - 1)), &[200]),
        (get("/ok", &many(HEADERS_MAX)), &[431]),
        (get("/ok", &format!("X: {}\r\n", "y".repeat(HEAD_MAX))), &[431]),
        (get("/ok", &format!("X: {}\r\n", "y".repeat(HEAD_MAX - ok.len() - 5))), &[200]),
    ];
    table.into_iter().map(|(raw, statuses)| (raw.into_bytes(), statuses.to_vec())).collect()
}
