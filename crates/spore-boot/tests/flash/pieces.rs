//! An image in pieces: any order, what was cut goes on, and pieces that are wrong.

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::NorFlash;
use fastrand::Rng;
use spore_boot::layout::{Host, Layout};
use spore_boot::{Choice, Esp, Selector, Slot, Stage, choose};
use spore_image::head::HEAD;
use spore_image::pieces::{self, Found, HEAD_PIECES, ImageId, PIECE, Pieces};
use spore_image::{Container, Refusal, SignatureError, Target, build, start};
use spore_sim::flash::{Cut, NorChip, When};

use crate::board::{self, NEW, boot, confirm, container, container_of, target};

/// A node that has a container, as another one sees it.
pub(crate) struct Source<'a> {
    id: ImageId,
    pieces: Vec<&'a [u8]>,
    manifest: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let container = Container::parse(bytes).expect("a whole one");
        let manifest = container.head().manifest_length() as usize;
        let pieces = bytes[..manifest].chunks(PIECE).chain(bytes[manifest..].chunks(PIECE));
        let pieces: Vec<_> = pieces.collect();
        let manifest = manifest.div_ceil(PIECE);
        let cut = Pieces { manifest: manifest as u16, count: pieces.len() as u16 };
        assert_eq!(Pieces::of(container.head()), cut);
        Self { id: pieces::id(bytes.first_chunk::<HEAD>().unwrap()), pieces, manifest }
    }

    fn manifest<L: Layout>(
        &self,
        flash: &mut impl NorFlash,
        target: &Target<'_>,
        order: &mut impl FnMut(&mut [u16]),
    ) -> Result<Pieces, Refusal> {
        for _ in 0..4 {
            let found = pieces::prepare::<L, _>(flash, &self.id, target, |_| Ok(()));
            let mut wanted: Vec<u16> = match block_on(found)? {
                Found::Nothing => (0..HEAD_PIECES).collect(),
                Found::Head(pieces) => {
                    let mut rest: Vec<_> = (HEAD_PIECES..pieces.manifest).collect();
                    order(&mut rest);
                    rest
                }
                Found::Manifest(pieces) => return Ok(pieces),
            };
            for piece in wanted.drain(..) {
                let bytes = self.pieces[usize::from(piece)];
                block_on(pieces::write::<L, _>(flash, target.slot, piece, bytes))?;
            }
        }
        panic!("no end of the manifest");
    }

    /// Fetches what is not there yet, and returns how many pieces of the payload these were.
    pub(crate) fn fetch_in<L: Layout>(
        &self,
        flash: &mut impl NorFlash,
        target: &Target<'_>,
        mut order: impl FnMut(&mut [u16]),
    ) -> Result<usize, Refusal> {
        let cut = self.manifest::<L>(flash, target, &mut order)?;
        let check =
            |flash: &mut _, chunk| block_on(pieces::check_chunk::<L, _>(flash, target.slot, chunk));
        let mut missing = Vec::new();
        for piece in cut.manifest..cut.count {
            let chunk = cut.chunk(piece).unwrap();
            let begins = piece == cut.manifest || cut.chunk(piece - 1) != Some(chunk);
            let is_whole = begins && check(flash, chunk)?;
            let goes_on = !begins && missing.last() != Some(&(piece - 1));
            if !is_whole && !goes_on {
                missing.push(piece);
            }
        }
        order(&mut missing);
        for piece in &missing {
            let bytes = self.pieces[usize::from(*piece)];
            block_on(pieces::write::<L, _>(flash, target.slot, *piece, bytes))?;
        }
        for piece in &missing {
            assert!(check(flash, cut.chunk(*piece).unwrap())?, "piece {piece}");
        }
        Ok(missing.len())
    }

    pub(crate) fn fetch(
        &self,
        flash: &mut impl NorFlash,
        target: &Target<'_>,
        order: impl FnMut(&mut [u16]),
    ) -> Result<usize, Refusal> {
        self.fetch_in::<Esp>(flash, target, order)
    }

    /// Whether the slot gives all of it on as it came.
    fn is_offered<L: Layout>(&self, flash: &mut impl NorFlash, slot: Slot) -> bool {
        let offered = block_on(pieces::offered::<L, _>(flash, slot, &self.id)).unwrap();
        let Some(Pieces { manifest, count }) = offered else { return false };
        assert_eq!((usize::from(manifest), usize::from(count)), (self.manifest, self.pieces.len()));
        for (number, piece) in (0..).zip(&self.pieces) {
            let mut room = [0; PIECE];
            let length = block_on(pieces::read::<L, _>(flash, slot, number, &mut room)).unwrap();
            assert_eq!(room[..length], **piece, "piece {number} out of {slot:?}");
        }
        let behind = block_on(pieces::read::<L, _>(flash, slot, count, &mut [0; PIECE]));
        assert_eq!(behind, Err(Refusal::Length));
        true
    }
}

