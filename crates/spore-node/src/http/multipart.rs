//! The first part of a `multipart/form-data` body (RFC 7578; RFC 2046, section 5.1), as browsers and `curl -F` send a file:
//! what is in it passes, and what is around it does not.

/// The most characters of a boundary (RFC 2046, section 5.1.1).
pub(super) const BOUNDARY_MAX: usize = 70;

/// Bytes in front of a boundary that belong to it: a line end and two hyphens.
const DELIMITER: &[u8; 4] = b"\r\n--";

/// The most bytes in front of the first part's content: boundary, fields.
const PREFACE_MAX: usize = 1024;

/// Where it is in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In front of the content, of which so many bytes were read, the last of them being these of an empty line.
    Preface { read: usize, matched: usize },
    /// In the content, so many bytes of a delimiter behind what was passed on.
    Content { matched: usize },
    /// Behind it.
    Behind,
}

/// A filter that keeps the content of the first part. Whoever has it keeps the boundary.
#[derive(Debug)]
pub(super) struct Multipart(State);

/// It is no such body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The boundary that a body with this media type has; `None` if it is none of several parts.
///
/// # Errors
///
/// If it is, and has none.
pub(super) fn boundary(content_type: &str) -> Result<Option<&str>, Malformed> {
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !media.trim_ascii().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim_ascii()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim_ascii().trim_matches('"'))
    });
    let fits = |boundary: &&str| (1..=BOUNDARY_MAX).contains(&boundary.len());
    boundary.filter(fits).map(Some).ok_or(Malformed)
}

/// The byte at this place of the delimiter behind the content; `None` behind its end.
fn delimiter(boundary: &[u8], at: usize) -> Option<u8> {
    DELIMITER.iter().chain(boundary).nth(at).copied()
}

impl Multipart {
    pub(super) const fn new() -> Self {
        Self(State::Preface { read: 0, matched: 0 })
    }

    /// Reads one byte of the body, and passes on what is certain now to be content.
    ///
    /// # Errors
    ///
    /// If what is in front of the content is too long.
    fn push(
        &mut self,
        boundary: &[u8],
        byte: u8,
        mut pass: impl FnMut(u8),
    ) -> Result<(), Malformed> {
        match &mut self.0 {
            State::Preface { read, matched } => {
                const EMPTY_LINE: &[u8; 4] = b"\r\n\r\n";
                *read += 1;
                *matched = match byte {
                    byte if byte == EMPTY_LINE[*matched] => *matched + 1,
                    b'\r' => 1,
                    _ => 0,
                };
                if *matched == EMPTY_LINE.len() {
                    self.0 = State::Content { matched: 0 };
                } else if *read > PREFACE_MAX {
                    return Err(Malformed);
                }
            }
            State::Content { matched } => {
                if delimiter(boundary, *matched) != Some(byte) {
                    // There is no line end within a delimiter, so another one begins here at the earliest.
                    (0..*matched).filter_map(|at| delimiter(boundary, at)).for_each(&mut pass);
                    *matched = 0;
                    if delimiter(boundary, 0) != Some(byte) {
                        pass(byte);
                        return Ok(());
                    }
                }
                *matched += 1;
                if delimiter(boundary, *matched).is_none() {
                    self.0 = State::Behind;
                }
            }
            State::Behind => (),
        }
        Ok(())
    }

    /// Filters a part of the body: what is content of it, with what was held back before, is put to `out`, which has room for `input`
    /// and [`Self::HELD_MAX`] bytes more. Returns how many bytes that is.
    ///
    /// # Errors
    ///
    /// If what is in front of the content is too long.
    pub(super) fn filter(
        &mut self,
        boundary: &[u8],
        input: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Malformed> {
        let mut len = 0;
        for &byte in input {
            self.push(boundary, byte, |passed| {
                out[len] = passed;
                len += 1;
            })?;
        }
        Ok(len)
    }

    /// The most bytes that are held back.
    pub(super) const HELD_MAX: usize = DELIMITER.len() + BOUNDARY_MAX;

    /// Whether the content has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.0 == State::Behind
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{BOUNDARY_MAX, Malformed, Multipart, boundary};
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    fn run(content_type: &str, body: &[u8], step: usize) -> Result<(Vec<u8>, bool), Malformed> {
        let boundary = boundary(content_type)?.expect("it is of several parts").as_bytes();
        let mut multipart = Multipart::new();
        let mut all = Vec::new();
        for piece in body.chunks(step) {
            let mut out = std::vec![0; piece.len() + Multipart::HELD_MAX];
            let len = multipart.filter(boundary, piece, &mut out)?;
            all.extend_from_slice(&out[..len]);
        }
        Ok((all, multipart.is_complete()))
    }

    fn body(boundary: &str, content: &[u8]) -> Vec<u8> {
        let fields = "Content-Disposition: form-data; name=\"image\"; filename=\"a\r.spore\"\r\n\
                      Content-Type: application/octet-stream\r\n\r\n";
        let head = format!("--{boundary}\r\n{fields}");
        [head.as_bytes(), content, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
    }

    #[test]
    fn the_content_of_the_first_part_passes_and_nothing_else() {
        let boundary = "----x\u{2d}yz";
        let contents: [&[u8]; 6] = [
            b"",
            b"plain",
            b"\r\n\r\n--\r\n-----\r\r\n\r",
            b"\r\n------x-y\r\n------x-y-",
            b"\r\r\n--",
            &[0, 255, 13, 10, 45, 45, 13, 10],
        ];
        let types = [
            format!("multipart/form-data; boundary={boundary}"),
            format!("Multipart/Form-Data;charset=utf-8 ; Boundary=\"{boundary}\""),
        ];
        for content in contents {
            for step in [1, 2, 3, 7, 1000] {
                for content_type in &types {
                    let read = run(content_type, &body(boundary, content), step);
                    assert_eq!(read, Ok((content.to_vec(), true)), "{step}");
                }
            }
        }
    }

    #[test]
    fn what_comes_behind_the_first_part_is_dropped_and_a_cut_is_seen() {
        let content_type = "multipart/form-data; boundary=b";
        let two =
            [&body("b", b"first")[..body("b", b"first").len() - 4], &body("b", b"second")[2..]];
        assert_eq!(run(content_type, &two.concat(), 5), Ok((b"first".to_vec(), true)));
        let whole = body("b", b"content");
        let behind = whole.len() - b"--\r\n".len();
        for cut in 0..behind {
            assert!(!run(content_type, &whole[..cut], 3).unwrap().1, "{cut}");
        }
    }

    #[test]
    fn bodies_of_another_kind_are_none_and_boundaries_are_bounded() {
        for other in ["", "application/octet-stream", "multipart/mixed; boundary=b", "text/plain"] {
            assert_eq!(boundary(other), Ok(None), "{other}");
        }
        let longest = "a".repeat(BOUNDARY_MAX);
        let of = |text: &str| {
            boundary(&format!("multipart/form-data{text}")).map(|boundary| boundary.is_some())
        };
        assert_eq!(of(&format!(";boundary={longest}")), Ok(true));
        for bad in [
            String::new(),
            ";boundary".into(),
            ";boundary=".into(),
            format!("; boundary={longest}a"),
        ] {
            assert_eq!(of(&bad), Err(Malformed), "{bad}");
        }
        let endless = std::vec![b'x'; 2000];
        assert_eq!(run("multipart/form-data;boundary=b", &endless, 100), Err(Malformed));
    }
}
