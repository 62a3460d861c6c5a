//! Reads a JSON object whose members are small values, in place.

use crate::api::Error;
use core::str::Chars;

/// What is told of each member: its name, and its value as it stands there. What is neither a text, a number nor a word is cut.
pub(crate) type Each<'f, 'b> = &'f mut dyn FnMut(&'b str, &'b str) -> Result<(), Error>;

/// Reads `body`, and tells of each member in turn.
///
/// # Errors
///
/// [`Error::InvalidJson`] if it is no JSON object, or a name in it is escaped; else what was said to a member.
pub(crate) fn read_object<'b>(body: &'b [u8], each: Each<'_, 'b>) -> Result<(), Error> {
    let text = str::from_utf8(body).map_err(|_| Error::InvalidJson)?;
    let mut rest = after(text, '{')?;
    if let Ok(end) = after(rest, '}') {
        return blank(end);
    }
    loop {
        let (name, behind) = after(rest, '"')?.split_once('"').ok_or(Error::InvalidJson)?;
        let value = after(behind, ':')?.trim_start_matches(BLANKS);
        let (value, behind) = value.split_at_checked(end(value)).ok_or(Error::InvalidJson)?;
        each(name, value)?;
        match after(behind, ',') {
            Ok(next) => rest = next,
            Err(_) => return blank(after(behind, '}')?),
        }
    }
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// What follows `mark`, which blanks may precede.
fn after(text: &str, mark: char) -> Result<&str, Error> {
    text.trim_start_matches(BLANKS).strip_prefix(mark).ok_or(Error::InvalidJson)
}

fn blank(text: &str) -> Result<(), Error> {
    text.trim_start_matches(BLANKS).is_empty().then_some(()).ok_or(Error::InvalidJson)
}

/// Where the value ends that `text` begins with, if it is a small one.
fn end(text: &str) -> usize {
    let found = match text.strip_prefix('"') {
        Some(text) => {
            let mut is_escaped = false;
            let ends = |byte| {
                let ends = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                ends
            };
            text.bytes().position(ends).map(|at| at.saturating_add(2))
        }
        None => text.find([',', '}', ' ', '\t', '\r', '\n']),
    };
    found.unwrap_or(text.len())
}

/// The text that `json` is, which is written to `room`. `None` if it is something else, or does not fit.
pub(crate) fn text<'r>(json: &str, room: &'r mut [u8]) -> Option<&'r str> {
    let mut rest = json.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut len = 0_usize;
    while let Some(next) = rest.next() {
        let next = match next {
            '\0'..' ' | '"' => return None,
            '\\' => escaped(&mut rest)?,
            plain => plain,
        };
        let place = room.get_mut(len..).filter(|place| place.len() >= next.len_utf8())?;
        len = len.saturating_add(next.encode_utf8(place).len());
    }
    str::from_utf8(room.get(..len)?).ok()
}

/// What an escape stands for (RFC 8259, section 7), of which the backslash is read.
fn escaped(rest: &mut Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\x08',
        'f' => '\x0C',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(rest)?;
            // The first half of a character that has two.
            let second = match first {
                0xD800..0xDC00 => rest.as_str().strip_prefix("\\u"),
                _ => None,
            };
            let second = match second {
                Some(behind) => {
                    *rest = behind.chars();
                    Some(unit(rest)?)
                }
                None => None,
            };
            char::decode_utf16([first].into_iter().chain(second)).next()?.ok()?
        }
        itself @ ('"' | '\\' | '/') => itself,
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn unit(rest: &mut Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = rest.next()?.to_digit(16)?;
        unit = unit << 4 | u16::try_from(digit).ok()?;
    }
    Some(unit)
}

/// The whole number that `json` is.
pub(crate) fn number(json: &str) -> Option<u32> {
    let is_plain = json.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = is_plain && (json == "0" || !json.starts_with('0'));
    json.parse().ok().filter(|_| is_number)
}

/// The truth value that `json` is.
pub(crate) fn flag(json: &str) -> Option<bool> {
    match json {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{flag, number, read_object, text};
    use crate::api::Error;
    use crate::sprockets::Value;
    use std::borrow::ToOwned as _;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    fn members(body: &str) -> Result<Vec<String>, Error> {
        let mut members = Vec::new();
        read_object(body.as_bytes(), &mut |name, value| {
            members.push(match Value::parse(value.as_bytes()) {
                None => return Err(Error::InvalidField("x")),
                Some(Value::Text(text)) => format!("{name}={text}"),
                Some(Value::Bool(flag)) => format!("{name}={flag}"),
                Some(Value::Number(number)) => format!("{name}={number}"),
                Some(Value::Object(_)) => "object".to_owned(),
            });
            Ok(())
        })?;
        Ok(members)
    }

    #[test]
    fn objects_of_small_values_are_read() {
        assert_eq!(members(" { } ").unwrap(), [""; 0]);
        let all = members("{\"a\":1,\"b\" : \"x, y}\" ,\n\"c\":true}\t").unwrap();
        assert_eq!(all, ["a=1", "b=x, y}", "c=true"]);
    }

    #[test]
    fn texts_are_what_every_other_reader_takes_them_for() {
        for json in [
            r#""""#,
            r#""a b""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u00e9\u0069\uD83d\uDE00é😀""#,
            r#""\ud83d\ud83d""#,
            r#""\ud83dx""#,
            r#""\ude00""#,
            r#""\u12""#,
            r#""\u+123""#,
            r#""\x""#,
            r#""\""#,
            r#"""""#,
            "\"a\nb\"",
            "\"",
            "7",
        ] {
            let expected = serde_json::from_str::<String>(json).ok();
            assert_eq!(text(json, &mut [0; 32]), expected.as_deref(), "{json}");
        }
        assert_eq!(text(r#""abc""#, &mut [0; 3]), Some("abc"));
        assert_eq!(text(r#""abcé""#, &mut [0; 4]), None);
    }

    #[test]
    fn numbers_and_flags_are_what_json_has() {
        for json in
            ["0", "7", "10", "4294967295", "4294967296", "-1", "01", "00", "+1", "1.5", "1e3", ""]
        {
            assert_eq!(number(json), serde_json::from_str(json).ok(), "{json}");
        }
        assert_eq!(["true", "false", "1", "null"].map(flag), [Some(true), Some(false), None, None]);
    }

    #[test]
    fn a_text_ends_at_a_quote_that_is_not_escaped() {
        let mut found = Vec::new();
        let body = r#"{"a":"\"}\\","b":"\\\""}"#;
        let ends = read_object(body.as_bytes(), &mut |_, value| {
            found.push(value.to_owned());
            Ok(())
        });
        assert_eq!(
            (ends, found),
            (Ok(()), std::vec![r#""\"}\\""#.to_owned(), r#""\\\"""#.to_owned()])
        );
    }

    /// What it takes, every other reader takes for the same.
    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            "",
            "[]",
            "{",
            "}",
            "{}x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 2}",
            "{'a':1}",
            "{\"a\":1}}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":nul}",
        ] {
            assert!(members(body).is_err(), "{body}");
            assert!(
                serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(body).is_err(),
                "{body}"
            );
        }
        for body in
            ["{\"a\":[1,2]}", "{\"a\":{}}", "{\"a\":null}", "{\"a\":\"\\\"\"}", "{\"a\":1.5}"]
        {
            assert_eq!(members(body), Err(Error::InvalidField("x")), "{body}");
        }
    }
}
