use super::{Image, InvalidPlan, Plan, RolloutId, SignedPlan};
use crate::security::ReleaseKey;
use crate::wire::NodeId;
use ed25519_dalek::{Signer as _, SigningKey};
use std::vec::Vec;

fn board(name: &str) -> [u8; Image::BOARD] {
    let mut board = [0; Image::BOARD];
    board[..name.len()].copy_from_slice(name.as_bytes());
    board
}

fn image(name: &str, sequence: u32) -> Image {
    Image { board: board(name), sequence, digest: [0x5A; Image::DIGEST] }
}

/// One with as much as there can be.
fn full() -> Plan {
    Plan {
        id: RolloutId { number: 7, random: 0x89AB_CDEF },
        images: [image("esp-01", 1), image("host", 2), image("a-name-of-16-has", u32::MAX)]
            .into_iter()
            .collect(),
        canaries: (1..=4).map(|n| NodeId([n; 6])).collect(),
        waves: [1, 10, 50, 100].into_iter().collect(),
        gate: 60,
        max_failures: 1,
        expiry: Plan::MAX_EXPIRY,
        catches_up: true,
    }
}

fn encoded(plan: &Plan) -> Vec<u8> {
    let mut bytes = [0; Plan::MAX];
    let len = plan.encode(&mut bytes);
    bytes[..len].to_vec()
}

#[test]
fn a_plan_is_read_back_and_no_part_of_it_is_one() {
    let mut small = full();
    small.images.truncate(1);
    small.canaries.truncate(1);
    small.waves = [100].into_iter().collect();
    small.catches_up = false;
    for plan in [full(), small] {
        let bytes = encoded(&plan);
        assert_eq!(Plan::decode(&bytes), Ok(plan.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(Plan::decode(&bytes[..cut]), Err(InvalidPlan), "cut at {cut}");
            assert_eq!(plan.encode(&mut [0; Plan::MAX][..cut]), 0, "no room for more than {cut}");
        }
        assert_eq!(Plan::decode(&[bytes, [0].to_vec()].concat()), Err(InvalidPlan));
    }
    assert_eq!(encoded(&full()).len(), Plan::MAX);
    // With what is stored besides it fits into a value.
    const { assert!(SignedPlan::MAX <= 240) };
}

#[test]
fn plans_that_make_no_sense_are_none() {
    type Spoil = fn(&mut Plan);
    let senseless: [(&str, Spoil); 14] = [
        ("no image", |plan| plan.images.clear()),
        ("a board twice", |plan| plan.images[1].board = plan.images[0].board),
        ("a board without a name", |plan| plan.images[0].board = [0; 16]),
        ("a name with a space", |plan| plan.images[0].board[0] = b' '),
        ("a name that goes on behind a zero", |plan| plan.images[0].board[15] = b'x'),
        ("image number 0", |plan| plan.images[0].sequence = 0),
        ("no canary", |plan| plan.canaries.clear()),
        ("a canary twice", |plan| plan.canaries[3] = plan.canaries[0]),
        ("no wave", |plan| plan.waves.clear()),
        ("an empty wave", |plan| plan.waves[0] = 0),
        ("a wave without anybody new", |plan| plan.waves[1] = 50),
        ("some are never updated", |plan| plan.waves[3] = 99),
        ("no failure is allowed that halts it", |plan| plan.max_failures = 0),
        ("it expires at once", |plan| plan.expiry = 0),
    ];
    for (what, spoil) in senseless {
        let mut plan = full();
        spoil(&mut plan);
        assert_eq!(Plan::decode(&encoded(&plan)), Err(InvalidPlan), "{what}");
    }
    let bytes = encoded(&full());
    for (at, byte) in [(0, 2), (9, 2), (15, 4)] {
        let mut other = bytes.clone();
        other[at] = byte;
        assert_eq!(Plan::decode(&other), Err(InvalidPlan), "byte {at}");
    }
    let late = Plan { expiry: Plan::MAX_EXPIRY + 1, ..full() };
    assert_eq!(Plan::decode(&encoded(&late)), Err(InvalidPlan));
}

#[test]
fn canaries_come_first_and_each_wave_has_its_share() {
    let plan = full();
    assert_eq!(plan.wave(NodeId([3; 6])), 0);
    let mut counts = [0_u32; 5];
    let nodes = (0..10_000_u64).map(|n| {
        let [_, _, id @ ..] = n.to_be_bytes();
        NodeId(id)
    });
    for node in nodes {
        counts[usize::from(plan.wave(node))] += 1;
    }
    // 1 %, 10 %, 50 % and all, in sums: within five standard deviations.
    for (wave, percent, span) in [(1, 1, 50), (2, 9, 150), (3, 40, 250), (4, 50, 250)] {
        let wanted = percent * 100;
        assert!(counts[wave].abs_diff(wanted) < span, "wave {wave}: {} of {wanted}", counts[wave]);
    }
    assert_eq!(counts.iter().sum::<u32>(), 10_000);
    // Another rollout has other first ones.
    let other = Plan { id: RolloutId { number: 8, ..plan.id }, ..plan.clone() };
    let moved = (0..200)
        .map(|n| NodeId([0, 0, 0, 0, 1, n]))
        .filter(|node| plan.wave(*node) != other.wave(*node));
    assert!(moved.count() > 50);
}

#[test]
fn the_release_key_signs_the_plan_and_no_bit_can_be_changed() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let public = ReleaseKey(key.verifying_key().to_bytes());
    let plan = full();
    let mut message = [0; Plan::MESSAGE];
    let len = plan.message(&mut message);
    assert_eq!(message[..15], *b"SPORE rollout 1");
    assert_eq!(message[15..len], encoded(&plan));
    let signed = SignedPlan { signature: key.sign(&message[..len]).to_bytes(), plan };
    assert!(signed.is_signed_by(&public));
    let mut bytes = [0; SignedPlan::MAX];
    let len = signed.encode(&mut bytes);
    assert_eq!(SignedPlan::decode(&bytes[..len]), Ok(signed.clone()));
    let mut readable = 0;
    for bit in 0..len * 8 {
        let mut altered = bytes;
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(altered) = SignedPlan::decode(&altered[..len]) {
            assert!(!altered.is_signed_by(&public), "bit {bit}");
            readable += 1;
        }
    }
    assert!(readable > 1_000, "most altered plans can be read: {readable}");
    let other = ReleaseKey(SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes());
    assert!(!signed.is_signed_by(&other));
    for cut in 0..64 {
        assert_eq!(SignedPlan::decode(&bytes[..cut]), Err(InvalidPlan));
    }
}
