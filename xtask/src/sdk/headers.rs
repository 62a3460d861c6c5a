//! Holds the firmware's declarations of the SDK's interface against the SDK's own headers.
//!
//! The C compiler for the chip judges: it is given an assertion for the size of each type, the place and size of each
//! field, and the value of each constant. What the compiler would have to be run for does not exist: all is decided
//! while it reads.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sdk_sys::layout::{Header, Type};

use crate::{process, toolchain};

/// The SDK's headers want this one of each application, and need nothing of it.
const OF_THE_APPLICATION: &str = "user_config.h";
/// With it, the SDK's headers take lwIP's own declarations of addresses rather than a copy of them.
const WITH_LWIP: &str = "-DLWIP_OPEN_SRC";

/// Checks `headers` against the SDK's in `include`, searched in this order; returns how many facts agreed.
///
/// # Errors
/// When a fact is another one in the SDK (with the compiler's messages, which name it), or a header is missing.
pub(super) fn check(headers: &[Header], include: &[PathBuf], work: &Path) -> Result<usize> {
    let (text, facts) = assertions(headers);
    fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
    let source = work.join("sdk-headers.c");
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let own = work.join(OF_THE_APPLICATION);
    fs::write(&own, "").with_context(|| format!("cannot write {}", own.display()))?;
    let mut gcc = Command::new(toolchain::GCC);
    gcc.args(["-std=gnu11", "-fsyntax-only", "-w", WITH_LWIP]);
    for folder in include {
        gcc.arg("-isystem").arg(folder);
    }
    gcc.arg("-isystem").arg(work).arg(&source);
    let done = process::output(&mut gcc)?;
    if !done.status.success() {
        let messages = String::from_utf8_lossy(&done.stderr).into_owned();
        bail!("firmware/sdk-sys is not what the SDK's headers say:\n{}", telling(&messages));
    }
    Ok(facts)
}

/// The lines of the compiler's messages that say what is wrong.
fn telling(messages: &str) -> String {
    let lines: Vec<&str> = messages.lines().filter(|line| line.contains("error")).collect();
    lines.join("\n")
}

/// A C program that compiles only where all of `headers` holds, and the number of its assertions.
fn assertions(headers: &[Header]) -> (String, usize) {
    let mut text = String::from("#include <stddef.h>\n");
    let mut facts = 0;
    for header in headers {
        let _ = writeln!(text, "#include \"{}\"", header.file);
        let mut assert = |fact: &str| {
            let _ = writeln!(text, "_Static_assert({fact}, {fact:?});");
            facts += 1;
        };
        for declared in header.types {
            assert_type(declared, &mut assert);
        }
        for (name, value) in header.constants {
            assert(&format!("({name}) == ({value})"));
        }
    }
    (text, facts)
}

fn assert_type(declared: &Type, assert: &mut impl FnMut(&str)) {
    let name = declared.name;
    if let Some(size) = declared.size {
        assert(&format!("sizeof({name}) == {size}"));
    }
    for field in declared.fields {
        let field_name = field.name.trim_start_matches("r#");
        assert(&format!("offsetof({name}, {field_name}) == {}", field.offset));
        assert(&format!("sizeof((({name} *)0)->{field_name}) == {}", field.size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdk_sys::layout::Field;

    const FIELDS: [Field; 2] =
        [Field { name: "r#type", offset: 0, size: 1 }, Field { name: "len", offset: 2, size: 2 }];
    const WHOLE: Type = Type { name: "struct frame", size: Some(4), fields: &FIELDS };

    /// Checks one header, of a folder with this header only.
    fn checked(name: &str, types: &'static [Type], value: i64) -> Result<usize> {
        let work =
            std::env::temp_dir().join(format!("spore-headers-{}-{name}", std::process::id()));
        fs::create_dir_all(&work).unwrap();
        let text =
            "struct frame { unsigned char type; unsigned short len; };\nenum { LIMIT = 7 };\n";
        fs::write(work.join("frame.h"), text).unwrap();
        let constants: &'static [(&str, i64)] =
            if value == 7 { &[("LIMIT", 7)] } else { &[("LIMIT", 8)] };
        let headers = [Header { file: "frame.h", types, constants }];
        let result = check(&headers, std::slice::from_ref(&work), &work);
        fs::remove_dir_all(&work).unwrap();
        result
    }

    #[test]
    fn what_agrees_is_counted() {
        assert_eq!(checked("right", &[WHOLE], 7).unwrap(), 6);
    }

    #[test]
    fn another_size_place_or_value_is_named() {
        const LARGER: [Type; 1] = [Type { size: Some(8), ..WHOLE }];
        const MOVED: [Type; 1] =
            [Type { fields: &[Field { name: "len", offset: 1, size: 2 }], ..WHOLE }];
        const WIDER: [Type; 1] =
            [Type { fields: &[Field { name: "len", offset: 2, size: 4 }], ..WHOLE }];
        let complaint = |name, types, value| checked(name, types, value).unwrap_err().to_string();
        assert!(complaint("larger", &LARGER, 7).contains("sizeof(struct frame) == 8"));
        assert!(complaint("moved", &MOVED, 7).contains("offsetof(struct frame, len) == 1"));
        assert!(complaint("wider", &WIDER, 7).contains("->len) == 4"));
        assert!(complaint("value", &[WHOLE], 8).contains("(LIMIT) == (8)"));
    }

    #[test]
    fn a_header_that_is_missing_is_named() {
        let work = std::env::temp_dir().join(format!("spore-headers-{}-none", std::process::id()));
        let headers = [Header { file: "no_such.h", types: &[], constants: &[] }];
        let result = check(&headers, &[], &work);
        fs::remove_dir_all(&work).unwrap();
        assert!(result.unwrap_err().to_string().contains("no_such.h"));
    }
}
