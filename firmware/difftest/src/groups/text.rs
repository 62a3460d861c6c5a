//! Formatting, parsing and UTF-8.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Inputs, Trace};

pub(super) fn formatting(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..150 {
        let a = inputs.edge();
        trace.display(format_args!(
            "{} {:x} {:#010b} {:>12} {:<6}| {:^9} {:+} {:#o} {:X}",
            a, a as u32, a as u8, a as i32, a as i16, a as u16, a as i64, a as u16, a
        ));
        trace.display(inputs.edge_wide());
        trace.display(inputs.edge_wide() as i128);
        let float = a as i64 as f64 / 1000.0;
        let any = f64::from_bits(inputs.any());
        trace.display(format_args!(
            "{float:08.3} {float:e} {float:?} {} {:.2} {any:?}",
            float as f32,
            any % 1e6
        ));
        trace.display(format_args!(
            "{:?} {:?} {:?}",
            Some((a as u8, "q\n\u{e9}\u{1F980}")),
            [a as i8; 3],
            Result::<(), u16>::Err(a as u16)
        ));
        trace.display(format_args!("{:#?}", (a as u16, ["x", "y"])));
    }
}

pub(super) fn parsing(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for text in ["3.14159", "-0", "1e-310", "9007199254740993", "inf", "0.1", "1e400", "x"] {
        trace.double(text.parse::<f64>().unwrap_or(-7.0));
        trace.single(text.parse::<f32>().unwrap_or(-7.0));
    }
    for _ in 0..150 {
        let a = inputs.edge();
        let any = f64::from_bits(inputs.any());
        if any.is_finite() {
            let parsed: f64 = format!("{any:e}").parse().unwrap_or(f64::NAN);
            trace.double(parsed);
            trace.word(parsed == any);
        }
        let text = format!("{}", a as i64);
        trace.word(text.parse::<i64>().unwrap_or(1));
        trace.word(text.parse::<u32>().is_ok());
        trace.word(text.parse::<i8>().is_ok());
        trace.word(u64::from_str_radix(&format!("{a:x}"), 16).unwrap_or(1));
        trace.wide(format!("{}", u128::from(a) << 40).parse().unwrap_or(1));
        let octets: [u8; 4] = (a as u32).to_be_bytes();
        let address = core::net::Ipv4Addr::from(octets);
        trace.display(address);
        trace.word(format!("{address}:{}", a as u16).parse::<core::net::SocketAddrV4>().is_ok());
    }
}

pub(super) fn strings(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..60 {
        let bytes = almost_text(inputs);
        match core::str::from_utf8(&bytes) {
            Ok(text) => trace.text(text),
            Err(error) => {
                trace.word(error.valid_up_to());
                trace.word(error.error_len().unwrap_or(9));
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        for c in text.chars() {
            trace.word(c);
            trace.word(c.is_alphanumeric());
            trace.word(c.len_utf16());
            c.to_lowercase().for_each(|lower| trace.word(lower));
        }
        trace.text(&text.to_uppercase());
        trace.text(text.trim());
        for part in text.split(|c: char| c.is_ascii_punctuation()) {
            trace.word(part.len());
        }
        trace.word(text.find('a').unwrap_or(999));
        trace.word(text.find("e ").unwrap_or(999));
        trace.word(text.rfind(' ').unwrap_or(999));
        trace.word(text.eq_ignore_ascii_case(&text.to_ascii_uppercase()));
        trace.text(&text.replace('e', "EE"));
        trace.text(&text.chars().rev().collect::<String>());
        trace.display(format_args!("{text:?}"));
    }
}

/// Printable characters with raw bytes and two-byte characters between them.
fn almost_text(inputs: &mut Inputs) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..inputs.below(60) {
        match inputs.below(6) {
            0 => bytes.push(inputs.any() as u8),
            1 => bytes.extend("\u{e9}\u{df}\u{1F980}".bytes()),
            _ => bytes.push(b' ' + inputs.below(90) as u8),
        }
    }
    bytes
}
