//! `cargo xtask sdk-main`: the image that people flash starts in QEMU, with Espressif's SDK in it, over the stand-in for the mask ROM.
//!
//! It is asked for explicitly, since the SDK's licence speaks of Espressif's chips. Decision 19 says what it shows.

mod account;
mod coverage;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use object::{Object as _, ObjectSymbol as _};
use spore_boot::map::{
    BOOTLOADER, CONFIGURATION, PHY_DATA, RF_CALIBRATION, Region, SELECTOR, SYSTEM_PARAMETERS, Slot,
};

use crate::budgets::{Bound, Budgets, Held, grouped, hold};
use crate::firmware::{self, Build};
use crate::rom::machine::{self, boot};
use crate::sdk_emu::{flash, labelled, settings};
use crate::{e2e, paths, rom, sdk};
use account::{Account, Operation};
use coverage::Ran;

/// The SDK's function that tells what is free of its heap.
const FREE_HEAP: &str = "system_get_free_heap_size";
/// The first line that the node writes when its radio has found no network, which is as far as it gets.
const NO_NETWORK: &str = "WIFI disconnected, reason 201";
/// What else must have been written by then: by the SDK with our partition table and our parameters of the radio, and by the node.
const LINES: [&str; 6] = [
    "phy_version: ",
    "mode : sta(18:fe:34:12:34:56)",
    "BOOT power-on",
    "SECOND STACK",
    "scandone",
    NO_NETWORK,
];
/// The function that breaks, as Rust names it: the node calls it whenever it comes to rest.
const BREAKS: &str = "<spore_core::node::Node>::poll_timeout";
/// What breaks it: the instructions that stand in its place, behind how many bytes of them it stops, and what SDK and node say.
type Break = (&'static str, &'static str, u64, [&'static str; 2]);
/// `ill`; and `movi.n a2, 1`, `slli a2, a2, 30`, `addi.n a2, a2, 1`, `l32i.n a3, a2, 0`, which the core in QEMU would stand.
const BREAKINGS: [Break; 2] = [
    ("illegal instruction", "000000", 0, ["Fatal exception 0", "BOOT panic"]),
    ("load that is not aligned", "0c122022011b223802", 7, ["Fatal exception 9", "BOOT exception"]),
];
/// Bytes of the stack before the main loop. Below its 8,176 is data of the mask ROM.
const STACK: u64 = 8_000;
/// The SDK says these bytes of the parameters of the radio as it has taken them: `rf[114] : 01`. (It says byte 112 as well, which it sets itself.)
const SAID_PARAMETERS: std::ops::Range<usize> = 113..115;

/// Start Espressif's own SDK, with the node, in QEMU, and check each access to flash, heap and stack.
#[derive(Args)]
pub(crate) struct SdkMain {
    /// Fail if firmware/Cargo.lock would change.
    #[arg(long)]
    locked: bool,
    /// The program `spore`, which makes the node's settings [default: it is built].
    #[arg(long)]
    spore: Option<PathBuf>,
}

/// The image for a slot.
struct Image {
    elf: PathBuf,
    /// What the slot holds.
    bytes: Vec<u8>,
    /// What the stand-in for the mask ROM is to be told.
    append: String,
    /// Bytes that it leaves for the SDK's heap.
    heap: u64,
}

/// What all starts have in common.
struct Bench {
    rom: PathBuf,
    folder: PathBuf,
    /// A flash as `./ctl.sh flash` leaves it, with the image in slot A.
    flash: Vec<u8>,
}

impl SdkMain {
    /// Runs all starts.
    ///
    /// # Errors
    /// When something does not build, or a start is not as it must be.
    pub(crate) fn run(self) -> Result<()> {
        let started = Instant::now();
        println!("{}", sdk::LICENCE);
        let folder = paths::firmware_target().join("sdk-main");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let [a, b] = images(self.locked)?;
        let spore = self.spore.map_or_else(e2e::build_spore, Ok)?;
        let claim = settings(&folder, &spore, None)?;
        let flash = flash(self.locked, &a.bytes, Some(&claim))?;
        let bench = Bench { rom: rom::stand_in(self.locked)?, folder, flash };
        bench.starts(&a, &b)?;
        BREAKINGS.into_iter().try_for_each(|breaking| bench.crash(&a, breaking))?;
        bench.must_fail(&a)?;
        println!("sdk-main: Espressif's SDK starts ({:.0} s)", started.elapsed().as_secs_f32());
        Ok(())
    }
}

/// The image that ships, for both slots.
fn images(locked: bool) -> Result<[Image; 2]> {
    let order = Build { locked, ..Build::esp01() };
    let mut images = Vec::new();
    for ((slot, image), number) in firmware::build_slots(&order, &Slot::BOTH)?.into_iter().zip(1..)
    {
        images.push(Image {
            bytes: labelled(&image.elf, slot, number)?,
            append: format!("chip heap={:#x}", address_of(&image.elf, FREE_HEAP)?),
            heap: image.sizes.ram_left(),
            elf: image.elf,
        });
    }
    let Ok(images) = images.try_into() else { bail!("there are not two slots") };
    Ok(images)
}

fn address_of(elf: &Path, name: &str) -> Result<u64> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes).context("not an ELF file")?;
    let mut symbols = file.symbols().filter(|symbol| symbol.is_definition());
    let symbol = symbols.find(|symbol| {
        symbol.name().is_ok_and(|found| format!("{:#}", rustc_demangle::demangle(found)) == name)
    });
    symbol.map(|it| it.address()).with_context(|| format!("{} has no {name}", elf.display()))
}

