//! Every name leads to the node (DNS, RFC 1035).

use core::net::Ipv4Addr;
use core::ops::Range;

use edge_nal::{UdpReceive, UdpSend};
use embassy_futures::yield_now;
use embassy_time::Timer;

use super::RECEIVE_PAUSE;

/// The UDP port of DNS servers.
pub const DNS_PORT: u16 = 53;

/// Longest question in bytes: the longest message without extensions (RFC 1035, section 4.2.1). A longer
/// one is cut, and then not understood.
const QUESTION_MAX: usize = 512;

/// Longest answer in bytes: the longest question, and its answer.
const ANSWER_MAX: usize = QUESTION_MAX + RECORD_LEN;

/// What [`answer_names`] needs as a buffer, in bytes.
pub const DNS_BUFFER_LEN: usize = QUESTION_MAX + ANSWER_MAX;

/// The header of a message (RFC 1035, section 4.1.1).
const HEADER_LEN: usize = 12;

/// Where it says what the message is, and the bits of its first byte.
const FLAGS: usize = 2;
const IS_ANSWER: u8 = 0x80;
const OPCODE: u8 = 0x78;
const RECURSION_DESIRED: u8 = 1;

/// How an answer ends, in the second byte.
const NO_ERROR: u8 = 0;
const NOT_IMPLEMENTED: u8 = 4;

/// Where it counts what follows: the questions, and records of three kinds, of which the first are answers.
const QUESTIONS: Range<usize> = 4..6;
const RECORDS: Range<usize> = 6..HEADER_LEN;
const ANSWERS: Range<usize> = 6..8;
const ONE: [u8; 2] = [0, 1];

/// Longest label of a name in bytes (RFC 1035, section 2.3.4).
const LABEL_MAX: u8 = 63;

/// The type and the class of an IPv4 address.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];

/// An answer up to its address: the name, which stands behind the header; type and class; the time to live; the length. An
/// answer is good for one use (RFC 1035, section 3.2.1): elsewhere the name leads elsewhere.
const RECORD: [u8; 12] = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4];
const RECORD_LEN: usize = RECORD.len() + 4;

/// Answers each question for the address of a name with `own`, and all others with nothing, through `socket`: bound to
/// [`DNS_PORT`] at the access point's address.
///
/// `buf` has [`DNS_BUFFER_LEN`] bytes.
pub async fn answer_names<S: UdpReceive + UdpSend>(
    own: Ipv4Addr,
    mut socket: S,
    buf: &mut [u8],
) -> ! {
    let (question, room) = buf.split_at_mut(QUESTION_MAX.min(buf.len()));
    loop {
        let Ok((len, from)) = socket.receive(question).await else {
            Timer::after(RECEIVE_PAUSE).await;
            continue;
        };
        if let Some(len) = answer_name(own, question.get(..len).unwrap_or_default(), room) {
            // A message that cannot be sent is lost, as others are on the air.
            let _ = socket.send(from, room.get(..len).unwrap_or_default()).await;
        }
        // A socket that is never empty must not keep the others from their turn.
        yield_now().await;
    }
}

/// Writes the answer to `question` into `room`, if it is one: its length.
pub fn answer_name(own: Ipv4Addr, question: &[u8], room: &mut [u8]) -> Option<usize> {
    let (header, names) = question.split_first_chunk::<HEADER_LEN>()?;
    // To answer answers would be a loop, if the first one has the sender's address forged. And nobody asks for two names
    // in one message (RFC 9619).
    if header[FLAGS] & IS_ANSWER != 0 || header[QUESTIONS] != ONE {
        return None;
    }
    let (kind, behind) = behind_name(names)?.split_first_chunk::<4>()?;
    // What stands behind the question, such as EDNS's, is not answered.
    let end = question.len() - behind.len();
    let is_query = header[FLAGS] & OPCODE == 0;
    let answer = room.get_mut(..end)?;
    answer.copy_from_slice(question.get(..end)?);
    answer[FLAGS] = IS_ANSWER | header[FLAGS] & (OPCODE | RECURSION_DESIRED);
    answer[FLAGS + 1] = if is_query { NO_ERROR } else { NOT_IMPLEMENTED };
    answer[RECORDS].fill(0);
    if !is_query || *kind != ADDRESS {
        return Some(end);
    }
    answer[ANSWERS].copy_from_slice(&ONE);
    let (record, address) = room.get_mut(end..end + RECORD_LEN)?.split_at_mut(RECORD.len());
    record.copy_from_slice(&RECORD);
    address.copy_from_slice(&own.octets());
    Some(end + RECORD_LEN)
}

/// What stands behind the name that `bytes` begin with: labels with their lengths, the last of them empty (RFC 1035,
/// section 3.1). The first name of a message is written out.
fn behind_name(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let (&len, tail) = rest.split_first()?;
        if len == 0 {
            return Some(tail);
        }
        rest = tail.get(usize::from(len)..).filter(|_| len <= LABEL_MAX)?;
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
