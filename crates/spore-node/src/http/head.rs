//! Request heads: from bytes to what the server must know, by `httparse` and RFC 9112's rules.

use core::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status};
use spore_core::api::{Entrance, Error, Method, Request};

use crate::body::Framing;

use super::{HEAD_MAX, HEADERS_MAX, TARGET_MAX};

/// A parsed head. It borrows nothing: path and query are positions in the bytes that were parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    path: Span,
    query: Span,
    host: Span,
    /// The page that it is from is another node's, or anybody's.
    foreign: bool,
    authorization: Option<Span>,
    if_none_match: Option<Span>,
    last_event_id: Option<Span>,
    content_type: Span,
    /// HTTP/1.1, and not HTTP/1.0.
    pub(super) http11: bool,
    /// The client wants to send more requests on this connection.
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// Bytes of the head, the empty line at its end included.
    pub(super) len: usize,
}

/// A place in a head. Small, since every connection that is being served has several of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

impl Head {
    /// Where the query is in the bytes that this head was parsed from.
    pub(super) fn query(&self) -> Range<usize> {
        self.query.start.into()..self.query.end.into()
    }

    /// The media type of the body, in the bytes that this head was parsed from; empty if it has none.
    pub(super) fn content_type<'b>(&self, bytes: &'b [u8]) -> &'b str {
        text_at(bytes, self.content_type)
    }

    /// The request, read from the bytes that this head was parsed from, which came in at
    /// `entrance`.
    pub(super) fn request<'b>(
        &self,
        bytes: &'b [u8],
        body: &'b [u8],
        entrance: Entrance,
    ) -> Request<'b> {
        let text = |span: Span| text_at(bytes, span);
        Request {
            method: self.method,
            path: text(self.path),
            query: text(self.query),
            host: text(self.host),
            foreign: self.foreign,
            authorization: self.authorization.map(text),
            if_none_match: self.if_none_match.map(text),
            last_event_id: self.last_event_id.map(text),
            entrance,
            body,
        }
    }
}

/// What is at this place. It was a `str` when it was parsed, so no lookup fails.
fn text_at(bytes: &[u8], span: Span) -> &str {
    let part = bytes.get(usize::from(span.start)..usize::from(span.end));
    part.and_then(|part| str::from_utf8(part).ok()).unwrap_or_default()
}

/// Parses the head that `bytes`, at most [`HEAD_MAX`] of them, begin with; `None` if its end has not
/// arrived yet.
///
/// # Errors
///
/// What the client is to be told, as soon as it is certain: a head that cannot become valid, or
/// that is beyond a limit, is refused before it is complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(len)) => complete(&request, bytes, len).map(Some),
        Ok(Status::Partial) => within_limits(&request, bytes).map(|()| None),
        Err(httparse::Error::TooManyHeaders) => Err(Error::HeadTooLarge),
        Err(httparse::Error::Version) => Err(unsupported_version(bytes)),
        Err(_) => Err(Error::BadRequest),
    }
}

/// Refuses an incomplete head that is too long already.
fn within_limits(request: &httparse::Request<'_, '_>, bytes: &[u8]) -> Result<(), Error> {
    let full = bytes.len() >= HEAD_MAX;
    match (request.method, request.path) {
        (_, Some(path)) if path.len() > TARGET_MAX => Err(Error::UriTooLong),
        (_, Some(_)) if full => Err(Error::HeadTooLarge),
        (Some(method), None) => {
            let begun = bytes.len().saturating_sub(usize::from(span(bytes, method).end) + 1);
            if full || begun > TARGET_MAX { Err(Error::UriTooLong) } else { Ok(()) }
        }
        (None, None) if full => Err(Error::UriTooLong),
        _ => Ok(()),
    }
}

/// Tells another version of HTTP from what is no HTTP at all.
fn unsupported_version(bytes: &[u8]) -> Error {
    let line = bytes.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
    if line.windows(6).any(|window| window == b" HTTP/") {
        Error::VersionNotSupported
    } else {
        Error::BadRequest
    }
}

fn complete(request: &httparse::Request<'_, '_>, bytes: &[u8], len: usize) -> Result<Head, Error> {
    let (Some(name), Some(target), Some(version)) = (request.method, request.path, request.version)
    else {
        return Err(Error::BadRequest);
    };
    if target.len() > TARGET_MAX {
        return Err(Error::UriTooLong);
    }
    let Target { authority, path, query } = Target::split(name, target)?;
    let http11 = version == 1;
    let fields = Fields::read(request.headers, http11)?;
    // RFC 9112, section 3.2.2.
    let host = if authority.is_empty() { fields.host } else { authority };
    Ok(Head {
        method: method(name),
        path: span(bytes, path),
        query: span(bytes, query),
        host: span(bytes, host),
        foreign: fields.origin.is_some_and(|origin| !is_of(origin, host)),
        authorization: fields.authorization.map(|value| span(bytes, value)),
        if_none_match: fields.if_none_match.map(|value| span(bytes, value)),
        last_event_id: fields.last_event_id.map(|value| span(bytes, value)),
        content_type: span(bytes, fields.content_type),
        http11,
        // HTTP/1.0 has no chunks, so most of its answers end with the connection anyway.
        keep_alive: http11 && !fields.close,
        framing: if fields.chunked {
            Framing::Chunked
        } else {
            Framing::Length(fields.length.unwrap_or(0))
        },
        expects_continue: http11 && fields.expects_continue,
        len,
    })
}

