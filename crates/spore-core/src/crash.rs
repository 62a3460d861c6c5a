//! The record of a crash: what a node knows of the end of its last run, if that was not meant.
//!
//! Where the program ends, the body writes what it can still tell to a place that outlives the restart (on a board RTC
//! memory) and brings it back at the next start ([`Stored::crashed`](crate::Stored::crashed)). The engine has it stored under
//! [`Key::Crash`](crate::Key::Crash) and tells the cluster (`node/crashed`). It holds no copy: the record is read from where it
//! is, into the buffer of the answer.
//!
//! A node that crashes again and again starts in *safe mode*: its network, API, membership and updates run, and nothing of what its
//! program adds to them, neither sprockets nor services nor tasks. The body counts, with [`in_a_row`], in memory that a
//! restart which was asked for and a power cut clear; either is the way out.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 1 | version of the format: 1 |
//! | 1 | 1 | 1 panic, 2 exception, 3 watchdog |
//! | 2 | 1 | the processor's number of the exception |
//! | 3 | 1 | words of the stack, at most 12 |
//! | 4 | 4 | where the program was; 0: not known |
//! | 8 | 4 | the data address of the exception |
//! | 12 | 4 | seconds since the start; all ones: not known |
//! | 16 | 4 each | words of the stack, the innermost first |
//! | | 1 + n | the program's version: length and text |
//! | | 1 + n | what was said: length and text |
//!
//! Numbers are big-endian, as in all values.

use crate::sprockets::MAX_RESTARTS;
use crate::time::Duration;
use crate::wire::{Full, Reader, Writer};
use core::fmt;
use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

/// Why a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It found that it cannot go on.
    Panic,
    /// The processor could not do what it was told to; its number for why not. On the LX106, EXCCAUSE.
    Exception(u8),
    /// It did not return.
    Watchdog,
}

impl Cause {
    /// The cause as the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Exception(_) => "exception",
            Self::Watchdog => "watchdog",
        }
    }
}

/// What is known of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashRecord<'a> {
    /// Why the program ended.
    pub cause: Cause,
    /// Where it was.
    pub pc: Option<u32>,
    /// The data address of an exception.
    pub address: u32,
    /// For how many seconds it had run, about.
    pub uptime: Option<u32>,
    /// Words of the stack that may be return addresses, the innermost first.
    pub stack: Words<'a>,
    /// The version of the program.
    pub version: &'a str,
    /// What it said, if it said something: printable ASCII that JSON does not escape.
    pub message: &'a str,
}

/// A crash after so many seconds is not in a row with the one before, and is stored also if one like it is on record.
pub const SOON: u32 = 600;

/// After so many crashes in a row a node starts in safe mode: a sprocket that is to blame for all of them was left out one start before.
pub const SAFE_AFTER: u8 = MAX_RESTARTS.saturating_add(1);

/// The crashes in a row, when one comes `uptime` seconds after its start, if that is known, and there were so many `before` that start. What is in safe mode
/// stays there.
pub const fn in_a_row(before: u8, uptime: Option<u32>) -> u8 {
    match uptime {
        Some(SOON..) if before < SAFE_AFTER => 1,
        _ => before.saturating_add(1),
    }
}

/// All ones stand for an unknown time.
const UNKNOWN: u32 = u32::MAX;

/// The version of the format.
const FORMAT: u8 = 1;

impl<'a> CrashRecord<'a> {
    /// The most words of the stack.
    pub const STACK_MAX: usize = 12;
    /// The most bytes of the version. What is longer is cut.
    pub const VERSION_MAX: usize = 24;
    /// The most bytes of the message. What is longer is cut.
    pub const MESSAGE_MAX: usize = 120;

    /// A record that says why the program of this `version` ended, and nothing else.
    pub const fn new(cause: Cause, version: &'a str) -> Self {
        let stack = Words(&[]);
        Self { cause, pc: None, address: 0, uptime: None, stack, version, message: "" }
    }

