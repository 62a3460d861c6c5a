//! The watchdog: a handler that does not return makes the process start again.
//!
//! A node runs on one thread, so such a handler takes the node with it. On a board the chip's software watchdog resets the
//! machine after three seconds. Here a thread does the same: it replaces the process by a new one with the same arguments (`execve`), which
//! keeps its number and lets go of everything else. Whose handler it was is handed on in a variable of the environment, which
//! is gone when the process ends: so it is forgotten when the node is stopped, as a board forgets it when it is switched
//! off.

use crate::crash::Scene;
use log::error;
use spore_core::crash::Cause;
use spore_node::Named;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, abort};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a handler may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_millis(100);

/// After so long, a restart is not in a row with the one before.
const HEALTHY: Duration = Duration::from_secs(600);

/// Where the names of those that did not return are, and how often: `NAME=COUNT,…`.
const VARIABLE: &str = "SPORE_SPROCKET_RESTARTS";

/// How often in a row the process was started again because of `sprocket`.
pub(crate) fn restarts(sprocket: Named) -> u8 {
    let marks = marks();
    marks.iter().find(|(name, _)| name == sprocket.name).map_or(0, |(_, count)| *count)
}

/// Whether the process was started by a watchdog.
pub(crate) fn has_bitten() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

fn marks() -> Vec<(String, u8)> {
    parse(&std::env::var(VARIABLE).unwrap_or_default())
}

fn parse(text: &str) -> Vec<(String, u8)> {
    let marks = text.split(',').filter_map(|mark| mark.split_once('='));
    marks.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

/// The marks, with one more for `name`; if the node was healthy before, it is the first.
fn marked(mut marks: Vec<(String, u8)>, name: &str, healthy: bool) -> String {
    if healthy {
        marks.clear();
    }
    match marks.iter_mut().find(|(marked, _)| marked == name) {
        Some((_, count)) => *count = count.saturating_add(1),
        None => marks.push((name.to_owned(), 1)),
    }
    let marks: Vec<_> = marks.iter().map(|(name, count)| format!("{name}={count}")).collect();
    marks.join(",")
}

/// Whose handler runs, and since when.
type Running = Arc<Mutex<Option<(&'static str, Instant)>>>;

/// A thread that watches the handlers of one node for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watchdog {
    running: Running,
    /// Its end is the thread's.
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    /// Watches the node `hostname`, which starts now. If it bites, that is written down at the `scene`.
    pub(crate) fn start(hostname: &str, scene: Option<Scene>) -> Self {
        let (alive, end) = mpsc::channel();
        let running = Running::default();
        let (watched, hostname) = (Arc::clone(&running), hostname.to_owned());
        let started = Instant::now();
        let watch = move || {
            while end.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                let found = *lock(&watched);
                if let Some((name, _)) = found.filter(|(_, since)| since.elapsed() > PATIENCE) {
                    error!("{hostname}: the sprocket {name} does not return; starting again");
                    if let Some(scene) = &scene {
                        scene.record(Cause::Watchdog, &format!("{name} does not return"));
                    }
                    start_again(name, started.elapsed() > HEALTHY);
                }
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch).expect("there is a thread");
        Self { running, _alive: alive }
    }

    /// A handler of `name` begins. It has ended when what is returned is dropped.
    pub(crate) fn watch(&self, name: &'static str) -> Watched<'_> {
        *lock(&self.running) = Some((name, Instant::now()));
        Watched(self)
    }
}

/// A handler that runs.
pub(crate) struct Watched<'w>(&'w Watchdog);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        *lock(&self.0.running) = None;
    }
}

/// A thread that panicked here has left nothing half done.
fn lock(running: &Running) -> MutexGuard<'_, Option<(&'static str, Instant)>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces this process by a new one.
fn start_again(name: &str, healthy: bool) -> ! {
    if let Ok(program) = std::env::current_exe() {
        let arguments = std::env::args_os().skip(1);
        let marks = marked(marks(), name, healthy);
        // It returns only if it could not.
        let error = Command::new(program).args(arguments).env(VARIABLE, marks).exec();
        error!("cannot start again: {error}");
    }
    abort()
}

#[cfg(test)]
mod tests {
    use super::{Watchdog, marked, parse};

    #[test]
    fn restarts_are_counted_in_a_row() {
        assert_eq!(marked(parse(""), "relay", false), "relay=1");
        assert_eq!(marked(parse("relay=1"), "relay", false), "relay=2");
        assert_eq!(marked(parse("relay=2"), "blink", false), "relay=2,blink=1");
        assert_eq!(marked(parse("relay=2,blink=1"), "blink", true), "blink=1");
        assert_eq!(marked(parse("relay=255,,x,y=z"), "relay", false), "relay=255");
    }

    #[test]
    fn what_returns_is_let_live() {
        let watchdog = Watchdog::start("node", None);
        for _ in 0..3 {
            let watched = watchdog.watch("blink");
            std::thread::sleep(std::time::Duration::from_millis(150));
            drop(watched);
        }
    }
}
