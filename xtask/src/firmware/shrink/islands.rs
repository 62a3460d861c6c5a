//! Jumps that several branches share.
//!
//! A branch that compares reaches 128 bytes. Where its target is farther, the assembler makes two instructions of it: the
//! opposite branch, over a jump. If there is a jump to the same target in reach already, the branch can go there.
//!
//! Distances are estimated. Where an estimate is wrong, the assembler still makes code that is right.

use std::collections::HashMap;

use super::instruction::{Flow, Instruction};
use super::liveness::label;
use super::peephole::opposite;

/// How far a branch is from where it goes, at most, in bytes: 4 less and 4 more than the instruction's own reach.
const REACH: std::ops::RangeInclusive<i64> = -124..=131;
/// The same for jumps that are shared, with some room for what is not known of sizes.
const SURE: std::ops::RangeInclusive<i64> = -112..=116;
/// How far a narrow branch reaches.
const NARROW: std::ops::RangeInclusive<i64> = 4..=67;
/// Sizes change distances, and distances sizes; each round can only add.
const ROUNDS: usize = 8;

/// Shares jumps in one function, given as the lines between its `.type` and its `.size`. Labels that it makes begin
/// with `prefix`.
pub(super) fn apply(lines: Vec<String>, prefix: &str) -> Vec<String> {
    let layout = Layout::of(&lines);
    let mut islands = Islands { layout: &layout, jumps: HashMap::new(), labels: HashMap::new() };
    for (at, line) in lines.iter().enumerate() {
        if let Some(Flow::Jump(target)) = Instruction::parse(line).map(|i| i.flow()) {
            islands.jumps.entry(target.to_owned()).or_default().push(at);
        }
    }
    let mut replaced: HashMap<usize, String> = HashMap::new();
    let mut split: Vec<usize> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(branch) = Instruction::parse(line) else { continue };
        let Flow::Branch(target) = branch.flow() else { continue };
        if !layout.is_far(at, &branch, target) || opposite(branch.name).is_none() {
            continue;
        }
        if let Some(island) = islands.in_reach(at, target, prefix) {
            replaced.insert(at, with_target(&branch, branch.name, &island));
        } else {
            islands.jumps.entry(target.to_owned()).or_default().push(at);
            split.push(at);
        }
    }
    write(lines, &replaced, &split, &islands.labels)
}

/// The function with its branches replaced, those split that others go through, and the labels that this takes.
fn write(
    lines: Vec<String>,
    replaced: &HashMap<usize, String>,
    split: &[usize],
    labels: &HashMap<usize, String>,
) -> Vec<String> {
    let mut out = Vec::with_capacity(lines.len());
    for (at, line) in lines.into_iter().enumerate() {
        let Some(island) = labels.get(&at) else {
            out.push(replaced.get(&at).cloned().unwrap_or(line));
            continue;
        };
        let branch = Instruction::parse(&line).filter(|_| split.contains(&at));
        let parts = branch.as_ref().and_then(|b| Some((b, opposite(b.name)?, b.operands.last()?)));
        if let Some((branch, opposite, target)) = parts {
            out.push(with_target(branch, opposite, &format!("{island}_over")));
            out.push(format!("{island}:"));
            out.push(format!("\tj\t{target}"));
            out.push(format!("{island}_over:"));
        } else {
            out.push(format!("{island}:"));
            out.push(line);
        }
    }
    out
}

/// The branch under another name and with another target.
fn with_target(branch: &Instruction<'_>, name: &str, target: &str) -> String {
    let mut operands = branch.operands.clone();
    if let Some(last) = operands.last_mut() {
        *last = target;
    }
    format!("\t{name}\t{}", operands.join(", "))
}

/// The jumps that there are, and those that were given a label to go to.
struct Islands<'a> {
    layout: &'a Layout,
    /// Lines of jumps, or of branches that will be split, by target.
    jumps: HashMap<String, Vec<usize>>,
    labels: HashMap<usize, String>,
}

impl Islands<'_> {
    /// The label of a jump to `target` that the branch of a line reaches.
    fn in_reach(&mut self, branch: usize, target: &str, prefix: &str) -> Option<String> {
        let reaches = |jump: &&usize| SURE.contains(&self.layout.distance(branch, **jump));
        let jump = *self.jumps.get(target)?.iter().find(reaches)?;
        let island = || format!("{prefix}_{jump}");
        Some(self.labels.entry(jump).or_insert_with(island).clone())
    }
}

