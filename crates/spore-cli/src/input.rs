//! Bodies of requests, as they stand on the command line.

use anyhow::{Context as _, Result};
use std::io::Read as _;
use std::str::FromStr;

/// Where a body is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The text itself.
    Text(String),
    /// `@FILE`.
    File(String),
    /// `-`.
    Stdin,
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some("") => Err("a file's name belongs after @".to_owned()),
            Some(file) => Ok(Self::File(file.to_owned())),
            None if text == "-" => Ok(Self::Stdin),
            None => Ok(Self::Text(text.to_owned())),
        }
    }
}

impl Input {
    /// Reads it, byte for byte.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(file) => std::fs::read(file).with_context(|| format!("cannot read {file}")),
            Self::Stdin => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                read.map(|_| bytes).context("cannot read stdin")
            }
        }
    }
}

/// The media type that fits `body`.
pub(crate) fn media_type(body: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        "application/json"
    } else if std::str::from_utf8(body).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, media_type};

    #[test]
    fn text_files_and_stdin_are_told_apart() {
        assert_eq!("on".parse(), Ok(Input::Text("on".to_owned())));
        assert_eq!("@a b".parse(), Ok(Input::File("a b".to_owned())));
        assert_eq!("-".parse(), Ok(Input::Stdin));
        assert_eq!("".parse(), Ok(Input::Text(String::new())));
        assert!("@".parse::<Input>().is_err());
    }

    #[test]
    fn a_file_is_read_byte_for_byte_and_a_missing_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("body");
        std::fs::write(&file, b"\xFF\n\n").unwrap();
        let read = |path: &std::path::Path| Input::File(path.display().to_string()).read();
        assert_eq!(read(&file).unwrap(), b"\xFF\n\n");
        let error = read(&directory.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("none"), "{error}");
    }

    #[test]
    fn the_media_type_is_that_of_the_bytes() {
        assert_eq!(media_type(br#"{"a":1}"#), "application/json");
        assert_eq!(media_type(b"42"), "application/json");
        assert_eq!(media_type("on, später".as_bytes()), "text/plain; charset=utf-8");
        assert_eq!(media_type(b"\xFF"), "application/octet-stream");
    }
}
