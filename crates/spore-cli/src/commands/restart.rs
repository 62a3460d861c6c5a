//! `spore restart`.

use crate::client::{Request, Signer, Target};
use crate::key_file::KeyFile;
use crate::output::{note, print_line};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

/// Restart nodes. Each answers first, and is a member again some seconds later.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restart {
    /// Members by hostname or id, or addresses [default: the node that is asked]
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore restart                   the node that is asked
  spore restart node-2 node-3     one after the other";

impl Restart {
    pub(crate) fn run(self) -> Result<()> {
        let signer = Signer::new(&self.key)?;
        let named =
            if self.nodes.is_empty() { vec![self.target.node()] } else { self.nodes.clone() };
        // All names are looked up before one of the nodes that know them is gone.
        let located: Vec<_> = named.iter().map(|name| self.target.locate(name)).collect();
        let (client, mut failed, mut documents) = (self.target.client(), 0_usize, Vec::new());
        let request = Request { method: "POST", ..Request::get("/api/node/restart") };
        for (name, located) in named.iter().zip(located) {
            let done = located.and_then(|located| {
                let sent = client.send_signed(&located.api, &request, &signer);
                match located.gone {
                    Some(gone) => sent.map_err(|error| error.context(gone)),
                    None => sent,
                }
            });
            let error = done.err().map(|error| format!("{error:#}"));
            failed += usize::from(error.is_some());
            match &error {
                Some(error) => note(format_args!("spore: {error}")),
                None if self.target.json => (),
                None => print_line(format_args!("{name} restarts."))?,
            }
            documents.push(json!({ "node": name, "restarting": error.is_none(), "error": error }));
        }
        if self.target.json {
            print_line(json!({ "nodes": documents }))?;
        }
        if failed > 0 {
            bail!("{failed} of {} did not restart", named.len());
        }
        Ok(())
    }
}
