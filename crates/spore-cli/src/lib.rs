//! The `spore` command, and what a program needs that runs a node with sprockets of its own ([`node`]).

mod client;
mod commands;
// Documents are of the whole command.
#[cfg(all(test, feature = "gateway"))]
mod docs;
mod example_sprockets;
mod faults;
mod input;
mod key_file;
mod keys;
mod misuse;
mod openapi;
mod output;
mod paths;
mod radio;
#[cfg(all(test, feature = "gateway"))]
mod reference;
mod registry;
mod schema;
mod secret_file;
mod service;
mod shell;
mod signing;
mod table;
mod times;
mod variables;
mod verbs;
mod watch;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use misuse::Misuse;
use spore_host::HostSprockets;
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
Examples:
  spore up                                a cluster of five nodes on this machine
  spore members                           who is in it
  spore call relay on --node 127.42.0.3   use a service, asking another node where it is
  spore help call                         more of one command

Exit codes: 0 done, 1 it failed (a node did not answer or refused, a file is missing, …), 2 wrong
usage.

A node is chosen by --node or the variable API_NODE, from the environment or from .env in this
folder: an address, with the port of its API if that is not 80. Default: the cluster that
`spore up` starts on this machine. What is for holders of the cluster key alone is signed with it:
--key-file or SPORE_KEY_FILE says where it is.";

#[derive(Debug, Subcommand)]
enum Command {
    Up(commands::up::Up),
    Node(commands::node::Node),
    Launch(commands::launch::Launch),
    #[cfg(feature = "gateway")]
    Gateway(Box<commands::gateway::Gateway>),
    #[cfg(feature = "gateway")]
    History(commands::history::History),
    Members(commands::members::Members),
    Status(commands::status::Status),
    Services(commands::services::Services),
    Sprockets(commands::sprockets::Sprockets),
    NewSprocket(commands::new_sprocket::NewSprocket),
    Call(commands::call::Call),
    Config(commands::config::Config),
    Logs(commands::logs::Logs),
    #[command(name = "pub")]
    Publish(commands::publish::Publish),
    #[command(name = "sub")]
    Subscribe(commands::subscribe::Subscribe),
    Tasks(commands::tasks::Tasks),
    Restart(commands::restart::Restart),
    Ota(commands::ota::Ota),
    Network(commands::network::Network),
    Claim(commands::claim::Claim),
    Repair(commands::repair::Repair),
    Doctor(commands::doctor::Doctor),
    Key(commands::key::Key),
    Image(commands::image::Image),
    Sign(commands::sign::Sign),
    Sim(Box<commands::sim::Sim>),
    #[command(name = "openapi")]
    OpenApi(commands::openapi::OpenApi),
    Schema(commands::schema::Schema),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

/// A node with other sprockets than those of `spore node`, with its options.
#[derive(Debug, Parser)]
#[command(version, about = "Run one node with its sprockets, until Ctrl-C")]
struct OwnNode {
    #[command(flatten)]
    options: commands::node::Options,
    /// Tell more on stderr: once for what happens to members, twice for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// The whole of a program that runs a node on Linux with these sprockets, with the options of `spore node`.
pub fn node(sprockets: HostSprockets) -> ExitCode {
    let OwnNode { options, verbose } = OwnNode::parse();
    start_log(verbose);
    end(options.run(sprockets))
}

/// `spore` with all its commands.
fn command() -> clap::Command {
    verbs::with_exit_codes(Arguments::command())
}

/// The whole of the program `spore`.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_log(arguments.verbose);
    let result = match arguments.command {
        Command::Up(up) => up.run(),
        Command::Node(node) => node.run(),
        Command::Launch(launch) => launch.run(),
        #[cfg(feature = "gateway")]
        Command::Gateway(gateway) => gateway.run(),
        #[cfg(feature = "gateway")]
        Command::History(history) => history.run(),
        Command::Members(members) => members.run(),
        Command::Status(status) => status.run(),
        Command::Services(services) => services.run(),
        Command::Sprockets(sprockets) => sprockets.run(),
        Command::NewSprocket(new) => new.run(),
        Command::Call(call) => call.run(),
        Command::Config(config) => config.run(),
        Command::Logs(logs) => logs.run(),
        Command::Publish(publish) => publish.run(),
        Command::Subscribe(subscribe) => subscribe.run(),
        Command::Tasks(tasks) => tasks.run(),
        Command::Restart(restart) => restart.run(),
        Command::Ota(ota) => ota.run(),
        Command::Network(network) => network.run(),
        Command::Claim(claim) => claim.run(),
        Command::Repair(repair) => repair.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Key(key) => key.run(),
        Command::Image(image) => image.run(),
        Command::Sign(sign) => sign.run(),
        Command::Sim(sim) => sim.run(),
        Command::OpenApi(openapi) => openapi.run(),
        Command::Schema(schema) => schema.run(&command()),
        Command::Completions(completions) => completions.run(command()),
        Command::Man(man) => man.run(command()),
    };
    end(result)
}

fn end(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("spore: {error:#}"));
            if Misuse::is_cause_of(&error) { Misuse::CODE.into() } else { ExitCode::FAILURE }
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
    use super::{command, schema, verbs};
    use std::collections::BTreeSet;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_shows_an_example_and_tells_its_exit_codes() {
        let verbs = verbs::all(&command());
        assert!(verbs.len() > 40, "{}", verbs.len());
        for verbs::Verb { name, mut command } in verbs {
            assert!(command.get_about().is_some(), "{name}: what does it do?");
            let help = command.render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{name}"));
            assert!(examples.contains(&format!("spore {name}")), "{name}");
            assert!(examples.contains("Exit code"), "{name}");
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{name} {id}: what is it for?");
            }
        }
    }

    #[test]
    fn every_command_has_json_with_a_schema_and_every_one_that_asks_a_node_a_timeout() {
        let mut titles = BTreeSet::new();
        for verbs::Verb { name, command } in verbs::all(&command()) {
            let options: BTreeSet<_> =
                command.get_arguments().filter_map(|it| it.get_long()).collect();
            assert!(options.contains("json"), "{name}");
            let asks = command.get_arguments().any(|it| it.get_id() == "node");
            assert_eq!(options.contains("timeout"), asks, "{name}");
            let schema = schema::of(&name).unwrap_or_else(|| panic!("{name}: no schema"));
            assert!(!schema.to_string().contains("$ref"), "{name}");
            assert!(titles.insert(schema["title"].to_string()), "{name}");
        }
    }
}
