//! Repairs to the assembler text that LLVM writes for the LX106, so that GNU's assembler can take over.
//!
//! Seen with LLVM 22: the `.literal` lines of a function come before the section directive that opens the function,
//! so they would land in the section of the function before it, out of the reach of `l32r`.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::calls;

/// The functions whose definitions expect their arguments elsewhere than their callers put them.
/// The build renames the definitions, and `firmware/rt/div128.S` brings shims with these names.
pub(crate) const RENAMED: [&str; 4] = ["__udivti3", "__umodti3", "__divti3", "__modti3"];

/// What a renamed definition has in front of its name.
const RENAMED_PREFIX: &str = "__spore";

/// Turns LLVM's assembler text into what GNU's assembler needs.
///
/// - `.literal` lines move behind the section directive of the function that uses them.
/// - Calls become direct ones ([`calls::make_direct`]).
/// - `.cfi_*` lines go: nothing here unwinds.
/// - Definitions of [`RENAMED`] get another name; references to them stay.
///
/// # Errors
/// When literals are left that no function follows: the compiler's output has changed its shape.
pub(crate) fn repair(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut literals: Vec<&str> = Vec::new();
    let text = &calls::make_direct(text);
    for (number, line) in text.lines().enumerate() {
        let directive = line.trim_start();
        if directive.starts_with(".cfi_") {
            continue;
        }
        if directive.starts_with(".literal") {
            literals.push(line);
            continue;
        }
        if !literals.is_empty() {
            if is_function_type(directive) {
                for literal in literals.drain(..) {
                    push_line(&mut out, literal);
                }
            } else {
                ensure!(
                    !is_instruction(line),
                    "line {}: an instruction follows literals without a function in between; \
                     this compiler writes assembler in a shape that xtask does not know",
                    number + 1
                );
            }
        }
        push_line(&mut out, &rename_definitions(line, &RENAMED));
    }
    ensure!(
        literals.is_empty(),
        "{} literals at the end of the file belong to no function; \
         this compiler writes assembler in a shape that xtask does not know",
        literals.len()
    );
    Ok(out)
}

/// The text with nothing but a stop in the function of this name (as Rust writes it); none if there is no such function.
pub(crate) fn without(text: &str, function: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut found) = (false, false);
    for line in text.lines() {
        let directive = line.trim_start();
        inside &= !directive.starts_with(".size");
        // Its size and its tables of addresses name its labels.
        if !inside || line.starts_with(".L") {
            push_line(&mut out, line);
        }
        if is_function_type(directive)
            && let Some(name) = type_name(directive)
            && format!("{:#}", rustc_demangle::demangle(name)) == function
        {
            push_line(&mut out, &format!("{name}:\n\till"));
            (inside, found) = (true, true);
        }
    }
    found.then_some(out)
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// `.type name,@function`: by then the function's section is open, and its label is not yet set.
fn is_function_type(directive: &str) -> bool {
    directive.starts_with(".type") && directive.ends_with("@function")
}

/// Neither a directive, a label nor a comment.
fn is_instruction(line: &str) -> bool {
    line.starts_with('\t') && line.trim_start().starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The section that begins with a line.
pub(super) fn section(line: &str) -> Option<&str> {
    let line = line.trim();
    if line == ".text" {
        return Some(line);
    }
    let named = line.strip_prefix(".section")?.trim_start();
    named.split(',').next().map(str::trim_end)
}

/// Whether a section's code is in flash. What is placed elsewhere, in instruction RAM, may run while the flash cannot
/// be read.
pub(super) fn is_in_flash(section: &str) -> bool {
    section == ".text" || section.starts_with(".text.")
}

/// The functions of a file that are in flash, with the section of each.
pub(super) fn functions_in_flash(text: &str) -> HashMap<&str, &str> {
    let mut functions = HashMap::new();
    let mut current = "";
    for line in text.lines() {
        current = section(line).unwrap_or(current);
        let directive = line.trim_start();
        if is_function_type(directive)
            && is_in_flash(current)
            && let Some(name) = type_name(directive)
        {
            functions.insert(name, current);
        }
    }
    functions
}

/// The name in `.type name,@function`.
pub(super) fn type_name(directive: &str) -> Option<&str> {
    directive.strip_prefix(".type").and_then(|rest| rest.trim().split(',').next())
}

/// Directives that belong to the definition of a symbol.
const DEFINING: [&str; 7] =
    [".global", ".globl", ".weak", ".hidden", ".protected", ".type", ".size"];

/// Renames each of `names` where `line` takes part in defining it; data and longer symbols are left alone.
pub(super) fn rename_definitions<'a>(line: &'a str, names: &[&str]) -> Cow<'a, str> {
    let first = line.split_whitespace().next().unwrap_or("");
    let is_label = line.ends_with(':') && !line.starts_with(char::is_whitespace);
    if !(is_label || DEFINING.contains(&first)) {
        return Cow::Borrowed(line);
    }
    let own = |symbol: &str| names.contains(&symbol).then(|| format!("{RENAMED_PREFIX}{symbol}"));
    Cow::Owned(rename(line, own))
}

