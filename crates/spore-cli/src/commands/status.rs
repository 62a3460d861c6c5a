//! `spore status`.

use crate::client::{self, Member, Target};
use crate::output;
use crate::table::{bytes, span};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;

/// Show a node's resources, versions and endpoints.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// A member's hostname or id, or an address [default: the node that is asked]
    #[arg(value_name = "NODE")]
    of: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct NodeStatus {
    id: String,
    hostname: String,
    address: String,
    http_port: u16,
    board: String,
    version: String,
    chip_id: u32,
    reset_reason: String,
    uptime_ms: u64,
    free_memory: u64,
    flash_size: u32,
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    method: String,
    path: String,
    policy: String,
}

impl Status {
    pub(crate) fn run(self) -> Result<()> {
        let body = match self.of.as_deref() {
            None => self.ask(&self.target.node())?,
            // A hostname is one label, and an id has hexadecimal digits alone.
            Some(address) if address.contains(['.', ':', '/']) => self.ask(address)?,
            Some(name) => self.ask_member(name)?,
        };
        if self.target.json {
            return output::print_line(body);
        }
        output::print(text(&client::parse(&body)?))
    }

    fn ask(&self, node: &str) -> Result<String> {
        self.target.get(node, "/api/node/status")
    }

    fn ask_member(&self, name: &str) -> Result<String> {
        let node = self.target.node();
        let members = self.target.members()?.members;
        let Some(member) = find(&members, name)? else {
            bail!("{node} knows no member {name:?}; `spore members` lists those it knows")
        };
        let answer = self.ask(&member.api());
        match member.status.as_str() {
            "dead" => answer.with_context(|| format!("{name} is held for dead by {node}")),
            "left" => answer.with_context(|| format!("{name} has left, says {node}")),
            _ => answer,
        }
    }
}

/// The member whose hostname or id is `name`: one that is live, or else one that was.
///
/// A board that lost its memory comes back as a new member, and its former self is listed as dead
/// for a while.
fn find<'a>(members: &'a [Member], name: &str) -> Result<Option<&'a Member>> {
    let named = members.iter().filter(|member| member.hostname == name || member.id == name);
    let (live, gone): (Vec<_>, Vec<_>) = named.partition(|member| member.is_live());
    let candidates = if live.is_empty() { gone } else { live };
    match candidates[..] {
        [] => Ok(None),
        [member] => Ok(Some(member)),
        _ => bail!("several members are called {name:?}; use the id"),
    }
}

fn text(status: &NodeStatus) -> String {
    let mut text = format!("{} ({})\n", status.hostname, status.id);
    let rows = [
        ("api", format!("http://{}:{}", status.address, status.http_port)),
        ("board", format!("{}, chip {:08x}", status.board, status.chip_id)),
        ("version", status.version.clone()),
        ("uptime", span(status.uptime_ms)),
        ("last start", status.reset_reason.clone()),
        ("free memory", bytes(status.free_memory)),
        ("flash", bytes(u64::from(status.flash_size))),
    ];
    for (what, value) in rows {
        text.push_str(&format!("  {what:<11}  {value}\n"));
    }
    for endpoint in &status.endpoints {
        let Endpoint { method, path, policy } = endpoint;
        text.push_str(&format!("  {method:<6} {path:<28} {policy}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Member, find};

    fn member(id: &str, hostname: &str, status: &str) -> Member {
        serde_json::from_value(serde_json::json!({
            "id": id, "hostname": hostname, "address": "10.0.0.1", "http_port": 80,
            "status": status, "status_version": 1, "last_seen_ms": null, "rtt_us": null,
        }))
        .unwrap()
    }

    #[test]
    fn the_living_come_before_the_dead_and_two_of_a_kind_are_told_apart_by_id() {
        let members = [
            member("1", "back", "dead"),
            member("2", "back", "suspect"),
            member("3", "gone", "left"),
            member("4", "twice", "active"),
            member("5", "twice", "active"),
            member("6", "lost", "dead"),
            member("7", "lost", "dead"),
        ];
        let id = |name: &str| find(&members, name).map(|found| found.map(|m| m.id.as_str()));
        assert_eq!(id("back").unwrap(), Some("2"));
        assert_eq!(id("1").unwrap(), Some("1"));
        assert_eq!(id("gone").unwrap(), Some("3"));
        assert_eq!(id("nobody").unwrap(), None);
        assert!(id("twice").unwrap_err().to_string().contains("use the id"));
        assert!(id("lost").unwrap_err().to_string().contains("use the id"));
        assert_eq!(id("7").unwrap(), Some("7"));
    }
}
