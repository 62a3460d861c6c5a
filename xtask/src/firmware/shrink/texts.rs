//! Constants that are a part of others, as that part: LLVM and GNU's linker find only those that are the same as a whole, since what
//! Rust has for texts ends with no zero.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::super::asm;
use super::push;

/// A constant without a name, all of which is bytes.
struct Constant<'a> {
    label: &'a str,
    align: usize,
    bytes: Vec<u8>,
    /// Its lines, from `.type` to `.size`.
    lines: Range<usize>,
}

/// Lets the label of each constant that is part of another one stand for a place there.
pub(super) fn apply(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut constants = constants(&lines);
    constants.sort_by_key(|constant| Reverse((constant.bytes.len(), constant.align)));
    let mut kept: Vec<&Constant<'_>> = Vec::new();
    let mut parts: HashMap<usize, (String, usize)> = HashMap::new();
    for constant in &constants {
        let place = kept.iter().find_map(|whole| Some((whole.label, whole.place_of(constant)?)));
        match place {
            Some((whole, offset)) => {
                let part = format!("\t.set\t{}, {whole}+{offset}", constant.label);
                parts.insert(constant.lines.start, (part, constant.lines.end));
            }
            None => kept.push(constant),
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < lines.len() {
        let (line, next) = match parts.get(&at) {
            Some((part, end)) => (part.as_str(), *end),
            None => (lines[at], at + 1),
        };
        push(&mut out, line);
        at = next;
    }
    out
}

impl Constant<'_> {
    /// Where another one is within this one.
    fn place_of(&self, part: &Self) -> Option<usize> {
        if self.align < part.align {
            return None;
        }
        let places = self.bytes.windows(part.bytes.len()).enumerate();
        let mut offsets = places.filter(|(_, bytes)| *bytes == part.bytes).map(|(at, _)| at);
        offsets.find(|offset| offset.is_multiple_of(part.align))
    }
}

/// The constants of a file that nobody else knows. Those with anything but bytes in them are left out.
fn constants<'a>(lines: &[&'a str]) -> Vec<Constant<'a>> {
    let begins = |line: &str| line.starts_with("\t.type\t.L") && line.ends_with(",@object");
    let starts = (0..lines.len()).filter(|at| begins(lines[*at]));
    starts.filter_map(|start| constant(lines, start)).collect()
}

/// The constant that begins with the line `start`.
fn constant<'a>(lines: &[&'a str], start: usize) -> Option<Constant<'a>> {
    let label = asm::type_name(lines[start].trim_start())?;
    let mut constant = Constant { label, align: 1, bytes: Vec::new(), lines: start..start };
    let mut has_own_section = false;
    for (at, line) in lines.iter().enumerate().skip(start + 1) {
        if let Some(section) = asm::section(line) {
            // Those that the linker merges share one.
            has_own_section = section.starts_with(".rodata..L");
            continue;
        }
        let line = line.trim();
        let (directive, operand) = line.split_once('\t').unwrap_or((line, ""));
        match directive {
            ".size" => {
                constant.lines.end = at + 1;
                return Some(constant).filter(|it| has_own_section && !it.bytes.is_empty());
            }
            ".p2align" => {
                let power = operand.split(',').next()?.trim().parse::<u32>().ok()?;
                constant.align = 1_usize.checked_shl(power)?;
            }
            ".byte" => constant.bytes.push(operand.parse().ok()?),
            ".space" | ".zero" => {
                let length = constant.bytes.len() + operand.parse::<usize>().ok()?;
                constant.bytes.resize(length, 0);
            }
            ".ascii" => constant.bytes.extend(unquoted(operand)?),
            ".asciz" => constant.bytes.extend(unquoted(operand)?.into_iter().chain([0])),
            _ if line.strip_suffix(':') == Some(label) => {}
            _ => return None,
        }
    }
    None
}

/// The bytes of a text as LLVM writes it.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?.bytes();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                quoted @ (b'"' | b'\\') => quoted,
                first => {
                    let octal = [first, rest.next()?, rest.next()?];
                    u8::from_str_radix(str::from_utf8(&octal).ok()?, 8).ok()?
                }
            },
            plain => plain,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{apply, unquoted};

    fn constant(label: &str, align: u32, data: &str) -> String {
        format!(
            "\t.type\t{label},@object\n\t.section\t.rodata.{label},\"a\",@progbits\n\t.p2align\t{align}, 0x0\n{label}:\n\
             {data}\t.size\t{label}, 1\n"
        )
    }

    #[test]
    fn a_text_within_another_is_a_place_in_it() {
        let whole = constant(".La", 0, "\t.ascii\t\"the \\\"name\\\" is\\012\"\n");
        let part = constant(".Lb", 0, "\t.ascii\t\"name\"\n");
        let end = constant(".Lc", 0, "\t.byte\t10\n");
        let text = [part, whole.clone(), end].concat();
        assert_eq!(apply(&text), format!("\t.set\t.Lb, .La+5\n{whole}\t.set\t.Lc, .La+13\n"));
    }

    #[test]
    fn places_are_aligned_as_they_must_be() {
        let whole = constant(".La", 2, "\t.byte\t1\n\t.space\t5\n");
        let even = constant(".Lb", 1, "\t.space\t2\n");
        let text = [whole.clone(), even.clone()].concat();
        assert_eq!(apply(&text), format!("{whole}\t.set\t.Lb, .La+2\n"));
        let loose = constant(".La", 0, "\t.byte\t1\n\t.space\t5\n");
        let text = [loose, even].concat();
        assert_eq!(apply(&text), text);
    }

    #[test]
    fn addresses_and_what_others_know_by_name_stay() {
        let text = [
            constant(".La", 0, "\t.ascii\t\"abc\"\n"),
            constant(".Lb", 2, "\t.long\t.La\n"),
            constant(".Lc", 2, "\t.long\t.La\n"),
            constant("name", 0, "\t.ascii\t\"b\"\n"),
        ]
        .concat();
        assert_eq!(apply(&text), text);
    }

    #[test]
    fn texts_are_read_as_llvm_writes_them() {
        assert_eq!(unquoted(r#""a\\\"\n\377\0001""#), Some(b"a\\\"\n\xFF\x001".to_vec()));
        assert_eq!(unquoted("no text"), None);
        assert_eq!(unquoted(r#""\x""#), None);
    }
}
