//! What the stand-in for the mask ROM tells of a start: each access to flash, how deep the stack was, what was free of the heap. And
//! what of that may be.

use anyhow::{Context, Result, bail, ensure};
use spore_boot::map::{
    BOOTLOADER, CONFIGURATION, FLASH, PHY_DATA, REGIONS, RF_CALIBRATION, Region, SELECTOR,
    SYSTEM_PARAMETERS, Slot,
};

/// Commands to the flash that only read: who it is, and its two status registers.
const READING_COMMANDS: [&str; 3] = ["0x05", "0x35", "0x9f"];

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Phase {
    /// The bootloader.
    Bootloader,
    /// The SDK, up to its main loop, with our functions that it calls.
    Start,
    /// Its main loop, with the node's task.
    MainLoop,
}

impl Phase {
    /// What may be read, and what may be changed.
    fn may(self) -> (&'static [Region], &'static [Region]) {
        const CHECKED: [Region; 4] = [SELECTOR[0], SELECTOR[1], Slot::A.region(), Slot::B.region()];
        const SDK: [Region; 4] = [BOOTLOADER, RF_CALIBRATION, PHY_DATA, SYSTEM_PARAMETERS];
        const KEPT: [Region; 3] = [CONFIGURATION, SELECTOR[0], SELECTOR[1]];
        const NODE: [Region; 5] =
            [CONFIGURATION, SELECTOR[0], SELECTOR[1], Slot::A.region(), Slot::B.region()];
        match self {
            // No image is on trial here.
            Self::Bootloader => (&CHECKED, &[]),
            Self::Start => (&SDK, &[RF_CALIBRATION, SYSTEM_PARAMETERS]),
            // The node looks how it came to run, and confirms itself.
            Self::MainLoop => (&NODE, &KEPT),
        }
    }
}

/// What is done to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Erase,
}

/// One access to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) phase: Phase,
    pub(super) operation: Operation,
    pub(super) bytes: Region,
}

/// All that was told of a start.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) accesses: Vec<Access>,
    /// Bytes free of the SDK's heap when its main loop began.
    pub(super) heap: u64,
    /// Bytes of the stack, at most: up to the main loop, and from there on.
    pub(super) stack: [u64; 2],
}

impl Account {
    /// Reads the lines of a start.
    ///
    /// # Errors
    /// When the main loop does not begin, or there is an access to flash that may not be; the message says which.
    pub(super) fn of(lines: &[String]) -> Result<Self> {
        let mut account = Self::default();
        let mut phase = Phase::Bootloader;
        for line in lines {
            account.line(&mut phase, line).with_context(|| format!("\"{line}\""))?;
        }
        ensure!(
            phase == Phase::MainLoop,
            "the SDK has not come to its main loop, but to \"{}\"",
            lines.iter().rfind(|line| !line.is_empty()).map_or("", String::as_str)
        );
        Ok(account)
    }

    fn line(&mut self, phase: &mut Phase, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["boot:", "slot", ..] => *phase = Phase::Start,
            ["CHIP", "main", "loop"] => *phase = Phase::MainLoop,
            ["CHIP", "heap", bytes] => self.heap = bytes.parse()?,
            ["CHIP", "stack", bytes] => {
                let main_loop = usize::from(*phase == Phase::MainLoop);
                self.stack[main_loop] = self.stack[main_loop].max(bytes.parse()?);
            }
            ["CHIP", ..] => bail!("the chip is started anew"),
            ["FLASH", "command", command, ..] => {
                ensure!(READING_COMMANDS.contains(&command), "a command that changes the flash");
            }
            ["FLASH", operation, address, length, ended] => {
                let operation = match operation {
                    "read" => Operation::Read,
                    "write" => Operation::Write,
                    "erase" => Operation::Erase,
                    _ => bail!("nobody knows this access to flash"),
                };
                let digits = address.strip_prefix("0x").context("no address")?;
                let start = u32::from_str_radix(digits, 16)?;
                let bytes = Region { start, length: length.parse()? };
                let access = Access { phase: *phase, operation, bytes };
                access.judge()?;
                ensure!(ended == "ok", "an access that the ROM refuses");
                self.accesses.push(access);
            }
            ["FLASH", ..] => bail!("nobody knows this access to flash"),
            _ => {}
        }
        Ok(())
    }

    /// Whether there was such an access.
    pub(super) fn has(&self, operation: Operation, region: Region) -> bool {
        self.accesses.iter().any(|access| {
            access.operation == operation && region.holds(access.bytes.start, access.bytes.length)
        })
    }

    /// What was changed of these, before the main loop.
    pub(super) fn changed_at_start(&self) -> Vec<Access> {
        let changes = |access: &&Access| {
            access.operation != Operation::Read && access.phase < Phase::MainLoop
        };
        self.accesses.iter().filter(changes).copied().collect()
    }
}

