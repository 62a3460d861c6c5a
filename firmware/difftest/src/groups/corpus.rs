//! What fuzzing has found, replayed on a machine of 32 bits: the corpus of `fuzz/`.

use crate::Trace;

/// What each target makes of its corpus.
macro_rules! targets {
    ($($function:ident),*) => {
        $(pub(super) fn $function(_: &mut crate::Inputs, trace: &mut Trace<'_>) {
            replay(stringify!($function), trace);
        })*
    };
}

targets!(datagram, engine, events, http, image, records, selector, serial);

fn replay(name: &str, trace: &mut Trace<'_>) {
    let Some((_, run)) = spore_fuzz::target(name) else { unreachable!("there is {name}") };
    let corpus = spore_fuzz::CORPUS.iter().filter(|(other, _)| *other == name);
    for input in corpus.flat_map(|(_, inputs)| *inputs) {
        trace.bytes(input);
        run(input, &mut |said| trace.display(said));
    }
}
