//! What a member's `/api/node/status` says, read while it arrives.

use super::MAX_SERVICES;
use super::catalogue::is_name;
use super::directory::{Board, Build, Name, Version};
use super::json::{Lexer, Token};
use crate::wire::NodeId;

/// The most bytes of a status document.
const DOCUMENT_MAX: u16 = 16_384;

/// The document is not the status of the node that was asked. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable;

/// What a member says of itself that changes all the time, as far as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) uptime_ms: Option<u64>,
    pub(crate) free_memory: Option<u64>,
    /// How strong it hears its access point, in dBm.
    pub(crate) rssi: Option<i8>,
    /// Why it has started, cut to 16 characters.
    pub(crate) reset_reason: Option<heapless::String<16, u8>>,
}

/// Which value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Board,
    Version,
    Uptime,
    FreeMemory,
    Rssi,
    ResetReason,
    Services,
    /// The name of one of the services.
    Name,
    Ignored,
}

/// Reads one status document. Nothing of it counts before it is whole.
#[derive(Debug)]
pub(super) struct StatusReader {
    lexer: Lexer,
    field: Field,
    /// How many brackets are open.
    depth: u8,
    /// Within the list of services.
    in_services: bool,
    read: u16,
    id: Option<NodeId>,
    board: Option<Board>,
    version: Option<Version>,
    figures: Figures,
    names: heapless::Vec<Name, MAX_SERVICES, u8>,
}

impl StatusReader {
    pub(super) const fn new() -> Self {
        Self {
            lexer: Lexer::new(),
            field: Field::Ignored,
            depth: 0,
            in_services: false,
            read: 0,
            id: None,
            board: None,
            version: None,
            figures: Figures { uptime_ms: None, free_memory: None, rssi: None, reset_reason: None },
            names: heapless::Vec::new(),
        }
    }

    /// Takes the next piece of the document.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<(), Unusable> {
        let len = u16::try_from(piece.len()).map_err(|_| Unusable)?;
        self.read = self.read.checked_add(len).filter(|n| *n <= DOCUMENT_MAX).ok_or(Unusable)?;
        piece.iter().try_for_each(|byte| self.byte(*byte))
    }

    /// What `member` says, if the document is whole and its own.
    pub(super) fn finish(self, member: NodeId) -> Result<(Build, Names, Figures), Unusable> {
        if !self.lexer.is_over() || self.id != Some(member) {
            return Err(Unusable);
        }
        let (board, version) = self.board.zip(self.version).ok_or(Unusable)?;
        Ok((Build { board, version }, self.names, self.figures))
    }

    fn byte(&mut self, byte: u8) -> Result<(), Unusable> {
        let Some(token) = self.lexer.push(byte).map_err(|_| Unusable)? else { return Ok(()) };
        let field = core::mem::replace(&mut self.field, Field::Ignored);
        match (token, field) {
            (Token::Text(Some(text)), Field::Id) => set(&mut self.id, text.parse().ok())?,
            (Token::Text(Some(text)), Field::Board) => set(&mut self.board, cut(text))?,
            (Token::Text(Some(text)), Field::Version) => set(&mut self.version, cut(text))?,
            (Token::Text(Some(text)), Field::Name) => {
                let name = Some(text).filter(|name| is_name(name)).ok_or(Unusable)?;
                let name = Name::try_from(name).map_err(|_| Unusable)?;
                self.names.push(name).map_err(|_| Unusable)?;
            }
            (Token::Number(text), Field::Uptime) => self.figures.uptime_ms = number(text),
            (Token::Number(text), Field::FreeMemory) => self.figures.free_memory = number(text),
            (Token::Number(text), Field::Rssi) => self.figures.rssi = number(text),
            (Token::Text(text), Field::ResetReason) => {
                self.figures.reset_reason = text.and_then(cut);
            }
            // Null, or a number at the end of the document.
            (Token::Other | Token::End, Field::Uptime | Field::FreeMemory | Field::Rssi) => (),
            (Token::Array, Field::Services) => self.in_services = true,
            (Token::Key(key), Field::Ignored) => {
                self.field = match (self.depth, key) {
                    (IN_DOCUMENT, "id") => Field::Id,
                    (IN_DOCUMENT, "board") => Field::Board,
                    (IN_DOCUMENT, "version") => Field::Version,
                    (IN_DOCUMENT, "uptime_ms") => Field::Uptime,
                    (IN_DOCUMENT, "free_memory") => Field::FreeMemory,
                    (IN_DOCUMENT, "rssi") => Field::Rssi,
                    (IN_DOCUMENT, "reset_reason") => Field::ResetReason,
                    (IN_DOCUMENT, "services") => Field::Services,
                    (IN_SERVICE, "name") if self.in_services => Field::Name,
                    _ => Field::Ignored,
                };
            }
            // The list has objects only.
            (Token::Object | Token::End, Field::Ignored) => (),
            (_, Field::Ignored) if !(self.in_services && self.depth == IN_LIST) => (),
            // A value of a wrong type.
            _ => return Err(Unusable),
        }
        match token {
            Token::Object | Token::Array => self.depth = self.depth.saturating_add(1),
            Token::End => self.depth = self.depth.saturating_sub(1),
            Token::Key(_) | Token::Text(_) | Token::Number(_) | Token::Other => (),
        }
        self.in_services &= self.depth > IN_DOCUMENT;
        Ok(())
    }
}

/// How many brackets are open in the document itself…
const IN_DOCUMENT: u8 = 1;
/// …in a list that is a value of it…
const IN_LIST: u8 = 2;
/// …and in an object of such a list.
const IN_SERVICE: u8 = 3;