fn begin<L: Layout>(chip: &mut impl NorFlash, target: &Target<'_>) -> Result<(), Refusal> {
    block_on(start::<L, _>(chip, target, |_| Ok(()))).map(drop)
}

/// A board whose image is confirmed.
fn ready() -> NorChip {
    let mut chip = NorChip::from_bytes(board::new_board());
    let start = boot(&mut chip).unwrap();
    confirm(&mut chip, &start).unwrap();
    chip
}

#[test]
fn pieces_in_any_order_make_an_image_in_either_slot_which_is_given_on_as_it_came() {
    let mut chip = ready();
    let mut rng = Rng::with_seed(1);
    for sequence in NEW..NEW + 8 {
        let start = boot(&mut chip).unwrap();
        confirm(&mut chip, &start).unwrap();
        let bytes = container_of(sequence, 4000 + 4 * rng.u32(..9000));
        let (source, target) = (Source::new(&bytes), target(&start));
        let fetched = source.fetch(&mut chip, &target, |all| rng.shuffle(all)).unwrap();
        assert_eq!(fetched, source.pieces.len() - source.manifest);
        // It is held: complete, given on, and not to be started, even if the other one is lost.
        assert!(source.is_offered::<Esp>(&mut chip, target.slot));
        assert!(!source.is_offered::<Esp>(&mut chip, start.slot));
        assert_eq!(boot(&mut chip).unwrap(), start);
        let mut lost = chip.clone();
        lost.bytes_mut()[start.slot.region().start as usize + 300] ^= 1;
        assert_eq!(boot(&mut lost), None);
        assert_eq!(source.fetch(&mut chip, &target, |_| ()), Ok(0), "all of it is there");
        begin::<Esp>(&mut chip, &target).unwrap();
        let next = boot(&mut chip).unwrap();
        assert_eq!((next.slot, next.header.sequence), (target.slot, sequence));
        assert!(source.is_offered::<Esp>(&mut chip, next.slot), "out of the slot that runs");
    }
}

#[test]
fn a_fetch_that_was_cut_goes_on_with_the_chunks_that_are_not_whole() {
    let bytes = container_of(NEW, 30_000);
    let source = Source::new(&bytes);
    let mut whole = ready();
    let start = boot(&mut whole).unwrap();
    let target = target(&start);
    let before = whole.operations();
    let all = source.fetch(&mut whole, &target, |_| ()).unwrap();
    let (mut least, mut most) = (all, 0);
    for operation in before..whole.operations() {
        let mut chip = ready();
        chip.arm(Cut { operation, when: When::After, seed: 1 });
        assert_eq!(source.fetch(&mut chip, &target, |_| ()), Err(Refusal::Flash));
        chip.power_on();
        assert_eq!(boot(&mut chip), Some(start));
        let rest = source.fetch(&mut chip, &target, |_| ()).unwrap();
        // In this order only one chunk is written in part.
        let due = whole.operations() - operation;
        assert!(rest as u64 <= due + 16, "operation {operation}: {rest} pieces, {due} were due");
        (least, most) = (least.min(rest), most.max(rest));
        assert_eq!(chip.bytes(), whole.bytes());
    }
    assert_eq!((least, most), (0, all), "{all} pieces");
}

