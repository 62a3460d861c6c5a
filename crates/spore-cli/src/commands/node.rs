//! `spore node`.

use crate::example_sprockets::{self, Example};
use crate::faults::BadRadio;
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::print_line;
use crate::paths;
use crate::radio::Radio;
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use spore_core::Hostname;
use spore_core::config::DEFAULT_PORT;
use spore_host::{
    BindError, CommandService, CommandTask, CommandTasks, DEFAULT_HTTP_PORT, Ending, HostNode,
    HostSprockets, RESTART, Services, Settings, Stop, launched,
};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Run one node on one of this machine's addresses, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Node {
    #[command(flatten)]
    options: Options,
    /// Have one of the examples built in, on pins that are printed: blink, relay, sensor, whose values go a random
    /// walk, or sensor=FILE, which reads them from a file; each once
    #[arg(long = "sprocket", value_name = "NAME")]
    sprockets: Vec<Example>,
}

/// What every node on Linux can be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// One of this machine's addresses: of a real interface, or any of 127.0.0.0/8
    #[arg(long, value_name = "ADDRESS")]
    pub(super) bind: Ipv4Addr,
    /// The cluster's UDP port, the same for all members
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The TCP port of the node's HTTP API
    #[arg(long, default_value_t = DEFAULT_HTTP_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    http_port: u16,
    /// The node's name [default: the machine's, and the end of the address]
    #[arg(long)]
    hostname: Option<Hostname>,
    #[command(flatten)]
    pub(super) key: KeyFile,
    /// Give the node no cluster key of this machine: unless it was claimed (`spore claim`) it joins
    /// nobody, and refuses whatever is for holders of the key
    #[arg(long, conflicts_with = "key_file")]
    unclaimed: bool,
    /// Where the node remembers who it is [default: a folder in ~/.local/state/spore]
    #[arg(long, value_name = "FOLDER", conflicts_with = "forget")]
    state: Option<PathBuf>,
    /// Remember nothing: be a new member at each start
    #[arg(long)]
    forget: bool,
    /// Offer a service that runs a shell command, to holders of the cluster key, or with
    /// NAME:open=COMMAND to everyone; up to seven times
    ///
    /// The body is the command's standard input, its standard output the answer, of at most 2048
    /// bytes. It may take 10 seconds; its environment has SPORE_METHOD, SPORE_PATH and SPORE_QUERY.
    #[arg(long = "service", value_name = "NAME=COMMAND")]
    services: Vec<CommandService>,
    /// Run a shell command every so many seconds, or with NAME:clustered=SECONDS:COMMAND on one of
    /// the nodes that have this task; up to twelve times
    ///
    /// The command may take 10 seconds; its environment has SPORE_TASK and SPORE_RUN_ID.
    #[arg(long = "task", value_name = "NAME=SECONDS:COMMAND")]
    tasks: Vec<CommandTask>,
    #[command(flatten)]
    faults: BadRadio,
    #[command(flatten)]
    radio: Radio,
    /// Print who it is and where its API is as a line of JSON; what pins do follows as text
    #[arg(long)]
    pub(super) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore node --bind 127.42.0.6                  one more node next to `spore up`
  spore node --bind 192.168.1.20 --http-port 80 --hostname pantry
  spore node --bind 127.42.0.9 --unclaimed      a node that nobody has claimed yet
  spore node --bind 127.42.0.6 --service disk='df -h /' --service echo:open=cat
                                                and then: spore call disk
  spore node --bind 127.42.0.6 --task 'backup:clustered=3600:./backup'
                                                every hour, on one of the nodes that say so
  spore node --bind 127.42.0.6 --sprocket relay --sprocket blink
                                                and then: spore call relay on";

impl Node {
    pub(crate) fn run(self) -> Result<()> {
        self.options.run(example_sprockets::chosen(&self.sprockets))
    }
}

impl Options {
    /// Runs a node with these sprockets.
    pub(crate) fn run(self, sprockets: HostSprockets) -> Result<()> {
        let node = self.bind(sprockets)?;
        let (hostname, api) = (node.hostname(), self.api());
        let stop = Stop::default();
        let request = stop.clone();
        // Who reads the line may end it at once.
        ctrlc::set_handler(move || {
            // Who asks twice does not want to wait.
            if request.request() {
                std::process::exit(0);
            }
        })
        .context("cannot wait for Ctrl-C")?;
        if self.json {
            print_line(json!({ "hostname": hostname.as_str(), "api": api }))?;
        } else {
            print_line(format_args!("{hostname}: http://{api}/api/node/status"))?;
        }
        end(node.run(&stop));
        Ok(())
    }

    /// Takes the addresses and the folder of a node with these sprockets.
    pub(crate) fn bind(&self, sprockets: HostSprockets) -> Result<HostNode> {
        let key = if self.unclaimed { None } else { Some(self.key.read()?) };
        let hostname = self.hostname.clone().unwrap_or_else(|| default_hostname(self.bind));
        let services = Services::new(self.services.clone()).map_err(Misuse::error)?;
        let tasks = CommandTasks::new(self.tasks.clone()).map_err(Misuse::error)?;
        let settings = Settings {
            hostname,
            address: self.bind,
            port: self.port,
            http_port: self.http_port,
            key,
            state: self.state()?,
            services,
            tasks,
            sprockets,
            faults: self.faults.faults(0)?,
            radio: self.radio.model()?,
            slots: launched().map_err(Misuse::error)?,
        };
        HostNode::bind(settings).map_err(|error| match error {
            BindError::Sprockets(error) => Misuse::error(error),
            error => error.into(),
        })
    }

    /// Whether the node may have a cluster key: this machine's, or the claim that is in its folder. Nothing is made or changed to see that.
    #[cfg(feature = "gateway")]
    pub(super) fn may_have_key(&self) -> Result<bool> {
        if !self.unclaimed {
            return Ok(true);
        }
        let Some(folder) = self.state()? else { return Ok(false) };
        spore_host::remembers(&folder).with_context(|| format!("cannot read {}", folder.display()))
    }

    /// Where the node's API is.
    pub(crate) fn api(&self) -> String {
        format!("{}:{}", self.bind, self.http_port)
    }

    /// The node's folder, if it has one.
    pub(crate) fn state(&self) -> Result<Option<PathBuf>> {
        if self.forget {
            return Ok(None);
        }
        match &self.state {
            Some(folder) => Ok(Some(folder.clone())),
            None => Ok(Some(paths::state()?.join(format!("node-{}-{}", self.bind, self.port)))),
        }
    }
}

/// Ends the process if a node has ended that is to be started anew.
pub(crate) fn end(ending: Ending) {
    if ending == Ending::Restarted {
        // The launcher knows what to start.
        std::process::exit(RESTART.into());
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
