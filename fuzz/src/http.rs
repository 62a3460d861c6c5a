//! HTTP: the head of a request and its body, as they come in pieces.

use crate::See;

/// The first byte says in how large pieces the rest comes.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    let Some((step, bytes)) = input.split_first() else { return };
    spore_node::http::parse(bytes, usize::from(*step).max(1), see);
}
