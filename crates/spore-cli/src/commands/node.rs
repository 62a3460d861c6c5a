//! `spore node`.

use crate::key_file::KeyFile;
use crate::paths;
use anyhow::{Context as _, Result};
use clap::Args;
use spore_core::Hostname;
use spore_core::config::DEFAULT_PORT;
use spore_host::{DEFAULT_HTTP_PORT, HostNode, IdentityFile, Settings};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Run one node.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// One of this machine's addresses: of a real interface, or any of 127.0.0.0/8
    #[arg(long, value_name = "ADDRESS")]
    bind: Ipv4Addr,
    /// The cluster's UDP port, the same for all members
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The TCP port of the node's HTTP API
    #[arg(long, default_value_t = DEFAULT_HTTP_PORT)]
    http_port: u16,
    /// The node's name [default: the machine's, and the end of the address]
    #[arg(long)]
    hostname: Option<Hostname>,
    #[command(flatten)]
    key: KeyFile,
    /// Where the node remembers who it is [default: a folder in ~/.local/state/spore]
    #[arg(long, value_name = "FOLDER", conflicts_with = "forget")]
    state: Option<PathBuf>,
    /// Remember nothing: be a new member at each start
    #[arg(long)]
    forget: bool,
}

impl Node {
    pub(crate) fn run(self) -> Result<()> {
        let key = self.key.read()?;
        let hostname = self.hostname.clone().unwrap_or_else(|| default_hostname(self.bind));
        let settings = Settings {
            hostname: hostname.clone(),
            address: self.bind,
            port: self.port,
            http_port: self.http_port,
            key,
            identity: self.identity()?,
        };
        let node = HostNode::bind(settings)?;
        println!("{hostname}: http://{}:{}/api/node/status", self.bind, self.http_port);
        ctrlc::set_handler(|| std::process::exit(0)).context("cannot wait for Ctrl-C")?;
        node.run()
    }

    fn identity(&self) -> Result<Option<IdentityFile>> {
        if self.forget {
            return Ok(None);
        }
        let folder = match &self.state {
            Some(folder) => folder.clone(),
            None => paths::state()?.join(format!("node-{}-{}", self.bind, self.port)),
        };
        let file = IdentityFile::in_directory(&folder)
            .with_context(|| format!("cannot use the folder {}", folder.display()))?;
        Ok(Some(file))
    }
}

/// The machine's name as far as it is one label, and the last part of the address.
fn default_hostname(address: Ipv4Addr) -> Hostname {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let label = name.trim().split('.').next().unwrap_or_default();
    let [.., last] = address.octets();
    let short: String = label.chars().take(Hostname::MAX - 4).collect();
    let fallback = || format!("host-{last}").parse().expect("letters, a hyphen and digits");
    format!("{}-{last}", short.trim_end_matches('-')).parse().unwrap_or_else(|_| fallback())
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_always_a_hostname() {
        let name = super::default_hostname([127, 0, 0, 255].into());
        assert!(name.as_str().ends_with("-255"), "{name}");
    }
}