/// The fields that the server itself acts on.
#[derive(Default)]
struct Fields<'h> {
    host: &'h str,
    origin: Option<&'h str>,
    authorization: Option<&'h str>,
    if_none_match: Option<&'h str>,
    last_event_id: Option<&'h str>,
    content_type: &'h str,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    expects_continue: bool,
}

impl<'h> Fields<'h> {
    fn read(headers: &[Header<'h>], http11: bool) -> Result<Self, Error> {
        let mut fields = Self::default();
        let mut hosts = 0;
        for &Header { name, value } in headers {
            let value = value.trim_ascii();
            if name.eq_ignore_ascii_case("host") {
                hosts += 1;
                fields.host = text(value)?;
            } else if name.eq_ignore_ascii_case("content-length") {
                if fields.length.replace(content_length(value)?).is_some() {
                    return Err(Error::BadRequest);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Error::NotImplemented);
                }
                if core::mem::replace(&mut fields.chunked, true) {
                    return Err(Error::BadRequest);
                }
            } else if name.eq_ignore_ascii_case("connection") {
                fields.close |= value
                    .split(|&byte| byte == b',')
                    .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if name.eq_ignore_ascii_case("authorization") {
                if fields.authorization.replace(text(value)?).is_some() {
                    return Err(Error::BadRequest);
                }
            } else if name.eq_ignore_ascii_case("origin") {
                if fields.origin.replace(text(value)?).is_some() {
                    return Err(Error::BadRequest);
                }
            } else if name.eq_ignore_ascii_case("if-none-match") {
                let value = text(value)?;
                fields.if_none_match.get_or_insert(value);
            } else if name.eq_ignore_ascii_case("last-event-id") {
                let value = text(value)?;
                fields.last_event_id.get_or_insert(value);
            } else if name.eq_ignore_ascii_case("content-type") {
                fields.content_type = text(value)?;
            } else if name.eq_ignore_ascii_case("expect") {
                fields.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        // RFC 9112, sections 3.2 and 6.1. Two lengths are how requests are smuggled.
        let ambiguous = fields.chunked && (fields.length.is_some() || !http11);
        if ambiguous || hosts > 1 || (http11 && hosts == 0) {
            return Err(Error::BadRequest);
        }
        Ok(fields)
    }
}

/// Whether `origin` is that of the pages of `host`.
fn is_of(origin: &str, host: &str) -> bool {
    origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

fn text(value: &[u8]) -> Result<&str, Error> {
    str::from_utf8(value).map_err(|_| Error::BadRequest)
}

/// A decimal number without sign, blanks or list; saturates, since all that is too large is alike.
fn content_length(value: &[u8]) -> Result<usize, Error> {
    if value.is_empty() {
        return Err(Error::BadRequest);
    }
    value.iter().try_fold(0usize, |length, byte| match byte {
        b'0'..=b'9' => Ok(length.saturating_mul(10).saturating_add(usize::from(byte - b'0'))),
        _ => Err(Error::BadRequest),
    })
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => Method::Other,
    }
}

/// A request target, taken apart (RFC 9112, section 3.2). All are parts of it.
struct Target<'t> {
    /// Empty unless the target is in absolute form.
    authority: &'t str,
    path: &'t str,
    query: &'t str,
}

impl<'t> Target<'t> {
    fn split(method: &str, target: &'t str) -> Result<Self, Error> {
        if target.contains('#') {
            return Err(Error::BadRequest);
        }
        let (whole, query) = target.split_once('?').unwrap_or((target, ""));
        if whole.starts_with('/') || (target == "*" && method == "OPTIONS") {
            return Ok(Self { authority: "", path: whole, query });
        }
        if method == "CONNECT" {
            return Err(Error::NotImplemented);
        }
        // Absolute form, as sent to proxies; every server must accept it. Where the path is empty
        // it is "/", and one of those stands in the scheme's "://".
        let rest = whole.strip_prefix("http://").or_else(|| whole.strip_prefix("https://"));
        let rest = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let rest = rest.ok_or(Error::BadRequest)?;
        let root = || whole.find('/').and_then(|at| whole.get(at..=at));
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, root().ok_or(Error::BadRequest)?),
        };
        Ok(Self { authority, path, query })
    }
}

/// Where `part`, which was cut out of `whole`, stands in it. A head is shorter than a span reaches.
fn span(whole: &[u8], part: &str) -> Span {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    match (u16::try_from(start), u16::try_from(start + part.len())) {
        (Ok(start), Ok(end)) if start < end => Span { start, end },
        _ => Span::default(),
    }
}

const _: () = assert!(HEAD_MAX <= 0xFFFF);

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
