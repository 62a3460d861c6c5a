//! JSON that arrives in pieces, as tokens: no piece need be kept, and memory is bounded.
//!
//! It checks the whole grammar (RFC 8259), so that what is cut, spliced or not JSON is found out, and
//! keeps 64 bytes of the string under way and one bit for each open bracket. The parsers at hand
//! (`picojson` 0.2, `serde-json-core`) want either the whole document or a buffer and input that
//! outlive the parser, which an engine that is handed one piece after the other cannot give.

/// The most bytes of a string that are kept; of longer ones it is known only that they are.
const TEXT_MAX: usize = 64;
/// The most bytes of a string.
const STRING_MAX: u16 = 512;
/// The most brackets that can be open at once.
const DEPTH_MAX: u8 = 8;

/// Stands for an escaped character beyond ASCII.
const SUBSTITUTE: u8 = 0x1A;

/// A piece of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// The name of a member of an object.
    Key(&'t str),
    /// A string; `None` if it is longer than what is kept.
    Text(Option<&'t str>),
    /// A number; `None` if it is longer than what is kept. One right before a closing bracket has no token: both end with the
    /// same byte, and the bracket is what counts.
    Number(Option<&'t str>),
    /// A truth value or null.
    Other,
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The object or array that began last ends.
    End,
}

/// The document is not JSON, or is beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must follow.
    Value,
    /// The first value of an array, or its end.
    FirstValue,
    /// The first key of an object, or its end.
    FirstKey,
    /// A key must follow.
    Key,
    /// The colon after a key.
    Colon,
    /// A comma, or the end of what is open.
    Next,
    /// In a string.
    Text(Role),
    /// Behind a backslash.
    Escape(Role),
    /// In the four digits of `\u`: how many are left, and the value so far.
    Unicode(Role, u8, u16),
    /// In a number.
    Number(Digits),
    /// In `true`, `false` or `null`: what is left of it.
    Word(&'static [u8]),
    /// The document is over.
    Over,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// Where in a number (RFC 8259, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

/// Takes a document apart, byte by byte.
#[derive(Debug)]
pub(crate) struct Lexer {
    state: State,
    /// How many brackets are open, and which of them are objects, the innermost in the lowest bit.
    depth: u8,
    objects: u8,
    text: heapless::Vec<u8, TEXT_MAX, u8>,
    /// The length of the string under way.
    len: u16,
}

impl Lexer {
    pub(crate) const fn new() -> Self {
        Self { state: State::Value, depth: 0, objects: 0, text: heapless::Vec::new(), len: 0 }
    }

    /// Whether the document is whole.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the next byte belongs to a value in the outermost object or array, or ends it.
    pub(crate) const fn in_inner_value(&self) -> bool {
        use Role::Value;
        let text = matches!(
            self.state,
            State::Text(Value) | State::Escape(Value) | State::Unicode(Value, ..)
        );
        text || self.depth > 1 || matches!(self.state, State::Number(_) | State::Word(_))
    }

    /// Whether such a value is a number, which ends before the byte that ends it.
    pub(crate) const fn in_inner_number(&self) -> bool {
        self.depth == 1 && matches!(self.state, State::Number(_))
    }

    /// Whether the next byte belongs to a string, or ends it.
    pub(crate) const fn in_string(&self) -> bool {
        matches!(self.state, State::Text(_) | State::Escape(_) | State::Unicode(..))
    }

    /// Takes the next byte: the token that it ends or is, if any.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<Token<'_>>, Malformed> {
        // A number ends with the byte behind it.
        if let State::Number(digits) = self.state {
            match next_digit(digits, byte) {
                Some(next) => {
                    self.state = State::Number(next);
                    return self.keep(byte).map(|()| None);
                }
                None if digits.may_end() => self.close_value(),
                None => return Err(Malformed),
            }
            // What may follow is a comma, a bracket or a blank.
            return match self.structure(byte)? {
                Some(bracket) => Ok(Some(bracket)),
                None => self.kept().map(|text| Some(Token::Number(text))),
            };
        }
        match self.state {
            State::Text(role) => self.text_byte(role, byte),
            State::Escape(role) => self.escape(role, byte).map(|()| None),
            State::Unicode(role, left, value) => {
                self.unicode(role, left, value, byte).map(|()| None)
            }
            State::Word([wanted, rest @ ..]) if *wanted == byte => {
                self.state = State::Word(rest);
                if !rest.is_empty() {
                    return Ok(None);
                }
                self.close_value();
                Ok(Some(Token::Other))
            }
            State::Word(_) => Err(Malformed),
            _ => self.structure(byte),
        }
    }

    /// A byte outside of strings, numbers and words.
    fn structure(&mut self, byte: u8) -> Result<Option<Token<'static>>, Malformed> {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return Ok(None);
        }
        match (self.state, byte) {
            (State::FirstKey, b'}') | (State::FirstValue, b']') => self.close(),
            (State::Next, b'}') if self.in_object() => self.close(),
            (State::Next, b']') if !self.in_object() => self.close(),
            (State::Next, b',') => {
                self.state = if self.in_object() { State::Key } else { State::Value };
                Ok(None)
            }
            (State::FirstKey | State::Key, b'"') => self.begin_text(Role::Key),
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(None)
            }
            (State::Value | State::FirstValue, _) => self.begin_value(byte),
            _ => Err(Malformed),
        }
    }

    fn begin_value(&mut self, byte: u8) -> Result<Option<Token<'static>>, Malformed> {
        self.state = match byte {
            b'{' => return self.open(true),
            b'[' => return self.open(false),
            b'"' => return self.begin_text(Role::Value),
            b't' => State::Word(b"rue"),
            b'f' => State::Word(b"alse"),
            b'n' => State::Word(b"ull"),
            b'-' => self.begin_number(byte, Digits::Minus)?,
            b'0' => self.begin_number(byte, Digits::Zero)?,
            b'1'..=b'9' => self.begin_number(byte, Digits::Whole)?,
            _ => return Err(Malformed),
        };
        // A document that is a number alone has no end; no document of ours is one.
        if self.depth == 0 { Err(Malformed) } else { Ok(None) }
    }

    fn begin_text(&mut self, role: Role) -> Result<Option<Token<'static>>, Malformed> {
        if self.depth == 0 {
            return Err(Malformed);
        }
        self.text.clear();
        self.len = 0;
        self.state = State::Text(role);
        Ok(None)
    }

    fn begin_number(&mut self, byte: u8, digits: Digits) -> Result<State, Malformed> {
        self.text.clear();
        self.len = 0;
        self.keep(byte)?;
        Ok(State::Number(digits))
    }

    /// The string or number that has ended; `None` if not all of it was kept.
    fn kept(&self) -> Result<Option<&str>, Malformed> {
        if usize::from(self.len) > self.text.len() {
            return Ok(None);
        }
        core::str::from_utf8(&self.text).map(Some).map_err(|_| Malformed)
    }

    fn open(&mut self, object: bool) -> Result<Option<Token<'static>>, Malformed> {
        if self.depth >= DEPTH_MAX {
            return Err(Malformed);
        }
        self.depth = self.depth.saturating_add(1);
        self.objects = self.objects << 1 | u8::from(object);
        self.state = if object { State::FirstKey } else { State::FirstValue };
        Ok(Some(if object { Token::Object } else { Token::Array }))
    }

    fn close(&mut self) -> Result<Option<Token<'static>>, Malformed> {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.close_value();
        Ok(Some(Token::End))
    }

    fn close_value(&mut self) {
        self.state = if self.depth == 0 { State::Over } else { State::Next };
    }

    const fn in_object(&self) -> bool {
        self.objects & 1 != 0
    }

    fn text_byte(&mut self, role: Role, byte: u8) -> Result<Option<Token<'_>>, Malformed> {
        match byte {
            b'"' => return self.end_text(role).map(Some),
            b'\\' => self.state = State::Escape(role),
            0..=0x1F => return Err(Malformed),
            _ => self.keep(byte)?,
        }
        Ok(None)
    }

    fn end_text(&mut self, role: Role) -> Result<Token<'_>, Malformed> {
        match role {
            Role::Key => self.state = State::Colon,
            Role::Value => self.close_value(),
        }
        let text = self.kept()?;
        match role {
            Role::Key => text.map(Token::Key).ok_or(Malformed),
            Role::Value => Ok(Token::Text(text)),
        }
    }

    fn keep(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.len >= STRING_MAX {
            return Err(Malformed);
        }
        self.len = self.len.saturating_add(1);
        // What does not fit is known by the length.
        let _ = self.text.push(byte);
        Ok(())
    }

    fn escape(&mut self, role: Role, byte: u8) -> Result<(), Malformed> {
        self.state = State::Text(role);
        match byte {
            b'"' | b'\\' | b'/' => self.keep(byte),
            b'b' => self.keep(8),
            b'f' => self.keep(12),
            b'n' => self.keep(b'\n'),
            b'r' => self.keep(b'\r'),
            b't' => self.keep(b'\t'),
            b'u' => {
                self.state = State::Unicode(role, 4, 0);
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    fn unicode(&mut self, role: Role, left: u8, value: u16, byte: u8) -> Result<(), Malformed> {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
        let value = value << 4 | digit.ok_or(Malformed)?;
        if left > 1 {
            self.state = State::Unicode(role, left.saturating_sub(1), value);
            return Ok(());
        }
        self.state = State::Text(role);
        // Nothing that is of use here has other characters; so it matters only that one was there.
        self.keep(u8::try_from(value).ok().filter(u8::is_ascii).unwrap_or(SUBSTITUTE))
    }
}

impl Digits {
    const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}

const fn next_digit(digits: Digits, byte: u8) -> Option<Digits> {
    match (digits, byte) {
        (Digits::Minus, b'0') => Some(Digits::Zero),
        (Digits::Minus, b'1'..=b'9') | (Digits::Whole, b'0'..=b'9') => Some(Digits::Whole),
        (Digits::Zero | Digits::Whole, b'.') => Some(Digits::Point),
        (Digits::Point | Digits::Fraction, b'0'..=b'9') => Some(Digits::Fraction),
        (Digits::Zero | Digits::Whole | Digits::Fraction, b'e' | b'E') => Some(Digits::Exponent),
        (Digits::Exponent, b'+' | b'-') => Some(Digits::Sign),
        (Digits::Exponent | Digits::Sign | Digits::Power, b'0'..=b'9') => Some(Digits::Power),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Lexer, Token};
    use std::string::String;
    use std::vec::Vec;

    /// The tokens of a whole document; `None` if it is none.
    fn lex(document: &[u8]) -> Option<Vec<String>> {
        let mut lexer = Lexer::new();
        let mut tokens = Vec::new();
        for byte in document {
            match lexer.push(*byte).ok()? {
                Some(Token::Key(key)) => tokens.push(std::format!("{key}:")),
                Some(Token::Text(text)) => tokens.push(std::format!("{text:?}")),
                Some(token) => tokens.push(std::format!("{token:?}")),
                None => (),
            }
        }
        lexer.is_over().then_some(tokens)
    }

    #[test]
    fn a_document_is_taken_apart() {
        let tokens = lex(br#" {"a" : [1, -2.5e+3,"x\"\u0041\u00e4"], "b":{} , "c":null,"d":0} "#);
        // The last number stands right before a bracket.
        let wanted = [
            "Object",
            "a:",
            "Array",
            "Number(Some(\"1\"))",
            "Number(Some(\"-2.5e+3\"))",
            "Some(\"x\\\"A\\u{1a}\")",
            "End",
            "b:",
            "Object",
            "End",
            "c:",
            "Other",
            "d:",
            "End",
        ];
        assert_eq!(tokens.unwrap(), wanted);
    }

    #[test]
    fn it_judges_as_serde_does() {
        let seeds: [&[u8]; 4] = [
            br#"{"id":"0123","n":-1.5e3,"list":[true,false,null,{"a":"b\\n\u0041"}],"e":{}}"#,
            br#"[[],[1,2,[3]],{"k":[{}]}, 10, 0.5, "x"]"#,
            br#"{"services":[{"name":"relay","policy":"open"}],"z":[]}"#,
            "{\"\u{e4}\":\"\u{1F600}\"}".as_bytes(),
        ];
        let alphabet = b"{}[]\",:\\0123eE.-+ntrufalse \x01\xff";
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut valid, mut invalid) = (0, 0);
        for _ in 0..60_000 {
            let mut document = seeds[rng.usize(..seeds.len())].to_vec();
            for _ in 0..rng.usize(..3) {
                let at = rng.usize(..document.len());
                document[at] = alphabet[rng.usize(..alphabet.len())];
            }
            if rng.u8(..8) == 0 {
                document.truncate(rng.usize(..document.len()));
            }
            // Lone surrogates and what is too large for a number's type are the reader's business.
            let serde: Result<serde_json::Value, _> = serde_json::from_slice(&document);
            let surrogate = document.windows(3).any(|part| matches!(part, [b'u', b'd' | b'D', _]));
            let range =
                serde.as_ref().is_err_and(|error| std::format!("{error}").contains("range"));
            // It takes documents alone, and no bare values.
            let bare = serde.as_ref().is_ok_and(|value| !value.is_object() && !value.is_array());
            if surrogate || range || bare {
                continue;
            }
            let ours = lex(&document).is_some();
            assert_eq!(ours, serde.is_ok(), "{:?}", document.escape_ascii());
            *(if ours { &mut valid } else { &mut invalid }) += 1;
        }
        assert!(valid > 10_000 && invalid > 10_000, "{valid} and {invalid}");
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(lex(nested(8).as_bytes()).is_some());
        assert!(lex(nested(9).as_bytes()).is_none());
        let text = |len: usize| std::format!("[\"{}\"]", "x".repeat(len));
        assert_eq!(lex(text(65).as_bytes()).unwrap()[1], "None");
        assert!(lex(text(64).as_bytes()).unwrap()[1].starts_with("Some"));
        assert!(lex(text(512).as_bytes()).is_some());
        assert!(lex(text(513).as_bytes()).is_none());
        let key = |len: usize| std::format!("{{\"{}\":1}}", "x".repeat(len));
        assert!(lex(key(64).as_bytes()).is_some());
        assert!(lex(key(65).as_bytes()).is_none());
    }
}
