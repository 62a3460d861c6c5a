//! A power cut at every operation of an update, from the first byte to the confirmation or to the way back.

use fastrand::Rng;
use spore_boot::selector::TRIAL_BOOTS;
use spore_sim::flash::{Cut, NorChip, Tear, When};

use crate::board::{End, NEW, OLD, Update, Way, boot, new_board, run};

/// What is swept.
const WHAT: [(Update, Way); 6] = [
    (Update::Good, Way::Upload),
    (Update::Bad, Way::Upload),
    (Update::Silent, Way::Upload),
    (Update::Good, Way::Pieces),
    (Update::Bad, Way::Pieces),
    (Update::Silent, Way::Pieces),
];

/// More starts than any board needs for an update.
const MAX_STARTS: u32 = 12;

/// What became of a board.
#[derive(Debug, Default)]
struct Life {
    /// Programs and erases.
    operations: u64,
    /// Starts of the new image.
    trials: u32,
    /// Cuts that came.
    cuts: u32,
}

/// Runs a board until nothing is left to do. Each cut comes at an operation of the power-up that it falls into, and all
/// that survives it is the bytes of the flash.
///
/// # Panics
/// If no image is started, or another one than the update's outcome allows is running in the end.
fn live(board: &[u8], (update, way): (Update, Way), cuts: &[Cut], what: &str) -> Life {
    let mut life = Life::default();
    let mut chip = NorChip::from_bytes(board.to_vec());
    let mut cuts = cuts.iter();
    let mut arm = |chip: &mut NorChip| cuts.next().map(|cut| chip.arm(*cut));
    arm(&mut chip);
    for _ in 0..MAX_STARTS {
        let start = boot(&mut chip);
        let end = start.and_then(|start| {
            let sequence = start.header.sequence;
            life.trials += u32::from(sequence == NEW);
            assert!(sequence == OLD || sequence == NEW, "{what}: image {sequence}");
            let confirmed = update == Update::Good || sequence == OLD;
            run(&mut chip, &start, update, way).ok().map(|end| (end, sequence, confirmed))
        });
        match end {
            Some((End::Idle, sequence, confirmed)) => {
                assert!(confirmed, "{what}: it ends with what never confirmed itself");
                let due = if update == Update::Good { NEW } else { OLD };
                assert_eq!(sequence, due, "{what}: in the end");
                life.operations = chip.operations();
                return life;
            }
            Some((End::Restart, ..)) => (),
            None => {
                assert!(chip.is_off(), "{what}: bricked");
                life.cuts += 1;
                chip = NorChip::from_bytes(chip.bytes().to_vec());
                arm(&mut chip);
            }
        }
    }
    panic!("{what}: still busy after {MAX_STARTS} starts");
}

fn moments(tears: u64) -> impl Iterator<Item = (When, u64)> {
    let torn = Tear::ALL
        .into_iter()
        .flat_map(move |tear| (0..tears).map(move |seed| (When::Torn(tear), seed)));
    [(When::Before, 0), (When::After, 0)].into_iter().chain(torn)
}

/// One cut at each operation, at each moment of it, with so many seeds for each kind of tear. Returns how many there
/// were.
fn sweep(tears: u64) -> u64 {
    let board = new_board();
    let mut cuts = 0;
    for what in WHAT {
        let (update, way) = what;
        let whole = live(&board, what, &[], "without a cut");
        let trials = if update == Update::Silent { TRIAL_BOOTS } else { 1 };
        assert_eq!(whole.trials, trials, "{update:?}");
        for operation in 0..whole.operations {
            for (when, seed) in moments(tears) {
                let cut = Cut { operation, when, seed: seed << 32 | operation };
                let name = format!("{update:?} by {way:?}, {cut:?}");
                let life = live(&board, what, &[cut], &name);
                assert_eq!(life.cuts, 1, "{name}: it did not come");
                if update != Update::Good {
                    assert!(life.trials <= TRIAL_BOOTS, "{name}: {} trials", life.trials);
                }
                cuts += 1;
            }
        }
    }
    cuts
}

/// So many pairs of cuts at random moments; those of which the second came too late do not count.
fn pairs(count: u32, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let board = new_board();
    let (mut both, mut pair, mut trials) = (0, 0, 0);
    while both < count {
        let what = WHAT[rng.usize(..WHAT.len())];
        let (update, way) = what;
        let cut = |rng: &mut Rng, operations: u64| {
            let torn = When::Torn(Tear::ALL[rng.usize(..Tear::ALL.len())]);
            let when = [When::Before, When::After, torn, torn][rng.usize(..4)];
            Cut { operation: rng.u64(..operations), when, seed: rng.u64(..) }
        };
        let reach = if way == Way::Upload { 24 } else { 48 };
        let cuts = [cut(&mut rng, reach), cut(&mut rng, 16)];
        let life =
            live(&board, what, &cuts, &format!("pair {pair}, {update:?} by {way:?}, {cuts:?}"));
        both += u32::from(life.cuts == 2);
        pair += 1;
        if update != Update::Good {
            assert!(life.trials <= TRIAL_BOOTS, "pair {pair}: {} trials", life.trials);
            trials = trials.max(life.trials);
        }
    }
    assert_eq!(trials, TRIAL_BOOTS, "no trial was ever used up");
    println!("{both} pairs of cuts: 0 bricked; a bad image was started {trials} times at most");
    println!("promise O2 pairs={both} bricked=0 starts={trials}");
}

#[test]
fn a_cut_at_any_operation_of_an_update_leaves_a_board_that_ends_as_without_it() {
    let cuts = sweep(2);
    println!("{cuts} cuts: 0 bricked, always the old or the new image, and the update got through");
    println!("promise O1 cuts={cuts} bricked=0");
}

#[test]
#[ignore = "takes a minute"]
fn a_cut_at_any_operation_of_an_update_leaves_a_board_that_ends_as_without_it_long() {
    let cuts = sweep(200);
    println!("{cuts} cuts: 0 bricked, always the old or the new image, and the update got through");
    println!("promise O1 cuts={cuts} bricked=0");
}

#[test]
fn two_cuts_in_a_row_brick_nothing() {
    pairs(1000, 1);
}

#[test]
#[ignore = "takes a minute"]
fn two_cuts_in_a_row_brick_nothing_in_100000_pairs_long() {
    pairs(100_000, 2);
}