/// Whether `line` takes part in defining `symbol`; its label is not meant.
pub(super) fn defines(line: &str, symbol: &str) -> bool {
    let mut words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    words.next().is_some_and(|first| DEFINING.contains(&first)) && words.next() == Some(symbol)
}

/// The line with what `other` says in the place of each symbol of which it says something.
pub(super) fn rename(line: &str, other: impl Fn(&str) -> Option<String>) -> String {
    let is_symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.');
    let mut out = String::with_capacity(line.len() + RENAMED_PREFIX.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_symbol) {
        let (before, symbol_on) = rest.split_at(start);
        let end = symbol_on.find(|c| !is_symbol(c)).unwrap_or(symbol_on.len());
        let (symbol, after) = symbol_on.split_at(end);
        out.push_str(before);
        match other(symbol) {
            Some(other) => out.push_str(&other),
            None => out.push_str(symbol),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str = "\
\t.literal_position
\t.literal .LCPI0_0, 7777777
\t.literal .LCPI0_1, __udivti3
\t.section\t.text.f,\"ax\",@progbits
\t.global\tf
\t.p2align\t2
\t.type\tf,@function
f:
\t.cfi_startproc
\tl32r\ta8, .LCPI0_0
\tl32r\ta9, .LCPI0_1
\tret
";

    #[test]
    fn literals_move_behind_the_section_and_cfi_goes() {
        let expected = "\
\t.section\t.text.f,\"ax\",@progbits
\t.global\tf
\t.p2align\t2
\t.literal_position
\t.literal .LCPI0_0, 7777777
\t.literal .LCPI0_1, __udivti3
\t.type\tf,@function
f:
\tl32r\ta8, .LCPI0_0
\tl32r\ta9, .LCPI0_1
\tret
";
        assert_eq!(repair(FUNCTION).unwrap(), expected);
    }

    #[test]
    fn definitions_are_renamed_and_references_are_not() {
        let text = "\
\t.section\t.text.__udivti3,\"ax\",@progbits
\t.global\t__udivti3
\t.type\t__udivti3,@function
__udivti3:
\tret
.Lfunc_end0:
\t.size\t__udivti3, .Lfunc_end0-__udivti3
";
        let expected = "\
\t.section\t.text.__udivti3,\"ax\",@progbits
\t.global\t__spore__udivti3
\t.type\t__spore__udivti3,@function
__spore__udivti3:
\tret
.Lfunc_end0:
\t.size\t__spore__udivti3, .Lfunc_end0-__spore__udivti3
";
        assert_eq!(repair(text).unwrap(), expected);
    }

    #[test]
    fn longer_symbols_keep_their_names() {
        for line in ["my__udivti3:", "\t.type\t__udivti3_impl,@object", "\t.asciz\t\"__udivti3\""] {
            assert_eq!(rename_definitions(line, &RENAMED), line);
        }
    }

    #[test]
    fn a_function_without_literals_is_left_alone() {
        let text = "\t.text\n\t.type\tg,@function\ng:\n\tret\n";
        assert_eq!(repair(text).unwrap(), text);
    }

    #[test]
    fn a_function_can_be_left_out_by_its_readable_name() {
        let function = |name: &str| {
            format!(
                "\t.type\t{name},@function\n{name}:\n\tcall0\tfar\n\tret\n.Lend:\n\t.size\t{name}, .Lend-{name}\n"
            )
        };
        let mangled = "_RNvC4node4stop";
        let text = format!("{}{}", function(mangled), function("other"));
        let left = without(&text, "node::stop").unwrap();
        assert_eq!(left, text.replacen("\tcall0\tfar\n\tret\n", "\till\n", 1));
        assert_eq!(without(&text, "node::go"), None);
    }

    #[test]
    fn literals_without_a_function_are_an_error() {
        let error = repair("\t.literal .LCPI0_0, 1\n").unwrap_err();
        assert!(error.to_string().contains("belong to no function"));
    }

    #[test]
    fn an_instruction_right_after_literals_is_an_error() {
        let error = repair("\t.literal .LCPI0_0, 1\n\tl32r\ta8, .LCPI0_0\n").unwrap_err();
        assert!(error.to_string().contains("line 2"));
    }
}
