//! How late the runs of a task are on an emulated board, in the board's own time.
//!
//! The task is paced anew, so that it is due on a grid that begins then. A sample is the board's list of tasks: it tells
//! how many runs there were, and when the last one began. Where the grid lies is not told; it is taken from the run that
//! was the earliest on it while nobody but us asked anything of the board.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Figure;
use crate::e2e::api::Api;
use crate::e2e::signed::{self, Order};
use crate::emu::board::Kit;
use crate::emu::cluster::{self, Cluster, Plan};
use crate::emu::crowd::Crowd;
use crate::emu::secret::{self, Secret};
use crate::emu::switch::Faults;
use crate::machine::Pace;
use crate::paths;

/// 16 ns an instruction.
const PACE: Pace = Pace::Counted(4);

/// A task of the firmware, and the interval that it is given, in milliseconds.
const TASK: &str = "blink";
const INTERVAL_MS: u64 = 100;
/// What remains of the interval when it is asked for, in milliseconds: the answer is made in between two runs.
const ASKED_BEFORE_MS: u64 = 50;

/// Members without machines; with the board they are as many as a board can list.
const CROWD: u8 = 63;
/// Clients that ask for the list of members; we have the third of the board's seats.
const CLIENTS: usize = 2;

/// How long the board may take to know all.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// How long it may refuse.
const PATIENCE: Duration = Duration::from_secs(10);

/// A board closes a connection that is idle for longer than two seconds.
const KEPT: Duration = Duration::from_secs(1);
/// Between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The least share of the runs of which a sample tells, in percent, for the figures to say something.
const SEEN_LEAST: u64 = 50;

/// How late 99 of 100 runs may be, in milliseconds: alone, in a large cluster, and under requests. The latest one of all
/// is this computer's matter, too: if it has much else to do, it wakes a sleeping board some milliseconds late.
const LIMITS_MS: [u64; 3] = [5, 5, 10];

/// What the board tells of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    runs: u64,
    missed: u64,
    /// When the last run began, in milliseconds since the board's start.
    started_ms: u64,
    /// Until the next due time.
    next_ms: u64,
}

/// The samples of one situation, each of another run.
#[derive(Debug, Default)]
struct Watch {
    samples: Vec<Sample>,
}

/// Watches the task on boards, so many seconds in each situation.
///
/// # Errors
/// When something does not build, or a board does not start, does not answer, restarts, or is no good member of its cluster.
pub(super) fn measure(seconds: u64) -> Result<Vec<Figure>> {
    let span = Duration::from_secs(seconds);
    let kit = Kit::build(&folder())?;
    let alone = watch_board(&kit, 0, |api| Ok(vec![watch(api, span)?]))?;
    let crowded = watch_board(&kit, CROWD, |api| {
        Ok(vec![watch(api, span)?, under_requests(api, || watch(api, span))?])
    })?;
    let names = [
        "alone in its cluster".to_owned(),
        format!("in a cluster of {} members", u16::from(CROWD) + 1),
        format!("in such a cluster, asked for its members by {CLIENTS} HTTP clients"),
    ];
    let mut figures = Vec::new();
    for ((watches, first), names) in
        [(alone, 0), (crowded, 1)].iter().zip([&names[..1], &names[1..]])
    {
        let origin = watches.first().and_then(Watch::earliest).context("no sample")?;
        for ((watch, name), limit) in watches.iter().zip(names).zip(&LIMITS_MS[*first..]) {
            figures.push(watch.figure(name, origin, *limit)?);
        }
    }
    Ok(figures)
}

fn folder() -> PathBuf {
    paths::repository().join("target/cost")
}

/// Starts a board with so many members beside it, paces its task, and hands it over.
fn watch_board(
    kit: &Kit,
    crowd: u8,
    watch: impl FnOnce(&Api) -> Result<Vec<Watch>>,
) -> Result<Vec<Watch>> {
    let folder = folder();
    let plan = Plan {
        boards: 1,
        base_port: cluster::free_base_port(1)?,
        key: secret::random()?,
        crowd: Crowd { members: crowd },
        faults: Faults { loss: 0.0, broadcast_loss: 0.0, latency: Duration::ZERO, seed: 1 },
        pace: PACE,
        kit,
        folder: &folder,
    };
    let mut cluster = Cluster::start(&plan)?;
    let api = Api {
        name: "the board".to_owned(),
        address: [127, 0, 0, 1].into(),
        port: plan.base_port + 1,
    };
    wait_for_members(&api, usize::from(crowd) + 1)?;
    pace_task(&api, &plan.key)?;
    let watches = watch(&api)?;
    if let Some((_, report)) = cluster.next_event(Duration::ZERO)? {
        bail!("the board did not last: {report:?}; see {}", folder.display());
    }
    let verdict = cluster.verdict();
    ensure!(verdict.died == 0, "the board was held for dead {} times", verdict.died);
    Ok(watches)
}

