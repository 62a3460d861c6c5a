//! Hostile HTTP requests, as raw bytes.

use super::Junk;
use spore_core::api::ROUTES;

/// The most bytes of an overlong part. Twenty times what a board takes.
const OVERLONG: usize = 20_000;

/// The kinds of hostile requests. Those but [`RequestKind::Valid`] ought to be answered with an
/// error or a closed connection; some, by chance, are good enough for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// A good one, as a control.
    Valid,
    /// Random bytes.
    Binary,
    /// A good one, changed in several ways.
    Mutated,
    /// The beginning of a good one.
    Truncated,
    /// An impossible request line.
    Line,
    /// A path that tries to get somewhere else.
    Path,
    /// A request line, field or number of fields far too long.
    Overlong,
    /// Fields that are malformed.
    Fields,
    /// Lengths of the body that contradict each other, the body, or arithmetic.
    Length,
    /// A chunked body that is none.
    Chunks,
    /// Two requests in one, of which the second is hostile.
    Pipelined,
}

impl RequestKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Valid,
        Self::Binary,
        Self::Mutated,
        Self::Truncated,
        Self::Line,
        Self::Path,
        Self::Overlong,
        Self::Fields,
        Self::Length,
        Self::Chunks,
        Self::Pipelined,
    ];
}

const LINES: &[&str] = &[
    "",
    "\r\n",
    " ",
    "GET",
    "GET ",
    "GET /",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET / HTTP/9.9",
    "GET / HTTP/1.",
    "GET / HTTP/11111111111.1",
    "GET / http/1.1",
    "GET / FTP/1.1",
    "GET\t/\tHTTP/1.1",
    "get / HTTP/1.1",
    "G\0T / HTTP/1.1",
    "\u{FEFF}GET / HTTP/1.1",
    "PRI * HTTP/2.0",
    "CONNECT example:443 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET http://example/ HTTP/1.1",
    "/ GET HTTP/1.1",
    "HTTP/1.1 200 OK",
];

const PATHS: &[&str] = &[
    "/../../etc/passwd",
    "/api/../api/node/status",
    "/api/./node/status",
    "//api//node//status",
    "/api/node/status/",
    "/api/node/status%00",
    "/api/node/status%2",
    "/api/node/status%zz",
    "/%61pi/node/status",
    "/api/node/status#fragment",
    "/api/node/status?",
    "/api/node/status?a=b&c=%ff&&&=",
    "/api\\node\\status",
    "/\u{7F}",
    "/äöü",
    "*",
    "?",
    "api/node/status",
];

const FIELDS: &[&str] = &[
    ": no name",
    "no colon",
    "Space : before colon",
    " Leading: space",
    "\tFolded: line",
    "Nul: a\0b",
    "Bare: a\rb",
    "Na\u{7F}me: x",
    "Ünïcode: x",
    "Empty:",
    "Host:",
    "Host: a\r\nHost: b",
    "Connection: keep-alive, close, upgrade",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "Expect: a miracle",
    "Range: bytes=9-1,-,18446744073709551616-",
    "Authorization: ",
];

const LENGTHS: &[&str] = &[
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 0x10",
    "Content-Length: 5 5",
    "Content-Length: 5, 6",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 4294967296",
    "Content-Length: 18446744073709551615",
    "Content-Length: 99999999999999999999999",
    "Content-Length:",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding : chunked",
];

const CHUNKS: &[&str] = &[
    "",
    "\r\n",
    "z\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello world\r\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "ffffffffffffffff\r\nhello",
    "10000000000000000\r\nhello",
    "0000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    "5;extension=\"\r\nhello\r\n0\r\n\r\n",
    "0\r\nTrailer: x\r\n: \r\n\r\n",
];

impl Junk {
    /// A request of a random kind.
    pub fn http_request(&mut self) -> Vec<u8> {
        let kind = self.rng.choice(RequestKind::ALL).unwrap_or(RequestKind::Binary);
        self.http_request_of(kind)
    }