#[test]
fn an_image_that_is_refused_is_not_fetched_and_one_that_is_not_whole_is_not_started() {
    let mut chip = ready();
    let running = boot(&mut chip).unwrap();
    let good = target(&running);
    let bytes = container(NEW);
    let source = Source::new(&bytes);
    let before = chip.operations();
    assert_eq!(begin::<Esp>(&mut chip, &good), Err(Refusal::Head(spore_image::HeadError::Magic)));
    assert_eq!(chip.operations(), before);
    let other = Target { board: "esp-02", ..good };
    let older = Target { floor: NEW, ..good };
    let quarantined = Target { quarantined: Some(NEW), ..good };
    for (target, expected) in
        [(other, Refusal::Board), (older, Refusal::Older), (quarantined, Refusal::Quarantined)]
    {
        assert_eq!(source.fetch(&mut chip, &target, |_| ()), Err(expected));
    }
    let found =
        pieces::prepare::<Esp, _>(&mut chip, &source.id, &good, |_| Err(SignatureError::Forged));
    assert_eq!(block_on(found), Err(Refusal::Signature(SignatureError::Forged)));
    // All but the last piece.
    let mut order = |all: &mut [u16]| all.reverse();
    let cut = source.manifest::<Esp>(&mut chip, &good, &mut order).unwrap();
    for piece in cut.manifest..cut.count {
        assert_eq!(begin::<Esp>(&mut chip, &good), Err(Refusal::Altered), "{piece}");
        let bytes = source.pieces[usize::from(piece)];
        block_on(pieces::write::<Esp, _>(&mut chip, good.slot, piece, bytes)).unwrap();
    }
    for target in [other, older, quarantined] {
        begin::<Esp>(&mut chip, &target).unwrap_err();
    }
    assert_eq!(boot(&mut chip), Some(running));
    begin::<Esp>(&mut chip, &good).unwrap();
    let trial = boot(&mut chip).unwrap();
    assert_eq!(trial.slot, good.slot);
    // Nothing is fetched over what it goes back to.
    for running in [running, trial] {
        let target = crate::board::target(&running);
        let found = pieces::prepare::<Esp, _>(&mut chip, &[0; 16], &target, |_| Ok(()));
        assert_eq!(block_on(found), Err(Refusal::Unconfirmed));
    }
}

/// The head's pieces may be all of the manifest. If somebody has sent the second one altered, there is no other piece to wait for.
#[test]
fn a_short_manifest_whose_lists_are_wrong_is_fetched_again() {
    let mut chip = ready();
    let target = target(&boot(&mut chip).unwrap());
    let bytes = container_of(NEW, 256);
    let source = Source::new(&bytes);
    assert_eq!(source.manifest, usize::from(HEAD_PIECES));
    let mut altered = source.pieces[1].to_vec();
    // Behind the head.
    altered[HEAD - PIECE] ^= 1;
    for (number, piece) in [(0, source.pieces[0]), (1, &altered)] {
        block_on(pieces::write::<Esp, _>(&mut chip, target.slot, number, piece)).unwrap();
    }
    let found = pieces::prepare::<Esp, _>(&mut chip, &source.id, &target, |_| Ok(()));
    assert_eq!(block_on(found), Ok(Found::Nothing));
    source.fetch(&mut chip, &target, |_| ()).unwrap();
    begin::<Esp>(&mut chip, &target).unwrap();
    assert_eq!(boot(&mut chip).unwrap().header.sequence, NEW);
}