fn wait_for_members(api: &Api, count: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let active = api.members().map(|all| all.values().filter(|m| m.status == "active").count());
        if active.as_ref().is_ok_and(|active| *active == count) {
            return Ok(());
        }
        ensure!(start.elapsed() < JOIN_LIMIT, "not {count} active members: {active:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Gives the task its interval, and waits until it has run in that.
fn pace_task(api: &Api, key: &Secret) -> Result<()> {
    let (path, body) = (format!("/api/tasks/{TASK}"), json!({"interval_ms": INTERVAL_MS}));
    let order = Order { method: "PATCH", path: &path, body: &body };
    let paced = signed::send(api, key, order, "200")?;
    // The last run may still be one of the interval before.
    let runs_of = |task: &Value| task["runs"].as_u64().context("a task without runs");
    let (runs, start) = (runs_of(&paced)?, Instant::now());
    let eye = Eye::new(api);
    while runs_of(&eye.task()?)? <= runs {
        ensure!(start.elapsed() < PATIENCE, "{TASK} does not run");
        std::thread::sleep(Duration::from_millis(INTERVAL_MS));
    }
    Ok(())
}

/// Samples the task for this long.
fn watch(api: &Api, span: Duration) -> Result<Watch> {
    let (eye, start, mut watch) = (Eye::new(api), Instant::now(), Watch::default());
    while start.elapsed() < span {
        let sample = Sample::read(&eye.task()?)?;
        watch.add(sample);
        std::thread::sleep(Duration::from_millis(sample.next_ms + ASKED_BEFORE_MS));
    }
    Ok(watch)
}

/// Does `what` while clients ask for the list of members, each for one after another.
fn under_requests<T>(api: &Api, what: impl FnOnce() -> Result<T>) -> Result<T> {
    let (over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let listed = api.members().is_ok_and(|list| list.len() > usize::from(CROWD));
                    answers.fetch_add(u64::from(listed), Ordering::Relaxed);
                }
            });
        }
        let start = Instant::now();
        let done = what();
        over.store(true, Ordering::Relaxed);
        let (answers, seconds) = (answers.load(Ordering::Relaxed), start.elapsed().as_secs());
        println!("  {answers} lists of members in {seconds} s, for {CLIENTS} clients");
        ensure!(answers > seconds, "{answers} answers in {seconds} s are no load");
        done
    })
}

/// Looks at the task, over a connection that stays: a board that is closing others makes a new one wait for a second.
struct Eye {
    agent: ureq::Agent,
    url: String,
}

impl Eye {
    fn new(api: &Api) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_idle_age(KEPT)
            .proxy(None)
            .build();
        let url = format!("http://{}:{}/api/tasks", api.address, api.port);
        Self { agent: ureq::Agent::new_with_config(config), url }
    }

    /// The task, as the board lists it.
    ///
    /// # Errors
    /// When it is not there, or the board does not answer for a while.
    fn task(&self) -> Result<Value> {
        let start = Instant::now();
        let list = loop {
            let answer = self.agent.get(&self.url).call();
            match answer.and_then(|mut answer| answer.body_mut().read_json::<Value>()) {
                Ok(list) => break list,
                // It refuses, or has closed the connection.
                Err(_) if start.elapsed() < PATIENCE => std::thread::sleep(RETRY_PAUSE),
                Err(error) => return Err(error).context("the board does not list its tasks"),
            }
        };
        let mut tasks = list["tasks"].as_array().into_iter().flatten();
        let task = tasks.find(|task| task["name"] == TASK).cloned();
        task.with_context(|| format!("the board has no task {TASK}"))
    }
}

impl Sample {
    fn read(task: &Value) -> Result<Self> {
        let number = |field| task[field].as_u64().with_context(|| format!("{TASK}: no {field}"));
        ensure!(number("interval_ms")? == INTERVAL_MS, "{TASK} has another interval");
        Ok(Self {
            runs: number("runs")?,
            missed: number("missed")?,
            started_ms: number("last_started_ms")?,
            next_ms: number("next_ms")?,
        })
    }

