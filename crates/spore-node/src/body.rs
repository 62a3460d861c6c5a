//! Bodies of requests and answers: takes off their framing, and refuses what is too long or malformed.

use spore_core::api::Error;

/// Most bytes of chunk extensions and trailer fields in one body, together. Beyond it: 431.
const EXTRAS_MAX: usize = 256;

/// Most digits of a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 8;

/// How a body is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`, or zero where a request has neither field. Saturates at `usize::MAX`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection: an answer that has neither field.
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A body that ends with the connection.
    Open,
    /// A body of known length; `left` bytes are to come.
    Fixed,
    /// In a chunk's size, after this many digits.
    Size(u8),
    /// In a chunk extension.
    Extension,
    /// Behind the CR that ends a chunk's size line.
    SizeLf,
    /// In a chunk; `left` bytes are to come.
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer field, or of the empty line that ends the body.
    TrailerStart,
    Trailer,
    EndLf,
    Done,
}

/// Follows a body through the pieces in which it arrives (RFC 9112, sections 6 and 7.1).
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Bytes that remain of the body or of the chunk.
    left: usize,
    /// Bytes of the chunks that have begun.
    total: usize,
    /// The most bytes of the body.
    most: usize,
    /// Bytes of extensions and trailer fields.
    extras: usize,
}

/// What was done with a part of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// So many bytes of the input were taken.
    pub(crate) used: usize,
    /// So many of them are the body's; they stand at the front now.
    pub(crate) kept: usize,
}

