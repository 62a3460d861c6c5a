//! Which runs are worth to be moved out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::code::Code;

/// Longest run that is looked for, in instructions.
const LONGEST: usize = 24;
/// What a call of a run takes, in bytes.
const CALL: usize = 3;
/// The least that a run must save, in bytes.
const LEAST: usize = 2;

/// A run of instructions, and the steps at which it begins.
pub(super) struct Run {
    pub(super) length: usize,
    pub(super) places: Vec<usize>,
}

/// The runs to move out: those that save most first, of what is not taken yet.
pub(super) fn choose(code: &Code) -> Vec<Run> {
    let mut candidates = candidates(code);
    let mut taken = vec![false; code.len()];
    let mut chosen = Vec::new();
    // By first place and length, where two save the same: the order must not depend on that of a hash table.
    let mut heap: BinaryHeap<(usize, Reverse<usize>, usize)> = candidates
        .iter()
        .map(|((first, length), run)| (saving(code, run), Reverse(*first), *length))
        .collect();
    while let Some((promised, Reverse(first), length)) = heap.pop() {
        let Some(run) = candidates.get_mut(&(first, length)) else { continue };
        run.places = free(&run.places, length, &taken);
        let saved = saving(code, run);
        if saved < LEAST {
            continue;
        }
        if saved < promised {
            // Others took some of its places: another one may save more now.
            heap.push((saved, Reverse(first), length));
            continue;
        }
        for start in &run.places {
            taken[*start..start + length].fill(true);
        }
        chosen.push(Run { length, places: std::mem::take(&mut run.places) });
    }
    chosen
}

/// All runs that save something if no other is taken, by first place and length.
fn candidates(code: &Code) -> HashMap<(usize, usize), Run> {
    let mut candidates = HashMap::new();
    for length in 2..=LONGEST {
        let mut found: HashMap<Vec<usize>, Vec<usize>> = HashMap::new();
        for start in 0..(code.len() + 1).saturating_sub(length) {
            let range = start..start + length;
            if let Some(ids) = code.ids(range.clone())
                && code.is_run(range)
            {
                found.entry(ids).or_default().push(start);
            }
        }
        for places in found.into_values() {
            let run = Run { length, places };
            if saving(code, &run) >= LEAST {
                candidates.insert((run.places[0], length), run);
            }
        }
    }
    candidates
}

/// The places of which nothing is taken, and that do not overlap.
fn free(places: &[usize], length: usize, taken: &[bool]) -> Vec<usize> {
    let mut end = 0;
    let is_free = |start: &usize| {
        let is_free = *start >= end && !taken[*start..*start + length].contains(&true);
        if is_free {
            end = *start + length;
        }
        is_free
    };
    places.iter().copied().filter(is_free).collect()
}

/// How many bytes it saves to have a run once instead of in all its places.
fn saving(code: &Code, run: &Run) -> usize {
    let Some(&first) = run.places.first() else { return 0 };
    let Some(ids) = code.ids(first..first + run.length) else { return 0 };
    let (here, moved) = code.sizes(&ids);
    (run.places.len() * here.saturating_sub(CALL)).saturating_sub(moved)
}
