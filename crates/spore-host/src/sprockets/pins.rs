//! What stands in for pins and sensors on a PC.

use embedded_hal::digital::{ErrorType, OutputPin};
use std::convert::Infallible;
use std::path::PathBuf;

/// An output that is printed whenever it changes: `pin NAME: high`.
#[derive(Clone, Debug)]
pub struct PrintedPin {
    name: String,
    high: Option<bool>,
}

impl PrintedPin {
    /// The pin `name`, which was never set.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), high: None }
    }

    fn set(&mut self, high: bool) {
        if self.high.replace(high) != Some(high) {
            use std::io::Write as _;
            let level = if high { "high" } else { "low" };
            // Who does not read on does not want to know.
            let _ = writeln!(std::io::stdout(), "pin {}: {level}", self.name);
        }
    }
}

impl ErrorType for PrintedPin {
    type Error = Infallible;
}

impl OutputPin for PrintedPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(true);
        Ok(())
    }
}

/// A sensor whose value goes up or down by at most one from one reading to the next.
#[derive(Clone, Debug)]
pub struct RandomWalk {
    value: i32,
    random: fastrand::Rng,
}

impl RandomWalk {
    /// A walk that begins at `value`.
    pub fn new(value: i32) -> Self {
        let seed = getrandom::u64().expect("the operating system gives entropy");
        Self { value, random: fastrand::Rng::with_seed(seed) }
    }

    /// The next value.
    pub fn read(&mut self) -> i32 {
        self.value = self.value.saturating_add(self.random.i32(-1..=1));
        self.value
    }
}

/// A sensor that reads a number from a file: write into it what is to be measured.
#[derive(Clone, Debug)]
pub struct ReadFile {
    path: PathBuf,
    last: i32,
}

impl ReadFile {
    /// The file at `path`. Until there is a whole number in it, the value is 0.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, last: 0 }
    }

    /// What is in the file, or what was, if it is no whole number now.
    pub fn read(&mut self) -> i32 {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        self.last = text.trim().parse().unwrap_or(self.last);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::{RandomWalk, ReadFile};

    #[test]
    fn a_walk_makes_small_steps() {
        let mut walk = RandomWalk::new(20);
        let mut before = 20;
        for _ in 0..1000 {
            let value = walk.read();
            assert!((value - before).abs() <= 1);
            before = value;
        }
        assert_eq!(RandomWalk { value: i32::MAX, ..walk }.read().saturating_add(1), i32::MAX);
    }

    #[test]
    fn a_file_says_what_is_measured() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let mut file = ReadFile::new(path.clone());
        assert_eq!(file.read(), 0);
        for (text, value) in [("21\n", 21), ("", 21), ("-5", -5), ("cold", -5)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file.read(), value);
        }
    }
}
