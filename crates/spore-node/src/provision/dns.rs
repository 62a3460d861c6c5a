//! Every name leads to the node (DNS, RFC 1035).

use core::net::Ipv4Addr;
use core::time::Duration;

use edge_nal::{UdpReceive, UdpSend};
use embassy_futures::yield_now;
use embassy_time::Timer;

use super::RECEIVE_PAUSE;

/// The UDP port of DNS servers.
pub const DNS_PORT: u16 = 53;

/// Longest question in bytes: the longest message without extensions (RFC 1035, section 4.2.1). A longer
/// one is cut, and then not understood.
const QUESTION_MAX: usize = 512;

/// Longest answer in bytes: the longest question for one name, and its answer. Who asks for several names
/// at once, which nobody does, gets none if the answers do not fit.
const ANSWER_MAX: usize = QUESTION_MAX + 16;

/// What [`answer_names`] needs as a buffer, in bytes.
pub const DNS_BUFFER_LEN: usize = QUESTION_MAX + ANSWER_MAX;

/// An answer is good for one use (RFC 1035, section 3.2.1): elsewhere the name leads elsewhere.
const TIME_TO_LIVE: Duration = Duration::ZERO;

/// Where a message says that it is an answer.
const FLAGS: usize = 2;
const IS_ANSWER: u8 = 0x80;

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
    // To answer answers would be a loop, if the first one has the sender's address forged.
    if question.get(FLAGS)? & IS_ANSWER != 0 {
        return None;
    }
    edge_captive::reply(question, &own.octets(), TIME_TO_LIVE, room).ok()
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
