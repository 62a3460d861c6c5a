//! The HTTP client: one `GET`, whose body is handed on as it arrives.
//!
//! It asks over a connection of its own, says that it will not ask again, and keeps nothing: the
//! head of the answer must fit into the caller's buffer, and the body goes through it piece by piece
//! (RFC 9112). A server that never answers, never ends, or sends what is not HTTP holds it for no longer than
//! [`Limits`] allow, and no longer than the taker of the body wants more.

use core::net::{SocketAddr, SocketAddrV4};
use edge_nal::io::{Read, Write};
use edge_nal::{Close, TcpConnect, TcpShutdown};
use embassy_futures::yield_now;
use embassy_time::{Duration, with_timeout};
use httparse::{EMPTY_HEADER, Status};
use spore_core::text::{decimal, dotted};

use crate::body::{Decoder, Framing};

/// The least buffer that a fetch needs, in bytes: the longest head of an answer, or the request.
pub const BUFFER_LEN: usize = 320;

/// Most fields in the head of an answer. Parsing takes 16 bytes of stack for each on a board.
const HEADERS_MAX: usize = 16;

/// How long a fetch may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// From then on until the body has ended.
    pub exchange: Duration,
    /// To close the connection well; after that it is reset.
    pub close: Duration,
}

impl Limits {
    /// The values of the product.
    pub const STANDARD: Self = Self {
        connect: Duration::from_secs(3),
        exchange: Duration::from_secs(5),
        close: Duration::from_millis(500),
    };
}

/// Why there is no whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// There is nobody at the address, or no way to it.
    Unreachable,
    /// The time was over, whatever was missing.
    TimedOut,
    /// The connection ended before the answer.
    Cut,
    /// The answer is not HTTP/1.x, contradicts itself, or its head does not fit the buffer.
    Malformed,
    /// The answer has another status than 200.
    Status(u16),
    /// The taker of the body does not want more of it.
    Unwanted,
}

/// Gets `path` from the server at `address`, and hands the body of an answer with status 200 to
/// `take`, which returns whether it wants more. `buf` holds at least [`BUFFER_LEN`] bytes.
pub async fn get<T: TcpConnect>(
    connector: &T,
    address: SocketAddrV4,
    path: &str,
    limits: &Limits,
    buf: &mut [u8],
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), FetchError> {
    let connecting = connector.connect(SocketAddr::V4(address));
    let mut socket = match with_timeout(limits.connect, connecting).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(_)) => return Err(FetchError::Unreachable),
        Err(_) => return Err(FetchError::TimedOut),
    };
    let exchange = exchange(&mut socket, address, path, buf, &mut take);
    let result = with_timeout(limits.exchange, exchange).await;
    let closed = result == Ok(Ok(())) && {
        let closing = socket.close(Close::Both);
        matches!(with_timeout(limits.close, closing).await, Ok(Ok(())))
    };
    if !closed {
        // What the server still sends is not wanted.
        let _ = with_timeout(limits.close, socket.abort()).await;
    }
    result.unwrap_or(Err(FetchError::TimedOut))
}

async fn exchange<S: Read + Write>(
    socket: &mut S,
    address: SocketAddrV4,
    path: &str,
    buf: &mut [u8],
    take: &mut impl FnMut(&[u8]) -> bool,
) -> Result<(), FetchError> {
    let request = put_request(buf, address, path).ok_or(FetchError::Malformed)?;
    socket.write_all(request).await.map_err(|_| FetchError::Cut)?;
    socket.flush().await.map_err(|_| FetchError::Cut)?;
    let (head, mut filled, mut decoder) = read_head(socket, buf).await?;
    let mut start = head;
    loop {
        let input = buf.get_mut(start..filled).unwrap_or_default();
        let decoded = decoder.decode(input).map_err(|_| FetchError::Malformed)?;
        let data = input.get(..decoded.kept).unwrap_or_default();
        if !data.is_empty() && !take(data) {
            return Err(FetchError::Unwanted);
        }
        if decoder.is_done() {
            return Ok(());
        }
        (start, filled) = (0, socket.read(buf).await.map_err(|_| FetchError::Cut)?);
        if filled == 0 {
            return if decoder.may_end() { Ok(()) } else { Err(FetchError::Cut) };
        }
        // A server that always has more to send must not keep the timer from being looked at.
        yield_now().await;
    }
}

fn put_request<'b>(buf: &'b mut [u8], address: SocketAddrV4, path: &str) -> Option<&'b [u8]> {
    let (host, port) = (dotted(*address.ip()), decimal(address.port().into()));
    // HTTP/1.1 wants a host, which is how proxies and servers with several names tell them apart.
    let parts =
        ["GET ", path, " HTTP/1.1\r\nHost: ", &host, ":", &port, "\r\nConnection: close\r\n\r\n"];
    let mut len = 0;
    for part in parts {
        let end = len + part.len();
        buf.get_mut(len..end)?.copy_from_slice(part.as_bytes());
        len = end;
    }
    buf.get(..len)
}

/// Reads the head of the answer: its length, that of all that was read, and how the body ends.
async fn read_head<S: Read>(
    socket: &mut S,
    buf: &mut [u8],
) -> Result<(usize, usize, Decoder), FetchError> {
    let mut filled = 0;
    loop {
        let room = buf.get_mut(filled..).filter(|room| !room.is_empty());
        let room = room.ok_or(FetchError::Malformed)?;
        let read = socket.read(room).await.map_err(|_| FetchError::Cut)?;
        if read == 0 {
            return Err(FetchError::Cut);
        }
        filled += read;
        if let Some((head, decoder)) = parse_head(buf.get(..filled).unwrap_or_default())? {
            return Ok((head, filled, decoder));
        }
    }
}

/// The length of a whole head, and the decoder of the body behind it.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Decoder)>, FetchError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(status) = response.parse(bytes) else { return Err(FetchError::Malformed) };
    let Status::Complete(len) = status else { return Ok(None) };
    match response.code {
        Some(200) => (),
        code => return Err(code.map_or(FetchError::Malformed, FetchError::Status)),
    }
    let (mut length, mut chunked) = (None, false);
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let number = str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
            let number = number.and_then(|text| text.parse().ok()).ok_or(FetchError::Malformed)?;
            if length.replace(number).is_some() {
                return Err(FetchError::Malformed);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(FetchError::Malformed);
            }
            chunked = true;
        }
    }
    let framing = match (length, chunked) {
        (Some(_), true) => return Err(FetchError::Malformed),
        (None, true) => Framing::Chunked,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::UntilClose,
    };
    // Whoever takes the data says how much is enough.
    let decoder = Decoder::new(usize::MAX, framing).map_err(|_| FetchError::Malformed)?;
    Ok(Some((len, decoder)))
}
