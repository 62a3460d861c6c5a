//! Answers as bytes: status line and fields, and the frames of a chunked body.
//!
//! All of it works in one buffer, in which the body's pieces stand at a fixed place and what
//! belongs before them is put right in front. So a short answer leaves in one write.

use core::ops::Range;

use spore_core::api::{Entrance, MIN_PIECE, Response};
use spore_core::text::decimal;

/// Room for the head of an answer, in bytes.
const HEAD_ROOM: usize = 256;

/// Room for a chunk's size line: four digits, CR LF.
const SIZE_ROOM: usize = 6;

/// Room behind a piece: the chunk's CR LF, and the last chunk `0 CRLF CRLF`.
const TAIL_ROOM: usize = 7;

/// Where the pieces of a body begin in the buffer.
pub(super) const PIECE_START: usize = HEAD_ROOM + SIZE_ROOM;

/// The least room that an answer needs.
pub(super) const ROOM_MIN: usize = PIECE_START + MIN_PIECE + TAIL_ROOM;

/// The largest piece that a chunk's size line can announce.
const PIECE_MAX: usize = 0xFFFF;

/// The answer of [`Error::Busy`](spore_core::api::Error::Busy), made beforehand: a connection
/// without a seat has no buffer to write it in.
pub(super) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\nContent-Length: 75\r\nRetry-After: 1\r\n\
    Connection: close\r\n\r\n\
    {\"error\":{\"code\":\"busy\",\"message\":\"all connections are in use; try again\"}}";

/// Tells a client that waits for it to send its body (RFC 9110, section 15.2.1).
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The answer where a head does not fit [`HEAD_ROOM`]: a fault of this program, not the client's.
pub(super) const INTERNAL: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\n\
    Content-Type: application/json\r\nContent-Length: 71\r\nConnection: close\r\n\r\n\
    {\"error\":{\"code\":\"internal\",\"message\":\"the answer's head has no room\"}}";

/// What goes with every file: browsers take it for what it says it is, do not show it within the page
/// of another, and ask whether it is still the same before they use a copy. The rest of the content security
/// policy, which would need more room, is the page's own.
const ASSET_FIELDS: &str = "\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\
    Content-Security-Policy: frame-ancestors 'none'";

/// How an answer's body is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// By its length in bytes.
    Known(usize),
    /// By chunks, for a client that knows HTTP/1.1.
    Chunked,
    /// By the end of the connection, for one that does not.
    UntilClose,
    /// The status allows no body.
    None,
}

/// True for a status whose answers never have a body (RFC 9110, section 6.4.1).
pub(super) fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// The part of `buf` that a body's piece may fill, if at least one minimal piece still fits behind
/// the first `len` bytes.
pub(super) fn piece_room(buf: &mut [u8], len: usize) -> Option<&mut [u8]> {
    let end = (buf.len() - TAIL_ROOM).min(PIECE_START + PIECE_MAX);
    buf.get_mut(PIECE_START + len..end).filter(|room| room.len() >= MIN_PIECE)
}

/// The room for a piece in a free part of `len` bytes.
pub(super) const fn free_piece(len: usize) -> usize {
    len - PIECE_START - TAIL_ROOM
}

/// Writes the head of the answer to a request that came in at `entrance` so that it ends at `end`; its place, or `None` if it does not fit.
pub(super) fn put_head(
    buf: &mut [u8],
    end: usize,
    response: &Response,
    entrance: Entrance,
    length: Length,
    close: bool,
) -> Option<Range<usize>> {
    let mut text = Text { buf: buf.get_mut(..end.min(HEAD_ROOM))?, len: 0 };
    text.put("HTTP/1.1 ")?;
    text.put(&decimal(response.status.into()))?;
    text.put(" ")?;
    text.put(reason(response.status))?;
    if !response.content_type.is_empty() && length != Length::None {
        text.field("Content-Type", response.content_type)?;
    }
    if response.is_stream() {
        // A copy of it is of no use to anybody.
        text.field("Cache-Control", "no-store")?;
    }
    match length {
        Length::Known(bytes) => {
            text.field("Content-Length", &decimal(u32::try_from(bytes).unwrap_or(u32::MAX)))?;
        }
        Length::Chunked => text.field("Transfer-Encoding", "chunked")?,
        Length::UntilClose | Length::None => {}
    }
    if let Some(methods) = response.allow {
        text.field("Allow", "")?;
        for (index, method) in methods.iter().enumerate() {
            text.put(if index == 0 { "" } else { ", " })?;
            text.put(method.name())?;
        }
    }
    if let Some(scheme) = response.authenticate {
        text.field("WWW-Authenticate", scheme)?;
    }
    if let Some(seconds) = response.retry_after {
        text.field("Retry-After", &decimal(seconds.into()))?;
    }
    if let Entrance::AccessPoint(host) = entrance
        && response.to_page
    {
        text.field("Location", "http://")?;
        text.put(host)?;
        text.put("/")?;
    }
    if let Some(asset) = response.asset {
        if let Some(encoding) = asset.encoding() {
            text.field("Content-Encoding", encoding)?;
        }
        text.field("ETag", asset.tag())?;
        text.put(ASSET_FIELDS)?;
    }
    if close {
        text.field("Connection", "close")?;
    }
    text.put("\r\n\r\n")?;
    let len = text.len;
    let start = end.checked_sub(len)?;
    buf.copy_within(..len, start);
    Some(start..end)
}

/// Makes a chunk of the first `len` bytes of the piece, and the body's end behind it if it is the
/// `last` one; the chunk's place. An empty chunk would be the end, so there is none.
pub(super) fn put_chunk(buf: &mut [u8], len: usize, last: bool) -> Range<usize> {
    let (mut start, mut end) = (PIECE_START, PIECE_START + len);
    if len > 0 {
        let line = [hex(len >> 12), hex(len >> 8), hex(len >> 4), hex(len), b'\r', b'\n'];
        // Leading zeros are valid but a waste.
        let zeros = line.iter().take_while(|&&digit| digit == b'0').count();
        start -= line.len() - zeros;
        buf[start..PIECE_START].copy_from_slice(&line[zeros..]);
        buf[end..end + 2].copy_from_slice(b"\r\n");
        end += 2;
    }
    if last {
        buf[end..end + 5].copy_from_slice(b"0\r\n\r\n");
        end += 5;
    }
    start..end
}

/// Text in a buffer that may be too short for it.
struct Text<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl Text<'_> {
    fn put(&mut self, text: &str) -> Option<()> {
        let end = self.len + text.len();
        self.buf.get_mut(self.len..end)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Some(())
    }

    /// Ends the line before, and writes a field without ending its line.
    fn field(&mut self, name: &str, value: &str) -> Option<()> {
        self.put("\r\n")?;
        self.put(name)?;
        self.put(": ")?;
        self.put(value)
    }
}

fn hex(value: usize) -> u8 {
    b"0123456789abcdef"[value & 0xF]
}

/// The reason phrase of a status that the API uses; empty, which is valid, for others.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