impl Decoder {
    /// For bodies of up to `most` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLarge`] if the announced length is beyond that.
    pub(crate) fn new(most: usize, framing: Framing) -> Result<Self, Error> {
        let (state, left) = match framing {
            Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) if length > most => return Err(Error::PayloadTooLarge),
            Framing::Length(length) => (State::Fixed, length),
            Framing::Chunked => (State::Size(0), 0),
            Framing::UntilClose => (State::Open, 0),
        };
        Ok(Self { state, left, total: 0, most, extras: 0 })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the body is whole if the connection ends now.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.state, State::Open | State::Done)
    }

    /// Takes what belongs to the body from the front of `input`: all of it, unless the body ends
    /// before. What remains without the framing is moved to the front.
    ///
    /// # Errors
    ///
    /// What the client is to be told. The body's end cannot be found any more after that.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Error> {
        let (mut used, mut kept) = (0, 0);
        while let Some(&byte) = input.get(used) {
            match self.state {
                State::Done => break,
                State::Open | State::Fixed | State::Data => {
                    let rest = input.len() - used;
                    let taken = if self.state == State::Open { rest } else { self.left.min(rest) };
                    input.copy_within(used..used + taken, kept);
                    used += taken;
                    kept += taken;
                    if self.state != State::Open {
                        self.left -= taken;
                    }
                    self.state = match self.state {
                        State::Fixed if self.left == 0 => State::Done,
                        State::Data if self.left == 0 => State::DataCr,
                        same => same,
                    };
                }
                _ => {
                    self.state = self.framing_byte(byte)?;
                    used += 1;
                }
            }
        }
        Ok(Decoded { used, kept })
    }

    /// How many more bytes can belong to the body for certain, so that reading them cannot take
    /// away any of the next request; at least one.
    pub(crate) fn certain(&self) -> usize {
        match self.state {
            State::Fixed => self.left,
            _ => usize::MAX,
        }
    }

    fn framing_byte(&mut self, byte: u8) -> Result<State, Error> {
        match (self.state, byte) {
            (State::Size(1..), b'\r') | (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size(1..), b';' | b' ' | b'\t') => Ok(State::Extension),
            (State::Size(digits), _) => self.size_digit(digits, byte),
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => {
                self.total += self.left;
                Ok(State::Data)
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size(0)),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::Trailer, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::Extension, b'\n') => Err(Error::BadRequest),
            (State::Extension, _) => self.extra(State::Extension),
            (State::TrailerStart | State::Trailer, _) => self.extra(State::Trailer),
            _ => Err(Error::BadRequest),
        }
    }

    fn size_digit(&mut self, digits: u8, byte: u8) -> Result<State, Error> {
        let digit = char::from(byte).to_digit(16).and_then(|digit| usize::try_from(digit).ok());
        let Some(digit) = digit.filter(|_| digits < SIZE_DIGITS_MAX) else {
            return Err(Error::BadRequest);
        };
        let left = if digits == 0 { 0 } else { self.left };
        self.left = left.saturating_mul(16).saturating_add(digit);
        if self.left > self.most - self.total {
            return Err(Error::PayloadTooLarge);
        }
        Ok(State::Size(digits + 1))
    }

    fn extra(&mut self, state: State) -> Result<State, Error> {
        self.extras += 1;
        if self.extras > EXTRAS_MAX { Err(Error::HeadTooLarge) } else { Ok(state) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::vec::Vec;

    use super::*;

    const BODY_MAX: usize = 2048;

    /// Feeds `input` in pieces of `step` bytes: the body's length with its framing, `None` if it
    /// has not ended.
    fn run(framing: Framing, input: &[u8], step: usize) -> Result<Option<usize>, Error> {
        let mut decoder = Decoder::new(BODY_MAX, framing)?;
        let mut used = 0;
        for piece in input.chunks(step) {
            used += decoder.decode(&mut piece.to_vec())?.used;
            if decoder.is_done() {
                break;
            }
        }
        Ok(decoder.is_done().then_some(used))
    }

    fn chunked(input: &[u8]) -> Result<Option<usize>, Error> {
        let whole = run(Framing::Chunked, input, input.len().max(1));
        for step in 1..input.len() {
            assert_eq!(run(Framing::Chunked, input, step), whole, "in pieces of {step}");
        }
        whole
    }

    #[test]
    fn finds_the_end_of_a_chunked_body() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\n",
            b"0005;name=value\r\nhello\r\nA \r\n0123456789\r\n00\r\n\r\n",
            b"1\r\n\n\r\n0\r\nDigest: x\r\nMore: y\r\n\r\n",
        ] {
            assert_eq!(chunked(body), Ok(Some(body.len())));
            let mut more = body.to_vec();
            more.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(chunked(&more), Ok(Some(body.len())));
            assert_eq!(chunked(&body[..body.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn what_remains_is_the_body_in_pieces_of_any_size() {
        let raw = b"0005;name=value\r\nhello\r\nA \r\n0123456789\r\n00\r\nDigest: x\r\n\r\nGET";
        for (framing, raw, expected) in [
            (Framing::Chunked, &raw[..], &b"hello0123456789"[..]),
            (Framing::Length(5), b"helloGET", b"hello"),
            (Framing::Length(0), b"GET", b""),
        ] {
            for step in 1..=raw.len() {
                let mut decoder = Decoder::new(BODY_MAX, framing).unwrap();
                let (mut body, mut used) = (Vec::new(), 0);
                for piece in raw.chunks(step) {
                    let mut piece = piece.to_vec();
                    let decoded = decoder.decode(&mut piece).unwrap();
                    body.extend_from_slice(&piece[..decoded.kept]);
                    used += decoded.used;
                }
                assert_eq!((&body[..], used), (expected, raw.len() - 3), "in pieces of {step}");
            }
        }
    }

    #[test]
    fn only_what_has_no_end_of_its_own_may_end_with_the_connection() {
        let decode = |framing, input: &[u8]| {
            let mut decoder = Decoder::new(BODY_MAX, framing).unwrap();
            let decoded = decoder.decode(&mut input.to_vec()).unwrap();
            (decoded.kept, decoder.is_done(), decoder.may_end())
        };
        assert_eq!(decode(Framing::UntilClose, b""), (0, false, true));
        assert_eq!(decode(Framing::UntilClose, b"0\r\n\r\n"), (5, false, true));
        assert_eq!(decode(Framing::Length(5), b"hell"), (4, false, false));
        assert_eq!(decode(Framing::Length(5), b"hello"), (5, true, true));
        assert_eq!(decode(Framing::Chunked, b"5\r\nhello\r\n"), (5, false, false));
        assert_eq!(decode(Framing::Chunked, b"0\r\n\r\n"), (0, true, true));
    }

    #[test]
    fn refuses_malformed_chunks() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b";\r\n",
            b"5\nhello",
            b"5;a\nhello",
            b"5\r\nhelloo",
            b"5\r\nhello\n",
            b"000000005\r\nhello\r\n",
            b"0\r\n\rx",
        ] {
            assert_eq!(chunked(body), Err(Error::BadRequest), "{:?}", body.escape_ascii());
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let chunk = |size: usize| {
            let mut body = format!("{size:x}\r\n").into_bytes();
            body.resize(body.len() + size, b'x');
            body.extend_from_slice(b"\r\n");
            body
        };
        let body = |sizes: &[usize]| {
            let mut body: Vec<u8> = sizes.iter().flat_map(|&size| chunk(size)).collect();
            body.extend_from_slice(b"0\r\n\r\n");
            run(Framing::Chunked, &body, body.len()).map(|end| end == Some(body.len()))
        };
        assert_eq!(body(&[BODY_MAX]), Ok(true));
        assert_eq!(body(&[BODY_MAX + 1]), Err(Error::PayloadTooLarge));
        assert_eq!(body(&[1000, BODY_MAX - 1000]), Ok(true));
        assert_eq!(body(&[1000, BODY_MAX - 999]), Err(Error::PayloadTooLarge));
        assert_eq!(chunked(b"ffffffff\r\n"), Err(Error::PayloadTooLarge));

        assert!(Decoder::new(BODY_MAX, Framing::Length(BODY_MAX)).is_ok());
        let refused = Decoder::new(BODY_MAX, Framing::Length(BODY_MAX + 1)).map(|_| ());
        assert_eq!(refused, Err(Error::PayloadTooLarge));
        let input = [0; BODY_MAX + 7];
        assert_eq!(run(Framing::Length(BODY_MAX), &input, 100), Ok(Some(BODY_MAX)));
        assert_eq!(run(Framing::Length(8), &input[..7], 3), Ok(None));

        let trailer = |extra: usize| {
            let mut body = b"0\r\n".to_vec();
            body.resize(body.len() + extra, b't');
            body.extend_from_slice(b"\n\r\n");
            run(Framing::Chunked, &body, 7).map(|end| end == Some(body.len()))
        };
        assert_eq!(trailer(EXTRAS_MAX), Ok(true));
        assert_eq!(trailer(EXTRAS_MAX + 1), Err(Error::HeadTooLarge));
    }
}
