//! Boards that are killed at random moments of an update, and take it in the end.
//!
//! QEMU is killed (SIGKILL), so that what the board has written by then, and nothing else, is what it starts from. Whether that is a
//! flash that starts is asked twice: of the bootloader's code, and of the board.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use serde_json::Value;
use spore_boot::map::SELECTOR;
use spore_boot::selector::{Record, Selector, Stage};

use super::images::{self, Nature};
use super::{GATE, Operator, ROLLOUT, said};
use crate::e2e::cluster::{Cluster, POLL, Plan};
use crate::emu::esp01;
use crate::process;

/// The number of the first update; a board that was never updated has 1.
const FIRST: u32 = 2;
/// Between two looks at the flash files, and at the APIs.
const LOOK: Duration = Duration::from_millis(20);
const ASK: Duration = Duration::from_millis(500);
/// How long a board may take to be asked again after it was switched on, on a busy machine.
const BOOT: Duration = Duration::from_secs(60);
/// How long an update takes at first; later it is known.
const SPAN: Duration = Duration::from_secs(30);

/// So often a board is killed in one update at most, so that it ends.
const KILLS: u32 = 4;
/// So often of these when the image is on trial. With three times it could be killed at each start of a trial, and would go back.
const TRIES: u32 = 2;

/// What a board is killed in the midst of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Anything, within the time that an update takes.
    Anything,
    /// The image is on trial, and was not started yet: half a second later it is.
    Arming,
    /// The image was started the first time.
    FirstStart,
    /// It is about to be confirmed.
    Confirmation,
}

impl Aim {
    /// Half of them are for the transfer, which is most of the time.
    const ALL: [Self; 6] = [
        Self::Anything,
        Self::Anything,
        Self::Anything,
        Self::Arming,
        Self::FirstStart,
        Self::Confirmation,
    ];