    /// The record in a value of [`Key::Crash`](crate::Key::Crash), if it is one.
    pub fn decode(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        if reader.u8().ok()? != FORMAT {
            return None;
        }
        let (kind, exception) = (reader.u8().ok()?, reader.u8().ok()?);
        let cause = match kind {
            1 => Cause::Panic,
            2 => Cause::Exception(exception),
            3 => Cause::Watchdog,
            _ => return None,
        };
        let words = usize::from(reader.u8().ok()?);
        let (pc, address) = (reader.u32().ok()?, reader.u32().ok()?);
        let uptime = reader.u32().ok()?;
        let (stack, _) = reader.slice(words.checked_mul(4)?).ok()?.as_chunks();
        let version = text(&mut reader, Self::VERSION_MAX)?;
        let message = text(&mut reader, Self::MESSAGE_MAX)?;
        (words <= Self::STACK_MAX && reader.is_empty()).then_some(Self {
            cause,
            pc: Some(pc).filter(|pc| *pc != 0),
            address,
            uptime: Some(uptime).filter(|uptime| *uptime != UNKNOWN),
            stack: Words(stack),
            version,
            message,
        })
    }

    /// Writes the record into `buf`, which should hold [`MAX_VALUE`](crate::store::MAX_VALUE) bytes. Returns its
    /// length, or 0 if there is no room.
    pub fn encode(&self, buf: &mut [u8]) -> usize {
        let mut writer = Writer::new(buf);
        if self.put(&mut writer).is_ok() { writer.len() } else { 0 }
    }

    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let (kind, exception) = match self.cause {
            Cause::Panic => (1, 0),
            Cause::Exception(number) => (2, number),
            Cause::Watchdog => (3, 0),
        };
        let stack = self.stack.0.get(..Self::STACK_MAX).unwrap_or(self.stack.0);
        writer.put(&[FORMAT, kind, exception])?;
        writer.u8(u8::try_from(stack.len()).map_err(|_| Full)?)?;
        writer.u32(self.pc.unwrap_or(0))?;
        writer.u32(self.address)?;
        writer.u32(self.uptime.unwrap_or(UNKNOWN))?;
        stack.iter().try_for_each(|word| writer.put(word))?;
        for (text, max) in [(self.version, Self::VERSION_MAX), (self.message, Self::MESSAGE_MAX)] {
            let text = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
            writer.u8(u8::try_from(text.len()).map_err(|_| Full)?)?;
            for byte in text.bytes() {
                writer.u8(if is_plain(byte) { byte } else { b'?' })?;
            }
        }
        Ok(())
    }

    /// Puts the document of the API in the place of the value of `len` bytes that `buf` begins with. Returns its length;
    /// `None` if that is no record, or if there are less than [`MIN_PIECE`](crate::api::MIN_PIECE) bytes.
    pub fn value_to_json(buf: &mut [u8], len: usize) -> Option<usize> {
        let mut value = [0; crate::store::MAX_VALUE];
        let value = value.get_mut(..len)?;
        value.copy_from_slice(buf.get(..len)?);
        serde_json_core::to_slice(&CrashView::of(&CrashRecord::decode(value)?), buf).ok()
    }

    /// Whether it need not be stored where `earlier` is on record: a program that crashes soon after each of its starts, in the
    /// same way, would wear out the flash.
    pub(crate) fn repeats(&self, earlier: &CrashRecord<'_>) -> bool {
        let what = |record: &CrashRecord<'_>| (record.cause, record.pc);
        let said = (self.version, self.message) == (earlier.version, earlier.message);
        what(self) == what(earlier) && said && self.uptime.is_none_or(|uptime| uptime < SOON)
    }
}

/// Whether a text of a record may have this byte.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn text<'a>(reader: &mut Reader<'a>, max: usize) -> Option<&'a str> {
    let len = usize::from(reader.u8().ok()?);
    let text = str::from_utf8(reader.slice(len).ok()?).ok()?;
    (len <= max && text.bytes().all(is_plain)).then_some(text)
}

/// Words of a stack, as they are in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words<'a>(pub &'a [[u8; 4]]);

impl Words<'_> {
    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|word| u32::from_be_bytes(*word))
    }
}

