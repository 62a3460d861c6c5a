//! The HTTP client against SPORE's own server, and against servers that mean no good.

#[path = "http/serve.rs"]
mod serve;
#[allow(dead_code, reason = "the reader of answers is for the server's own tests")]
#[path = "http/support.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use edge_nal_std::Stack;
use serve::serve;
use spore_node::client::{BUFFER_LEN, FetchError, Limits, get};
use spore_node::http::Timeouts;
use support::{OK, Stub, long_byte};

/// Short enough to be tested.
const LIMITS: Limits = Limits { connect: ms(300), exchange: ms(500), close: ms(100) };
/// Where they are not what is tested, since a busy machine is slow.
const PATIENT: Limits = Limits { connect: ms(5_000), exchange: ms(10_000), close: ms(100) };

const fn ms(milliseconds: u64) -> embassy_time::Duration {
    embassy_time::Duration::from_millis(milliseconds)
}

/// Fetches `path`: how it ended, and what came of the body.
fn fetch(address: SocketAddrV4, path: &str) -> (Result<(), FetchError>, Vec<u8>) {
    fetch_within(&PATIENT, address, path, usize::MAX)
}

/// As [`fetch`], within these limits, wanting no more than so many bytes.
fn fetch_within(
    limits: &Limits,
    address: SocketAddrV4,
    path: &str,
    most: usize,
) -> (Result<(), FetchError>, Vec<u8>) {
    let (mut body, mut buf) = (Vec::new(), [0; BUFFER_LEN]);
    let take = |piece: &[u8]| {
        assert!(!piece.is_empty());
        body.extend_from_slice(piece);
        body.len() <= most
    };
    let stack = Stack::new();
    let result = async_io::block_on(get(&stack, address, path, limits, &mut buf, take));
    (result, body)
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("bound to IPv4"),
    }
}

/// A server that does this to each of its clients after it has read their request's beginning.
fn server(conduct: impl Fn(&mut TcpStream) + Send + 'static) -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = v4(listener.local_addr().expect("bound"));
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = [0; 256];
            let len = client.read(&mut request).expect("a request");
            let request = String::from_utf8_lossy(&request[..len]);
            let wanted = format!("Host: {address}\r\nConnection: close\r\n\r\n");
            assert!(request.starts_with("GET /x HTTP/1.1\r\n") && request.ends_with(&wanted));
            conduct(&mut client);
        }
    });
    address
}

/// A server that answers with these bytes, in two parts, and closes.
fn answering(bytes: impl Into<Vec<u8>>) -> SocketAddrV4 {
    let bytes = bytes.into();
    server(move |client| {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let _ = client.write_all(first);
        sleep(Duration::from_millis(20));
        let _ = client.write_all(second);
    })
}

/// How a fetch from a server that answers so ends.
fn outcome(bytes: impl Into<Vec<u8>>) -> (Result<(), FetchError>, Vec<u8>) {
    fetch(answering(bytes), "/x")
}

/// SPORE's own server.
fn own_server() -> SocketAddrV4 {
    v4(serve::<1, 2, _>(0, Timeouts::STANDARD, Stub::default))
}

#[test]
fn it_gets_short_and_long_documents_from_the_own_server_one_after_the_other() {
    let address = own_server();
    // The server has one seat, which is free again only when it has noticed that this one is done.
    for _ in 0..30 {
        assert_eq!(fetch(address, "/ok"), (Ok(()), OK.as_bytes().to_vec()));
        let (result, body) = fetch(address, "/long/20000");
        assert_eq!(result, Ok(()));
        let wanted: Vec<u8> = (0..20_000).map(|index| long_byte(20_000 - index)).collect();
        assert_eq!(body, wanted, "in chunks");
        assert_eq!(fetch(address, "/none").0, Err(FetchError::Status(404)));
    }
}