/// Sets what must be there once, and must be sensible.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Unusable> {
    match (&place, value) {
        (None, Some(value)) => {
            *place = Some(value);
            Ok(())
        }
        _ => Err(Unusable),
    }
}

/// A number that has the right type, and is written without a fraction.
fn number<T: core::str::FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// As much of `text` as there is room for; none if it is not printable ASCII, which would not be
/// fit to be shown as it is.
fn cut<const N: usize>(text: &str) -> Option<heapless::String<N, u8>> {
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        return None;
    }
    heapless::String::try_from(text.get(..N.min(text.len()))?).ok()
}

/// The names of a member's services.
pub(super) type Names = heapless::Vec<Name, MAX_SERVICES, u8>;

#[cfg(test)]
mod tests {
    use super::{Figures, StatusReader, Unusable};
    use crate::wire::NodeId;
    use std::string::{String, ToString};
    use std::vec::Vec;

    const ID: NodeId = NodeId([1, 2, 3, 4, 5, 6]);
    const STATUS: &str = r#"{"id":"010203040506","hostname":"n","board":"emulated","http_port":80,
        "version":"0.1.0-alpha.12+abc","free_memory":1e3,"reset_reason":"power-on","rssi":-61,
        "uptime_ms":12345678901,"datagrams":{"id":1,"sent":2,"rssi":-1},
        "services":[{"name":"relay","policy":"open","more":[{"name":"x"}]},{"name":"sensor"}],
        "endpoints":[{"name":"no service","method":"GET"},[]]}"#;

    fn read(document: &str, step: usize) -> Result<(String, String, Vec<String>), Unusable> {
        let mut reader = StatusReader::new();
        document.as_bytes().chunks(step).try_for_each(|piece| reader.read(piece))?;
        let (build, names, _) = reader.finish(ID)?;
        let names = names.iter().map(ToString::to_string).collect();
        Ok((build.board().to_string(), build.version().to_string(), names))
    }

    #[test]
    fn a_status_is_read_in_pieces_of_any_size() {
        let wanted =
            ("emulated".into(), "0.1.0-alpha.".into(), ["relay".into(), "sensor".into()].to_vec());
        for step in 1..STATUS.len() {
            assert_eq!(read(STATUS, step), Ok(wanted.clone()), "in pieces of {step}");
        }
    }

    #[test]
    fn figures_are_read_as_far_as_they_are_there_and_are_numbers() {
        let figures = |document: &str| {
            let mut reader = StatusReader::new();
            reader.read(document.as_bytes()).unwrap();
            reader.finish(ID).unwrap().2
        };
        let Figures { uptime_ms, free_memory, rssi, reset_reason } = figures(STATUS);
        assert_eq!((uptime_ms, rssi), (Some(12_345_678_901), Some(-61)));
        assert_eq!(
            free_memory, None,
            "1e3 is a number, but not one that is written as numbers are"
        );
        assert_eq!(reset_reason.as_deref(), Some("power-on"));
        let mut document =
            r#"{"id":"010203040506","board":"b","version":"v","rssi":null,"services":[]"#
                .to_string();
        assert_eq!(figures(&std::format!("{document}}}")), Figures::default());
        document += r#","free_memory":18000"#;
        assert_eq!(
            figures(&std::format!("{document}}}")).free_memory,
            None,
            "right before the bracket"
        );
        assert_eq!(figures(&std::format!("{document} }}")).free_memory, Some(18_000));
        let long = std::format!(r#"{document},"reset_reason":"{}"}}"#, "r".repeat(30));
        assert_eq!(figures(&long).reset_reason.unwrap().len(), 16);
    }

    #[test]
    fn a_status_that_is_cut_or_another_nodes_or_hostile_is_refused() {
        for cut in 0..STATUS.len() {
            assert_eq!(read(&STATUS[..cut], 64), Err(Unusable), "cut at {cut}");
        }
        let nine = r#"{"name":"a"},"#.repeat(9);
        for (from, to) in [
            ("010203040506", "010203040507"),
            ("\"010203040506\"", "1"),
            ("\"id\":\"010203040506\"", "\"id\":null"),
            ("\"hostname\"", "\"id\""),
            ("\"hostname\"", "\"board\""),
            ("\"emulated\"", "[\"emulated\"]"),
            ("emulated", "emu\\u0000lated"),
            ("emulated", "\\u00e4"),
            ("\"emulated\"", "{}"),
            ("\"board\"", "\"beard\""),
            ("-61", "\"-61\""),
            ("12345678901", "[]"),
            ("\"power-on\"", "1"),
            ("\"relay\"", "5"),
            ("relay", "Relay"),
            ("relay", "../relay"),
            ("relay", "a-name-of-twenty-five-chars"),
            ("{\"name\":\"sensor\"}", "\"sensor\""),
            ("{\"name\":\"sensor\"}", "[]"),
            ("[{\"name\":\"relay\"", "{\"a\":{\"name\":\"relay\""),
            ("{\"name\":\"sensor\"}", nine.trim_end_matches(',')),
        ] {
            let hostile = STATUS.replacen(from, to, 1);
            assert_ne!(hostile, STATUS, "{from}");
            assert_eq!(read(&hostile, 100), Err(Unusable), "{to}");
        }
    }

    #[test]
    fn an_endless_status_is_refused() {
        let mut reader = StatusReader::new();
        reader.read(b"{\"a\":[0").unwrap();
        let taken = (0..10_000).take_while(|_| reader.read(b",0").is_ok()).count();
        assert_eq!(taken, (16_384 - 7) / 2);
    }
}
