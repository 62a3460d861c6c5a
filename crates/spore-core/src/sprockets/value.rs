//! Small values: what a sprocket publishes, answers and is set to.

use crate::text::decimal;

/// A value that is written as JSON, without memory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i32),
    /// A text. What JSON does not take as it is, is escaped.
    Text(&'a str),
    /// An object, its members in the order in which they are given. Their names are written as they are.
    Object(&'a [(&'a str, Value<'a>)]),
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value<'_> {
    fn from(value: i32) -> Self {
        Self::Number(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a, const N: usize> From<&'a [(&'a str, Value<'a>); N]> for Value<'a> {
    fn from(value: &'a [(&'a str, Value<'a>); N]) -> Self {
        Self::Object(value)
    }
}

impl<'a> Value<'a> {
    /// The value that `json` is, blanks around it aside. `None` if it is another one than
    /// a truth value, a whole number of 32 bits or a text without escapes.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        let json = str::from_utf8(json).ok()?.trim_matches([' ', '\t', '\r', '\n']);
        if let Some(text) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
            return text.bytes().all(is_plain).then_some(Self::Text(text));
        }
        match json {
            "true" => Some(Self::Bool(true)),
            "false" => Some(Self::Bool(false)),
            // Rust reads more than JSON has.
            _ if json.starts_with('+') => None,
            _ => {
                let digits = json.trim_start_matches('-');
                let is_number = digits == "0" || !digits.starts_with('0');
                json.parse().ok().filter(|_| is_number).map(Self::Number)
            }
        }
    }

    /// Writes the value as JSON. Returns its length in bytes; `None` if there is no room.
    pub fn write(&self, buf: &mut [u8]) -> Option<usize> {
        let mut text = Text { buf, len: 0 };
        text.value(self)?;
        Some(text.len)
    }
}

/// JSON being written. `core::fmt` is large on a board.
struct Text<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl Text<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.buf.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn value(&mut self, value: &Value<'_>) -> Option<()> {
        match value {
            Value::Bool(true) => self.put(b"true"),
            Value::Bool(false) => self.put(b"false"),
            Value::Number(number) => self.number(*number),
            Value::Text(text) => self.text(text),
            Value::Object(members) => {
                let mut before: &[u8] = b"{\"";
                for (name, value) in *members {
                    self.put(before)?;
                    self.put(name.as_bytes())?;
                    self.put(b"\":")?;
                    self.value(value)?;
                    before = b",\"";
                }
                self.put(if members.is_empty() { b"{}" } else { b"}" })
            }
        }
    }

    fn number(&mut self, number: i32) -> Option<()> {
        if number < 0 {
            self.put(b"-")?;
        }
        self.put(decimal(number.unsigned_abs()).as_bytes())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        self.put(b"\"")?;
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.put(&[b'\\', byte])?,
                0..b' ' => {
                    let [high, low] =
                        [byte >> 4, byte & 15].map(|digit| HEX.get(usize::from(digit)));
                    self.put(&[b'\\', b'u', b'0', b'0', *high?, *low?])?;
                }
                _ => self.put(&[byte])?,
            }
        }
        self.put(b"\"")
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::Value;
    use serde_json::json;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    fn written(value: Value<'_>) -> String {
        let mut buf = [0; 256];
        let len = value.write(&mut buf).unwrap();
        for room in 0..len {
            assert_eq!(value.write(&mut [0; 256][..room]), None);
        }
        String::from_utf8(buf[..len].to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_json_that_others_read() {
        for number in [0, 7, -1, 10, 1_000_000, i32::MIN, i32::MAX] {
            assert_eq!(written(number.into()), number.to_string());
        }
        assert_eq!(written(true.into()) + &written(false.into()), "truefalse");
        let awkward = "a\"b\\c\n\u{1f} ä\u{7f}";
        let read: serde_json::Value = serde_json::from_str(&written(awkward.into())).unwrap();
        assert_eq!(read, awkward);
        let members = [("on", true.into()), ("in", Value::Object(&[("n", Value::Number(-3))]))];
        let read: serde_json::Value = serde_json::from_str(&written((&members).into())).unwrap();
        assert_eq!(read, json!({"on": true, "in": {"n": -3}}));
        assert_eq!(written((&[]).into()), "{}");
    }

    #[test]
    fn what_is_read_is_what_json_says() {
        for number in ["0", "-1", "2147483647", "-2147483648", " 12\n"] {
            let expected = number.trim().parse().unwrap();
            assert_eq!(Value::parse(number.as_bytes()), Some(Value::Number(expected)));
        }
        assert_eq!(Value::parse(b"true"), Some(Value::Bool(true)));
        assert_eq!(Value::parse(b"\"a b\""), Some(Value::Text("a b")));
        assert_eq!(Value::parse(b"\"\""), Some(Value::Text("")));
        let others: Vec<&[u8]> = [
            "",
            "null",
            "+1",
            "01",
            "-01",
            "--1",
            "-",
            "1.5",
            "2147483648",
            "\"",
            "\"a\\n\"",
            "\"a",
            "{}",
            "[1]",
            "True",
            "\"a\" \"b\"",
        ]
        .map(str::as_bytes)
        .to_vec();
        for json in others {
            assert_eq!(Value::parse(json), None, "{}", String::from_utf8_lossy(json));
        }
        assert_eq!(Value::parse(&[b'"', 0xFF, b'"']), None);
    }
}
