//! What a node leaves behind when it ends as it must not: a file in its folder, which the next start takes in.
//!
//! Its memory would be the wrong place, since it may be what was being written. A panic in a handler of a sprocket is none of
//! this: it ends the sprocket alone. A second file counts the crashes in a row.

use crate::sprockets;
use log::warn;
use spore_core::crash::{Cause, CrashRecord, in_a_row};
use spore_core::store::MAX_VALUE;
use std::cell::RefCell;
use std::fs;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Instant;

/// The file's name.
pub(crate) const FILE: &str = "crash";

/// That of the file beside it, with the number of crashes in a row.
const COUNT_FILE: &str = "crashes";

/// What a node finds that starts after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crash {
    /// The record; empty if there was none.
    pub(crate) record: Vec<u8>,
    /// The crashes in a row, this one included.
    pub(crate) count: u8,
}

/// Where to write down what happens to a node, and since when it runs.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    path: PathBuf,
    started: Instant,
}

impl Scene {
    /// The scene of a node that starts now, whose file is at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, started: Instant::now() }
    }

    /// Writes it down.
    pub(crate) fn record(&self, cause: Cause, message: &str) {
        let uptime = u32::try_from(self.started.elapsed().as_secs()).ok();
        let record =
            CrashRecord { uptime, message, ..CrashRecord::new(cause, env!("CARGO_PKG_VERSION")) };
        let mut value = [0; MAX_VALUE];
        let len = record.encode(&mut value);
        if let Err(error) = fs::write(&self.path, &value[..len]) {
            warn!("{}: cannot write: {error}", self.path.display());
        }
    }

    /// What was written down at an earlier time, which is forgotten with this. A start after no crash, as one that was asked for,
    /// ends the row.
    pub(crate) fn take(&self) -> Crash {
        let counts = self.path.with_file_name(COUNT_FILE);
        let record = fs::read(&self.path).unwrap_or_default();
        let Some(crash) = CrashRecord::decode(&record) else {
            // Mostly there is none.
            let _ = fs::remove_file(&counts);
            return Crash::default();
        };
        warn!("{}: the last run ended with a crash: {crash}", self.path.display());
        if let Err(error) = fs::remove_file(&self.path) {
            // It would be told of again and again.
            warn!("{}: cannot remove: {error}", self.path.display());
            return Crash::default();
        }
        let before = fs::read_to_string(&counts).ok().and_then(|text| text.trim().parse().ok());
        let count = in_a_row(before.unwrap_or(0), crash.uptime);
        if let Err(error) = fs::write(&counts, format!("{count}\n")) {
            warn!("{}: cannot write: {error}", counts.display());
        }
        Crash { record, count }
    }

    /// Has panics of this thread written down here, for as long as what this returns is there.
    pub(crate) fn watch(self) -> Watched {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let earlier = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                note(panic);
                earlier(panic);
            }));
        });
        HERE.set(Some(self));
        Watched(())
    }
}

thread_local! {
    static HERE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// A thread whose panics are written down.
#[derive(Debug)]
pub(crate) struct Watched(());

impl Drop for Watched {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

fn note(panic: &PanicHookInfo<'_>) {
    if sprockets::is_guarded() {
        return;
    }
    let text = panic.payload_as_str().unwrap_or("it panicked");
    let place = panic.location().map(|at| format!("{}:{}: ", at.file(), at.line()));
    let message = place.unwrap_or_default() + text;
    // A second one, while the first is being written down, is none of a node's.
    HERE.with(|here| {
        if let Ok(here) = here.try_borrow()
            && let Some(scene) = &*here
        {
            scene.record(Cause::Panic, &message);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{COUNT_FILE, Cause, Crash, CrashRecord, FILE, Scene};
    use crate::sprockets::catch;
    use std::panic::catch_unwind;

    #[test]
    fn a_panic_of_the_node_is_written_down_once_and_one_of_a_sprocket_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new(directory.path().join(FILE));
        let none = Crash::default();
        assert_eq!(scene.take(), none);
        let line = line!() + 4;
        let gone = catch_unwind(|| {
            let _watched = scene.clone().watch();
            catch(&mut || panic!("a sprocket")).unwrap_err();
            panic!("a \"node\"");
        });
        gone.unwrap_err();
        let Crash { record: value, count } = scene.take();
        assert_eq!(count, 1);
        let record = CrashRecord::decode(&value).unwrap();
        assert_eq!((record.cause, record.pc), (Cause::Panic, None));
        assert!(record.uptime.is_some_and(|uptime| uptime < 600), "{record:?}");
        assert!(record.message.ends_with(&format!("crash.rs:{line}: a ?node?")), "{record}");
        assert_eq!(scene.take(), none);
        catch_unwind(|| panic!("nobody's")).unwrap_err();
        assert_eq!(scene.take(), none, "nobody is watched any more");
        std::fs::write(directory.path().join(FILE), b"what is this").unwrap();
        assert_eq!(scene.take(), none);
    }

    #[test]
    fn crashes_are_counted_until_a_start_after_none() {
        let directory = tempfile::tempdir().unwrap();
        let crash = || {
            let scene = Scene::new(directory.path().join(FILE));
            scene.record(Cause::Watchdog, "");
            scene.take().count
        };
        assert_eq!([crash(), crash(), crash()], [1, 2, 3]);
        assert_eq!(Scene::new(directory.path().join(FILE)).take().count, 0);
        assert_eq!([crash(), crash()], [1, 2]);
        std::fs::write(directory.path().join(COUNT_FILE), b"many").unwrap();
        assert_eq!(crash(), 1);
    }
}
