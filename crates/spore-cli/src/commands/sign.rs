//! `spore sign`.

use crate::client::{Request, Signer, Target};
use crate::input::Input;
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::print_line;
use anyhow::Result;
use clap::Args;
use serde_json::json;

/// Sign a request for another program, such as curl.
///
/// Prints the one field that makes the request signed, with a nonce that the node gives for it: it
/// is good for 60 seconds, for one request with this method, path, query and body.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_missing_positional = true)]
pub(crate) struct Sign {
    /// The method
    #[arg(value_name = "METHOD", default_value = "GET", value_parser = super::call::method)]
    method: String,
    /// The path, with the query if there is one
    #[arg(value_name = "PATH")]
    path: String,
    /// The body: a text, @FILE, or - for stdin; byte for byte what is sent
    #[arg(long)]
    body: Option<Input>,
    /// Print the whole URL, signed in its query, for what cannot set fields
    #[arg(long)]
    query: bool,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  curl -H \"$(spore sign /api/node/config)\" http://127.42.0.1:8080/api/node/config

  curl -X PUT --data-binary '{\"hostname\":\"kitchen\"}' \\
    -H \"$(spore sign PUT /api/node/config --body '{\"hostname\":\"kitchen\"}')\" \\
    http://127.42.0.1:8080/api/node/config

  curl \"$(spore sign --query /api/node/config)\"

The node that signs (--node) must be the one that is asked: each knows its own nonces alone.";

impl Sign {
    pub(crate) fn run(self) -> Result<()> {
        let good = |c: char| c.is_ascii_graphic() && c != '#';
        if !self.path.starts_with('/') || !self.path.chars().all(good) {
            return Err(Misuse::error(format_args!(
                "{:?} is no path of the API; one looks like /api/node/config",
                self.path
            )));
        }
        let signer = Signer::new(&self.key)?;
        let body = self.body.as_ref().map(Input::read).transpose()?.unwrap_or_default();
        let request =
            Request { method: &self.method, target: &self.path, body: &body, content_type: None };
        let (client, node) = (self.target.client(), self.target.node());
        if self.query {
            let target = signer.signed_target(&client, &node, &request)?;
            let bare = node.strip_prefix("http://").unwrap_or(&node).trim_end_matches('/');
            let url = format!("http://{bare}{target}");
            return if self.target.json {
                print_line(json!({ "url": url }))
            } else {
                print_line(url)
            };
        }
        let value = signer.authorization(&client, &node, &request)?;
        if self.target.json {
            return print_line(json!({ "authorization": value }));
        }
        print_line(format_args!("Authorization: {value}"))
    }
}
