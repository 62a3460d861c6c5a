//! `cargo xtask sdk-emu`: the stand-in for Espressif's SDK, held to what the SDK's C interface promises.
//!
//! A test program of ours (`firmware/sdk-test`) is linked with the stand-in as a node would be, and started in QEMU from a
//! flash file, by the bootloader that ships. Then the node is run so. Nothing of Espressif's is needed.

mod crash;
mod damage;
mod link;
pub(crate) mod machine;
pub(crate) mod node;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use spore_boot::map::{CONFIGURATION, PHY_DATA, Region, Slot};

use crate::emu::esp01;
use crate::firmware::Build;
use crate::paths;
pub(crate) use crash::{BREAKS, Functions};
pub(crate) use link::{StandIn, bootloader, flash, labelled};
use machine::{Machine, Wire};
pub(crate) use node::settings;

/// The program that calls the stand-in.
const TEST: &str = "sdk-test";
/// Its last line.
const END: &str = "END";
/// How long a machine may take: the longest one waits some 20 s for networks that come and go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Run the stand-in for Espressif's SDK against what its interface promises.
#[derive(Args)]
pub(crate) struct SdkEmu {
    /// Fail if firmware/Cargo.lock would change.
    #[arg(long)]
    locked: bool,
    /// The program `spore`, which makes the node's settings [default: it is built].
    #[arg(long)]
    spore: Option<PathBuf>,
    /// How many flash files of a node with a wrong bit at random, for each part of the flash.
    #[arg(long, default_value_t = 2)]
    flips: usize,
}

/// One machine, and how it must end.
struct Part {
    name: &'static str,
    /// Which part of the test runs: the first word of the configuration.
    number: u32,
    /// The networks around it.
    air: &'static str,
    /// Whether the radio's parameters are in flash.
    phy_data: bool,
    /// The last line begins so.
    last: &'static str,
    /// How the lines begin that say `FAULT`, in their order.
    faults: &'static [&'static str],
    /// The least number of checks that must have passed.
    checks: usize,
}

const AIR: &str = "home:secret1234:6;down@16;up@22:11;attic::1:-80";

const PARTS: [Part; 4] = [
    Part {
        name: "machine",
        number: 1,
        air: "",
        phy_data: true,
        last: END,
        faults: &["FAULT soft watchdog at 0x4", "FAULT cause 15 epc 0x4"],
        checks: 32,
    },
    Part { name: "wifi", number: 2, air: AIR, phy_data: true, last: END, faults: &[], checks: 24 },
    Part {
        name: "block given back twice",
        number: 3,
        air: "",
        phy_data: true,
        last: "FAULT the block at",
        faults: &["FAULT the block at"],
        checks: 1,
    },
    Part {
        name: "blank radio parameters",
        number: 1,
        air: "",
        phy_data: false,
        last: "FAULT there are no parameters for the radio",
        faults: &["FAULT there are no parameters for the radio"],
        checks: 1,
    },
];

impl SdkEmu {
    /// Runs the test.
    ///
    /// # Errors
    /// When something does not build, or the stand-in does not do what it must.
    pub(crate) fn run(self) -> Result<()> {
        let started = Instant::now();
        let stand_in = StandIn::build(self.locked)?;
        let order = Build { locked: self.locked, ..Build::of(TEST) };
        let whole = flash(self.locked, &stand_in.image(&order, Slot::A)?.0, None)?;
        let folder = paths::firmware_target().join("sdk-emu");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut checks = 0;
        for part in &PARTS {
            let mut flash = whole.clone();
            if !part.phy_data {
                flash[range(PHY_DATA)].fill(0xFF);
            }
            flash[range(CONFIGURATION)][..4].copy_from_slice(&part.number.to_le_bytes());
            let file = folder.join(format!("{}.flash", part.name.replace(' ', "-")));
            esp01::write_flash(&file, &flash)?;
            let machine = Machine {
                board: stand_in.machine(&file),
                id: 258,
                air: part.air,
                pokes: "",
                wire: Wire::Echo,
                log: file.with_extension("log"),
            };
            let output = machine.run_to(part.last, part.faults.len(), PATIENCE)?;
            checks += part.judge(&output).with_context(|| {
                format!("part \"{}\", see {}", part.name, machine.log.display())
            })?;
            if part.number == 1 && part.phy_data {
                outlives(&flash, &file)?;
                checks += 1;
            }
        }
        arguments_are_read(&stand_in, &whole, folder.join("arguments.flash"))?;
        checks += node::check(&stand_in, &folder, &self).context("the node on the stand-in")?;
        println!("sdk-emu: {} checks hold ({:.0} s)", checks + 1, started.elapsed().as_secs_f32());
        Ok(())
    }
}

impl Part {
    /// How many checks have passed.
    ///
    /// # Errors
    /// When something went wrong that was not to, or did not that was.
    fn judge(&self, output: &str) -> Result<usize> {
        let faults: Vec<&str> = output.lines().filter(|line| is_failure(line)).collect();
        let expected = faults.len() == self.faults.len()
            && faults.iter().zip(self.faults).all(|(line, start)| line.starts_with(start));
        ensure!(expected, "it has failed otherwise than it was to: {faults:#?}");
        let passed = output.lines().filter(|line| line.starts_with("ok ")).count();
        ensure!(passed >= self.checks, "only {passed} checks were made, of {}", self.checks);
        Ok(passed)
    }
}

fn is_failure(line: &str) -> bool {
    ["FAULT", "PANIC", "BOOT ERROR"].iter().any(|start| line.starts_with(start))
}

/// What the machine has written is in the file when it is gone, and nothing else has changed.
fn outlives(before: &[u8], file: &Path) -> Result<()> {
    let after = esp01::read_flash(file)?;
    let settings = range(CONFIGURATION);
    let written = &after[settings.start + 0x1000..][..4];
    ensure!(
        written == 0x1234_5678_u32.to_le_bytes(),
        "what was written to flash is not in {}: {written:02x?}",
        file.display()
    );
    let changed = (0..after.len()).find(|at| !settings.contains(at) && before[*at] != after[*at]);
    ensure!(changed.is_none(), "nobody has written to {changed:#x?} of {}", file.display());
    Ok(())
}

/// Arguments that make no sense end in one clear line.
fn arguments_are_read(stand_in: &StandIn, flash: &[u8], file: PathBuf) -> Result<()> {
    esp01::write_flash(&file, flash)?;
    let machine = Machine {
        board: stand_in.machine(&file),
        id: 1,
        air: "home:short:6",
        pokes: "",
        wire: Wire::Echo,
        log: file.with_extension("log"),
    };
    let output = machine.run_to("BOOT ERROR", 0, PATIENCE)?;
    let expected = "BOOT ERROR 'home:short:6' in air= must be a network with a password of 8 to 63";
    ensure!(output.contains(expected), "bad arguments end in:\n{output}");
    Ok(())
}

fn range(region: Region) -> std::ops::Range<usize> {
    region.start as usize..region.end() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_must_be_the_expected_ones() {
        let part = &PARTS[0];
        let checks = "ok a\n".repeat(part.checks);
        let good = format!(
            "{checks}FAULT soft watchdog at 0x40203010\nFAULT cause 15 epc 0x40203010\nEND\n"
        );
        assert!(part.judge(&good).is_ok());
        assert!(part.judge(&good.replace("cause 15", "cause 28")).is_err());
        assert!(part.judge(&format!("{good}PANIC more\n")).is_err());
        assert!(part.judge(&good.replacen("ok", "no", 1)).is_err());
        assert!(part.judge("END\n").is_err());
    }
}