impl Access {
    fn judge(&self) -> Result<()> {
        let Region { start, length } = self.bytes;
        let (read, change) = self.phase.may();
        let regions = if self.operation == Operation::Read { read } else { change };
        let is_touched =
            |region: Region| start < region.end() && region.start < start.saturating_add(length);
        let touched = REGIONS.iter().filter(|(_, region)| is_touched(*region));
        let mut touched: Vec<&str> = touched.map(|(name, _)| *name).collect();
        if start.saturating_add(length) > FLASH {
            touched.push("no flash");
        }
        ensure!(
            regions.iter().any(|region| region.holds(start, length)),
            "{:?} in {}, where {:?} has no business",
            self.operation,
            touched.join(" and "),
            self.phase
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 13] = [
        "ROM start from flash",
        "FLASH read 0x1000 256 ok",
        "FLASH read 0x7b000 256 ok",
        "boot: slot A, image 1",
        "FLASH read 0x0 4 ok",
        "FLASH command 0x35 at 0x40101035",
        "FLASH write 0xfd000 1188 ok",
        "CHIP stack 6304",
        "CHIP heap 11848",
        "CHIP main loop",
        "FLASH erase 0xf3000 4096 ok",
        "CHIP stack 3000",
        "CHIP stack 3408",
    ];

    fn account(lines: &[&str]) -> Result<Account> {
        Account::of(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    /// What is said when `line` stands in the place of the line with this number.
    fn said(number: usize, line: &str) -> String {
        let mut lines = GOOD;
        lines[number] = line;
        format!("{:#}", account(&lines).unwrap_err())
    }

    #[test]
    fn a_good_start_is_read() {
        let account = account(&GOOD).unwrap();
        assert_eq!((account.heap, account.stack), (11_848, [6_304, 3_408]));
        assert!(account.has(Operation::Read, BOOTLOADER));
        assert!(!account.has(Operation::Read, PHY_DATA));
        let changed = account.changed_at_start();
        assert_eq!((changed.len(), changed[0].bytes.start), (1, 0xF_D000));
    }

    #[test]
    fn accesses_have_their_places_in_each_phase() {
        for (number, line, part) in [
            (1, "FLASH write 0x1000 4 ok", "selector 0"),
            (1, "FLASH read 0xf3000 4 ok", "configuration"),
            (6, "FLASH erase 0x7d000 4096 ok", "slot B"),
            (6, "FLASH write 0xfc000 128 ok", "PHY data"),
            (6, "FLASH read 0xf3000 4 ok", "configuration"),
            (6, "FLASH write 0xfffe0 64 ok", "system parameters"),
            (6, "FLASH erase 0x1fd000 4096 refused", "in no flash"),
            (6, "FLASH read 0xff000 8192 ok", "system parameters and no flash"),
            (10, "FLASH write 0xfd000 4 ok", "system parameters"),
            (10, "FLASH erase 0x3000 4096 ok", "slot A"),
            (10, "FLASH read 0xfaffc 8 ok", "RF calibration"),
        ] {
            let said = said(number, line);
            assert!(said.contains(part) && said.contains("no business"), "{line}: {said}");
        }
    }

    #[test]
    fn what_is_not_known_or_fails_is_an_error() {
        for (number, line, part) in [
            (5, "FLASH command 0x01 at 0x40101035", "changes the flash"),
            (5, "FLASH controller 0x01000000 at 0x40101035", "nobody knows"),
            (5, "FLASH status 0x0", "nobody knows"),
            (5, "FLASH copy 0x0 4 ok", "nobody knows"),
            (6, "FLASH write 0xfd000 1188 refused", "refuses"),
            (6, "CHIP reset", "anew"),
        ] {
            let said = said(number, line);
            assert!(said.contains(part), "{line}: {said}");
        }
        let early = account(&GOOD[..9]).unwrap_err().to_string();
        assert!(early.contains("not come to its main loop, but to \"CHIP heap 11848\""), "{early}");
    }
}
