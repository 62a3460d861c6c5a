//! Ticks of the scheduler, alone on the machine, in executed instructions.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Figure;
use crate::firmware::{self, Build, PanicStrategy};
use crate::machine::{self, Pace};

/// The program, and the feature that makes it measure.
const PACKAGE: &str = "difftest";
const FEATURE: &str = "cost";
/// What it prints last.
const END: &str = "END";
/// It needs some ten seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// The machine's nanoseconds are instructions then.
const PACE: Pace = Pace::Counted(0);
/// Instructions in a cycle of the machine's counter, 25 ns.
const PER_CYCLE: u64 = 25;
/// Instructions in a round of the loop of known length.
const PER_ROUND: u64 = 2;

/// The most that a tick may take at which nothing is due, and any other one, in instructions: 0.1 and 0.25 ms of the
/// chip's time, at the least.
const IDLE_LIMIT: u64 = 8_000;
const BUSY_LIMIT: u64 = 20_000;

/// What the program has counted, in cycles.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    /// Of the loop: how many rounds more, and how many cycles more.
    spin: (u64, u64),
    idle: Tally,
    busy: Tally,
    runs: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Tally {
    count: u64,
    total: u64,
    most: u64,
}

/// Builds the program as the firmware is built, and runs it.
///
/// # Errors
/// When it does not build or run, or when the machine does not count instructions.
pub(super) fn measure() -> Result<Vec<Figure>> {
    Counts::parse(&output()?)?.figures()
}

/// What the works of the differential test take on the LX106: name, how often each is done, and its instructions.
///
/// # Errors
/// As for [`measure`].
pub(crate) fn counted() -> Result<Vec<(String, u64, u64)>> {
    let output = output()?;
    // The loop of known length vouches for the counter.
    Counts::parse(&output)?.figures()?;
    let lines = output.lines().filter_map(|line| line.strip_prefix("WORK "));
    let works = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, count, cycles] = words[..] else { anyhow::bail!("odd line {line:?}") };
        Ok((name.to_owned(), count.parse()?, cycles.parse::<u64>()? * PER_CYCLE))
    });
    works.collect()
}

fn output() -> Result<String> {
    let order = Build {
        features: vec![FEATURE.to_owned()],
        panic: PanicStrategy::ImmediateAbort,
        ..Build::of(PACKAGE)
    };
    let image = firmware::build(&order)?;
    machine::run_to_line(&image.elf, "", PACE, END, PATIENCE)
}

impl Counts {
    fn parse(output: &str) -> Result<Self> {
        let numbers = |name: &str| -> Result<Vec<Vec<u64>>> {
            let rests = output.lines().filter_map(|line| line.strip_prefix(name));
            let numbers = rests.map(|rest| rest.split_whitespace().map(str::parse).collect());
            numbers.collect::<Result<_, _>>().with_context(|| format!("odd {name}in:\n{output}"))
        };
        let tally = |name| match numbers(name)?[..] {
            [ref one] if one.len() == 3 && one[0] > 0 => {
                Ok(Tally { count: one[0], total: one[1], most: one[2] })
            }
            _ => anyhow::bail!("not one {name}with three numbers in:\n{output}"),
        };
        let spins = numbers("SPIN ")?;
        let runs = numbers("RUNS ")?;
        ensure!(output.lines().any(|line| line.trim_end() == END), "no end of:\n{output}");
        match (&spins[..], &runs[..]) {
            ([short, long], [runs]) if short.len() == 2 && long.len() == 2 && runs.len() == 1 => {
                Ok(Self {
                    spin: (long[0].abs_diff(short[0]), long[1].abs_diff(short[1])),
                    idle: tally("IDLE ")?,
                    busy: tally("BUSY ")?,
                    runs: runs[0],
                })
            }
            _ => anyhow::bail!("not two SPIN and one RUNS in:\n{output}"),
        }
    }

    /// # Errors
    /// When the loop did not take as many instructions as it has.
    fn figures(&self) -> Result<Vec<Figure>> {
        let (known, counted) = (self.spin.0 * PER_ROUND, self.spin.1 * PER_CYCLE);
        ensure!(
            known > 0 && known.abs_diff(counted) <= known / 1_000,
            "a loop of {known} instructions was counted as {counted}: QEMU does not count instructions"
        );
        let Self { idle, busy, runs, .. } = self;
        let of = |cycles| cycles * PER_CYCLE;
        Ok(vec![
            Figure {
                line: format!(
                    "a tick of 16 tasks of which none is due takes {} instructions on average, at most {}",
                    of(idle.total) / idle.count,
                    of(idle.most)
                ),
                value: of(idle.most),
                limit: IDLE_LIMIT,
            },
            Figure {
                line: format!(
                    "a tick of 16 tasks with {}.{:02} runs on average takes {} instructions on average, at most {}",
                    runs / busy.count,
                    runs * 100 / busy.count % 100,
                    of(busy.total) / busy.count,
                    of(busy.most)
                ),
                value: of(busy.most),
                limit: BUSY_LIMIT,
            },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "SPIN 1000 90\r\nSPIN 11000 890\r\nIDLE 10 1100 120\r\nBUSY 4 1000 500\r\n\
                          RUNS 9\r\nEND\r\n";

    #[test]
    fn cycles_become_instructions() {
        let figures = Counts::parse(OUTPUT).unwrap().figures().unwrap();
        let [idle, busy] = &figures[..] else { panic!("{figures:?}") };
        assert_eq!((idle.value, busy.value), (3_000, 12_500));
        assert!(idle.line.ends_with("takes 2750 instructions on average, at most 3000"));
        assert!(busy.line.contains("with 2.25 runs on average takes 6250 instructions"));
    }

    #[test]
    fn a_machine_that_does_not_count_instructions_is_noticed() {
        let counts = Counts::parse(&OUTPUT.replace("890", "900")).unwrap();
        let error = counts.figures().unwrap_err().to_string();
        assert!(error.contains("20000 instructions was counted as 20250"), "{error}");
    }

    #[test]
    fn output_that_is_not_whole_is_an_error() {
        for missing in ["END\r\n", "RUNS 9\r\n", "IDLE 10 1100 120\r\n", "SPIN 1000 90\r\n", " 500"]
        {
            assert!(Counts::parse(&OUTPUT.replace(missing, "")).is_err(), "{missing}");
        }
        assert!(Counts::parse(&OUTPUT.replace("1100", "FAULT")).is_err());
    }
}
