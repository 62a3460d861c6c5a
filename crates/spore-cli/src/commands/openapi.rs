//! `spore openapi`.

use crate::openapi;
use crate::output::{print, print_line};
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Print the description of the HTTP API (OpenAPI 3.1).
///
/// It is made from the table that nodes route by, so it is that of nodes of this version.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OpenApi {
    /// Write it to this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print it in one line; with --output, where it is
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore openapi | jq '.paths | keys'
  spore openapi --output openapi.json";

impl OpenApi {
    pub(crate) fn run(self) -> Result<()> {
        let document = openapi::document();
        let text = format!("{document:#}\n");
        let Some(file) = self.output else {
            return if self.json { print_line(document) } else { print(text) };
        };
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        if self.json {
            return print_line(json!({ "file": file }));
        }
        print_line(format_args!("The description is in {}.", file.display()))
    }
}