    /// How long after what it waits for.
    fn delay(self, rng: &mut Rng, span: Duration) -> Duration {
        Duration::from_millis(match self {
            Self::Anything => rng.u64(..=u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            Self::Arming => rng.u64(..800),
            Self::FirstStart => rng.u64(..4_000),
            // Not before ten seconds after the start; then as soon as a peer has answered.
            Self::Confirmation => rng.u64(9_500..13_500),
        })
    }
}

/// A board in an update.
struct Victim {
    aim: Option<Aim>,
    /// When it is killed, if that is settled.
    due: Option<Instant>,
    kills: u32,
    /// How many of them have met an image on trial.
    tries: u32,
    /// When its power comes back, if it has none.
    back: Option<Instant>,
    /// When it was switched on, if it has not been heard of since.
    awaited: Option<Instant>,
    asked: Instant,
    done: bool,
}

/// A board was killed before the new image was on trial.
const BEFORE: &str = "before the image was on trial";

/// What was found in the flashes of boards that were killed.
#[derive(Default)]
struct Tally {
    kills: u32,
    found: BTreeMap<&'static str, u32>,
    /// Starts after which a board has told which image it runs.
    starts: u32,
    updates: u32,
}

/// Runs until there were so many kills.
///
/// # Errors
/// When a board does not start, runs another image than the old or the new one, or does not take an update in the end.
pub(in crate::e2e) fn run(plan: &Plan<'_>, kills: u32) -> Result<()> {
    let begun = Instant::now();
    let mut cluster = Cluster::start(plan)?;
    cluster.expect_agreement()?;
    let operator = Operator::new(plan, &cluster);
    let (mut rng, mut tally, mut span) = (Rng::with_seed(plan.seed), Tally::default(), SPAN);
    let mut sequence = FIRST;
    while tally.kills < kills {
        span = round(&mut cluster, &operator, (sequence, span), kills, (&mut rng, &mut tally))
            .with_context(|| format!("update {sequence}, after {} kills", tally.kills))?;
        sequence += 1;
    }
    let mut found = String::new();
    for (what, times) in &tally.found {
        // A text takes whatever is written to it.
        let _ = write!(found, ", {times} {what}");
    }
    println!(
        "e2e: {} kills in {} updates of {} boards, seed {}, {} s{found}",
        tally.kills,
        tally.updates,
        plan.boards,
        plan.seed,
        begun.elapsed().as_secs()
    );
    // What is not so ends the test.
    println!(
        "promise O1 kills={} starts={} updates={} bricked=0",
        tally.kills, tally.starts, tally.updates
    );
    Ok(())
}

/// One update of all boards; how long it took.
fn round(
    cluster: &mut Cluster<'_>,
    operator: &Operator<'_>,
    (sequence, span): (u32, Duration),
    kills: u32,
    (rng, tally): (&mut Rng, &mut Tally),
) -> Result<Duration> {
    let image = images::board(operator.plan, Nature::Good, sequence)?;
    // The last one is of no use any more, and half a megabyte.
    let _ = std::fs::remove_file(operator.plan.logs.join(format!("board-{}.spore", sequence - 1)));
    let all = ["--gate", GATE, "--waves", "100%", "--no-wait"];
    let started = process::output(&mut operator.ota("all", &[image], &all))?;
    ensure!(started.status.success(), "the rollout does not begin: {}", said(&started));
    let begun = Instant::now();
    let mut victims: Vec<Victim> = cluster.boards.iter().map(|_| Victim::new(begun)).collect();
    while !victims.iter().all(|victim| victim.done) {
        cluster.check_health()?;
        for (index, victim) in victims.iter_mut().enumerate() {
            let left = tally.kills < kills;
            let watched = (sequence, begun, span);
            one(cluster, (index, victim), watched, left, (&mut *rng, &mut *tally))
                .with_context(|| cluster.boards[index].0.name().to_owned())?;
        }
        ensure!(begun.elapsed() < ROLLOUT, "it is not through: {}", operator.state()?);
        std::thread::sleep(LOOK);
    }
    // The operator's node hears of the last one somewhat later; before, it begins no other rollout.
    while !is_through(&operator.state()?) {
        ensure!(begun.elapsed() < ROLLOUT, "nobody has heard the end: {}", operator.state()?);
        std::thread::sleep(POLL);
    }
    tally.updates += 1;
    Ok(begun.elapsed())
}

/// Whether nothing more becomes of any node in this rollout, for whoever tells this of it.
fn is_through(state: &Value) -> bool {
    let nodes = state["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let through = |node: &Value| ["updated", "out"].iter().any(|it| node["state"] == *it);
    !nodes.is_empty() && nodes.iter().all(through)
}

impl Victim {
    fn new(begun: Instant) -> Self {
        let (aim, due, back, awaited) = (None, None, None, None);
        Self { aim, due, kills: 0, tries: 0, back, awaited, asked: begun, done: false }
    }
}

/// Looks at one board, and does to it what is due.
fn one(
    cluster: &mut Cluster<'_>,
    (index, victim): (usize, &mut Victim),
    (sequence, begun, span): (u32, Instant, Duration),
    may_kill: bool,
    (rng, tally): (&mut Rng, &mut Tally),
) -> Result<()> {
    let now = Instant::now();
    if let Some(back) = victim.back {
        if now >= back {
            cluster.switch_on(index)?;
            (victim.back, victim.awaited) = (None, Some(now));
        }
        return Ok(());
    }
    let may_kill = may_kill && victim.kills < KILLS && victim.tries < TRIES && !victim.done;
    if may_kill && victim.due.is_none() {
        let aim = *victim.aim.get_or_insert_with(|| Aim::ALL[rng.usize(..Aim::ALL.len())]);
        let record = selector(&esp01::read_flash(&cluster.boards[index].0.flash())?)?.record();
        if aim.has_begun(record.filter(|record| record.choice.image == sequence)) {
            let from = if aim == Aim::Anything && victim.kills == 0 { begun } else { now };
            victim.due = Some((from + aim.delay(rng, span)).max(now));
        }
    }
    if may_kill && victim.due.is_some_and(|due| now >= due) {
        let board = &mut cluster.boards[index].0;
        board.switch_off();
        let found = judge(&board.flash(), sequence)?;
        *tally.found.entry(found).or_default() += 1;
        tally.kills += 1;
        victim.kills += 1;
        victim.tries += u32::from(found != BEFORE);
        (victim.aim, victim.due) = (None, None);
        victim.back = Some(now + Duration::from_millis(rng.u64(..1_500)));
        return Ok(());
    }
    if victim.asked + ASK > now {
        return Ok(());
    }
    victim.asked = now;
    // One that starts does not answer.
    let Ok(state) = cluster.boards[index].1.get("/api/node/update") else {
        let silent = victim.awaited.map_or(Duration::ZERO, |since| since.elapsed());
        ensure!(silent < BOOT, "it has not answered for {} s since its start", silent.as_secs());
        return Ok(());
    };
    let (image, stage) = (&state["image"]["sequence"], &state["image"]["stage"]);
    ensure!(*image == sequence || *image == sequence - 1, "it runs another image: {state}");
    ensure!(state["quarantined"] != sequence, "it has given the image up: {state}");
    tally.starts += u32::from(victim.awaited.take().is_some());
    victim.done = *image == sequence && stage == "confirmed";
    Ok(())
}

impl Aim {
    /// Whether it can be told when a board is killed, of whose selector the record is that counts, if it is about the new image.
    fn has_begun(self, record: Option<Record>) -> bool {
        let trial = record.filter(|record| record.choice.stage == Stage::Trial);
        match self {
            Self::Anything => true,
            Self::Arming => trial.is_some(),
            Self::FirstStart | Self::Confirmation => trial.is_some_and(|it| it.boots > 0),
        }
    }
}

fn selector(flash: &[u8]) -> Result<Selector> {
    let [first, second] =
        SELECTOR.map(|sector| flash.get(sector.start as usize..).and_then(|it| it.first_chunk()));
    let (first, second) = first.zip(second).context("the flash ends within the selector")?;
    Ok(Selector::read(first, second))
}

/// What a board was killed in the midst of, as its flash tells.
///
/// # Errors
/// When the bootloader would not start the old or the new image from it.
fn judge(file: &Path, sequence: u32) -> Result<&'static str> {
    let flash = esp01::read_flash(file)?;
    let selector = selector(&flash)?;
    let Some(start) = esp01::start_of(flash) else {
        bail!("it is bricked: no slot of {} can be started", file.display())
    };
    let starts = start.header.sequence;
    ensure!(starts == sequence || starts == sequence - 1, "image {starts} would be started next");
    let record = selector.record().filter(|record| record.choice.image == sequence);
    Ok(match record {
        None => BEFORE,
        Some(record) if record.choice.stage == Stage::Trial && record.boots == 0 => {
            "on trial and not started yet"
        }
        Some(record) if record.choice.stage == Stage::Trial => "on trial",
        Some(_) if selector.settle().is_some() => "confirmed in one of two sectors",
        Some(_) => "confirmed",
    })
}
