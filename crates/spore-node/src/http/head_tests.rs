extern crate std;

use std::format;
use std::string::String;

use super::*;

fn head(text: &str) -> Head {
    parse(text.as_bytes()).expect("valid").expect("complete")
}

/// Parses all beginnings of `text` too: what a whole head is refused for may show earlier, but
/// never as something else.
fn refusal(text: &str) -> Error {
    let whole = parse(text.as_bytes()).expect_err("refused");
    for end in 0..text.len() {
        match parse(&text.as_bytes()[..end]) {
            Ok(None) => {}
            other => assert_eq!(other, Err(whole), "{:?}", &text[..end]),
        }
    }
    whole
}

fn target(text: &str) -> Result<(String, String), Error> {
    let text = format!("GET {text} HTTP/1.1\r\nHost: node\r\n\r\n");
    let head = parse(text.as_bytes())?.expect("complete");
    let request = head.request(text.as_bytes(), &[], Entrance::Network);
    Ok((request.path.into(), request.query.into()))
}

#[test]
fn reads_a_request() {
    let text =
        "PATCH /api/tasks/blink?dry=1 HTTP/1.1\r\nHost: node\r\ncontent-LENGTH: 17\r\n\r\nrest";
    let head = head(text);
    let request = head.request(text.as_bytes(), &[], Entrance::Network);
    assert_eq!(
        (request.method, request.path, request.query),
        (Method::Patch, "/api/tasks/blink", "dry=1")
    );
    assert_eq!(head.framing, Framing::Length(17));
    assert_eq!(head.len, text.len() - "rest".len());
    assert!(head.http11 && head.keep_alive && !head.expects_continue);
}

#[test]
fn waits_for_the_end() {
    let text = "GET / HTTP/1.1\r\nHost: node\r\n\r\n";
    for end in 0..text.len() {
        assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{:?}", &text[..end]);
    }
    // RFC 9112, section 2.2: an empty line before the request line, and LF alone.
    assert_eq!(head("\r\nGET / HTTP/1.1\nHost: node\n\n").method, Method::Get);
}

#[test]
fn reads_all_forms_of_target() {
    let parts = |path: &str, query: &str| Ok((path.into(), query.into()));
    assert_eq!(target("/"), parts("/", ""));
    assert_eq!(target("/a?"), parts("/a", ""));
    assert_eq!(target("/a?b?c=d"), parts("/a", "b?c=d"));
    assert_eq!(target("/x://y"), parts("/x://y", ""));
    assert_eq!(target("http://node/a?b"), parts("/a", "b"));
    assert_eq!(target("http://node:80"), parts("/", ""));
    assert_eq!(target("http://node?b"), parts("/", "b"));
    for bad in ["*", "a", "node:80", "/a#b", "http://", "http:///a", "ftp://node/a"] {
        assert_eq!(target(bad), Err(Error::BadRequest), "{bad}");
    }
    assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: node\r\n\r\n").method, Method::Other);
    let connect = "CONNECT node:80 HTTP/1.1\r\nHost: node\r\n\r\n";
    assert_eq!(refusal(connect), Error::NotImplemented);
}

#[test]
fn a_page_from_elsewhere_is_known_by_its_origin() {
    for (origin, host, foreign) in [
        ("http://node", "node", false),
        ("http://NODE:8080", "node:8080", false),
        ("http://node", "node:8080", true),
        ("http://node:8080", "node", true),
        ("https://node", "node", true),
        ("http://evil.example", "node", true),
        ("http://node.evil.example", "node", true),
        ("node", "node", true),
        ("null", "node", true),
        ("", "node", true),
    ] {
        let text = format!("POST / HTTP/1.1\r\nOrigin: {origin}\r\nHost: {host}\r\n\r\n");
        let head = head(&text);
        let request = head.request(text.as_bytes(), &[], Entrance::Network);
        assert_eq!(request.foreign, foreign, "{origin} {host}");
    }
    let none = "GET / HTTP/1.1\r\nHost: node\r\n\r\n";
    assert!(!head(none).request(none.as_bytes(), &[], Entrance::Network).foreign);
    let two = "GET / HTTP/1.1\r\nHost: node\r\nOrigin: http://node\r\nOrigin: http://node\r\n\r\n";
    assert_eq!(refusal(two), Error::BadRequest);
}

