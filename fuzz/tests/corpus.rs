//! The corpus: all of it is read without a panic, and says the same each time.

use spore_fuzz::{CORPUS, TARGETS, target};

/// The most bytes of an input: what is longer says nothing that a shorter one does not.
const LONGEST: usize = 1_024;
/// The most bytes of the corpus: it is part of what replays it.
const LARGEST: usize = 96 * 1_024;

/// What comes of an input.
fn said(name: &str, input: &[u8]) -> Vec<String> {
    let (_, run) = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    let mut said = Vec::new();
    run(input, &mut |what| said.push(what.to_string()));
    said
}

#[test]
fn every_target_reads_its_corpus_and_says_the_same_again() {
    for (name, inputs) in CORPUS {
        let mut different = std::collections::BTreeSet::new();
        for input in *inputs {
            let once = said(name, input);
            assert_eq!(once, said(name, input), "{name}: {input:02x?}");
            different.insert(once);
        }
        assert!(different.len() > 4, "{name}: all inputs are alike: {}", different.len());
    }
}

#[test]
fn every_target_has_a_corpus_of_bounded_size() {
    let names: Vec<_> = CORPUS.iter().map(|(name, _)| *name).collect();
    let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(names, targets);
    let inputs = || CORPUS.iter().flat_map(|(_, inputs)| *inputs);
    assert!(inputs().all(|input| input.len() <= LONGEST));
    let bytes: usize = inputs().map(|input| input.len()).sum();
    assert!(bytes <= LARGEST, "{bytes} bytes");
}

/// Cut at any byte, and with any byte changed, inputs are read without a panic, too.
#[test]
fn inputs_that_are_cut_or_altered_are_read_as_well() {
    for (name, inputs) in CORPUS {
        let (_, run) = target(name).expect("it is one");
        for input in inputs.iter().take(16) {
            for at in (0..input.len()).step_by(1 + input.len() / 64) {
                run(&input[..at], &mut |_| ());
                let mut altered = input.to_vec();
                altered[at] = [0xFF, altered[at] ^ 1, altered[at].wrapping_add(16)][at % 3];
                run(&altered, &mut |_| ());
            }
        }
    }
}