    /// A request of this kind.
    pub fn http_request_of(&mut self, kind: RequestKind) -> Vec<u8> {
        match kind {
            RequestKind::Valid => self.valid_request(),
            RequestKind::Binary => {
                let first = self.rng.u8(..);
                [vec![first], self.noise(2_000)].concat()
            }
            RequestKind::Mutated => {
                let mut request = self.valid_request();
                self.mutate(&mut request);
                request
            }
            RequestKind::Truncated => {
                let mut request = self.valid_request();
                request.truncate(self.rng.usize(1..request.len()));
                request
            }
            RequestKind::Line => {
                let line = self.pick(LINES);
                format!("{line}\r\nHost: localhost\r\n\r\n").into_bytes()
            }
            RequestKind::Path => {
                let (method, path) = (self.method(), self.pick(PATHS));
                format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
            }
            RequestKind::Overlong => self.overlong_request(),
            RequestKind::Fields => {
                let field = self.pick(FIELDS);
                self.request_with(field, "")
            }
            RequestKind::Length => {
                let field = self.pick(LENGTHS);
                self.request_with(field, "hello")
            }
            RequestKind::Chunks => {
                let chunks = self.pick(CHUNKS);
                self.request_with("Transfer-Encoding: chunked", chunks)
            }
            RequestKind::Pipelined => {
                let kinds = &RequestKind::ALL[1..RequestKind::ALL.len() - 1];
                let second = self.rng.choice(kinds).copied().unwrap_or(RequestKind::Binary);
                [self.valid_request(), self.http_request_of(second)].concat()
            }
        }
    }

    fn valid_request(&mut self) -> Vec<u8> {
        let path = self.path();
        let body = self.pick(&["", "", "hello", "{\"a\":[1,2,3]}"]);
        let length = format!("Content-Length: {}", body.len());
        let fields = if body.is_empty() { "Accept: */*" } else { &length };
        let method = if body.is_empty() { "GET" } else { "POST" };
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n{body}")
            .into_bytes()
    }

    fn request_with(&mut self, field: &str, body: &str) -> Vec<u8> {
        let (method, path) = (self.method(), self.path());
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n{body}").into_bytes()
    }

    fn overlong_request(&mut self) -> Vec<u8> {
        let (path, long) = (self.path(), self.rng.usize(1_000..=OVERLONG));
        let filler = "x".repeat(long);
        match self.rng.u8(..6) {
            0 => format!("GET /{filler} HTTP/1.1\r\n\r\n"),
            1 => format!("GET {path}?{filler} HTTP/1.1\r\n\r\n"),
            2 => format!("{filler} {path} HTTP/1.1\r\n\r\n"),
            3 => format!("GET {path} HTTP/1.1\r\n{filler}: x\r\n\r\n"),
            4 => format!("GET {path} HTTP/1.1\r\nHost: {filler}\r\n\r\n"),
            _ => format!("GET {path} HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(long / 6)),
        }
        .into_bytes()
    }

    fn path(&mut self) -> &'static str {
        self.rng.choice(ROUTES).map_or("/", |route| route.path)
    }

    fn method(&mut self) -> &'static str {
        self.pick(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        self.rng.choice(from).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Junk, RequestKind};

    #[test]
    fn every_kind_is_made_and_equal_seeds_give_equal_requests() {
        let make = |seed| {
            let mut junk = Junk::new(seed);
            let all = RequestKind::ALL.into_iter().cycle().take(500);
            all.map(|kind| junk.http_request_of(kind)).collect::<Vec<_>>()
        };
        let requests = make(1);
        assert_eq!(requests, make(1));
        assert_ne!(requests, make(2));
        assert!(requests.iter().all(|request| !request.is_empty()));
        assert!(requests.iter().any(|request| request.len() > 10_000));
    }
}
