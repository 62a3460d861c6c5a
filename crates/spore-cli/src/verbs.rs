//! The commands that do something, as they stand in the tree of the argument parser.

use clap::Command;

/// What stands at the end of the help of each.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, 1 it failed, 2 wrong usage.";

/// A command that does something itself.
#[derive(Debug)]
pub(crate) struct Verb {
    /// Its words behind `spore`.
    pub(crate) name: String,
    pub(crate) command: Command,
}

/// All below `spore`, in its order. One that has others below it counts if it does something without them.
pub(crate) fn all(spore: &Command) -> Vec<Verb> {
    let mut spore = spore.clone();
    // What holds for a command holds for all below it then.
    spore.build();
    below(&spore, "")
}

fn below(command: &Command, words: &str) -> Vec<Verb> {
    let mut verbs = Vec::new();
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("{words} {}", command.get_name()).trim_start().to_owned();
        let rest = below(command, &name);
        if rest.is_empty() || !command.is_subcommand_required_set() {
            verbs.push(Verb { name, command: command.clone() });
        }
        verbs.extend(rest);
    }
    verbs
}

/// `command` with the exit codes at the end of its help, and of the help of all below it that do not tell their own.
pub(crate) fn with_exit_codes(command: Command) -> Command {
    let names: Vec<_> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let mut command = command;
    for name in names {
        command = command.mut_subcommand(name, with_exit_codes);
    }
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if text.contains("Exit code") {
        return command;
    }
    let gap = if text.is_empty() { "" } else { "\n\n" };
    command.after_help(format!("{text}{gap}{EXIT_CODES}"))
}
