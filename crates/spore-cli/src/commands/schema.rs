//! `spore schema`.

use crate::misuse::Misuse;
use crate::output::{print, print_line};
use crate::schema;
use crate::table::Table;
use crate::verbs::{self, Verb};
use anyhow::Result;
use clap::{Args, Command};
use serde_json::json;

/// Print what a command prints with --json, as JSON Schema.
///
/// The schemas hold for this version. Members of documents may be added later, and none that is required goes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Schema {
    /// The command, such as: ota update [default: list the commands]
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
    /// Print it in one line; without a command, the list as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore schema                        the commands that take --json: all of them
  spore schema members
  spore schema ota update --json      in one line";

impl Schema {
    pub(crate) fn run(self, spore: &Command) -> Result<()> {
        if self.words.is_empty() {
            let mut verbs = verbs::all(spore);
            verbs.retain(|verb| schema::of(&verb.name).is_some());
            if self.json {
                let commands: Vec<_> = verbs.iter().map(|verb| &verb.name).collect();
                return print_line(json!({ "commands": commands }));
            }
            let mut table = Table::new(&["COMMAND", ""]);
            for Verb { name, command } in verbs {
                let about = command.get_about().map(ToString::to_string);
                table.row([name, about.unwrap_or_default()]);
            }
            return print(table);
        }
        let command = self.words.join(" ");
        let Some(schema) = schema::of(&command) else {
            return Err(Misuse::error(format_args!(
                "there is no command {command:?}; `spore schema` lists them"
            )));
        };
        if self.json { print_line(schema) } else { print(format_args!("{schema:#}\n")) }
    }
}
