//! A fleet gets an image: promise O6, as far as the transfer goes.
//!
//! The image is given to one board, and the others fetch it from it and from each other; its size is that of a real one. All share 5 Mbit/s,
//! each datagram being on the air twice, and each board writes its flash with the code of a board, in a board's time.

use crate::rollout;
use crate::{promise, secs, whole};
use spore_boot::image::HEADER;
use spore_boot::map::{MANIFEST, PAGE, SECTOR, Slot};
use spore_image::Head;
use spore_sim::network::{Air, Channel, Latency, Loss};
use spore_sim::scenario::{Conditions, Fleet, Nature, Work};
use spore_sim::{Scenario, Simulation, images};
use std::time::Duration;

/// Bytes of an image: about what one has with signatures, updates and dashboard.
const IMAGE: u32 = 430_000;

/// How long the plain way takes: an operator sends the image to each board, to one after the other or to all at once.
/// The operator is wired, so that it is on the air once; a board writes a sector when it has come, and takes in no
/// more meanwhile.
fn plain(boards: u32, at_once: bool) -> Duration {
    let mut air = Air::new(Channel { patience: Duration::MAX, ..Channel::default() });
    let Work { program, erase, verify, .. } = Work::BOARD;
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
    /// How long the slots of a board that fetched it were at work, the longest of all.
    flash: Duration,
}

/// Updates so many boards, of which the first ones have the image.
fn update(boards: usize, holders: usize, seed: u64) -> Took {
    let latency =
        Latency::Uniform { min: Duration::from_micros(200), max: Duration::from_millis(2) };
    let loss = Loss { unicast: 0.02, broadcast: 0.5 };
    let conditions = Conditions { latency, loss, ..Conditions::default() };
    let scenario = Scenario {
        nodes: boards,
        esp01: boards,
        seed,
        start_within: secs(2),
        conditions,
        channel: Some(Channel::default()),
        fleet: Some(Fleet { work: Work::BOARD, ..rollout::fleet(Nature::Good) }),
        ..Scenario::default()
    };
    let mut sim = whole(scenario, secs(120));
    // Whoever knows each other by hearsay has met by then.
    sim.run_for(secs(30));
    sim.clear_counters();
    let lost = sim.channel().expect("there is one").lost();
    let linked = images::linked_of(Slot::B, rollout::NEW, IMAGE);
    let container = images::container_of(rollout::NEW, IMAGE);
    let mut image = [0; 16];
    for holder in 0..holders {
        image = sim.hold_image(holder, &container);
        sim.serve_image(holder, image);
    }
    let before = sim.slots_busy(boards - 1);
    let start = (sim.now(), sim.channel().expect("there is one").bytes());
    for board in holders..boards {
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
    let flash = (holders..boards).map(|board| sim.slots_busy(board) - before).max();
    Took { time: sim.now() - start.0, air, flash: flash.unwrap_or_default() }
}

impl Took {
    /// What part of the time the air was taken, and the flash at work.
    fn shares(&self) -> [f64; 2] {
        let seconds = self.time.as_secs_f64();
        let air = 8.0 * self.air as f64 / Channel::default().rate as f64;
        [air / seconds, self.flash.as_secs_f64() / seconds]
    }
}

/// Updates so many boards, and holds that to a multiple of the time of one.
fn fleet(boards: usize, seed: u64, limit: f64) {
    let one = plain(1, true);
    let took = update(boards, 1, seed);
    let Took { time, air, .. } = took;
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
    let [on_air, flash] = took.shares().map(|share| 100.0 * share);
    println!(
        "{boards} boards: the air is taken for {on_air:.0} % of the time, a flash at work for {flash:.0} %"
    );
    promise("O6", &[(&format!("ratio_{boards}_{seed}"), ratio), ("false_deaths", 0.0)]);
    assert!(ratio <= limit, "{boards} boards take {ratio:.2} times as long as one");
}

#[test]
fn a_fleet_of_8_boards_is_updated_in_little_more_than_the_time_of_one() {
    fleet(1, 1, 1.01);
    fleet(8, 1, 4.0);
}

/// Nothing that several others could send at once would come any sooner: it is the flash that takes the time.
#[test]
fn a_late_board_waits_for_its_own_flash_however_many_have_the_image() {
    let one = plain(1, true).as_secs_f64();
    for holders in [1, 7] {
        let took = update(holders + 1, holders, 1);
        let (seconds, [air, flash]) = (took.time.as_secs_f64(), took.shares());
        println!(
            "{holders} have it: {seconds:.1} s, {:.2} times the time of one upload; the air is taken for {:.0} % of it, the flash at work for {:.0} %",
            seconds / one,
            100.0 * air,
            100.0 * flash
        );
        assert!(flash > 0.9 && seconds < 1.3 * one, "{holders} have it");
    }
}

#[test]
#[ignore = "takes minutes"]
fn a_fleet_of_64_boards_is_updated_in_6_times_the_time_of_one_long() {
    for seed in 1..=3 {
        fleet(64, seed, 6.0);
    }
}
