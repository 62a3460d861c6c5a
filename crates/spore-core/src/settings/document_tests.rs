use super::{Document, Error, Wanted};
use crate::security::ReleaseKey;
use crate::wire::Hostname;
use std::format;
use std::string::String;

fn parse(text: &str) -> Result<Wanted, Error> {
    Wanted::parse(Document::Config, text.as_bytes())
}

#[test]
fn all_fields_are_read_in_any_order_and_none_is_needed() {
    assert_eq!(parse("{}"), Ok(Wanted::default()));
    assert_eq!(parse(" { } \n"), Ok(Wanted::default()));
    let (key, signature) = ("0a".repeat(32), "0B".repeat(64));
    let text = format!(
        r#" {{"release_key_signature" : "{signature}", "version":7,"hostname":"att\u0069c","release_key":"{key}"}} "#
    );
    let wanted = Wanted {
        version: Some(7),
        hostname: Some(Hostname::new("attic").unwrap()),
        release_key: Some(ReleaseKey([10; 32])),
        signature: Some([11; 64]),
        ..Wanted::default()
    };
    assert_eq!(parse(&text), Ok(wanted));
    for cut in 0..text.trim_end().len() {
        assert!(parse(&text[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, field) in [
        (r#"{"hostname":7}"#, "hostname"),
        (r#"{"hostname":null}"#, "hostname"),
        (r#"{"hostname":""}"#, "hostname"),
        (r#"{"hostname":"-a"}"#, "hostname"),
        (r#"{"hostname":{"a":[[[[]]]]}}"#, "hostname"),
        (r#"{"hostname":"a","hostname":"b"}"#, "hostname"),
        (r#"{"release_key":"00"}"#, "release_key"),
        (r#"{"release_key_signature":[]}"#, "release_key_signature"),
        (r#"{"version":-1}"#, "version"),
        (r#"{"version":4294967296}"#, "version"),
        (r#"{"version":"1"}"#, "version"),
        (r#"{"version":1.5}"#, "version"),
        (r#"{"hostname":"a","version":1.0,"release_key":""}"#, "version"),
        (r#"{"version":1e3}"#, "version"),
        (r#"{"version":0.5"#, "version"),
    ] {
        assert_eq!(parse(text), Err(Error::InvalidField(field)), "{text}");
    }
    let long: String = "x".repeat(1_000);
    for name in ["key", "", "Hostname", "\u{e9}\u{e9}", &long] {
        match parse(&format!("{{\"{name}\":1}}")) {
            Err(Error::UnknownField(found)) => assert!(name.starts_with(found.as_str())),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["", " ", "[]", "1", "null", "{", "{}}", "{}x", "{\"version", "{version:1}"] {
        assert_eq!(parse(text), Err(Error::InvalidJson), "{text}");
    }
    assert_eq!(Wanted::parse(Document::Config, b"{\"\xff\":1}"), Err(Error::InvalidJson));
    let mut rng = fastrand::Rng::with_seed(3);
    let seed = br#"{"hostname":"attic","version":12,"release_key":"00"}"#;
    for _ in 0..50_000 {
        let mut body = *seed;
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(..body.len());
            body[at] = if rng.bool() { rng.u8(..) } else { b"{}[]\",:\\u0"[rng.usize(..10)] };
        }
        // Whatever comes of it, it does not panic.
        let document = [Document::Config, Document::Wifi][rng.usize(..2)];
        let _ = Wanted::parse(document, &body[..rng.usize(..=body.len())]);
    }
}

#[test]
fn each_document_has_its_own_fields() {
    let parse = |text: &str| Wanted::parse(Document::Wifi, text.as_bytes());
    let wanted = parse(r#"{"password":"a \"b\" c d","ssid":"Caf\u00e9"}"#).unwrap();
    assert_eq!(wanted.ssid.unwrap().as_str(), "Café");
    assert_eq!(wanted.password.unwrap().as_str(), "a \"b\" c d");
    for (text, error) in [
        (r#"{"ssid":""}"#, Error::InvalidField("ssid")),
        (r#"{"ssid":"a\n"}"#, Error::InvalidField("ssid")),
        (r#"{"ssid":7}"#, Error::InvalidField("ssid")),
        (r#"{"ssid":"a","ssid":"b"}"#, Error::InvalidField("ssid")),
        (r#"{"password":"1234567"}"#, Error::InvalidField("password")),
        (r#"{"hostname":"a"}"#, Error::UnknownField("hostname".parse().unwrap())),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    let unknown = Error::UnknownField("ssid".parse().unwrap());
    assert_eq!(Wanted::parse(Document::Config, br#"{"ssid":"a"}"#), Err(unknown));
}
