//! A client of the HTTP API.

mod authority;
mod documents;
mod http;
mod locate;
mod signed;
mod stream;

pub(crate) use documents::{Member, MemberList, NodeStatus, Provider, Service, ServiceList};
pub(crate) use http::{Answer, BUSY_PAUSE, Client, Request, Unanswered};
pub(crate) use signed::Signer;
pub(crate) use stream::{Frame, Stream};

use crate::output::print_line;
use crate::variables;
use anyhow::{Context as _, Result};
use clap::Args;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The first node of `spore up`.
pub(crate) const LOCAL_NODE: &str = "127.42.0.1:8080";

/// Whom to ask, and how.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The node to ask: an address, with a port if its API is not at 80 [env: API_NODE]
    /// [default: 127.42.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS")]
    node: Option<String>,
    /// How long to wait for an answer, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub(crate) timeout: f64,
    /// Print JSON: the API's answer, or what the command says of it
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.01 to 3600".to_owned()),
    }
}

impl Target {
    /// The node to ask, or the one that is asked if nothing says otherwise.
    pub(crate) fn new(node: Option<String>, timeout: f64, json: bool) -> Self {
        Self { node, timeout, json }
    }

    /// The node that was chosen.
    pub(crate) fn node(&self) -> String {
        self.node.clone().unwrap_or_else(default_node)
    }

    /// Whether somebody chose it.
    pub(crate) fn is_chosen(&self) -> bool {
        self.node.is_some() || variables::variable("API_NODE").is_some()
    }

    /// What asks nodes, as patiently as was chosen.
    pub(crate) fn client(&self) -> Client {
        Client::new(Duration::from_secs_f64(self.timeout))
    }

    /// Asks `node` for the document at `path`; what was chosen but for that stays.
    pub(crate) fn get(&self, node: &str, path: &str) -> Result<String> {
        self.client().get(node, path)
    }

    /// The member list of the node that was chosen.
    pub(crate) fn members(&self) -> Result<MemberList> {
        parse(&self.get(&self.node(), "/api/cluster/members")?)
    }
}

/// The node that is asked if no option says otherwise.
pub(crate) fn default_node() -> String {
    let chosen = variables::variable("API_NODE");
    chosen.map_or_else(|| LOCAL_NODE.to_owned(), |node| node.to_string_lossy().into_owned())
}

/// Asks `node` for the document at `path`.
pub(crate) fn get(node: &str, path: &str, timeout: Duration) -> Result<String> {
    Client::new(timeout).get(node, path)
}

/// Prints a document for programs, as a node gave it.
pub(crate) fn print_document(body: &str) -> Result<()> {
    print_line(one_line(body)?)
}

/// A document for programs, as a node gave it, in one line.
pub(crate) fn one_line(body: &str) -> Result<String> {
    parse::<serde::de::IgnoredAny>(body)?;
    // Between the tokens of JSON the end of a line is a space, and within them there is none.
    Ok(body.trim().replace(['\n', '\r'], " "))
}

/// Reads an answer.
pub(crate) fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).context("the answer is not what a SPORE node gives")
}