/// An address as the API shows it.
pub(crate) struct Address(pub(crate) u32);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = crate::text::hex::<8>(&self.0.to_be_bytes());
        let mut text = heapless::String::<10, u8>::new();
        // They fit.
        let _ = text.push_str("0x").and_then(|()| text.push_str(&digits));
        serializer.serialize_str(&text)
    }
}

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        self.iter().try_for_each(|word| list.serialize_element(&Address(word)))?;
        list.end()
    }
}

/// `GET /api/node/crash`.
#[derive(Serialize)]
struct CrashView<'a> {
    cause: &'static str,
    /// The processor's number of an exception.
    exception: Option<u8>,
    /// Null if it is not known, as where there is a message instead.
    pc: Option<Address>,
    /// The data address of an exception.
    address: Option<Address>,
    uptime_ms: Option<u64>,
    version: &'a str,
    message: Option<&'a str>,
    stack: Words<'a>,
}

impl<'a> CrashView<'a> {
    fn of(record: &CrashRecord<'a>) -> Self {
        let exception = match record.cause {
            Cause::Exception(number) => Some(number),
            Cause::Panic | Cause::Watchdog => None,
        };
        let uptime = record.uptime.map(|secs| Duration::from_secs(secs.into()).as_millis());
        Self {
            cause: record.cause.name(),
            exception,
            pc: record.pc.map(Address),
            address: exception.map(|_| Address(record.address)),
            uptime_ms: uptime,
            version: record.version,
            message: Some(record.message).filter(|message| !message.is_empty()),
            stack: record.stack,
        }
    }
}

/// What the cluster is told of a crash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice {
    cause: Cause,
    pc: Option<u32>,
    safe: bool,
}

/// The most bytes of its payload.
pub(crate) const NOTICE_MAX: usize = 64;

impl Notice {
    /// That of a node that starts `safe`, in safe mode, or not.
    pub(crate) const fn of(record: &CrashRecord<'_>, safe: bool) -> Self {
        Self { cause: record.cause, pc: record.pc, safe }
    }

    /// Writes the payload into `buf`; its length.
    pub(crate) fn payload(self, buf: &mut [u8; NOTICE_MAX]) -> usize {
        #[derive(Serialize)]
        struct View {
            cause: &'static str,
            pc: Option<Address>,
            safe_mode: bool,
        }
        let Self { cause, pc, safe } = self;
        let view = View { cause: cause.name(), pc: pc.map(Address), safe_mode: safe };
        serde_json_core::to_slice(&view, buf).unwrap_or(0)
    }
}

