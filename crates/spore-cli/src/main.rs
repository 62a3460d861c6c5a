//! The `spore` command.

mod client;
mod commands;
mod faults;
mod key_file;
mod output;
mod paths;
mod shell;
mod table;
mod variables;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

/// Turns a handful of boards into one cluster that you can see, program and update as a whole.
#[derive(Debug, Parser)]
#[command(name = "spore", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Tell more on stderr: once for what happens to members, twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it failed (a node did not answer, a file is missing, …), 2 wrong usage.

A node is chosen by --node or the variable API_NODE, from the environment or from .env in this
folder: an address, with the port of its API if that is not 80. Default: the cluster that
`spore up` starts on this machine.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster of nodes on this machine, and keep it running until Ctrl-C
    Up(commands::up::Up),
    /// Run one node on one of this machine's addresses, until Ctrl-C
    Node(commands::node::Node),
    /// List the members of the cluster, as one of them sees them
    Members(commands::members::Members),
    /// Show a node's resources, versions and endpoints
    Status(commands::status::Status),
    /// Run a cluster in virtual time, and say when its nodes knew each other
    Sim(commands::sim::Sim),
    /// Make or show the key that all members of a cluster share
    Key(commands::key::Key),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.verbose);
    let result = match arguments.command {
        Command::Up(up) => up.run(),
        Command::Node(node) => node.run(),
        Command::Members(members) => members.run(),
        Command::Status(status) => status.run(),
        Command::Sim(sim) => sim.run(),
        Command::Key(key) => key.run(),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "spore", &mut script);
            output::print(String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("spore: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start_log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let environment = env_logger::Env::default().default_filter_or(default);
    env_logger::Builder::from_env(environment).format_target(false).init();
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