impl Bench {
    /// Starts as they are meant.
    fn starts(&self, a: &Image, b: &Image) -> Result<()> {
        let trace = self.folder.join("first-start.trace");
        let (first, flash) = self.start("first start", a, &self.flash, Some(&trace))?;
        tell_coverage(&trace, &a.elf)?;
        for region in [RF_CALIBRATION, SYSTEM_PARAMETERS] {
            ensure!(
                first.has(Operation::Write, region),
                "the SDK has written nothing to {region:?}"
            );
        }
        let (second, flash) = self.start("second start", a, &flash, None)?;
        let worn = second.changed_at_start();
        ensure!(worn.is_empty(), "each start wears the flash: {worn:x?}");
        let mut moved = flash;
        moved[range(Slot::A.region())].fill(0xFF);
        rom::put(&mut moved, Slot::B.region().start, &b.bytes);
        self.start("start from slot B", b, &moved, None)?;
        Ok(())
    }

    /// Starts from this flash to the end, and returns what was told, and the flash then.
    ///
    /// # Errors
    /// When it is not as it must be.
    fn start(
        &self,
        name: &str,
        image: &Image,
        flash: &[u8],
        trace: Option<&Path>,
    ) -> Result<(Account, Vec<u8>)> {
        let (lines, after) = self.boot(name, image, flash, trace)?;
        let account = judge(&lines, flash, &after).with_context(|| format!("the {name}"))?;
        let budgets = Budgets::read()?;
        let taken = image.heap.saturating_sub(account.heap);
        let [before, main_loop] = account.stack;
        let figures: [Held; 4] = [
            ("heap that the SDK takes to start", taken, Bound::AtMost(budgets.ram.start)),
            ("heap left then", account.heap, Bound::AtLeast(budgets.ram.heap - budgets.ram.start)),
            ("stack before the main loop", before, Bound::AtMost(STACK)),
            ("stack of the main loop", main_loop, Bound::AtMost(budgets.stack.first)),
        ];
        println!("  ok  {name}: {} accesses to flash", account.accesses.len());
        for (what, value, bound) in &figures {
            println!("        {what:<34} {:>7}, {bound}", grouped(*value));
        }
        hold(&figures).with_context(|| format!("the {name}"))?;
        Ok((account, after))
    }

    /// The node breaks while it runs: the SDK tells of it, restarts, and the node knows why.
    fn crash(&self, image: &Image, (name, bytes, offset, told): Break) -> Result<()> {
        let place = address_of(&image.elf, BREAKS)?;
        let append = format!("{} break={place:#x}:{bytes}", image.append);
        let start = machine::Start { rom: &self.rom, append: &append, trace: None };
        let is_done =
            |said: &[&str]| said.iter().filter(|line| line.starts_with("BOOT")).count() > 1;
        let file = self.folder.join(format!("{}.flash", name.replace(' ', "-")));
        let (lines, _) = boot(start, &file, &self.flash, is_done).context(name)?;
        let crash = lines.iter().skip_while(|line| !line.starts_with("CHIP breaks at")).skip(1);
        let epc = format!("epc1={:#010x}", place + offset);
        let told = [told[0], &epc, "CHIP reset", told[1]];
        let mut left = told.iter().peekable();
        for line in crash {
            left.next_if(|start| line.starts_with(**start));
        }
        ensure!(left.peek().is_none(), "after the {name} there is no line {:?}", left.peek());
        println!("  ok  {name}: the SDK tells where, restarts, and the node knows what it was");
        Ok(())
    }

