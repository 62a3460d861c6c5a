//! Which registers of a function are still needed, after each of its lines.

use std::collections::HashMap;

use super::instruction::{Flow, Instruction, Registers};

/// For each line of a function, what may be read after it before it is set anew.
///
/// What is not understood reads everything, so the answer errs towards "needed".
pub(super) fn live_after(lines: &[String]) -> Vec<Registers> {
    let code: Vec<Option<Instruction<'_>>> = lines.iter().map(|l| Instruction::parse(l)).collect();
    let labels: HashMap<&str, usize> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((label(line)?, at))).collect();
    let mut before = vec![Registers::NONE; lines.len() + 1];
    // Beyond the last line is nothing that is known.
    before[lines.len()] = Registers::ALL;
    let mut after = vec![Registers::NONE; lines.len()];
    loop {
        let mut changed = false;
        for at in (0..lines.len()).rev() {
            let at_label =
                |label: &str| labels.get(label).map_or(Registers::ALL, |line| before[*line]);
            let (out, into) = match &code[at] {
                None => (before[at + 1], before[at + 1]),
                Some(instruction) => {
                    let out = match instruction.flow() {
                        Flow::On => before[at + 1],
                        Flow::Branch(label) => before[at + 1] | at_label(label),
                        Flow::Jump(label) => at_label(label),
                        Flow::Return | Flow::Stop => Registers::NONE,
                        Flow::Unknown => Registers::ALL,
                    };
                    (out, out.without(instruction.writes()) | instruction.reads())
                }
            };
            changed |= before[at] != into;
            before[at] = into;
            after[at] = out;
        }
        if !changed {
            return after;
        }
    }
}

/// The label that a line sets.
pub(super) fn label(line: &str) -> Option<&str> {
    let code = line.split('#').next().unwrap_or_default().trim_end();
    code.strip_suffix(':').filter(|label| !label.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(code: &[&str]) -> Vec<Registers> {
        live_after(&code.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_register_is_needed_until_its_last_reader() {
        let live = after(&["\tmovi\ta8, 1", "\tadd\ta2, a8, a9", "\tmovi\ta8, 2", "\tret"]);
        assert!(live[0].contains(Registers::of("a8")));
        assert!(!live[1].touches(Registers::of("a8")));
        assert!(live[1].contains(Registers::of("a2")));
    }

    #[test]
    fn a_loop_needs_what_its_next_round_reads() {
        let live = after(&[
            ".LBB0_1:",
            "\tadd\ta2, a2, a9",
            "\tmovi\ta8, 2",
            "\tbnez\ta2, .LBB0_1",
            "\tret",
        ]);
        assert!(live[2].contains(Registers::of("a9")));
        assert!(!live[2].touches(Registers::of("a10")));
    }

    #[test]
    fn what_control_flow_is_unknown_needs_everything() {
        assert_eq!(after(&["\tjx\ta2"])[0], Registers::ALL);
        assert_eq!(after(&["\tj\tsomewhere_else"])[0], Registers::ALL);
        assert_eq!(after(&["\tmovi\ta8, 1"])[0], Registers::ALL);
    }
}
