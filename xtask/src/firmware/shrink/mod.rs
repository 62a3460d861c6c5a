//! Shorter code in the place of some that LLVM writes for the LX106, which has no pass of its own for it.
//!
//! Each pass works on one function's text and proves what it needs (that a register is dead, that control cannot enter
//! in between) from the text itself; what it does not understand it leaves alone. The differential test runs code that
//! went through all of them.

mod instruction;
mod liveness;
mod outline;
mod peephole;

/// Applies all passes to an assembler file.
pub(super) fn shrink(text: &str) -> String {
    outline::apply(&shorten(text))
}

/// Applies the passes that look at one function at a time.
fn shorten(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut function: Option<Vec<String>> = None;
    for line in text.lines() {
        match &mut function {
            None => {
                push(&mut out, line);
                if is_begin(line) {
                    function = Some(Vec::new());
                }
            }
            Some(_) if line.trim_start().starts_with(".size") => {
                for kept in peephole::apply(function.take().unwrap_or_default()) {
                    push(&mut out, &kept);
                }
                push(&mut out, line);
            }
            Some(lines) => lines.push(line.to_owned()),
        }
    }
    // A file that ends within a function has a shape that is not known: as it was.
    function.into_iter().flatten().for_each(|line| push(&mut out, &line));
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// `.type name,@function`, which stands before each function's label.
fn is_begin(line: &str) -> bool {
    let directive = line.trim_start();
    directive.starts_with(".type") && directive.ends_with("@function")
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[test]
    fn a_function_is_shrunk_and_data_is_left_alone() {
        let text = "\t.type\tf,@function\nf:\n\taddi\ta8, a1, 32\n\tor\ta1, a8, a8\n\tret\n\t.size\tf, 1\n\t.asciz\t\"\taddi\"\n";
        let expected = "\t.type\tf,@function\nf:\n\taddi\ta1, a1, 32\n\tret\n\t.size\tf, 1\n\t.asciz\t\"\taddi\"\n";
        assert_eq!(shrink(text), expected);
    }

    #[test]
    fn a_function_without_an_end_is_left_alone() {
        let text = "\t.type\tf,@function\nf:\n\taddi\ta8, a1, 32\n\tor\ta1, a8, a8\n\tret\n";
        assert_eq!(shrink(text), text);
    }
}