    /// Flash files that are not as they must be: each is noticed.
    fn must_fail(&self, image: &Image) -> Result<()> {
        // The flash's size in the header: 512 KB, 256 KB, 2 MB.
        for (nibble, what) in [(0, "slot B"), (1, "slot A"), (3, "no flash")] {
            let name = format!("flash size {nibble} in the header");
            let mut flash = self.flash.clone();
            flash[3] = nibble << 4 | flash[3] & 0xF;
            let (lines, _) = self.boot(&name, image, &flash, None)?;
            let error = Account::of(&lines).err().map(|error| format!("{error:#}"));
            let error = error.with_context(|| format!("{name} is not noticed"))?;
            ensure!(error.contains(what), "of {name} is said: {error}");
            println!("  ok  {name}: {error}");
        }
        let mut flash = self.flash.clone();
        flash[range(PHY_DATA)].fill(0xFF);
        let (lines, _) = self.boot("no parameters of the radio", image, &flash, None)?;
        let refused = lines.iter().any(|line| line.contains("rf_cal[0] !=0x05,is 0xFF"));
        ensure!(refused && Account::of(&lines).is_err(), "the SDK starts without parameters");
        println!("  ok  no parameters of the radio: the SDK says so and restarts");
        let mut flash = self.flash.clone();
        let other = range(PHY_DATA).start + SAID_PARAMETERS.start;
        flash[other] ^= 0x5A;
        let (lines, after) = self.boot("another parameter of the radio", image, &flash, None)?;
        judge(&lines, &flash, &after).context("another parameter of the radio")?;
        println!("  ok  another parameter of the radio: the SDK takes what is in flash");
        Ok(())
    }

    /// Starts from this flash until the node has found no network, or the SDK has failed.
    fn boot(
        &self,
        name: &str,
        image: &Image,
        flash: &[u8],
        trace: Option<&Path>,
    ) -> Result<(Vec<String>, Vec<u8>)> {
        let file = self.folder.join(format!("{}.flash", name.replace(' ', "-")));
        let is_last = |line: &&str| {
            line.starts_with(NO_NETWORK)
                || line.ends_with(" refused")
                || line.starts_with("CHIP reset")
        };
        let is_done = |said: &[&str]| said.iter().any(is_last);
        let start = machine::Start { rom: &self.rom, append: &image.append, trace };
        boot(start, &file, flash, is_done).with_context(|| name.to_owned())
    }
}

/// Says how much of the image's code has run.
///
/// # Errors
/// When nothing of a part has run that starts, or the trace cannot be read.
fn tell_coverage(trace: &Path, elf: &Path) -> Result<()> {
    let owners = coverage::of(trace, elf)?;
    let sum = |part: fn(&coverage::Ran) -> u64| grouped(owners.iter().map(part).sum());
    println!("        code that has run: {} bytes of {}", sum(|it| it.ran), sum(|it| it.all));
    for Ran { owner, ran, all } in &owners {
        println!("          {owner:<24} {:>7} of {:>7}", grouped(*ran), grouped(*all));
    }
    for part in ["libmain", "libphy", "libpp", "libnet80211", coverage::OURS] {
        let ran = owners.iter().any(|it| it.owner == part && it.ran > 0);
        ensure!(ran, "nothing of {part} has run");
    }
    Ok(())
}

/// Whether a start was as it must be, with this flash before and after it.
fn judge(lines: &[String], flash: &[u8], after: &[u8]) -> Result<Account> {
    let account = Account::of(lines)?;
    let says = |start: &str| lines.iter().any(|line| line.starts_with(start));
    for start in LINES {
        ensure!(says(start), "there is no line \"{start}\"");
    }
    for region in [BOOTLOADER, RF_CALIBRATION, SYSTEM_PARAMETERS] {
        ensure!(account.has(Operation::Read, region), "the SDK has read nothing of {region:?}");
    }
    let length = crate::flash::phy::LENGTH as u32;
    let parameters = Region { length, ..PHY_DATA };
    ensure!(
        account.has(Operation::Read, parameters),
        "the SDK has not read the parameters of the radio"
    );
    for place in SAID_PARAMETERS {
        let line = format!("rf[{place}] : {:02x}", flash[range(parameters).start + place]);
        ensure!(says(&line), "the SDK has other parameters of the radio: no line \"{line}\"");
    }
    ensure!(account.has(Operation::Write, CONFIGURATION), "the node has kept nothing");
    // The node confirms itself at its first start.
    let [first, second] = SELECTOR;
    let theirs = [CONFIGURATION, RF_CALIBRATION, SYSTEM_PARAMETERS, first, second];
    let changed = (0..after.len()).find(|at| {
        flash[*at] != after[*at] && !theirs.iter().any(|region| range(*region).contains(at))
    });
    ensure!(changed.is_none(), "the flash has changed at {changed:#x?}");
    Ok(account)
}

fn range(region: Region) -> std::ops::Range<usize> {
    region.start as usize..region.end() as usize
}
