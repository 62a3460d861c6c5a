//! Which events were sent, in a file, so that the next gateway knows it.

use crate::events::Sent;
use anyhow::{Context as _, Result};
use log::warn;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// Before a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// What is remembered of the events that were sent.
pub struct Remembered {
    file: PathBuf,
    /// What the file has.
    sent: Sent,
    next: Instant,
    is_failing: bool,
}

impl Remembered {
    /// What was sent before, by the file; nothing if there is none.
    pub fn open(file: PathBuf) -> Result<Self> {
        let sent = recall(&file)?;
        Ok(Self { file, sent, next: Instant::now(), is_failing: false })
    }

    pub(crate) fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Writes down what was sent, if that has changed and was not done lately. A disk that does not take it is waited for.
    pub(crate) fn keep(&mut self, sent: &Sent, now: Instant) {
        if now < self.next || *sent == self.sent {
            return;
        }
        match self.write(sent) {
            Ok(()) => (self.next, self.is_failing) = (now + PAUSE, false),
            Err(error) => {
                self.next = now + RETRY;
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(
                        "{error:#}; all else goes on, events may be sent once more after a restart"
                    );
                }
            }
        }
    }

    /// Writes it down now, if it has changed.
    pub(crate) fn write(&mut self, sent: &Sent) -> Result<()> {
        if *sent == self.sent {
            return Ok(());
        }
        let text = serde_json::to_string(sent)?;
        let new = self.file.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &self.file))
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        self.sent = sent.clone();
        Ok(())
    }
}

fn recall(file: &Path) -> Result<Sent> {
    match fs::read(file) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            warn!("{} is damaged ({error}): events may be sent once more", file.display());
            Sent::default()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Sent::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::{RETRY, Remembered};
    use crate::events::Sent;
    use std::fs;
    use std::time::Instant;

    #[test]
    fn a_disk_that_takes_nothing_is_waited_for_and_only_the_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.json");
        let sent: Sent = [("1".to_owned(), (2, 3))].into_iter().collect();
        let (mut remembered, now) = (Remembered::open(file.clone()).unwrap(), Instant::now());
        // Nothing can be written there.
        let obstacle = folder.path().join("gateway.new");
        fs::create_dir(&obstacle).unwrap();
        remembered.keep(&sent, now);
        assert!(remembered.write(&sent).is_err() && *remembered.sent() == Sent::default());
        fs::remove_dir(&obstacle).unwrap();
        remembered.keep(&sent, now);
        assert!(!file.exists(), "it is not tried all the time");
        remembered.keep(&sent, now + RETRY);
        assert_eq!(*Remembered::open(file.clone()).unwrap().sent(), sent);
        fs::write(&file, "{").unwrap();
        assert_eq!(*Remembered::open(file).unwrap().sent(), Sent::default());
    }
}
