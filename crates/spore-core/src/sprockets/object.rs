//! Reads a JSON object whose members are small values, in place.

use super::Value;
use crate::api::Error;

/// What is told of each member: its name and its value, `None` if that is another one than a truth value, a
/// whole number of 32 bits or a text without escapes.
pub(super) type Each<'f, 'b> = &'f mut dyn FnMut(&'b str, Option<Value<'b>>) -> Result<(), Error>;

/// Reads `body`, and tells of each member in turn.
///
/// # Errors
///
/// [`Error::InvalidJson`] if it is no JSON object, or a name in it is escaped; else what was said to a member.
pub(super) fn read_object<'b>(body: &'b [u8], each: Each<'_, 'b>) -> Result<(), Error> {
    let text = str::from_utf8(body).map_err(|_| Error::InvalidJson)?;
    let mut rest = after(text, '{')?;
    if let Ok(end) = after(rest, '}') {
        return blank(end);
    }
    loop {
        let (name, behind) = after(rest, '"')?.split_once('"').ok_or(Error::InvalidJson)?;
        let value = after(behind, ':')?.trim_start_matches(BLANKS);
        let (value, behind) = value.split_at_checked(end(value)).ok_or(Error::InvalidJson)?;
        each(name, Value::parse(value.as_bytes()))?;
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
        Some(text) => text.find('"').map(|at| at.saturating_add(2)),
        None => text.find([',', '}', ' ', '\t', '\r', '\n']),
    };
    found.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::{Value, read_object};
    use crate::api::Error;
    use std::borrow::ToOwned as _;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    fn members(body: &str) -> Result<Vec<String>, Error> {
        let mut members = Vec::new();
        read_object(body.as_bytes(), &mut |name, value| {
            members.push(match value {
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
