//! Bodies of answers: finds the data between their frames (RFC 9112, sections 6.3 and 7.1).

use super::FetchError;

/// Most bytes of chunk sizes, extensions and trailer fields that stand between two pieces of data.
const FRAME_MAX: u16 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data up to the end of the connection.
    UntilClose,
    /// A body of known length, of which so much is to come.
    Length(usize),
    /// In a chunk's size, after so many digits.
    Size(u8, usize),
    /// In a chunk's extension.
    Extension(usize),
    /// Behind the CR of a chunk's size line.
    SizeLf(usize),
    /// In a chunk, of which so much is to come.
    Data(usize),
    DataCr,
    DataLf,
    /// At the start of a trailer field, or of the empty line that ends the body.
    TrailerStart,
    Trailer,
    EndLf,
    Done,
}

/// Follows a body through the pieces in which it arrives.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    /// Bytes of the present frame.
    frame: u16,
}

impl Decoder {
    pub(super) const fn chunked() -> Self {
        Self { state: State::Size(0, 0), frame: 0 }
    }

    pub(super) const fn of_length(length: usize) -> Self {
        let state = if length == 0 { State::Done } else { State::Length(length) };
        Self { state, frame: 0 }
    }

    pub(super) const fn until_close() -> Self {
        Self { state: State::UntilClose, frame: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection has ended: whether the body has, too.
    pub(super) fn end(&self) -> Result<(), FetchError> {
        match self.state {
            State::UntilClose | State::Done => Ok(()),
            _ => Err(FetchError::Cut),
        }
    }

    /// Takes the next bytes, and hands the data among them to `take`. What comes after the end is
    /// ignored.
    pub(super) fn consume(
        &mut self,
        mut input: &[u8],
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<(), FetchError> {
        while let [byte, rest @ ..] = input {
            let left = match self.state {
                State::Done => return Ok(()),
                State::UntilClose => usize::MAX,
                State::Length(left) | State::Data(left) => left,
                _ => {
                    self.frame_byte(*byte)?;
                    input = rest;
                    continue;
                }
            };
            let (data, rest) = input.split_at(left.min(input.len()));
            if !take(data) {
                return Err(FetchError::Unwanted);
            }
            input = rest;
            self.frame = 0;
            self.state = match self.state {
                State::Length(left) if left == data.len() => State::Done,
                State::Length(left) => State::Length(left - data.len()),
                State::Data(left) if left == data.len() => State::DataCr,
                State::Data(left) => State::Data(left - data.len()),
                other => other,
            };
        }
        Ok(())
    }

    fn frame_byte(&mut self, byte: u8) -> Result<(), FetchError> {
        self.frame += 1;
        if self.frame > FRAME_MAX {
            return Err(FetchError::Malformed);
        }
        self.state = match (self.state, byte) {
            (State::Size(1.., size) | State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size(1.., size), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(digits @ 0..7, size), _) => {
                let digit = char::from(byte).to_digit(16).and_then(|it| usize::try_from(it).ok());
                // Seven digits fit into 32 bits.
                State::Size(digits + 1, size << 4 | digit.ok_or(FetchError::Malformed)?)
            }
            (State::Extension(_), b'\n') => return Err(FetchError::Malformed),
            (State::Extension(size), _) => State::Extension(size),
            (State::SizeLf(0), b'\n') => State::TrailerStart,
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0, 0),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\n') => State::TrailerStart,
            (State::TrailerStart | State::Trailer, _) => State::Trailer,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(FetchError::Malformed),
        };
        Ok(())
    }
}