/// So many pieces of no number, of a wrong length, altered, of another image, or late, at any time of a fetch.
fn hostile(count: u32, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut chip = ready();
    let running = boot(&mut chip).unwrap();
    let target = target(&running);
    let (bytes, other) = (container_of(NEW, 9000), container_of(NEW + 1, 12_000));
    let (source, other) = (Source::new(&bytes), Source::new(&other));
    let before = chip.bytes().to_vec();
    let (mut written, mut refused) = (0, 0);
    for _ in 0..count {
        let number = rng.u16(..=source.pieces.len() as u16);
        let good = source.pieces.get(usize::from(number)).copied().unwrap_or_default();
        let (mut number, mut piece) = (number, good.to_vec());
        match rng.u8(..7) {
            0 => number = rng.u16(..),
            1 => piece.truncate(rng.usize(..=piece.len())),
            2 => piece.extend((0..rng.usize(1..600)).map(|_| rng.u8(..))),
            3 => piece.fill_with(|| rng.u8(..)),
            4 => piece = other.pieces[rng.usize(..other.pieces.len())].to_vec(),
            5 => number = rng.u16(..4),
            _ if piece.is_empty() => (),
            _ => {
                let bit = rng.usize(..8 * piece.len());
                piece[bit / 8] ^= 1 << (bit % 8);
            }
        }
        match block_on(pieces::write::<Esp, _>(&mut chip, target.slot, number, &piece)) {
            Ok(()) => written += 1,
            Err(Refusal::Length | Refusal::Altered) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        match rng.u8(..10) {
            // It may say that the image is not what was signed, and never that it is.
            0 => {
                begin::<Esp>(&mut chip, &target).expect_err("a hostile image is started");
            }
            1 => {
                let check = pieces::check_chunk::<Esp, _>(&mut chip, target.slot, rng.u32(..5));
                let _ = block_on(check);
            }
            2 => {
                let prepared =
                    pieces::prepare::<Esp, _>(&mut chip, &source.id, &target, |_| Ok(()));
                block_on(prepared).unwrap();
            }
            3 => {
                let piece = rng.usize(..source.manifest);
                let number = piece as u16;
                let slot = target.slot;
                let _ = block_on(pieces::write::<Esp, _>(
                    &mut chip,
                    slot,
                    number,
                    source.pieces[piece],
                ));
            }
            _ => (),
        }
        let slot = target.slot.region();
        let same = |from: usize, to: usize| chip.bytes()[from..to] == before[from..to];
        assert!(same(0, slot.start as usize) && same(slot.end() as usize, before.len()));
        assert_eq!(boot(&mut chip), Some(running));
    }
    assert!(written > count / 20 && refused > count / 20, "{written} written, {refused} refused");
    source.fetch(&mut chip, &target, |all| rng.shuffle(all)).unwrap();
    begin::<Esp>(&mut chip, &target).unwrap();
    assert_eq!(boot(&mut chip).unwrap().header.sequence, NEW);
    println!("{count} hostile pieces: {written} written, {refused} refused, 0 images taken");
    println!("promise O4 pieces={count} pieces_taken=0");
}

#[test]
fn hostile_pieces_touch_nothing_that_runs_and_the_image_gets_through_behind_them() {
    hostile(2_000, 6);
}

#[test]
#[ignore = "takes a minute"]
fn hostile_pieces_touch_nothing_that_runs_and_the_image_gets_through_behind_them_long() {
    hostile(100_000, 7);
}

#[test]
fn a_program_is_fetched_held_and_started_in_the_file_of_a_linux_machine() {
    let mut chip = NorChip::blank((Host::LENGTH / 4096) as usize);
    let first = Choice { slot: Slot::A, stage: Stage::Confirmed, image: 1 };
    let write = Selector::read(&[0xFF; 32], &[0xFF; 32]).write(first);
    block_on(chip.write(write.sector.start, &write.bytes)).unwrap();
    let mut rng = Rng::with_seed(9);
    let program: Vec<u8> = (0..100_001).map(|_| rng.u8(..)).collect();
    let bytes = build::program(&program, "host", "1", NEW).unwrap();
    let source = Source::new(&bytes);
    let target = Target { board: "host", slot: Slot::B, floor: 1, quarantined: None, length: None };
    source.fetch_in::<Host>(&mut chip, &target, |all| rng.shuffle(all)).unwrap();
    assert!(source.is_offered::<Host>(&mut chip, Slot::B));
    let mut flash = board::Blocking(&mut chip, board::Programs::Work);
    assert_eq!(choose::<Host>(&mut flash), None);
    begin::<Host>(&mut chip, &target).unwrap();
    let mut flash = board::Blocking(&mut chip, board::Programs::Work);
    let start = choose::<Host>(&mut flash).unwrap();
    assert_eq!((start.slot, start.header.sequence), (Slot::B, NEW));
    let at = Host::region(Slot::B).start as usize + 256;
    assert_eq!(chip.bytes()[at..][..program.len()], program);
}