/// Where the lines of a function are, from its beginning, in bytes.
struct Layout {
    starts: Vec<i64>,
    labels: HashMap<String, usize>,
}

impl Layout {
    fn of(lines: &[String]) -> Self {
        let named = lines.iter().enumerate().filter_map(|(at, l)| Some((label(l)?.to_owned(), at)));
        let mut layout = Self { starts: vec![0; lines.len()], labels: named.collect() };
        let code: Vec<Option<Instruction<'_>>> =
            lines.iter().map(|line| Instruction::parse(line)).collect();
        for _ in 0..ROUNDS {
            let mut start = 0;
            let mut starts = Vec::with_capacity(lines.len());
            for (at, instruction) in code.iter().enumerate() {
                starts.push(start);
                start += instruction.as_ref().map_or(0, |i| layout.size(at, i));
            }
            if starts == layout.starts {
                break;
            }
            layout.starts = starts;
        }
        layout
    }

    fn size(&self, at: usize, instruction: &Instruction<'_>) -> i64 {
        match instruction.flow() {
            Flow::Branch(target) if self.is_far(at, instruction, target) => 6,
            Flow::Branch(target) if matches!(instruction.name, "beqz" | "bnez") => {
                let distance = self.labels.get(target).map(|line| self.distance(at, *line));
                if distance.is_some_and(|distance| NARROW.contains(&distance)) { 2 } else { 3 }
            }
            // The assembler takes one that is not marked for a long call.
            _ if instruction.name == "call0" => 6,
            _ => i64::try_from(instruction.size()).unwrap_or(3),
        }
    }

    fn distance(&self, from: usize, to: usize) -> i64 {
        self.starts[to] - self.starts[from]
    }

    /// Whether a branch does not reach its target. Those that compare with zero reach 2 KB.
    fn is_far(&self, at: usize, branch: &Instruction<'_>, target: &str) -> bool {
        let is_short = !matches!(branch.name, "beqz" | "bnez" | "bltz" | "bgez");
        let target = self.labels.get(target);
        is_short && target.is_some_and(|line| !REACH.contains(&self.distance(at, *line)))
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

    fn lines(code: &[&str], filler: usize) -> Vec<String> {
        let mut lines: Vec<String> = code.iter().map(|&line| line.to_owned()).collect();
        let end = lines.iter().position(|line| line == ".L9:").unwrap();
        lines.splice(end..end, (0..filler).map(|_| "\txor\ta2, a2, a3".to_owned()));
        lines
    }

    #[test]
    fn two_branches_to_a_far_target_share_a_jump() {
        let code = ["\tbeqi\ta2, 4, .L9", "\tbne\ta2, a3, .L9", ".L9:", "\tret"];
        let shared = apply(lines(&code, 50), ".Lisland_f");
        let expected = [
            "\tbnei\ta2, 4, .Lisland_f_0_over",
            ".Lisland_f_0:",
            "\tj\t.L9",
            ".Lisland_f_0_over:",
            "\tbne\ta2, a3, .Lisland_f_0",
        ];
        assert_eq!(shared[..5], expected);
        assert_eq!(shared.len(), lines(&code, 50).len() + 3);
        // Both reach it.
        assert_eq!(apply(lines(&code, 40), ".Lisland_f"), lines(&code, 40));
    }

    #[test]
    fn a_jump_that_is_there_is_used() {
        let code = ["\tbltu\ta2, a3, .L9", "\tret", ".L3:", "\tj\t.L9", ".L9:", "\tret"];
        let shared = apply(lines(&code, 50), ".Li");
        assert_eq!(shared[..5], ["\tbltu\ta2, a3, .Li_3", "\tret", ".L3:", ".Li_3:", "\tj\t.L9"]);
    }

    #[test]
    fn a_single_branch_is_left_to_the_assembler_and_zero_is_reached() {
        for code in [
            ["\tbeq\ta2, a3, .L9", "\tnop", ".L9:", "\tret"],
            ["\tbeqz\ta2, .L9", "\tbeqz\ta3, .L9", ".L9:", "\tret"],
        ] {
            assert_eq!(apply(lines(&code, 50), ".Li"), lines(&code, 50));
        }
    }

    #[test]
    fn a_shared_jump_is_in_reach_of_all_branches() {
        let mut code = vec!["\tbeqi\ta2, 4, .L9"];
        code.extend(["\txor\ta2, a2, a3"; 45]);
        code.extend(["\tbeqi\ta2, 5, .L9", ".L9:"]);
        assert_eq!(apply(lines(&code, 50), ".Li"), lines(&code, 50));
    }
}
