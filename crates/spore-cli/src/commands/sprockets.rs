//! `spore sprockets`.

use crate::client::{self, Request, Signer, Target};
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::{print, print_line};
use crate::table::Table;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Show how a node's sprockets are, or what is set of one; and set it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sprockets {
    /// Show what can be set of this one
    name: Option<String>,
    /// What to set, to which value: all that are named, or none
    #[arg(value_name = "SETTING=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore sprockets                    how they are, and what they have done
  spore sprockets sensor             what can be set of one, and what is set
  spore sprockets sensor limit=25    set it

Settings are for holders of the cluster key; requests are signed with it.";

/// The part of `GET /api/node/status` that is about sprockets.
#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    sprockets: Vec<Sprocket>,
}

#[derive(Debug, Deserialize)]
struct Sprocket {
    name: String,
    state: String,
    message: Option<String>,
    runs: u32,
    slow: u32,
    longest_us: u32,
    refused: u32,
    restarts: u32,
}

/// `GET /api/sprockets/{name}/config`.
#[derive(Debug, Deserialize)]
struct Config {
    settings: Vec<Setting>,
}

#[derive(Debug, Deserialize)]
struct Setting {
    name: String,
    value: Value,
    default: Value,
    least: Option<i32>,
    most: Option<i32>,
    summary: String,
}

impl Setting {
    /// The values that it can have, in words.
    fn takes(&self) -> String {
        match (self.least, self.most, &self.default) {
            (Some(least), Some(most), _) => format!("a whole number from {least} to {most}"),
            (_, _, Value::Bool(_)) => "true or false".to_owned(),
            _ => "a text of at most 32 characters of ASCII, without \" and \\".to_owned(),
        }
    }
}

impl Sprockets {
    pub(crate) fn run(self) -> Result<()> {
        let (client, node) = (self.target.client(), self.target.node());
        let Some(name) = &self.name else {
            let body = self.target.get(&node, "/api/node/status")?;
            if self.target.json {
                let status: Value = client::parse(&body)?;
                return print_line(json!({ "sprockets": status["sprockets"] }));
            }
            let Status { sprockets } = client::parse(&body)?;
            return print(list(&sprockets).to_string());
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Misuse::error(format_args!("{name:?} is no sprocket's name")));
        }
        let signer = Signer::new(&self.key)?;
        let path = format!("/api/sprockets/{name}/config");
        let request = Request::get(&path);
        let mut answer = client.exchange_signed(&node, &request, &signer)?;
        if answer.is_refusal("not_found") {
            bail!(
                "{node} has no sprocket {name:?}; `spore sprockets --node {node}` lists those it has"
            );
        }
        if answer.is_success() && !self.settings.is_empty() {
            let config = config(&answer.body)?;
            let changes = serde_json::to_vec(&changes(&config, &self.settings)?)?;
            let request = Request::with_json("PUT", &path, &changes);
            answer = client.exchange_signed(&node, &request, &signer)?;
            if !answer.is_success() {
                let error = signer.error(&answer, &node, &request);
                let field = answer.refusal().and_then(|refusal| refusal.field);
                let blamed =
                    config.settings.iter().find(|setting| Some(&setting.name) == field.as_ref());
                return Err(match blamed {
                    Some(setting) => {
                        error.context(format!("{} takes {}", setting.name, setting.takes()))
                    }
                    None => error,
                });
            }
        }
        if !answer.is_success() {
            return Err(signer.error(&answer, &node, &request));
        }
        if self.target.json {
            return client::print_document(&answer.text());
        }
        let config = config(&answer.body)?;
        if config.settings.is_empty() {
            return print_line(format_args!("{name} has nothing that can be set."));
        }
        print(table(&config).to_string())
    }
}

fn config(body: &[u8]) -> Result<Config> {
    serde_json::from_slice(body).context("the answer is not what a SPORE node gives")
}

/// What is to be changed, with values of the settings' types.
fn changes(config: &Config, wanted: &[String]) -> Result<Map<String, Value>> {
    let mut changes = Map::new();
    for text in wanted {
        let Some((name, text)) = text.split_once('=') else {
            return Err(Misuse::error(format_args!(
                "{text}: a setting is NAME=VALUE, such as limit=25"
            )));
        };
        let setting = config.settings.iter().find(|setting| setting.name == name);
        let value = match setting.map(|setting| &setting.default) {
            Some(Value::String(_)) => json!(text),
            // What is none of its values the node refuses, and says so.
            _ => text.parse().unwrap_or_else(|_| json!(text)),
        };
        if changes.insert(name.to_owned(), value).is_some() {
            return Err(Misuse::error(format_args!("{name} is set twice")));
        }
    }
    Ok(changes)
}

fn list(sprockets: &[Sprocket]) -> Table {
    let header = ["NAME", "STATE", "CALLS", "SLOW", "LONGEST", "REFUSED", "RESTARTS", ""];
    let mut table = Table::new(&header);
    for sprocket in sprockets {
        table.row([
            sprocket.name.clone(),
            sprocket.state.clone(),
            sprocket.runs.to_string(),
            sprocket.slow.to_string(),
            format!("{}.{:03} ms", sprocket.longest_us / 1_000, sprocket.longest_us % 1_000),
            sprocket.refused.to_string(),
            sprocket.restarts.to_string(),
            sprocket.message.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn table(config: &Config) -> Table {
    let mut table = Table::new(&["SETTING", "VALUE", "DEFAULT", "RANGE", ""]);
    for setting in &config.settings {
        let range = match (setting.least, setting.most) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            _ => "-".to_owned(),
        };
        table.row([
            setting.name.clone(),
            setting.value.to_string(),
            setting.default.to_string(),
            range,
            setting.summary.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{changes, config};
    use serde_json::{Value, json};

    #[test]
    fn values_have_the_types_of_the_settings() {
        let setting = |name: &str, default: Value| json!({ "name": name, "value": default, "default": default, "summary": "" });
        let document = json!({ "sprocket": "x", "settings": [
            setting("limit", json!(30)), setting("label", json!("")), setting("quiet", json!(false)),
        ] });
        let config = config(document.to_string().as_bytes()).unwrap();
        let changed = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|&text| text.to_owned()).collect();
            changes(&config, &wanted).map(Value::Object).map_err(|error| error.to_string())
        };
        let all = changed(&["limit=-5", "label=7", "quiet=true", "other=x"]).unwrap();
        assert_eq!(all, json!({ "limit": -5, "label": "7", "quiet": true, "other": "x" }));
        assert!(changed(&["limit"]).unwrap_err().contains("NAME=VALUE"));
        assert!(changed(&["limit=1", "limit=2"]).unwrap_err().contains("twice"));
    }
}
