//! The reference of the commands, docs/cli.md, as it is made from the argument parser and the schemas.

use crate::verbs::{self, Verb};
use crate::{command, schema};
use clap::{Arg, ArgAction, Command};
use serde_json::Value;
use std::fmt::Write as _;

/// What stands before the commands.
const HEAD: &str = "\
# The commands

Made from the command itself by `BLESS=1 cargo test -p spore-cli reference`; a test keeps it so. Each of them has `--help`, which says the same.

## Exit codes

| code | means |
|---|---|
| 0 | it was done; what runs until Ctrl-C was ended by it, or by whoever read its output |
| 1 | it failed, and stderr says why: a node does not answer, or refuses; a file is missing; something that was asked for is not so |
| 2 | wrong usage: nothing was done |
| 85 | of `spore node` under `spore launch`: start me again, from the slot that I chose |
| 101 | a fault of `spore` itself, a panic, which stderr tells; one in any of their nodes ends `spore up` and `spore gateway` whole |
| 130 | `spore ota all` was interrupted: the rollout goes on without it |

`spore launch` ends with the code of its program if that is 0 or 2 and the program is not on trial; after any other it starts one again. With `--all` or several nodes, 1 if any of them did not do it.

## For programs

- With `--json`, stdout is JSON: one document, or one a line with `--watch`, `--follow` and `sub`. `spore schema COMMAND` prints its JSON Schema; below it is in short, `?` for what may be absent.
- Errors, warnings and progress go to stderr, as text. An error is one line that begins with `spore:`.
- There are no colours, bars or other commands to a terminal in a pipe, with `NO_COLOR`, or if `TERM` is `dumb`. What nodes say cannot bring any either.
- `--timeout` is for each answer of a node; what waits for more than an answer, such as an update, says how long.

## Options of all commands

`-v` tells more on stderr, once for what happens to members, twice for everything. `-h` and `--help` show help. Of those that ask a node:
`--node ADDRESS` (or `API_NODE`; the first node of `spore up` by default) says whom, `--timeout SECONDS` for how long (3), `--json`. Of those that sign: `--key-file FILE` (or `SPORE_KEY_FILE`).
";

/// The options of [`HEAD`].
const COMMON: [&str; 6] = ["verbose", "help", "node", "timeout", "json", "key_file"];

/// The whole of it.
fn text() -> String {
    let mut text = HEAD.to_owned();
    let verbs = verbs::all(&command());
    let links =
        verbs.iter().map(|verb| format!("[{}](#spore-{})", verb.name, verb.name.replace(' ', "-")));
    text.push_str(&format!("\n## All commands\n\n{}\n", links.collect::<Vec<_>>().join(" · ")));
    for verb in verbs {
        add(&mut text, verb).expect("a text takes all");
    }
    text
}

fn add(text: &mut String, Verb { name, mut command }: Verb) -> std::fmt::Result {
    write!(text, "\n## spore {name}\n\n{}\n", plain(command.get_about()))?;
    let long = plain(command.get_long_about());
    if let Some((_, more)) = long.split_once("\n\n") {
        write!(text, "\n{more}\n")?;
    }
    write!(text, "\n```text\n{}\n```\n", usage(&mut command))?;
    let own = |arg: &&Arg| !COMMON.contains(&arg.get_id().as_str()) || arg.is_positional();
    let own: Vec<_> = command.get_arguments().filter(own).collect();
    if !own.is_empty() {
        write!(text, "\n| | |\n|---|---|\n")?;
    }
    for arg in own {
        writeln!(text, "| `{}` | {} |", shown(arg), help(arg))?;
    }
    let after = plain(command.get_after_help());
    let after = after.replace(verbs::EXIT_CODES, "");
    write!(text, "\n```text\n{}\n```\n", after.trim())?;
    let Some(schema) = schema::of(&name) else { return Ok(()) };
    write!(text, "\nJSON:\n\n```text\n{}\n```\n", documents(&schema))
}

fn plain(styled: Option<&clap::builder::StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

/// How it is called, without the word `Usage`.
fn usage(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

/// An argument as it is written.
fn shown(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values: Vec<_> = values.iter().filter(|_| takes).map(ToString::to_string).collect();
    let values = values.join(" ").replace('|', "\\|");
    let joint = if arg.is_require_equals_set() { "=" } else { " " };
    match (arg.get_short(), arg.get_long()) {
        (None, None) => values,
        (short, long) => {
            let short = short.map(|short| format!("-{short}"));
            let names: Vec<_> =
                short.into_iter().chain(long.map(|long| format!("--{long}"))).collect();
            let joint = if values.is_empty() { "" } else { joint };
            format!("{}{joint}{values}", names.join(", "))
        }
    }
}

/// What it is for, what it may be, and what it is by default.
fn help(arg: &Arg) -> String {
    let mut help = plain(arg.get_long_help().or(arg.get_help())).replace("\n\n", ". ");
    help = help.replace('\n', " ");
    let words: Vec<_> = arg.get_possible_values();
    let words: Vec<_> = words.iter().map(|word| format!("`{}`", word.get_name())).collect();
    if arg.get_action().takes_values() && !words.is_empty() {
        let _ = write!(help, ": {}", words.join(", "));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|it| it.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !default.is_empty() {
        let _ = write!(help, " [default: {}]", default.join(" "));
    }
    help.replace('|', "\\|")
}

/// A schema in short: each document that there may be.
fn documents(schema: &Value) -> String {
    let choices = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let shown = choices.iter().map(|choice| match choice["description"].as_str() {
        Some(when) => format!("{when}:\n{}", short(choice, 0)),
        None => short(choice, 0),
    });
    shown.collect::<Vec<_>>().join("\n\n")
}

/// A schema in short.
fn short(schema: &Value, depth: usize) -> String {
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(choices) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        return choices.iter().map(|it| short(it, depth)).collect::<Vec<_>>().join(" | ");
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => vec![kind.as_str().unwrap_or("any")],
    };
    let one = |kind: &str| match kind {
        "object" => members(schema, depth),
        "array" => format!("[{}, …]", short(&schema["items"], depth)),
        other => other.to_owned(),
    };
    kinds.into_iter().map(one).collect::<Vec<_>>().join(" | ")
}

fn members(schema: &Value, depth: usize) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        return match &schema["additionalProperties"] {
            Value::Object(_) => {
                format!("{{ any name: {} }}", short(&schema["additionalProperties"], depth))
            }
            _ => "object".to_owned(),
        };
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let indent = "  ".repeat(depth + 1);
    let lines = properties.iter().map(|(name, member)| {
        let maybe = if required.contains(&Value::from(name.as_str())) { "" } else { "?" };
        let about = member["description"].as_str();
        let about = about.map_or_else(String::new, |about| format!("   # {about}"));
        format!("{indent}{name}{maybe}: {}{about}", short(member, depth + 1))
    });
    format!("{{\n{}\n{}}}", lines.collect::<Vec<_>>().join("\n"), "  ".repeat(depth))
}

#[test]
fn the_reference_is_that_of_this_command() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let text = text();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == text,
        "docs/cli.md is not current; BLESS=1 cargo test -p spore-cli reference writes it anew"
    );
}
