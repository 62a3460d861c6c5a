//! `spore status`.

use crate::client::{self, Target};
use crate::table::{bytes, span};
use anyhow::{Result, bail};
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
        let node = match &self.of {
            Some(name) => self.find(name)?,
            None => self.target.node().to_owned(),
        };
        let body = self.target.get(&node, "/api/node/status")?;
        if self.target.json {
            println!("{body}");
        } else {
            print(&client::parse(&body)?);
        }
        Ok(())
    }

    /// The address of the member that is called `name`, or `name` if it is an address.
    fn find(&self, name: &str) -> Result<String> {
        if name.contains(['.', ':', '/']) {
            return Ok(name.to_owned());
        }
        let members = self.target.members()?.members;
        let mut named = members.iter().filter(|m| m.hostname == name || m.id == name);
        match (named.next(), named.next()) {
            (Some(member), None) => Ok(format!("{}:{}", member.address, member.http_port)),
            (None, _) => bail!(
                "{} knows no member {name:?}; `spore members` lists those it knows",
                self.target.node()
            ),
            (Some(_), Some(_)) => bail!("several members are called {name:?}; use the id"),
        }
    }
}

fn print(status: &NodeStatus) {
    println!("{} ({})", status.hostname, status.id);
    println!("  api          http://{}:{}", status.address, status.http_port);
    println!("  board        {}, chip {:08x}", status.board, status.chip_id);
    println!("  version      {}", status.version);
    println!("  uptime       {}", span(status.uptime_ms));
    println!("  last start   {}", status.reset_reason);
    println!("  free memory  {}", bytes(status.free_memory));
    println!("  flash        {}", bytes(u64::from(status.flash_size)));
    for endpoint in &status.endpoints {
        println!("  {:<6} {:<28} {}", endpoint.method, endpoint.path, endpoint.policy);
    }
}