    /// When the first run would have begun, had all been as late as this one; in milliseconds since the board's start,
    /// before which it may lie.
    fn origin(&self) -> i64 {
        let intervals = self.runs.saturating_add(self.missed).saturating_mul(INTERVAL_MS);
        self.started_ms.cast_signed() - intervals.cast_signed()
    }
}

impl Watch {
    fn add(&mut self, sample: Sample) {
        if self.samples.last().is_none_or(|last| last.runs != sample.runs) {
            self.samples.push(sample);
        }
    }

    fn earliest(&self) -> Option<i64> {
        self.samples.iter().map(Sample::origin).min()
    }

    /// How late the runs were, for a task whose first run was due at `origin`.
    ///
    /// # Errors
    /// When too few of the runs were seen.
    fn figure(&self, name: &str, origin: i64, limit: u64) -> Result<Figure> {
        let [first, .., last] = self.samples[..] else { bail!("{name}: fewer than two samples") };
        let (runs, missed) = (last.runs - first.runs + 1, last.missed - first.missed);
        let seen = self.samples.len() as u64;
        ensure!(seen * 100 >= runs * SEEN_LEAST, "{name}: only {seen} of {runs} runs were seen");
        let mut late: Vec<u64> =
            self.samples.iter().map(|sample| sample.origin().abs_diff(origin)).collect();
        late.sort_unstable();
        let (most, nearly_all) = (late[late.len() - 1], late[(late.len() * 99).div_ceil(100) - 1]);
        // A due time that was missed was an interval late, at least.
        let value = if missed > 0 { nearly_all.max(INTERVAL_MS) } else { nearly_all };
        Ok(Figure {
            line: format!(
                "a task with an interval of {INTERVAL_MS} ms, on a board {name}, is at most {most} ms late, in 99 of \
                 100 runs at most {nearly_all} ms: {seen} of {runs} runs looked at, {missed} missed"
            ),
            value,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch_of(samples: &[(u64, u64, u64)]) -> Watch {
        let mut watch = Watch::default();
        for &(runs, missed, started_ms) in samples {
            watch.add(Sample { runs, missed, started_ms, next_ms: 0 });
        }
        watch
    }

    #[test]
    fn lateness_is_that_against_the_earliest_run() {
        let quiet = watch_of(&[(10, 0, 5_007), (11, 0, 5_107), (11, 0, 5_107), (13, 0, 5_308)]);
        let origin = quiet.earliest().unwrap();
        assert_eq!(origin, 4_007);
        let figure = quiet.figure("alone", origin, 1).unwrap();
        assert_eq!(figure.value, 1);
        assert!(figure.line.ends_with("3 of 4 runs looked at, 0 missed"), "{}", figure.line);
        // All late alike, on the grid of before.
        let busy = watch_of(&[(20, 0, 6_011), (21, 0, 6_111)]);
        assert_eq!(busy.figure("busy", origin, 1).unwrap().value, 4);
    }

    #[test]
    fn a_missed_run_is_late_by_an_interval() {
        let watch = watch_of(&[(10, 2, 5_000), (11, 3, 5_200)]);
        let figure = watch.figure("held up", 3_800, 1).unwrap();
        assert_eq!(figure.value, INTERVAL_MS);
        assert!(figure.line.contains("at most 0 ms late") && figure.line.ends_with("1 missed"));
    }

    #[test]
    fn too_few_samples_say_nothing() {
        assert!(watch_of(&[(10, 0, 5_000)]).figure("x", 4_000, 1).is_err());
        assert!(watch_of(&[(10, 0, 5_000), (20, 0, 6_000)]).figure("x", 4_000, 1).is_err());
    }

    #[test]
    fn a_task_with_another_interval_is_no_sample() {
        let task = |interval| json!({"interval_ms": interval, "runs": 3, "missed": 1, "last_started_ms": 9, "next_ms": 4});
        let sample = Sample { runs: 3, missed: 1, started_ms: 9, next_ms: 4 };
        assert_eq!(Sample::read(&task(INTERVAL_MS)).unwrap(), sample);
        assert!(Sample::read(&task(500)).is_err());
        assert!(Sample::read(&json!({"interval_ms": INTERVAL_MS, "runs": 0})).is_err());
    }
}
