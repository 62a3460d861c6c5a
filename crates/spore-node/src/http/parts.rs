//! What the server reads, without a connection: for who tries to break it (`fuzz/`).

use core::fmt::Arguments;

use crate::body::Decoder;

use super::head::{self, Head};
use super::multipart::{self, BOUNDARY_MAX, Multipart};
use super::{BODY_MAX, HEAD_MAX};
use spore_core::api::Entrance;

/// Most bytes of a body that are decoded at once.
const PIECE: usize = 256;

/// Reads the head of a request and what follows as its body, as they come in pieces of `step` bytes, at least one; `see` is
/// told what comes of it.
pub fn parse(bytes: &[u8], step: usize, see: &mut dyn FnMut(Arguments<'_>)) {
    let most = bytes.len().min(HEAD_MAX);
    let mut have = 0;
    while have < most {
        have = (have + step.max(1)).min(most);
        let Some(begun) = bytes.get(..have) else { return };
        match head::parse(begun) {
            Ok(None) => (),
            Ok(Some(head)) => {
                return body(&head, begun, bytes.get(head.len..).unwrap_or_default(), step, see);
            }
            Err(error) => return see(format_args!("{error:?}")),
        }
    }
}

fn body(head: &Head, begun: &[u8], rest: &[u8], step: usize, see: &mut dyn FnMut(Arguments<'_>)) {
    see(format_args!("{:?}", head.request(begun, &[], Entrance::Network)));
    let boundary = multipart::boundary(head.content_type(begun));
    see(format_args!("{:?} {boundary:?}", head.framing));
    let mut decoder = match Decoder::new(BODY_MAX, head.framing) {
        Ok(decoder) => decoder,
        Err(error) => return see(format_args!("{error:?}")),
    };
    let mut form = Multipart::new();
    let (mut total, mut room) = (0, [0; PIECE]);
    for piece in rest.chunks(step.clamp(1, PIECE)) {
        let Some(input) = room.get_mut(..piece.len()) else { return };
        input.copy_from_slice(piece);
        let decoded = match decoder.decode(input) {
            Ok(decoded) => decoded,
            Err(error) => return see(format_args!("{error:?}")),
        };
        assert!(decoded.kept <= decoded.used && decoded.used <= piece.len());
        total += decoded.kept;
        assert!(total <= BODY_MAX, "a body is bounded");
        let kept = input.get(..decoded.kept).unwrap_or_default();
        see(format_args!("{kept:?}"));
        if let Ok(Some(boundary)) = boundary {
            let mut out = [0; PIECE + Multipart::HELD_MAX];
            match form.filter(boundary.as_bytes(), kept, &mut out) {
                Ok(len) => see(format_args!("{:?}", out.get(..len))),
                Err(error) => return see(format_args!("{error:?}")),
            }
        }
        if decoder.is_done() {
            break;
        }
    }
    see(format_args!("{} {} {BOUNDARY_MAX}", decoder.is_done(), form.is_complete()));
}
