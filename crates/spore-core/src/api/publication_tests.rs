//! Publications are read as they must be, and payloads are shown as what they are.

use super::{Publication, put_payload};
use crate::api::Error;
use crate::api::body::Piece;
use crate::events::Scope;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

fn parse(body: &str) -> Result<(String, String, Scope, bool), Error> {
    Publication::parse(body.as_bytes()).map(|found| {
        let payload = String::from_utf8(found.payload.to_vec()).unwrap();
        (String::from(found.topic.as_str()), payload, found.scope, found.retained)
    })
}

#[test]
fn a_publication_is_read_whatever_the_order_and_the_blanks() {
    let wanted =
        |payload: &str, scope, retained| Ok(("a/b".into(), payload.into(), scope, retained));
    let cases = [
        (r#"{"topic":"a/b"}"#, "null", Scope::Cluster, false),
        (r#"{"topic":"a/b","payload":1}"#, "1", Scope::Cluster, false),
        (r#" { "payload" : -1.5e3 , "topic" : "a\/b" } "#, "-1.5e3", Scope::Cluster, false),
        (r#"{"payload":"x y\n","topic":"a/b","scope":"local"}"#, r#""x y\n""#, Scope::Local, false),
        (r#"{"retained":true,"payload":true,"topic":"a/b"}"#, "true", Scope::Cluster, true),
        (
            r#"{"retained":false,"scope":"cluster","topic":"a/b","payload":null}"#,
            "null",
            Scope::Cluster,
            false,
        ),
        (
            "{\"payload\" : { \"a b\" : [ 1 ,\n 2, { \"topic\": \"x\" } ] } , \"topic\":\"a/b\"}",
            r#"{"a b":[1,2,{"topic":"x"}]}"#,
            Scope::Cluster,
            false,
        ),
        (r#"{"payload":[],"topic":"a/b"}"#, "[]", Scope::Cluster, false),
        (r#"{"topic":"a/b","payload":[1]}"#, "[1]", Scope::Cluster, false),
        (r#"{"topic":"a/b","payload":{}}"#, "{}", Scope::Cluster, false),
        (r#"{"topic":"a/b","payload":7 }"#, "7", Scope::Cluster, false),
    ];
    for (body, payload, scope, retained) in cases {
        assert_eq!(parse(body), wanted(payload, scope, retained), "{body}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let field = Error::InvalidField;
    for (body, error) in [
        ("", Error::InvalidJson),
        ("[]", Error::InvalidJson),
        ("7", Error::InvalidJson),
        ("{", Error::InvalidJson),
        (r#"{"topic":"a"}}"#, Error::InvalidJson),
        (r#"{"topic":"a"} x"#, Error::InvalidJson),
        (r#"{"topic":"a","payload":01}"#, Error::InvalidJson),
        (r#"{"topic":"a","payload":}"#, Error::InvalidJson),
        (r#"{"topic":"a","payload":[1}"#, Error::InvalidJson),
        (r#"{"topic":"a","payload":[[[[[[[[1]]]]]]]]}"#, Error::InvalidJson),
        ("{}", field("topic")),
        (r#"{"payload":1}"#, field("topic")),
        (r#"{"topic":1}"#, field("topic")),
        (r#"{"topic":null,"payload":1}"#, field("topic")),
        (r#"{"topic":["a"]}"#, field("topic")),
        (r#"{"topic":{"topic":"a"}}"#, field("topic")),
        (r#"{"topic":"a","topic":"a"}"#, field("topic")),
        (r#"{"topic":"a","payload":1,"payload":1}"#, field("payload")),
        (r#"{"topic":"a","scope":"world"}"#, field("scope")),
        (r#"{"topic":"a","scope":null}"#, field("scope")),
        (r#"{"topic":"a","scope":["local"]}"#, field("scope")),
        (r#"{"topic":"a","retained":1}"#, field("retained")),
        (r#"{"topic":"a","retained":"true"}"#, field("retained")),
        (r#"{"topic":"a","retained":null}"#, field("retained")),
        (r#"{"topic":"a","retained":[true]}"#, field("retained")),
        (r#"{"topic":"a","qos":1}"#, Error::UnknownField("qos".parse().unwrap())),
    ] {
        assert_eq!(parse(body), Err(error), "{body}");
    }
}

#[test]
fn topics_and_payloads_have_room_to_the_byte() {
    let topic = |len: usize| parse(&format!(r#"{{"topic":"{}"}}"#, "t".repeat(len)));
    assert_eq!(topic(48).unwrap().0.len(), 48);
    assert_eq!(topic(49), Err(Error::InvalidTopic));
    assert_eq!(topic(300), Err(Error::InvalidTopic));
    let payload =
        |len: usize| parse(&format!(r#"{{"topic":"t","payload":"{}"}}"#, "p".repeat(len - 2)));
    assert_eq!(payload(256).unwrap().1.len(), 256);
    assert_eq!(payload(257), Err(Error::LongPayload));
    // Blanks between tokens do not count.
    let blanks = format!(r#"{{"topic":"t","payload":[1,{}2]}}"#, " ".repeat(1_000));
    assert_eq!(parse(&blanks).unwrap().1, "[1,2]");
}

/// The payload as a reader sees it.
fn shown(payload: &[u8]) -> String {
    let mut buf = [0; 600];
    let mut piece = Piece::new(&mut buf);
    assert!(put_payload(&mut piece, payload).is_ok());
    let len = piece.len();
    String::from_utf8(buf[..len].to_vec()).unwrap()
}

#[test]
fn payloads_are_shown_as_what_they_are() {
    let same = ["0", "-1.5", "true", "null", r#""a b""#, "[]", "{}", r#"[1,"x"]"#, r#"{"a b":1}"#];
    for json in same {
        assert_eq!(shown(json.as_bytes()), format!(",\"payload\":{json}"));
        assert_eq!(shown(format!(" {json}\n").as_bytes()), format!(",\"payload\":{json}"));
    }
    assert_eq!(shown(b"{\r\n\t\"a\" : [ 1 , 2 ]\r\n}"), ",\"payload\":{\"a\":[1,2]}");
    for (text, json) in [
        ("on", r#""on""#),
        ("", r#""""#),
        ("1,2", r#""1,2""#),
        ("1 2", r#""1 2""#),
        ("[1][2]", r#""[1][2]""#),
        ("1],[2", r#""1],[2""#),
        ("]", r#""]""#),
        ("[", r#""[""#),
        ("tru", r#""tru""#),
        ("say \"x\"\\", r#""say \"x\"\\""#),
        ("21 °C", "\"21 °C\""),
    ] {
        assert_eq!(shown(text.as_bytes()), format!(",\"payload\":{json}"), "{text}");
    }
    assert_eq!(shown(b"a\nb"), ",\"payload_hex\":\"610a62\"");
    assert_eq!(shown(&[0, 0xFF]), ",\"payload_hex\":\"00ff\"");
    assert_eq!(shown(b"\"\xFF\""), ",\"payload_hex\":\"22ff22\"");
    assert_eq!(shown(&[7; 256]).len(), 16 + 512 + 1);
}

/// Whatever the bytes, what is shown is the member of an object, in one line.
#[test]
fn what_is_shown_is_always_json_in_one_line() {
    let seeds: [&[u8]; 4] = [br#"{"a":[1, -2.5e3,"x\n"],"b":{}}"#, b"[1, 2]", b"12", b"\"text\" "];
    let alphabet = b"{}[]\",:\\0123eE.-+ntrufalse \n\r\t\x01\xff\xc3\xa9";
    let mut rng = fastrand::Rng::with_seed(11);
    let mut kinds = [0; 2];
    for _ in 0..30_000 {
        let mut payload: Vec<u8> = seeds[rng.usize(..seeds.len())].to_vec();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..payload.len());
            payload[at] = alphabet[rng.usize(..alphabet.len())];
        }
        if rng.u8(..4) == 0 {
            payload.truncate(rng.usize(..payload.len()));
        }
        let shown = shown(&payload);
        assert!(!shown.contains(['\n', '\r']), "{shown:?}");
        let object = format!("{{\"x\":0{shown}}}");
        let document: serde_json::Value = match serde_json::from_str(&object) {
            Ok(document) => document,
            // Numbers and surrogates that Rust's types do not hold.
            Err(error)
                if error.to_string().contains("range")
                    || error.to_string().contains("surrogate") =>
            {
                continue;
            }
            Err(error) => panic!("{error}: {object}"),
        };
        let own: Result<serde_json::Value, _> = serde_json::from_slice(&payload);
        if let Ok(own) = own {
            assert_eq!(document["payload"], own, "{object}");
            kinds[0] += 1;
        } else {
            kinds[1] += 1;
        }
    }
    assert!(kinds.iter().all(|count| *count > 3_000), "{kinds:?}");
}
