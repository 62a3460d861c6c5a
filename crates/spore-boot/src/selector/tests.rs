use super::{BYTES, Choice, Record, Selector, Stage, TRIAL_BOOTS};
use crate::map::{SELECTOR, Slot};

const BLANK: [u8; BYTES] = [0xFF; BYTES];

fn choice(slot: Slot, stage: Stage, image: u32) -> Choice {
    Choice { slot, stage, image }
}

/// Both sectors in memory.
struct Sectors([[u8; BYTES]; 2]);

impl Sectors {
    fn selector(&self) -> Selector {
        Selector::read(&self.0[0], &self.0[1])
    }

    fn write(&mut self, write: super::Write) {
        let index = SELECTOR.iter().position(|sector| *sector == write.sector).unwrap();
        self.0[index] = write.bytes;
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for slot in Slot::BOTH {
        for stage in [Stage::Confirmed, Stage::Trial] {
            let bytes = Record::encode(choice(slot, stage, 0x0102_0304), 0xA0B0_C0D0);
            let record = Record::decode(&bytes).unwrap();
            assert_eq!(record.choice, choice(slot, stage, 0x0102_0304));
            assert_eq!((record.sequence, record.boots), (0xA0B0_C0D0, 0));
        }
    }
}

// The bytes of docs/image.md; the CRC as zlib computes it.
#[test]
fn the_bytes_of_a_record_are_fixed() {
    let bytes = Record::encode(choice(Slot::B, Stage::Trial, 7), 2);
    let expected = [
        b'S', b'P', b'S', b'L', 1, 1, 1, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0xB2, 0xD2, 0xF5, 0x95, 0xFF,
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn no_flipped_bit_of_a_record_is_taken() {
    let bytes = Record::encode(choice(Slot::A, Stage::Confirmed, 1), 1);
    for bit in 0..20 * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Record::decode(&damaged), None, "bit {bit}");
    }
    for blank in [BLANK, [0; BYTES]] {
        assert_eq!(Record::decode(&blank), None);
    }
}

#[test]
fn fields_of_a_later_format_are_not_guessed() {
    for (at, value) in [(4, 2), (5, 2), (6, 2)] {
        let mut bytes = Record::encode(choice(Slot::A, Stage::Confirmed, 1), 1);
        bytes[at] = value;
        let crc = super::CRC.checksum(&bytes[..16]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Record::decode(&bytes), None, "byte {at}");
    }
}

#[test]
fn a_trial_word_that_went_bad_out_of_turn_is_used_and_the_others_still_count() {
    let mut bytes = Record::encode(choice(Slot::B, Stage::Trial, 1), 1);
    // A bit of the last word has flipped.
    bytes[31] = 0x7F;
    for used in 1..TRIAL_BOOTS {
        let selector = Selector::read(&bytes, &BLANK);
        assert_eq!(selector.record().unwrap().boots, used);
        let word = selector.trial_word().unwrap();
        assert_eq!(word, 0x1000 + 20 + 4 * (used - 1));
        let at = usize::try_from(word - 0x1000).unwrap();
        assert_eq!(bytes[at..][..4], [0xFF; 4], "a word is used twice");
        bytes[at..][..4].fill(0);
    }
    assert_eq!(Selector::read(&bytes, &BLANK).trial_word(), None);
}

#[test]
fn the_newer_record_counts_wherever_it_is() {
    let old = Record::encode(choice(Slot::A, Stage::Confirmed, 1), 1);
    let new = Record::encode(choice(Slot::B, Stage::Confirmed, 2), 2);
    for (first, second) in [(&old, &new), (&new, &old), (&BLANK, &new), (&new, &BLANK)] {
        assert_eq!(Selector::read(first, second).record().unwrap().choice.image, 2);
    }
    assert_eq!(Selector::read(&BLANK, &BLANK).record(), None);
}

#[test]
fn an_update_is_written_over_what_does_not_count_and_ends_with_two_equal_sectors() {
    let mut sectors = Sectors([BLANK; 2]);
    let a = choice(Slot::A, Stage::Confirmed, 1);
    sectors.write(sectors.selector().write(a));
    let write = sectors.selector().settle().expect("one sector is blank");
    sectors.write(write);
    assert_eq!(sectors.selector().settle(), None);

    let trial = choice(Slot::B, Stage::Trial, 2);
    let write = sectors.selector().write(trial);
    let old = sectors.selector().0;
    sectors.write(write);
    let counting = SELECTOR.iter().position(|sector| *sector == write.sector).unwrap();
    assert_eq!(sectors.selector().0[1 - counting], old[1 - counting]);
    assert_eq!(sectors.selector().record().unwrap().choice, trial);
    assert_eq!(sectors.selector().settle(), None, "what to go back to must stay");

    let confirmed = choice(Slot::B, Stage::Confirmed, 2);
    sectors.write(sectors.selector().write(confirmed));
    let write = sectors.selector().settle().expect("the other sector says that it is on trial");
    assert_eq!(write.sector, SELECTOR[counting]);
    sectors.write(write);
    assert_eq!(sectors.selector().settle(), None);
    for (lost, sector) in SELECTOR.into_iter().enumerate() {
        let mut damaged = Sectors(sectors.0);
        damaged.0[lost] = BLANK;
        assert_eq!(damaged.selector().record().unwrap().choice, confirmed);
        assert_eq!(damaged.selector().settle().unwrap().sector, sector);
    }
}

#[test]
fn the_last_sequence_number_is_not_passed() {
    let last = Record::encode(choice(Slot::A, Stage::Confirmed, 1), u32::MAX);
    let write = Selector::read(&last, &BLANK).write(choice(Slot::B, Stage::Confirmed, 2));
    assert_eq!(Record::decode(&write.bytes).unwrap().sequence, u32::MAX);
}