#[test]
fn the_host_is_that_of_the_target_or_else_of_the_field() {
    for (text, host) in [
        ("GET / HTTP/1.1\r\nHost:  node:8080 \r\n\r\n", "node:8080"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
        ("GET / HTTP/1.0\r\n\r\n", ""),
        ("GET http://other/ HTTP/1.1\r\nHost: node\r\n\r\n", "other"),
        ("GET http://other HTTP/1.1\r\nHost: node\r\n\r\n", "other"),
        ("GET http://node@other:80/x?y HTTP/1.0\r\n\r\n", "node@other:80"),
    ] {
        assert_eq!(
            head(text).request(text.as_bytes(), &[], Entrance::Network).host,
            host,
            "{text}"
        );
    }
    assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: \xFF\r\n\r\n"), Err(Error::BadRequest));
}

#[test]
fn reads_what_the_client_has() {
    let text = "GET / HTTP/1.1\r\nHost: n\r\nif-none-match: \"a\"\r\nIf-None-Match: \"b\"\r\n\r\n";
    let entrance = Entrance::AccessPoint("10.0.0.1");
    let head = head(text);
    let request = head.request(text.as_bytes(), b"body", entrance);
    assert_eq!(request.if_none_match, Some("\"a\""));
    assert_eq!((request.entrance, request.body), (entrance, &b"body"[..]));
}

#[test]
fn methods_are_case_sensitive() {
    assert_eq!(head("get / HTTP/1.1\r\nHost: node\r\n\r\n").method, Method::Other);
    assert_eq!(head("BREW / HTTP/1.1\r\nHost: node\r\n\r\n").method, Method::Other);
}

#[test]
fn keeps_the_connection_as_asked() {
    let kept = |rest: &str| head(&format!("GET / HTTP/1.{rest}\r\nHost: n\r\n\r\n")).keep_alive;
    assert!(kept("1"));
    assert!(kept("1\r\nConnection: keep-alive"));
    assert!(!kept("1\r\nConnection: Close"));
    assert!(!kept("1\r\nConnection: upgrade , close"));
    assert!(!kept("1\r\nConnection: x\r\nConnection: close"));
    assert!(!kept("0"));
    assert!(!kept("0\r\nConnection: keep-alive"));
}

#[test]
fn reads_the_framing() {
    let framing = |fields: &str| {
        let text = format!("POST / HTTP/1.1\r\nHost: node\r\n{fields}\r\n\r\n");
        parse(text.as_bytes()).map(|head| head.expect("complete").framing)
    };
    assert_eq!(framing("X: y"), Ok(Framing::Length(0)));
    assert_eq!(framing("Content-Length: 0"), Ok(Framing::Length(0)));
    assert_eq!(framing("Content-Length: 0012 "), Ok(Framing::Length(12)));
    let huge = "Content-Length: 99999999999999999999999999";
    assert_eq!(framing(huge), Ok(Framing::Length(usize::MAX)));
    assert_eq!(framing("Transfer-Encoding: Chunked"), Ok(Framing::Chunked));
    for bad in ["", "+5", "-5", "5x", "0x5", "5, 5", "1 2", "5\r\nContent-Length: 5"] {
        let fields = format!("Content-Length: {bad}");
        assert_eq!(framing(&fields), Err(Error::BadRequest), "{bad}");
    }
    let chunked = "Transfer-Encoding: chunked\r\n";
    let twice = format!("{chunked}Transfer-Encoding: chunked");
    assert_eq!(framing(&twice), Err(Error::BadRequest));
    assert_eq!(framing(&format!("{chunked}Content-Length: 5")), Err(Error::BadRequest));
    for unknown in ["gzip", "gzip, chunked", "chunked, chunked", "identity", ""] {
        let fields = format!("Transfer-Encoding: {unknown}");
        assert_eq!(framing(&fields), Err(Error::NotImplemented), "{unknown}");
    }
}

#[test]
fn refuses_what_is_not_http() {
    for text in [
        "\x16\x03\x01\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: n\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: n\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: n\r\n\r\n",
        "GET / HTCPCP/1.0\r\nHost: n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: n\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: n\x00\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: n\r\nHost: n\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(refusal(text), Error::BadRequest, "{text:?}");
    }
    assert_eq!(refusal("GET / HTTP/2.0\r\nHost: n\r\n\r\n"), Error::VersionNotSupported);
    assert_eq!(refusal("GET / HTTP/1.2\r\nHost: n\r\n\r\n"), Error::VersionNotSupported);
}

#[test]
fn limits_hold_to_the_byte() {
    let with_target = |len: usize| {
        let target: String =
            core::iter::once('/').chain(core::iter::repeat_n('a', len - 1)).collect();
        format!("GET {target} HTTP/1.1\r\nHost: node\r\n\r\n")
    };
    assert!(head(&with_target(TARGET_MAX)).keep_alive);
    assert_eq!(refusal(&with_target(TARGET_MAX + 1)), Error::UriTooLong);

    let with_fields = |count: usize| {
        let fields: String = (1..count).map(|number| format!("X{number}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: node\r\n{fields}\r\n")
    };
    assert!(head(&with_fields(HEADERS_MAX)).keep_alive);
    assert_eq!(refusal(&with_fields(HEADERS_MAX + 1)), Error::HeadTooLarge);

    // As many bytes as the connection ever offers, without an end.
    let full = |start: &str| {
        let mut text = String::from(start);
        text.extend(core::iter::repeat_n('a', HEAD_MAX - start.len()));
        text
    };
    assert_eq!(refusal(&full("GET / HTTP/1.1\r\nHost: n\r\nX: ")), Error::HeadTooLarge);
    assert_eq!(refusal(&full("GET /")), Error::UriTooLong);
    assert_eq!(refusal(&full("")), Error::UriTooLong);
    let long_method = format!("{} /", "M".repeat(HEAD_MAX - 2));
    assert_eq!(refusal(&long_method), Error::UriTooLong);
    assert_eq!(refusal(&"\r\n".repeat(HEAD_MAX / 2)), Error::UriTooLong);
}