#[test]
fn bodies_of_every_framing_are_read_to_their_end() {
    let head = "HTTP/1.1 200 OK\r\nServer: x\r\n";
    for (answer, body) in [
        (format!("{head}Content-Length: 5\r\n\r\nhello"), "hello"),
        (format!("{head}content-length:  5 \r\n\r\nhello and more"), "hello"),
        (format!("{head}Content-Length: 0\r\n\r\n"), ""),
        (format!("{head}\r\nhello"), "hello"),
        ("HTTP/1.0 200 OK\r\n\r\nhello".into(), "hello"),
        (format!("{head}Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "hello"),
        (
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n002;a=\"b\"\r\nhe\r\n3 \r\nllo\r\n0\r\nX: y\r\n\r\nrest"
            ),
            "hello",
        ),
    ] {
        let (result, read) = outcome(answer.clone());
        assert_eq!((result, read.as_slice()), (Ok(()), body.as_bytes()), "{answer:?}");
    }
}

#[test]
fn answers_that_are_malformed_cut_or_refusals_are_told_apart() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let cases: Vec<(String, FetchError)> = vec![
        (String::new(), FetchError::Cut),
        ("HTTP/1.1 200".into(), FetchError::Cut),
        (format!("{head}Content-Length: 6\r\n\r\nhello"), FetchError::Cut),
        (format!("{chunked}5\r\nhel"), FetchError::Cut),
        (format!("{chunked}5\r\nhello\r\n"), FetchError::Cut),
        ("SSH-2.0-OpenSSH\r\n\r\n".into(), FetchError::Malformed),
        ("HTTP/2.0 200 OK\r\n\r\n".into(), FetchError::Malformed),
        (format!("{head}Content-Length: +5\r\n\r\nhello"), FetchError::Malformed),
        (format!("{head}Content-Length: 99999999999999999999\r\n\r\n"), FetchError::Malformed),
        (
            format!("{head}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            FetchError::Malformed,
        ),
        (
            format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            FetchError::Malformed,
        ),
        (format!("{head}Transfer-Encoding: gzip\r\n\r\nhello"), FetchError::Malformed),
        (format!("{chunked}x\r\n"), FetchError::Malformed),
        (format!("{chunked}5\r\nhelloo\r\n"), FetchError::Malformed),
        (format!("{chunked}123456789\r\n"), FetchError::Malformed),
        (format!("{chunked}1;{}\r\nx", "e".repeat(300)), FetchError::Malformed),
        (format!("{head}{}\r\n", "A: b\r\n".repeat(17)), FetchError::Malformed),
        (format!("{head}A: {}\r\n\r\n", "b".repeat(600)), FetchError::Malformed),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}".into(), FetchError::Status(503)),
        ("HTTP/1.1 301 Moved\r\nLocation: http://a\r\n\r\n".into(), FetchError::Status(301)),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".into(), FetchError::Status(100)),
    ];
    for (answer, error) in cases {
        assert_eq!(outcome(answer.clone()).0, Err(error), "{answer:?}");
    }
}

/// Fetches from a server of this conduct: how it ends, which must be in time.
fn bounded(conduct: impl Fn(&mut TcpStream) + Send + 'static) -> Result<(), FetchError> {
    bounded_by(&LIMITS, conduct)
}

/// As [`bounded`], with these limits.
fn bounded_by(
    limits: &Limits,
    conduct: impl Fn(&mut TcpStream) + Send + 'static,
) -> Result<(), FetchError> {
    let address = server(conduct);
    let start = Instant::now();
    let result = fetch_within(limits, address, "/x", usize::MAX).0;
    // Far more than the limits, since a busy machine is slow.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    result
}

/// Writes until the client has had enough.
fn pour(client: &mut TcpStream, bytes: &[u8], pause: Duration) {
    while client.write_all(bytes).is_ok() {
        sleep(pause);
    }
}

#[test]
fn no_server_holds_it_for_longer_than_its_limits() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    let silent = bounded(|_| sleep(Duration::from_secs(3)));
    assert_eq!(silent, Err(FetchError::TimedOut));
    let slow_head = bounded(|client| {
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nA: ");
        pour(client, b"b", Duration::from_millis(20));
    });
    assert_eq!(slow_head, Err(FetchError::TimedOut));
    // How long it is ends this one, and not time.
    let endless_head =
        bounded_by(&PATIENT, |client| pour(client, b"HTTP/1.1 200 OK", Duration::ZERO));
    assert_eq!(endless_head, Err(FetchError::Malformed));
    let endless_body = bounded(|client| {
        let _ = client.write_all(HEAD);
        pour(client, &[b'x'; 1000], Duration::ZERO);
    });
    assert_eq!(endless_body, Err(FetchError::TimedOut));
    let slow_body = bounded(|client| {
        let _ = client.write_all(HEAD);
        pour(client, b"x", Duration::from_millis(20));
    });
    assert_eq!(slow_body, Err(FetchError::TimedOut));
}

#[test]
fn a_body_that_is_not_wanted_any_more_ends_at_once() {
    let address = server(|client| {
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        pour(client, &[b'x'; 1000], Duration::ZERO);
    });
    let (result, body) = fetch_within(&PATIENT, address, "/x", 5_000);
    assert_eq!(result, Err(FetchError::Unwanted));
    assert!((5_000..=5_000 + BUFFER_LEN).contains(&body.len()), "{}", body.len());
}

#[test]
fn where_nobody_listens_it_ends_soon() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = v4(free.local_addr().expect("bound"));
    drop(free);
    assert_eq!(fetch(address, "/x").0, Err(FetchError::Unreachable));
}
