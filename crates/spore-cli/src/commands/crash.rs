//! `spore logs --crash`: the record of a node's last crash, for people.

use crate::client::{Request, Signer, Target, parse, print_document};
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::print;
use crate::table::span;
use anyhow::{Context as _, Result, anyhow};
use object::{Object as _, SymbolMap, SymbolMapName};
use rustc_demangle::demangle;
use serde::Deserialize;
use std::path::Path;

const PATH: &str = "/api/node/crash";

/// `GET /api/node/crash`.
#[derive(Debug, Deserialize)]
struct Crash {
    cause: String,
    exception: Option<u8>,
    pc: Option<String>,
    address: Option<String>,
    uptime_ms: Option<u64>,
    version: String,
    message: Option<String>,
    stack: Vec<String>,
}

/// Shows the record of the last crash of `node`. With the file of its program, places have names.
pub(super) fn show(target: &Target, key: &KeyFile, node: &str, elf: Option<&Path>) -> Result<()> {
    // A file that cannot be read is told before anybody is asked.
    let file = elf.map(|file| std::fs::read(file).with_context(|| cannot_read(file)));
    let file = file.transpose()?;
    let symbols = match (&file, elf) {
        (Some(bytes), Some(path)) => Symbols::read(bytes, path)?,
        _ => Symbols(None),
    };
    let (request, signer) = (Request::get(PATH), Signer::new(key)?);
    let answer = target.client().exchange_signed(node, &request, &signer)?;
    if answer.is_refusal("no_crash") {
        return Err(anyhow!("no crash of {node} is on record"));
    }
    if !answer.is_success() {
        return Err(signer.error(&answer, node, &request));
    }
    let text = answer.text();
    if target.json {
        return print_document(&text);
    }
    print(lines(&parse(&text)?, &symbols))
}

fn cannot_read(file: &Path) -> String {
    format!("cannot read {}", file.display())
}

/// The functions of a program.
struct Symbols<'a>(Option<SymbolMap<SymbolMapName<'a>>>);

impl<'a> Symbols<'a> {
    fn read(bytes: &'a [u8], file: &Path) -> Result<Self> {
        let parsed = object::File::parse(bytes)
            .map_err(|error| Misuse::error(format!("{}: {error}", file.display())))?;
        let symbols = parsed.symbol_map();
        if symbols.symbols().is_empty() {
            return Err(Misuse::error(format!("{} names no functions", file.display())));
        }
        Ok(Self(Some(symbols)))
    }

    /// `address`, and in which function it is. That of a return `from` a call may be behind the function's end.
    fn name(&self, text: &str, from: u64) -> String {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let address = u64::from_str_radix(digits, 16).ok();
        let found = address.zip(self.0.as_ref()).and_then(|(address, symbols)| {
            let symbol = symbols.get(address.saturating_sub(from))?;
            Some(format!("  {:#} + {}", demangle(symbol.name()), address - symbol.address()))
        });
        format!("{text}{}", found.unwrap_or_default())
    }
}

fn lines(crash: &Crash, symbols: &Symbols<'_>) -> String {
    let mut lines = String::new();
    let mut row = |name: &str, value: &str| lines.push_str(&format!("{name:<9}{value}\n"));
    let cause = match crash.exception {
        Some(number) => {
            let meaning = exception(number).map_or_else(String::new, |what| format!(": {what}"));
            format!("{} {number}{meaning}", crash.cause)
        }
        None => crash.cause.clone(),
    };
    row("cause", &cause);
    if let Some(pc) = &crash.pc {
        row("at", &symbols.name(pc, 0));
    }
    if let Some(address) = &crash.address {
        row("address", address);
    }
    if let Some(message) = &crash.message {
        row("message", message);
    }
    if let Some(uptime) = crash.uptime_ms {
        row("uptime", &span(uptime));
    }
    row("version", &crash.version);
    for (index, word) in crash.stack.iter().enumerate() {
        row(if index == 0 { "stack" } else { "" }, &symbols.name(word, 1));
    }
    lines
}

/// What the LX106 means by the number of an exception (Xtensa ISA reference manual, EXCCAUSE).
const fn exception(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "illegal instruction",
        2 => "instruction fetch error",
        3 => "load or store error",
        6 => "division by zero",
        8 => "privileged instruction",
        9 => "misaligned load or store",
        12 => "data error on the bus, instruction fetch",
        13 => "data error on the bus",
        14 => "address error on the bus, instruction fetch",
        15 => "address error on the bus",
        20 => "instruction fetch prohibited",
        28 => "load prohibited",
        29 => "store prohibited",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Crash, Symbols, lines};
    use crate::client::parse;

    fn crash(text: &str) -> Crash {
        parse(text).unwrap()
    }

    #[test]
    fn a_record_is_lines() {
        let none = Symbols(None);
        let panic = crash(
            r#"{"cause":"panic","exception":null,"pc":null,"address":null,"uptime_ms":61000,
                "version":"0.1.0","message":"a.rs:7: gone","stack":[]}"#,
        );
        assert_eq!(
            lines(&panic, &none),
            "cause    panic\nmessage  a.rs:7: gone\nuptime   1 min 1 s\nversion  0.1.0\n"
        );
        let fault = crash(
            r#"{"cause":"exception","exception":28,"pc":"0x40212345","address":"0x00000004","uptime_ms":null,
                "version":"0.1.0","message":null,"stack":["0x40201234","0x40205678"]}"#,
        );
        assert_eq!(
            lines(&fault, &none),
            "cause    exception 28: load prohibited\nat       0x40212345\naddress  0x00000004\nversion  0.1.0\n\
             stack    0x40201234\n         0x40205678\n"
        );
    }

    #[test]
    fn places_have_the_names_of_functions_in_this_program_itself() {
        let own = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&own).unwrap();
        let symbols = Symbols::read(&bytes, &own).unwrap();
        let main = symbols.0.as_ref().unwrap().symbols().iter().find(|one| one.name() == "main");
        let at = main.unwrap().address();
        assert_eq!(symbols.name(&format!("{:#x}", at + 2), 0), format!("{:#x}  main + 2", at + 2));
        // Where a function returns to may be where the next one begins.
        let before = symbols.name(&format!("{at:#x}"), 1);
        assert!(!before.contains("  main + "), "{before}");
        assert!(Symbols::read(b"no program", &own).is_err());
    }
}
