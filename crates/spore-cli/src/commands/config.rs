//! `spore config`.

use crate::client::{Client, Request, Signer, Target};
use crate::key_file::{KeyFile, ReleaseKeyFile};
use crate::keys::{Key, ReleaseKey};
use crate::misuse::Misuse;
use crate::output::{print, print_line};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// Read or change a node's settings.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the settings, or one of them
    #[command(after_help = GET_EXAMPLES)]
    Get {
        /// Only this one: its value alone
        name: Option<Name>,
    },
    /// Change settings: all that are named, or none
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// What to set, to which value
        #[arg(required = true, value_name = "NAME=VALUE")]
        settings: Vec<Setting>,
        /// Only if the settings are still those of this version
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u32>,
        #[command(flatten)]
        release: ReleaseKeyFile,
    },
}

const EXAMPLES: &str = "\
Examples:
  spore config get
  spore config set hostname=kitchen --node 192.168.1.20

Settings are for holders of the cluster key; requests are signed with it.";

const GET_EXAMPLES: &str = "\
Examples:
  spore config get             all settings
  spore config get hostname    the value of one";

const SET_EXAMPLES: &str = "\
Settings: hostname, release-key (64 hexadecimal digits, or @FILE with an exported public key).

Examples:
  spore config set hostname=kitchen
  spore config set hostname=kitchen --if-version 3
  spore config set release-key=$(spore key show release)

A node that has a release key takes another one only with a signature by the old one. It is made by
this command if the old private key is in the release key file.";

const PATH: &str = "/api/node/config";

/// A setting's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Version,
    Hostname,
    ReleaseKey,
    Claimed,
    Damaged,
}

impl Name {
    /// As it stands in the document.
    fn field(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Hostname => "hostname",
            Self::ReleaseKey => "release_key",
            Self::Claimed => "claimed",
            Self::Damaged => "damaged",
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "version" => Ok(Self::Version),
            "hostname" => Ok(Self::Hostname),
            "release-key" | "release_key" => Ok(Self::ReleaseKey),
            "claimed" => Ok(Self::Claimed),
            "damaged" => Ok(Self::Damaged),
            _ => Err("there are hostname, release-key, version, claimed and damaged".to_owned()),
        }
    }
}

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
enum Setting {
    Hostname(String),
    ReleaseKey(String),
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err("a setting is NAME=VALUE, such as hostname=kitchen".to_owned());
        };
        match name.parse::<Name>() {
            Ok(Name::Hostname) => match value.parse::<spore_core::Hostname>() {
                Ok(_) => Ok(Self::Hostname(value.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            Ok(Name::ReleaseKey) => Ok(Self::ReleaseKey(value.to_owned())),
            Ok(Name::Version | Name::Claimed | Name::Damaged) => {
                Err(format!("{name} cannot be set"))
            }
            Err(_) => Err("only hostname and release-key can be set".to_owned()),
        }
    }
}

impl Config {
    pub(crate) fn run(self) -> Result<()> {
        let signer = Signer::new(&self.key)?;
        let (client, node) = (self.target.client(), self.target.node());
        match &self.action {
            Action::Get { name } => self.show(&get(&client, &node, &signer)?, *name),
            Action::Set { settings, if_version, release } => {
                let mut changes = Map::new();
                for setting in settings {
                    let (field, value) = match setting {
                        Setting::Hostname(name) => (Name::Hostname.field(), name.clone()),
                        Setting::ReleaseKey(key) => (Name::ReleaseKey.field(), public_key(key)?),
                    };
                    if changes.insert(field.to_owned(), json!(value)).is_some() {
                        let name = field.replace('_', "-");
                        return Err(Misuse::error(format_args!("{name} is set twice")));
                    }
                }
                if let Some(version) = if_version {
                    changes.insert("version".to_owned(), json!(version));
                }
                if changes.contains_key(Name::ReleaseKey.field()) {
                    let present = get(&client, &node, &signer)?;
                    vouch(&mut changes, &present, release)?;
                }
                let body = serde_json::to_vec(&changes)?;
                let request = Request::with_json("PUT", PATH, &body);
                let answer = client.send_signed(&node, &request, &signer)?;
                self.show(&document(&answer.body)?, None)
            }
        }
    }

    fn show(&self, document: &Map<String, Value>, name: Option<Name>) -> Result<()> {
        let Some(name) = name else {
            if self.target.json {
                return print_line(serde_json::to_string(document)?);
            }
            let lines = document
                .iter()
                .map(|(name, value)| format!("{:<12} {}\n", name.replace('_', "-"), plain(value)));
            return print(lines.collect::<String>());
        };
        let value = document.get(name.field());
        let value = value.with_context(|| format!("the node has no {}", name.field()))?;
        if self.target.json { print_line(value) } else { print_line(plain(value)) }
    }
}

fn get(client: &Client, node: &str, signer: &Signer) -> Result<Map<String, Value>> {
    document(&client.send_signed(node, &Request::get(PATH), signer)?.body)
}

fn document(body: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(body).context("the answer is not what a SPORE node gives")
}

/// A value without quotes; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// A public key given as digits, or as a file.
fn public_key(text: &str) -> Result<String> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_ascii_lowercase()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    match Key::parse(&text).with_context(|| format!("{file} is no key"))? {
        Key::ReleasePublic(key) => Ok(crate::signing::hex(&key)),
        Key::Release(_) | Key::Cluster(_) => Err(anyhow!(
            "{file} has a secret key, which belongs on no node; `spore key export release --public` \
             writes the public part"
        )),
    }
}

/// Adds what a replacement of the release key needs: the old one's signature over the new one, and
/// the version, so that it is the old one that is replaced.
fn vouch(
    changes: &mut Map<String, Value>,
    present: &Map<String, Value>,
    file: &ReleaseKeyFile,
) -> Result<()> {
    let field = Name::ReleaseKey.field();
    let Some(old) = present.get(field).and_then(Value::as_str) else { return Ok(()) };
    let new = changes.get(field).and_then(Value::as_str).unwrap_or_default();
    if old == new {
        return Ok(());
    }
    let new = ReleaseKey::parse_public(new)?;
    let holder = file.find()?.filter(|key| crate::signing::hex(&key.public()) == old);
    let Some(holder) = holder else {
        bail!(
            "the node's release key is {old}, and the private key to it is not in {}; the new one \
             must be signed with it",
            file.path()?.display()
        )
    };
    let signature = crate::signing::hex(&holder.sign_replacement(&new));
    changes.insert("release_key_signature".to_owned(), json!(signature));
    if let Some(version) = present.get("version") {
        changes.entry("version").or_insert_with(|| version.clone());
    }
    Ok(())
}
