//! `cargo xtask fuzz`: junk never panics (promise F1). libFuzzer drives the targets of `fuzz/`, by the stable compiler.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::{paths, process, toolchain};

/// What lets libFuzzer see where a run has been: flags of LLVM that need no unstable option of rustc.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// The most bytes of an input.
const LONGEST: usize = 1_024;
/// An input that takes longer hangs.
const PATIENCE_SECONDS: u32 = 10;
/// The most inputs that are kept of a target, and their most bytes.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 13 * 1_024;

/// Hand junk to everything that reads bytes which others have written.
///
/// A finding is written to target/fuzz/findings, and named together with the command that repeats it.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// These targets only; fuzz/src/lib.rs lists them [default: all].
    targets: Vec<String>,
    /// How many inputs each is given.
    #[arg(long, default_value_t = 50_000)]
    runs: u64,
    /// The seed of the first input.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Choose the corpus that is checked in anew, from it and from what was found.
    #[arg(long)]
    keep: bool,
}

impl Fuzz {
    /// Builds the targets, and gives each its inputs.
    ///
    /// # Errors
    /// When a target panics or hangs, or libFuzzer cannot be built.
    pub(crate) fn run(self) -> Result<()> {
        let all: Vec<String> =
            spore_fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        for name in &self.targets {
            ensure!(all.contains(name), "there is no target {name}; there are {all:?}");
        }
        let program = build()?;
        let targets = if self.targets.is_empty() { &all } else { &self.targets };
        let mut least = u64::MAX;
        for name in targets {
            let start = Instant::now();
            let runs = self.drive(&program, name)?;
            println!(
                "fuzz: {name:<9} {runs} runs, 0 findings ({:.0} s)",
                start.elapsed().as_secs_f32()
            );
            least = least.min(runs);
            if self.keep {
                keep(name)?;
            }
        }
        println!("promise F1 targets={} runs={least} panics=0 hangs=0", targets.len());
        Ok(())
    }

    /// Gives one target its inputs: how many there were.
    fn drive(&self, program: &Path, name: &str) -> Result<u64> {
        let (found, checked_in) = (found(name), corpus(name));
        for folder in [&found, &checked_in] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let findings = folder().join("findings").join(name);
        fs::create_dir_all(&findings)?;
        let mut command = Command::new(program);
        command.env("SPORE_FUZZ_TARGET", name).stdin(Stdio::null());
        command.arg(format!("-runs={}", self.runs)).arg(format!("-seed={}", self.seed));
        command.arg(format!("-max_len={LONGEST}")).arg(format!("-timeout={PATIENCE_SECONDS}"));
        command.arg(format!("-artifact_prefix={}/", findings.display()));
        command.args(["-print_final_stats=1", "-rss_limit_mb=1024"]).args([&found, &checked_in]);
        let output = process::output(&mut command)?;
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let telling = text.lines().filter(|line| {
                line.contains("panicked")
                    || line.contains("ERROR")
                    || line.contains("Test unit written")
            });
            let telling: Vec<&str> = telling.collect();
            bail!(
                "{name} does not stand its input:\n{}\nrepeat it with: SPORE_FUZZ_TARGET={name} {} FILE",
                telling.join("\n"),
                program.display()
            );
        }
        let runs =
            text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let runs = runs.and_then(|runs| runs.trim().parse().ok());
        let runs: u64 = runs.context("libFuzzer does not say how many inputs it has tried")?;
        ensure!(runs >= self.runs, "libFuzzer has tried {runs} inputs only");
        Ok(runs)
    }
}

fn folder() -> PathBuf {
    paths::repository().join("target/fuzz")
}

/// The inputs that were found to go somewhere new.
fn found(name: &str) -> PathBuf {
    folder().join("corpus").join(name)
}

/// The inputs that are checked in.
fn corpus(name: &str) -> PathBuf {
    paths::repository().join("fuzz/corpus").join(name)
}

/// Builds libFuzzer with all targets.
fn build() -> Result<PathBuf> {
    let triple = process::run(Command::new("rustc").arg("-vV"))?;
    let triple = triple.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple.context("rustc does not say what machine this is")?.to_owned();
    let mut cargo = toolchain::cargo_for_host();
    // With a target, so that build scripts and macros are compiled without these flags.
    cargo.args(["build", "--release", "--quiet", "--target", &triple]);
    cargo.arg("--manifest-path").arg(paths::repository().join("fuzz/guided/Cargo.toml"));
    cargo.arg("--target-dir").arg(folder()).env("RUSTFLAGS", COVERAGE.join(" "));
    process::run(&mut cargo).context("libFuzzer's program does not build; it needs g++")?;
    Ok(folder().join(triple).join("release/spore-fuzz-guided"))
}

/// Chooses the corpus anew: of all inputs those that say what no shorter one has said, the shortest first.
fn keep(name: &str) -> Result<()> {
    let (_, run) = spore_fuzz::target(name).context("it is a target")?;
    let mut inputs = Vec::new();
    for folder in [corpus(name), found(name)] {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            inputs.push(fs::read(entry?.path())?);
        }
    }
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut bytes = 0;
    for input in inputs {
        let mut said = String::new();
        run(&input, &mut |what| said += shape(&what.to_string()).as_str());
        if bytes + input.len() > KEPT_BYTES || kept.len() == KEPT || kept.contains_key(&said) {
            continue;
        }
        bytes += input.len();
        kept.insert(said, input);
    }
    let folder = corpus(name);
    fs::remove_dir_all(&folder)?;
    fs::create_dir_all(&folder)?;
    for input in kept.values() {
        let digest = Sha256::digest(input);
        let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.join(name), input)?;
    }
    println!("fuzz: {name:<9} keeps {} inputs of {bytes} bytes", kept.len());
    Ok(())
}

/// What was said without its numbers: by that inputs are told apart.
fn shape(said: &str) -> String {
    said.chars().filter(|letter| letter.is_alphabetic()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn inputs_that_differ_in_numbers_are_alike() {
        assert_eq!(shape("Ping(1) [2]"), shape("Ping(9) [3]"));
        assert_ne!(shape("Ping(1)"), shape("Ack(1)"));
    }
}
