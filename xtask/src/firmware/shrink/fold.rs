//! Functions that are the same to the instruction, as one: LLVM merges what is the same before it has chosen instructions, and sees
//! that much less often, since types differ.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::super::asm;
use super::liveness::label;
use super::{functions, literal, push};

/// Leaves out each function of Rust that is the same as another one, which is called in its place.
///
/// Rust promises no function an address of its own. What others know by its name stays.
pub(super) fn apply(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let literals: HashMap<&str, &str> = lines.iter().filter_map(|line| literal(line)).collect();
    let mut all = functions(&lines);
    // What stays is found first.
    all.sort_by_key(|(name, _)| is_of_rust(name));
    let mut folded = Folded(HashMap::new());
    // Who calls functions that have become one may be the same only then.
    loop {
        let before = folded.0.len();
        let mut found: HashMap<String, &str> = HashMap::new();
        for (name, range) in &all {
            if folded.0.contains_key(name) {
                continue;
            }
            match found.entry(spell(name, &lines[range.clone()], &literals, &folded)) {
                Entry::Occupied(same) if is_of_rust(name) => {
                    folded.0.insert(name, same.get());
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(place) => {
                    place.insert(name);
                }
            }
        }
        if folded.0.len() == before {
            break;
        }
    }
    without(&lines, &all, &folded)
}

/// Which function is called in whose place.
struct Folded<'a>(HashMap<&'a str, &'a str>);

impl<'a> Folded<'a> {
    /// Who stands in the place of a function that is left out.
    fn place_of(&self, name: &str) -> Option<&'a str> {
        let mut place = *self.0.get(name)?;
        while let Some(next) = self.0.get(place) {
            place = next;
        }
        Some(place)
    }
}

fn is_of_rust(name: &str) -> bool {
    name.starts_with("_R")
}

/// A function as it is compared: its labels by their order, literals by their values, itself without its name.
fn spell(
    name: &str,
    lines: &[&str],
    literals: &HashMap<&str, &str>,
    folded: &Folded<'_>,
) -> String {
    let labels = lines.iter().filter_map(|line| label(line)).enumerate();
    let labels: HashMap<&str, usize> = labels.map(|(number, label)| (label, number)).collect();
    let known = |symbol: &str| match (labels.get(symbol), literals.get(symbol)) {
        _ if symbol == name => Some("itself".to_owned()),
        (Some(number), _) => Some(format!("label {number}")),
        (None, Some(value)) => Some(folded.place_of(value).unwrap_or(value).to_owned()),
        (None, None) => folded.place_of(symbol).map(str::to_owned),
    };
    let code = lines.iter().map(|line| line.split('#').next().unwrap_or_default().trim_end());
    let mut out = String::new();
    code.filter(|line| !line.is_empty()).for_each(|line| push(&mut out, &asm::rename(line, known)));
    out
}

/// The text without what is folded, whose names become those of what stands in its place.
fn without(lines: &[&str], all: &[(&str, Range<usize>)], folded: &Folded<'_>) -> String {
    let mut stays = vec![true; lines.len()];
    for (name, range) in all.iter().filter(|(name, _)| folded.0.contains_key(name)) {
        stays[range.clone()].fill(false);
        // What says that it is there stands right before it, and its size behind.
        let first = (0..range.start).rev().find(|at| asm::section(lines[*at]).is_some());
        for at in first.unwrap_or(0)..=range.end {
            stays[at] &= !asm::defines(lines[at], name);
        }
    }
    let mut out = String::new();
    for (line, _) in lines.iter().zip(stays).filter(|(_, stays)| *stays) {
        let is_text = line.trim_start().starts_with(".asci");
        let line = if is_text {
            (*line).to_owned()
        } else {
            asm::rename(line, |symbol| folded.place_of(symbol).map(str::to_owned))
        };
        push(&mut out, &line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::apply;

    /// A function with a label, a literal and a call of `callee`.
    fn function(name: &str, callee: &str) -> String {
        format!(
            "\t.section\t.text.{name},\"ax\",@progbits\n\t.global\t{name}\n\t.p2align\t2\n\t.literal .LCPI{name}, table\n\
             \t.type\t{name},@function\n{name}:\n\tl32r\ta8, .LCPI{name}\n\tbeqz\ta8, .LBB{name}\n\tcall0\t{callee}\n\
             .LBB{name}:\n\tret\n\t.size\t{name}, .-{name}\n"
        )
    }

    fn bodies(text: &str) -> Vec<&str> {
        let labels = text.lines().filter_map(|line| line.strip_suffix(':'));
        labels.filter(|label| !label.starts_with('.')).collect()
    }

    #[test]
    fn functions_that_are_the_same_become_one_and_then_those_that_call_them() {
        let text = [
            function("_Rf", "other"),
            function("_Rg", "other"),
            function("_Rh", "_Rf"),
            function("_Ri", "_Rg"),
            "\t.section\t.rodata.t,\"a\",@progbits\n\t.long\t_Ri\n\t.asciz\t\"_Ri\"\n".to_owned(),
        ]
        .concat();
        let folded = apply(&text);
        assert_eq!(bodies(&folded), ["_Rf", "_Rh"]);
        assert!(!folded.contains(".global\t_Rg") && !folded.contains(".type\t_Ri"), "{folded}");
        assert!(folded.contains("\t.long\t_Rh\n\t.asciz\t\"_Ri\"\n"), "{folded}");
    }

    #[test]
    fn one_that_calls_itself_is_as_another_one_that_does() {
        let text = [function("_Rf", "_Rf"), function("_Rg", "_Rg")].concat();
        assert_eq!(bodies(&apply(&text)), ["_Rf"]);
    }

    #[test]
    fn what_others_know_by_name_stays() {
        let text = ["_Rf", "user_init", "main"].map(|name| function(name, "x")).concat();
        let folded = apply(&text);
        assert_eq!(bodies(&folded), ["user_init", "main"]);
        assert!(folded.contains("\t.global\tmain\n"), "{folded}");
    }

    #[test]
    fn others_and_those_in_instruction_ram_are_left_alone() {
        let ram = function("_Rg", "x").replace("\t.text.", "\t.iram.text.");
        let other = function("_Ri", "x").replace("table", "other");
        let text = [function("_Rf", "x"), ram, function("_Rh", "y"), other].concat();
        assert_eq!(apply(&text), text);
    }
}
