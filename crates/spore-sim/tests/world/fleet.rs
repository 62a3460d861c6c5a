//! A fleet gets an image: promise O6, as far as the transfer goes.
//!
//! The image is given to one board, and the others fetch it from it and from each other; its size is that of a real one. All share 5 Mbit/s,
//! each datagram being on the air twice, and each board writes its flash with the code of a board, in a board's time.

use crate::{promise, secs, whole};
use spore_boot::image::{HEADER, Header, IN_PLACE, INSTRUCTION_RAM, MAX_SEGMENTS, Segment};
use spore_boot::map::{MANIFEST, PAGE, SECTOR, Slot};
use spore_image::{Head, build};
use spore_sim::network::{Air, Channel, Latency, Loss};
use spore_sim::scenario::{Board, Conditions};
use spore_sim::{Scenario, Simulation};
use std::time::Duration;

/// Bytes of an image: about what one has with signatures, updates and dashboard.
const IMAGE: u32 = 430_000;

/// One word in so many moves.
const DENSITY: u32 = 72;

/// What slot B holds of the image, and its container.
fn image() -> (Vec<u8>, Vec<u8>) {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    segments[0] = Segment { address: INSTRUCTION_RAM.start, length: 28_000 };
    let (mut board, mut version) = ([0; 16], [0; 24]);
    board[..3].copy_from_slice(b"sim");
    version[0] = b'2';
    let in_place = IMAGE - IN_PLACE - segments[0].length;
    let [a, b] = Slot::BOTH.map(|slot| {
        let mut rng = fastrand::Rng::with_seed(1);
        let entry = slot.window() + IN_PLACE;
        let header = Header { sequence: 2, entry, in_place, board, version, segments };
        let word = |at: u32| {
            let value = rng.u32(..);
            if value.is_multiple_of(DENSITY) { slot.window() + at } else { value }
        };
        let contents: Vec<u8> =
            (0..(IMAGE - IN_PLACE) / 4).map(word).flat_map(u32::to_le_bytes).collect();
        [&header.encode(&contents)[..], &contents].concat()
    });
    let container = build::from_slots(&a, &b).expect("the images are of one program");
    (b, container)
}

/// How long the plain way takes: an operator sends the image to each board, to one after the other or to all at once.
/// The operator is wired, so that it is on the air once; a board writes a sector when it has come, and takes in no
/// more meanwhile.
fn plain(boards: u32, at_once: bool) -> Duration {
    let mut air = Air::new(Channel { patience: Duration::MAX, ..Channel::default() });
    let Board { program, erase, verify, .. } = Board::default();
    let sectors = IMAGE.div_ceil(SECTOR);
    let flash = erase + program * (SECTOR / PAGE);
    let mut ready = vec![Duration::ZERO; boards as usize];
    let mut end = Duration::ZERO;
    let mut send = |now: Duration| {
        // Three segments of TCP, whose headers have 12 bytes more.
        (0..3).fold(now, |_, _| air.send(now, SECTOR as usize / 3 + 12, 1).expect("it waits"))
    };
    if at_once {
        for _ in 0..sectors {
            for board in &mut ready {
                *board = send(*board) + flash;
            }
        }
        end = ready.into_iter().max().unwrap_or(end);
    } else {
        for _ in 0..boards * sectors {
            end = send(end) + flash;
        }
    }
    end + verify * if at_once { 1 } else { boards }
}

/// What an update of a fleet took.
struct Took {
    /// From when the first board had it until all had.
    time: Duration,
    /// Bytes on the air meanwhile, each hop for itself.
    air: u64,
}

fn update(boards: usize, seed: u64, loss: Loss) -> Took {
    let latency =
        Latency::Uniform { min: Duration::from_micros(200), max: Duration::from_millis(2) };
    let conditions = Conditions { latency, loss, ..Conditions::default() };
    let scenario = Scenario {
        nodes: boards,
        esp01: boards,
        seed,
        start_within: secs(2),
        conditions,
        channel: Some(Channel::default()),
        board: Some(Board::default()),
        ..Scenario::default()
    };
    let mut sim = whole(scenario, secs(120));
    // Whoever knows each other by hearsay has met by then.
    sim.run_for(secs(30));
    sim.clear_counters();
    let lost = sim.channel().expect("there is one").lost();
    let (linked, container) = image();
    let image = sim.give_image(0, &container);
    let start = (sim.now(), sim.channel().expect("there is one").bytes());
    for board in 1..boards {
        sim.fetch_image(board, image);
    }
    let has = |sim: &Simulation, board| sim.node(board).is_some_and(|node| node.has_image(image));
    while !(0..boards).all(|board| has(&sim, board)) {
        assert!(sim.now() - start.0 < secs(600), "seed {seed}: not all have it");
        sim.run_for(Duration::from_millis(50));
    }
    let head = Head::decode(container.first_chunk().unwrap()).unwrap();
    let manifest = &container[..head.manifest_length() as usize];
    for board in 0..boards {
        let slot = sim.other_slot(board);
        assert!(slot[HEADER..linked.len()] == linked[HEADER..], "seed {seed}: board {board}");
        assert!(slot[(Slot::LENGTH - MANIFEST) as usize..].starts_with(manifest));
        assert!(slot[..HEADER].iter().all(|byte| *byte == 0xFF), "it cannot be started yet");
    }
    let (report, lost) = (sim.report(), sim.channel().expect("there is one").lost() - lost);
    assert!(report.false_deaths.is_empty(), "seed {seed}: an update killed somebody");
    println!("seed {seed}: {} false suspicions, {lost} lost on the air", report.false_suspicions);
    let air = sim.channel().expect("there is one").bytes() - start.1;
    Took { time: sim.now() - start.0, air }
}

/// Updates so many boards, and holds that to a multiple of the time of one.
fn fleet(boards: usize, seed: u64, limit: f64) {
    let one = plain(1, true);
    let Took { time, air } = update(boards, seed, Loss { unicast: 0.02, broadcast: 0.5 });
    let ratio = (one + time).as_secs_f64() / one.as_secs_f64();
    let count = u32::try_from(boards).unwrap();
    println!(
        "{boards} boards: {:.1} s ({:.1} s for the first one, {ratio:.2} times that for all), {:.2} MB through the operator's link, {:.1} MB on the air; \
         plainly {:.1} s one after the other, {:.1} s all at once, {:.2} MB through the link",
        (one + time).as_secs_f64(),
        one.as_secs_f64(),
        f64::from(IMAGE) / 1e6,
        air as f64 / 1e6,
        plain(count, false).as_secs_f64(),
        plain(count, true).as_secs_f64(),
        f64::from(IMAGE) * f64::from(count) / 1e6,
    );
    promise("O6", &[(&format!("ratio_{boards}_{seed}"), ratio), ("false_deaths", 0.0)]);
    assert!(ratio <= limit, "{boards} boards take {ratio:.2} times as long as one");
}

#[test]
fn a_fleet_of_8_boards_is_updated_in_little_more_than_the_time_of_one() {
    fleet(1, 1, 1.01);
    fleet(8, 1, 4.0);
}

#[test]
#[ignore = "takes minutes"]
fn a_fleet_of_64_boards_is_updated_in_6_times_the_time_of_one_long() {
    for seed in 1..=3 {
        fleet(64, seed, 6.0);
    }
}