impl fmt::Display for CrashRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.name())?;
        if let Cause::Exception(number) = self.cause {
            write!(f, " {number}")?;
        }
        if let Some(pc) = self.pc {
            write!(f, " at {pc:#010x}")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, CrashRecord, NOTICE_MAX, Notice, SAFE_AFTER, SOON, Words, in_a_row};
    use crate::api::MIN_PIECE;
    use crate::store::MAX_VALUE;
    use serde_json::{Value, json};

    const STACK: [[u8; 4]; 12] = [[0x40, 0x21, 0x23, 0x45]; 12];

    /// One in which everything is as long as it may be.
    fn longest<'a>(version: &'a str, message: &'a str) -> CrashRecord<'a> {
        CrashRecord {
            cause: Cause::Exception(255),
            pc: Some(u32::MAX),
            address: u32::MAX,
            uptime: Some(u32::MAX - 1),
            stack: Words(&STACK),
            version,
            message,
        }
    }

    fn json_of(record: &CrashRecord<'_>) -> Value {
        let mut buf = [0; MIN_PIECE];
        let len = record.encode(&mut buf);
        let len = CrashRecord::value_to_json(&mut buf, len).unwrap();
        serde_json::from_slice(&buf[..len]).unwrap()
    }

    #[test]
    fn the_longest_record_fits_into_a_value_and_its_document_into_a_piece() {
        let (version, message) = ("v".repeat(30), "m".repeat(200));
        let mut value = [0; MAX_VALUE];
        let len = longest(&version, &message).encode(&mut value);
        assert_eq!(len, 16 + 48 + 25 + 121);
        let cut = longest(&version[..24], &message[..120]);
        assert_eq!(CrashRecord::decode(&value[..len]), Some(cut));
        let document = json_of(&cut);
        assert_eq!(document["stack"].as_array().unwrap().len(), 12);
        assert_eq!(document["message"].as_str().unwrap().len(), 120);
    }

    #[test]
    fn what_is_no_record_is_not_taken_for_one() {
        let record = longest("0.1.0", "no");
        let mut value = [0; MAX_VALUE];
        let len = record.encode(&mut value);
        for cut in 0..len {
            assert_eq!(CrashRecord::decode(&value[..cut]), None);
            assert_eq!(record.encode(&mut [0; MAX_VALUE][..cut]), 0);
            assert_eq!(CrashRecord::value_to_json(&mut value.clone(), cut), None);
        }
        assert_eq!(CrashRecord::decode(&value[..len + 1]), None);
        for (at, byte) in [(0, 2), (1, 0), (1, 4), (3, 13), (65, b'"'), (len - 1, 0x80)] {
            let mut wrong = value;
            wrong[at] = byte;
            assert_eq!(CrashRecord::decode(&wrong[..len]), None, "byte {at}");
        }
        assert_eq!(CrashRecord::value_to_json(&mut [0; MIN_PIECE], MAX_VALUE + 1), None);
    }

    #[test]
    fn a_document_says_what_is_known() {
        let mut record = CrashRecord::new(Cause::Panic, "0.1.0");
        record.message = "main.rs:7: \"gone\"\n";
        assert_eq!(
            json_of(&record),
            json!({ "cause": "panic", "exception": null, "pc": null, "address": null, "uptime_ms": null,
                    "version": "0.1.0", "message": "main.rs:7: ?gone??", "stack": [] })
        );
        let record = CrashRecord {
            cause: Cause::Exception(28),
            pc: Some(0x4021_2345),
            address: 4,
            uptime: Some(61),
            stack: Words(&STACK[..1]),
            ..CrashRecord::new(Cause::Panic, "0.1.0")
        };
        assert_eq!(
            json_of(&record),
            json!({ "cause": "exception", "exception": 28, "pc": "0x40212345", "address": "0x00000004",
                    "uptime_ms": 61_000, "version": "0.1.0", "message": null, "stack": ["0x40212345"] })
        );
        let mut payload = [0; NOTICE_MAX];
        let len = Notice::of(&record, false).payload(&mut payload);
        let expected = br#"{"cause":"exception","pc":"0x40212345","safe_mode":false}"#;
        assert_eq!(&payload[..len], expected);
    }

    #[test]
    fn crashes_soon_after_their_start_are_in_a_row_and_safe_mode_is_not_left_by_another_one() {
        let soon = [Some(0), Some(SOON - 1), None];
        let mut count = 0;
        for uptime in soon {
            count = in_a_row(count, uptime);
        }
        assert_eq!((count, in_a_row(count, Some(SOON)), in_a_row(0, Some(u32::MAX))), (3, 1, 1));
        assert_eq!(in_a_row(SAFE_AFTER, Some(SOON)), SAFE_AFTER + 1);
        assert_eq!(in_a_row(u8::MAX, None), u8::MAX);
    }

    #[test]
    fn only_the_same_soon_after_a_start_is_a_repetition() {
        let first = CrashRecord { uptime: Some(5), ..longest("1", "") };
        assert!(first.repeats(&CrashRecord { uptime: Some(90), stack: Words(&[]), ..first }));
        assert!(CrashRecord { uptime: None, ..first }.repeats(&first));
        assert!(!CrashRecord { uptime: Some(600), ..first }.repeats(&first));
        assert!(!CrashRecord { version: "2", ..first }.repeats(&first));
        assert!(!CrashRecord { pc: Some(4), ..first }.repeats(&first));
        assert!(!CrashRecord { cause: Cause::Watchdog, ..first }.repeats(&first));
        assert!(!CrashRecord { message: "other", ..first }.repeats(&first));
    }
}
