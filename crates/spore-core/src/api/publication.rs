//! What is published over HTTP, and how what an event says is shown: JSON in, and JSON out.

use super::body::{Full, Piece};
use super::{Error, FieldName};
use crate::events::{Scope, Topic};
use crate::services::json::{Lexer, Malformed, Token};
use crate::text::hex;
use crate::wire::EventRecord;
use heapless::{String, Vec};

/// A request's wish to publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) topic: String<{ Topic::MAX }, u8>,
    /// JSON, without the blanks between its tokens.
    pub(super) payload: Vec<u8, { EventRecord::MAX_PAYLOAD }, u16>,
    pub(super) scope: Scope,
    pub(super) retained: bool,
}

/// The members of the object, each of which has its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Topic,
    Payload,
    Scope,
    Retained,
}

impl Field {
    const ALL: [Self; 4] = [Self::Topic, Self::Payload, Self::Scope, Self::Retained];

    const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Payload => "payload",
            Self::Scope => "scope",
            Self::Retained => "retained",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Topic => 1,
            Self::Payload => 2,
            Self::Scope => 4,
            Self::Retained => 8,
        }
    }

    const fn error(self) -> Error {
        Error::InvalidField(self.name())
    }
}

/// What a byte is to the values in a JSON object or array.
struct Byte {
    /// It belongs to one of them.
    part: bool,
    /// It is neither that nor a blank between tokens.
    kept: bool,
    /// That value ends with it, or has ended before it.
    ends: bool,
}

/// Hands `byte` to `lexer`; what it is, and what `look` makes of the token that it ends.
fn push<R>(
    lexer: &mut Lexer,
    byte: u8,
    look: impl FnOnce(Token<'_>) -> R,
) -> Result<(Byte, Option<R>), Malformed> {
    let (was, number) = (lexer.in_inner_value(), lexer.in_inner_number());
    let token = lexer.push(byte)?.map(look);
    let is = lexer.in_inner_value();
    let part = is || (was && !number);
    let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n') && !lexer.in_string();
    Ok((Byte { part, kept: part && !blank, ends: was && !is }, token))
}

impl Publication {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidJson`] for what is no JSON object or nests too deeply, [`Error::InvalidField`]
    /// for a value that is not as it must be, [`Error::UnknownField`] for a field that there is not.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new();
        let mut lexer = Lexer::new();
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Error::InvalidJson);
        }
        for byte in body {
            let pushed = push(&mut lexer, *byte, |token| reader.token(token));
            let (byte_is, token) = pushed.map_err(|Malformed| Error::InvalidJson)?;
            token.transpose()?;
            if byte_is.kept {
                reader.keep(*byte)?;
            }
            if byte_is.ends {
                reader.end()?;
            }
        }
        if !lexer.is_over() {
            return Err(Error::InvalidJson);
        }
        reader.finish()
    }
}

/// Puts a publication together.
struct Reader {
    found: Publication,
    /// The members so far, as bits.
    seen: u8,
    /// The member under way, and whether its value is of the right kind.
    field: Option<Field>,
    good: bool,
    /// Open brackets.
    depth: u8,
}

impl Reader {
    const fn new() -> Self {
        let found = Publication {
            topic: String::new(),
            payload: Vec::new(),
            scope: Scope::Cluster,
            retained: false,
        };
        Self { found, seen: 0, field: None, good: false, depth: 0 }
    }

    fn token(&mut self, token: Token<'_>) -> Result<(), Error> {
        match (token, self.field) {
            (Token::Object | Token::Array, _) => self.depth = self.depth.saturating_add(1),
            (Token::End, _) => self.depth = self.depth.saturating_sub(1),
            _ if self.depth != 1 => (),
            (Token::Key(name), _) => self.begin(name)?,
            (Token::Text(text), Some(Field::Topic)) => {
                let text = text.ok_or(Error::InvalidTopic)?;
                self.found.topic.push_str(text).map_err(|_| Error::InvalidTopic)?;
                self.good = true;
            }
            (Token::Text(Some("cluster")), Some(Field::Scope)) => self.good = true,
            (Token::Text(Some("local")), Some(Field::Scope)) => {
                (self.found.scope, self.good) = (Scope::Local, true);
            }
            _ => (),
        }
        Ok(())
    }

    fn begin(&mut self, name: &str) -> Result<(), Error> {
        let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) else {
            let Ok(name) = name.parse::<FieldName>();
            return Err(Error::UnknownField(name));
        };
        if self.seen & field.bit() != 0 {
            return Err(field.error());
        }
        self.seen |= field.bit();
        (self.field, self.good) = (Some(field), field == Field::Payload);
        Ok(())
    }

    /// A byte of the value under way.
    fn keep(&mut self, byte: u8) -> Result<(), Error> {
        match self.field {
            Some(Field::Payload) => {
                self.found.payload.push(byte).map_err(|_| Error::LongPayload)?;
            }
            // Of the words that JSON has, the first letter tells.
            Some(Field::Retained) if !self.good && self.depth == 1 => {
                self.found.retained = byte == b't';
                self.good = matches!(byte, b't' | b'f');
                if !self.good {
                    return Err(Field::Retained.error());
                }
            }
            _ => (),
        }
        Ok(())
    }

    /// The value under way has ended.
    fn end(&mut self) -> Result<(), Error> {
        match self.field.take() {
            Some(field) if !self.good => Err(field.error()),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Publication, Error> {
        if self.seen & Field::Topic.bit() == 0 {
            return Err(Field::Topic.error());
        }
        if self.seen & Field::Payload.bit() == 0 {
            let _ = self.found.payload.extend_from_slice(b"null");
        }
        Ok(self.found)
    }
}

/// Writes what an event says as the last member of the object that was reopened: as it is if it is
/// JSON, but in one line; else as a string, if it is a text without control characters; else its
/// bytes as `payload_hex`, in hexadecimal digits.
pub(super) fn put_payload(piece: &mut Piece<'_>, payload: &[u8]) -> Result<(), Full> {
    let begin = piece.len();
    piece.text(",\"payload\":")?;
    if put_json(piece, payload)? {
        return Ok(());
    }
    piece.shorten(begin);
    let text = str::from_utf8(payload).ok();
    match text.filter(|text| !text.contains(char::is_control)) {
        Some(text) => {
            piece.text(",\"payload\":")?;
            piece.json(&text)
        }
        None => {
            piece.text(",\"payload_hex\":\"")?;
            for byte in payload {
                piece.text(&hex::<2>(&[*byte]))?;
            }
            piece.text("\"")
        }
    }
}

/// Writes `payload` without the blanks between its tokens; whether it is one JSON value.
fn put_json(piece: &mut Piece<'_>, payload: &[u8]) -> Result<bool, Full> {
    // A value that stands alone may have no end; in an array it has.
    let mut lexer = Lexer::new();
    let mut values = 0_u8;
    let mut open = false;
    if lexer.push(b'[').is_err() {
        return Ok(false);
    }
    for byte in payload {
        let Ok((byte_is, _)) = push(&mut lexer, *byte, |_| ()) else { return Ok(false) };
        let between = !byte_is.part && !byte.is_ascii_whitespace();
        if byte_is.part && !open {
            values = values.saturating_add(1);
        }
        open = byte_is.part && !byte_is.ends;
        if between || values > 1 {
            return Ok(false);
        }
        if byte_is.kept {
            piece.byte(*byte)?;
        }
    }
    let ended = lexer.push(b']').is_ok();
    Ok(ended && lexer.is_over() && values == 1 && str::from_utf8(payload).is_ok())
}

#[cfg(test)]
#[path = "publication_tests.rs"]
mod tests;
