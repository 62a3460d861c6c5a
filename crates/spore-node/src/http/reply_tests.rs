extern crate std;

use std::string::ToString;
use std::vec;

use spore_core::api::{Asset, Error, Method, Methods};

use super::*;
use crate::http::{BODY_MAX, HEAD_MAX, HEADERS_MAX, TARGET_MAX};

/// The answer of a refusal, made the way in which a connection with a buffer makes it.
fn rendered(error: Error) -> vec::Vec<u8> {
    let mut buf = vec![0; ROOM_MIN];
    let mut response = Response::error(error);
    let len = response.body.fill_error(&mut buf[PIECE_START..]);
    let head =
        put_head(&mut buf, PIECE_START, &response, Entrance::Network, Length::Known(len), true);
    buf[head.expect("fits").start..PIECE_START + len].to_vec()
}

#[test]
fn the_ready_made_refusal_is_what_would_be_made() {
    assert_eq!(BUSY.escape_ascii().to_string(), rendered(Error::Busy).escape_ascii().to_string());
}

#[test]
fn refusals_say_the_limits_that_there_are() {
    for (error, limit) in [
        (Error::PayloadTooLarge, BODY_MAX),
        (Error::UriTooLong, TARGET_MAX),
        (Error::HeadTooLarge, HEAD_MAX),
        (Error::HeadTooLarge, HEADERS_MAX),
    ] {
        let limit = match limit {
            1000.. => std::format!("{},{:03}", limit / 1000, limit % 1000),
            _ => limit.to_string(),
        };
        let message = error.message();
        assert!(message.split([' ', ';']).any(|word| word == limit), "{limit}: {message}");
    }
}

#[test]
fn ready_made_answers_are_whole() {
    for answer in [BUSY, INTERNAL] {
        let text = str::from_utf8(answer).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&std::format!("Content-Length: {}\r\n", body.len())), "{head}");
        serde_json::from_str::<serde_json::Value>(body).expect("JSON");
    }
}

#[test]
fn writes_the_head_in_front_of_the_body() {
    let text =
        rendered(Error::MethodNotAllowed(Methods::NONE.with(Method::Get).with(Method::Head)));
    let text = str::from_utf8(&text).expect("text");
    assert!(text.starts_with(
        "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/json\r\nContent-Length: "
    ));
    assert!(text.contains("\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n{\"error\":"));
}

#[test]
fn a_head_without_room_is_noticed() {
    let mut buf = [0; ROOM_MIN];
    let mut response = Response::error(Error::NotFound);
    response.content_type = "x".repeat(HEAD_ROOM).leak();
    assert_eq!(
        put_head(&mut buf, PIECE_START, &response, Entrance::Network, Length::Chunked, false),
        None
    );
}

#[test]
fn the_longest_heads_of_files_and_of_redirections_have_room() {
    static FILE: Asset = Asset::new("/", "text/html", b"").compressed();
    let mut buf = [0; ROOM_MIN];
    let mut response = Response::error(Error::NotFound);
    response.status = 304;
    response.content_type = FILE.content_type();
    response.asset = Some(&FILE);
    let (entrance, length) =
        (Entrance::AccessPoint("255.255.255.255:65535"), Length::Known(999_999));
    let head = put_head(&mut buf, PIECE_START, &response, entrance, length, true).expect("fits");
    let head = str::from_utf8(&buf[head]).expect("text");
    assert!(head.contains("\r\nContent-Encoding: gzip\r\n"), "{head}");
    assert!(head.ends_with(": frame-ancestors 'none'\r\nConnection: close\r\n\r\n"), "{head}");
    response.asset = None;
    response.to_page = true;
    let head = put_head(&mut buf, PIECE_START, &response, entrance, length, true).expect("fits");
    let head = str::from_utf8(&buf[head]).expect("text");
    assert!(head.contains("\r\nLocation: http://255.255.255.255:65535/\r\n"), "{head}");
}

#[test]
fn statuses_without_a_body_announce_none() {
    let mut buf = [0; ROOM_MIN];
    let mut response = Response::error(Error::NotFound);
    response.status = 204;
    let head = put_head(&mut buf, PIECE_START, &response, Entrance::Network, Length::None, false)
        .expect("fits");
    assert_eq!(&buf[head], b"HTTP/1.1 204 No Content\r\n\r\n");
    assert!(is_bodiless(204) && is_bodiless(304) && !is_bodiless(200) && !is_bodiless(404));
}

#[test]
fn chunks_carry_their_length() {
    let mut buf = vec![b'.'; PIECE_START + PIECE_MAX + TAIL_ROOM];
    for (len, line) in [(1, "1"), (15, "f"), (16, "10"), (512, "200"), (PIECE_MAX, "ffff")] {
        for last in [false, true] {
            let place = put_chunk(&mut buf, len, last);
            let end = if last { "\r\n0\r\n\r\n" } else { "\r\n" };
            let expected = std::format!("{line}\r\n{}{end}", ".".repeat(len));
            assert!(buf[place] == *expected.as_bytes(), "{len} {last}");
            buf[PIECE_START..].fill(b'.');
        }
    }
    let place = put_chunk(&mut buf, 0, true);
    assert_eq!(buf[place], *b"0\r\n\r\n");
    assert!(put_chunk(&mut buf, 0, false).is_empty());
}

#[test]
fn a_piece_has_the_promised_room() {
    let mut buf = vec![0; ROOM_MIN];
    assert_eq!(piece_room(&mut buf, 0).map(|room| room.len()), Some(MIN_PIECE));
    assert!(piece_room(&mut buf, 1).is_none());
    let mut large = vec![0; 2 * PIECE_MAX];
    assert_eq!(piece_room(&mut large, 0).map(|room| room.len()), Some(PIECE_MAX));
}
