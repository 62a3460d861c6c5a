//! Crashes of the node on the stand-in: its program breaks while it runs, the machine restarts, and the node tells of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSymbol as _};
use rustc_demangle::demangle;
use serde_json::{Value, json};
use spore_core::crash::SAFE_AFTER;

use super::machine::Machine;
use super::node::{CONNECTED, wait_for};
use crate::e2e::api::{Api, patiently};
use crate::e2e::signed::{self, Order};
use crate::emu::secret::Secret;

/// The function that breaks: the node calls it whenever it comes to rest.
pub(crate) const BREAKS: &str = "<spore_core::node::Node>::poll_timeout";
/// A part of the name of its caller, whose address must be on the stack.
const CALLER: &str = "::converse::<";

/// A way to break: the machine's age in seconds, what stands in place of the function, and what is told of it.
struct Break {
    at_secs: u64,
    code: &'static str,
    cause: &'static str,
    exception: Value,
    /// Behind the beginning of the function.
    offset: u64,
    address: Value,
}

/// An illegal instruction, which is what panics are; `movi.n a2, 4; l32i.n a3, a2, 0`; `j .`; and once more, so that there are as many
/// in a row as lead to safe mode. In between, the board starts, joins and answers, which takes seconds on a busy machine, and after a hang
/// the watchdog's time besides.
fn breaks() -> [Break; SAFE_AFTER as usize] {
    let row = |at_secs, code, cause, exception, offset, address| Break {
        at_secs,
        code,
        cause,
        exception,
        offset,
        address,
    };
    [
        row(20, "000000", "panic", Value::Null, 0, Value::Null),
        row(40, "0c423802", "exception", json!(NOWHERE), 2, json!("0x00000004")),
        row(60, "06ffff", "watchdog", Value::Null, 0, Value::Null),
        row(80, "000000", "panic", Value::Null, 0, Value::Null),
    ]
}

/// EXCCAUSE of a load where there is no memory, in QEMU; on the chip it is 28.
const NOWHERE: u32 = 15;
const ANSWER: Duration = Duration::from_secs(20);

/// Runs the node through all of them. Returns how many checks have passed.
///
/// # Errors
/// When the node does not tell of a crash what it must.
pub(super) fn check(
    machine: &Machine<'_>,
    api: &Api,
    (elf, key): (&Path, &Secret),
) -> Result<usize> {
    let functions = Functions::of(elf)?;
    let start = functions.only(BREAKS)?.0;
    let (mut checks, mut last) = (0, Value::Null);
    let pokes = breaks().map(|one| format!("{}:{start:x}:{}", one.at_secs, one.code)).join(",");
    {
        let _running = Machine { pokes: &pokes, log: machine.log.clone(), ..*machine }.run()?;
        wait_for(machine, CONNECTED, 1, 0)?;
        let none = patiently(ANSWER, || signed::send(api, key, order(), "404"))?;
        ensure!(none["error"]["code"] == "no_crash", "a new node tells of a crash: {none}");
        for (index, one) in breaks().iter().enumerate() {
            // It joins anew after each restart.
            wait_for(machine, CONNECTED, index + 2, index + 1)?;
            let status = patiently(ANSWER, || api.get("/api/node/status"))?;
            ensure!(status["reset_reason"] == one.cause, "{} in {status}", one.cause);
            let safe = index + 1 == usize::from(SAFE_AFTER);
            is_in_safe_mode(&status, safe)?;
            last = patiently(ANSWER, || signed::send(api, key, order(), "200"))?;
            one.judge(&last, start, &functions)?;
            checks += 1;
        }
    }
    // Switched off and on, it has the last one in flash.
    let again = Machine { log: machine.log.with_extension("again.log"), ..*machine };
    let _running = again.run()?;
    wait_for(&again, CONNECTED, 1, 0)?;
    let kept = patiently(ANSWER, || signed::send(api, key, order(), "200"))?;
    ensure!(kept == last, "after a power cut there is {kept}, before it was {last}");
    is_in_safe_mode(&patiently(ANSWER, || api.get("/api/node/status"))?, false)?;
    Ok(checks + 3)
}

/// Whether the node says that it is in safe mode, or that it is not, and runs its sprockets accordingly.
fn is_in_safe_mode(status: &Value, expected: bool) -> Result<()> {
    let state = if expected { "suspended" } else { "running" };
    let sprockets = status["sprockets"].as_array().context("there are no sprockets")?;
    let as_it_must = sprockets.iter().all(|sprocket| sprocket["state"] == state);
    let offers = status["services"].as_array().is_some_and(|services| !services.is_empty());
    ensure!(
        status["safe_mode"] == expected && as_it_must && offers != expected,
        "in safe mode: {expected}, expected of {status}"
    );
    Ok(())
}

fn order() -> Order<'static> {
    Order { method: "GET", path: "/api/node/crash", body: &Value::Null }
}

impl Break {
    /// Whether this is the record of it.
    fn judge(&self, record: &Value, start: u64, functions: &Functions) -> Result<()> {
        let pc = json!(format!("{:#010x}", start + self.offset));
        let told = [&record["cause"], &record["exception"], &record["pc"], &record["address"]];
        let expected = [&json!(self.cause), &self.exception, &pc, &self.address];
        ensure!(told == expected, "of a {} it tells {record}, expected {expected:?}", self.cause);
        let uptime = record["uptime_ms"].as_u64().context("there is no uptime")?;
        ensure!((1_000..120_000).contains(&uptime), "it had run for {uptime} ms");
        let stack = record["stack"].as_array().context("there is no stack")?;
        let words = stack
            .iter()
            .filter_map(|word| u64::from_str_radix(word.as_str()?.strip_prefix("0x")?, 16).ok());
        let mut words = words.filter(|word| functions.is_in(*word, CALLER));
        ensure!(words.next().is_some(), "the caller is not on the stack of {record}");
        Ok(())
    }
}

/// The functions of a program: name, address, bytes.
pub(crate) struct Functions(Vec<(String, u64, u64)>);

impl Functions {
    /// Those of an ELF file.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn of(program: &Path) -> Result<Self> {
        let bytes =
            fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        let file = object::File::parse(&*bytes).context("not an ELF file")?;
        let functions = file.symbols().filter(|symbol| symbol.is_definition());
        let functions = functions.filter_map(|symbol| {
            let name = format!("{:#}", demangle(symbol.name().ok()?));
            Some((name, symbol.address(), symbol.size()))
        });
        Ok(Self(functions.collect()))
    }

    /// Address and size of the function of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn only(&self, name: &str) -> Result<(u64, u64)> {
        let found = self.0.iter().find(|(found, ..)| found == name);
        found.map(|(_, at, len)| (*at, *len)).with_context(|| format!("there is no {name}"))
    }

    /// Whether `address` is behind a call in a function whose name contains this.
    fn is_in(&self, address: u64, part: &str) -> bool {
        let inside = |at: u64, len: u64| address > at && address <= at + len;
        self.0.iter().any(|(name, at, len)| name.contains(part) && inside(*at, *len))
    }
}
