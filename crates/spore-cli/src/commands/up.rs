//! `spore up`.

use super::flasher::FlasherOptions;
use crate::client::{self, MemberList};
use crate::faults::BadRadio;
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::{note, print, print_line};
use crate::shell::quoted;
use crate::table::Table;
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use spore_core::config::DEFAULT_PORT;
use spore_host::{
    CommandTasks, DEFAULT_HTTP_PORT, HostNode, HostSprockets, Services, Settings, Stop,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Start a cluster of nodes on this machine, and keep it running until Ctrl-C. What the nodes are
/// told is forgotten then; `spore node` keeps it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Up {
    /// How many nodes, 1 to 64
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=64))]
    nodes: u8,
    /// The address of the first node; the others have those after it
    #[arg(long, value_name = "ADDRESS", default_value = "127.42.0.1", value_parser = loopback)]
    base: Ipv4Addr,
    /// The cluster's UDP port
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The TCP port of each node's HTTP API
    #[arg(long, default_value_t = DEFAULT_HTTP_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    http_port: u16,
    #[command(flatten)]
    key: KeyFile,
    /// Print where the nodes are as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    radio: BadRadio,
    #[command(flatten)]
    flasher: FlasherOptions,
}

fn loopback(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) if address.is_loopback() => Ok(address),
        _ => Err("an address of this machine alone, 127.x.y.z".to_owned()),
    }
}

/// How long to watch the cluster form before leaving it to itself.
const PATIENCE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  spore up                                    five nodes at 127.42.0.1 to 127.42.0.5
  spore up --nodes 3 --base 127.9.0.1         three nodes somewhere else
  spore up --nodes 64 --no-flasher --json > nodes.json";

impl Up {
    pub(crate) fn run(mut self) -> Result<()> {
        // Before a key is made.
        self.address(self.nodes.saturating_sub(1))?;
        let key = self.key.read_or_make()?;
        let mut nodes = Vec::new();
        for n in 0..self.nodes {
            let settings = Settings {
                hostname: format!("node-{}", n + 1).parse()?,
                address: self.address(n)?,
                port: self.port,
                http_port: self.http_port,
                key: Some(key.clone()),
                state: None,
                services: Services::default(),
                tasks: CommandTasks::default(),
                sprockets: HostSprockets::none(),
                faults: self.radio.faults(n)?,
                radio: None,
                slots: None,
            };
            nodes.push(HostNode::bind(settings)?);
        }
        // All addresses are taken; nothing has been said yet.
        let flasher = std::mem::take(&mut self.flasher).start(self.key.clone())?;
        let (stop, stopped) = mpsc::channel();
        ctrlc::set_handler(move || {
            let _ = stop.send(());
        })
        .context("cannot wait for Ctrl-C")?;
        die_with_any_thread();
        let start = Instant::now();
        let leave = Stop::default();
        let mut threads = Vec::new();
        for node in nodes {
            let leave = leave.clone();
            let thread = thread::Builder::new().spawn(move || node.run(&leave));
            threads.push(thread.context("cannot start a thread")?);
        }
        self.introduce(flasher.as_deref())?;
        self.watch(start, &stopped)?;
        // Nodes of the same cluster may run elsewhere: these go, they do not die.
        leave.request();
        for thread in threads {
            // A panic has ended the process already.
            let _ = thread.join();
        }
        Ok(())
    }

    fn address(&self, n: u8) -> Result<Ipv4Addr> {
        self.usable_address(n).ok_or_else(|| {
            let Self { nodes, base, .. } = self;
            Misuse::error(format_args!(
                "{nodes} nodes do not fit from {base} on; choose another --base"
            ))
        })
    }

    /// The address `n` after the first one, if a node can have it: it is of this machine, and by its
    /// end no broadcast address.
    fn usable_address(&self, n: u8) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.base.to_bits().checked_add(u32::from(n))?);
        (address.is_loopback() && address.octets()[3] != 255).then_some(address)
    }

    fn api(&self, n: u8) -> Result<String> {
        Ok(format!("{}:{}", self.address(n)?, self.http_port))
    }

    fn introduce(&self, flasher: Option<&str>) -> Result<()> {
        let key_file = self.key.path()?;
        if self.json {
            let nodes = (0..self.nodes)
                .map(|n| Ok(json!({ "hostname": format!("node-{}", n + 1), "api": self.api(n)? })))
                .collect::<Result<Vec<_>>>()?;
            let document = json!({
                "nodes": nodes, "port": self.port, "key_file": key_file, "flasher": flasher,
            });
            return print_line(document);
        }
        let mut table = Table::new(&["NODE", "API"]);
        for n in 0..self.nodes {
            table.row([format!("node-{}", n + 1), format!("http://{}", self.api(n)?)]);
        }
        let look = self.members_command()?;
        let url = format!("http://{}/api/cluster/members", self.api(0)?);
        let more = self
            .node_command()
            .map_or_else(String::new, |command| format!("One more node: {command}\n"));
        let flash = flasher
            .map_or_else(String::new, |url| format!("Flash a board from a browser: {url}\n"));
        print(format_args!("{table}Look: {look}, or curl {url}\n{more}{flash}Stop: Ctrl-C\n"))
    }

    /// The command that lists this cluster's members.
    fn members_command(&self) -> Result<String> {
        let mut command = format!("{} members", program());
        let api = self.api(0)?;
        if api != client::default_node() {
            command.push_str(&format!(" --node {api}"));
        }
        Ok(command)
    }

    /// The command that adds a node to this cluster; `None` if there is no address after the last.
    fn node_command(&self) -> Option<String> {
        let mut command = format!("{} node --bind {}", program(), self.usable_address(self.nodes)?);
        if self.port != DEFAULT_PORT {
            command.push_str(&format!(" --port {}", self.port));
        }
        if self.http_port != DEFAULT_HTTP_PORT {
            command.push_str(&format!(" --http-port {}", self.http_port));
        }
        if let Some(file) = self.key.option() {
            command.push_str(&format!(" --key-file {}", quoted(&file.to_string_lossy())));
        }
        Some(command)
    }

    /// Says when the cluster is complete, then waits for Ctrl-C.
    fn watch(&self, start: Instant, stopped: &mpsc::Receiver<()>) -> Result<()> {
        let mut complete = false;
        while !complete && start.elapsed() < PATIENCE {
            if stopped.recv_timeout(Duration::from_millis(100)).is_ok() {
                return Ok(());
            }
            complete = self.is_complete()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        if complete {
            let nodes = self.nodes;
            note(format_args!("Complete: all {nodes} know each other after {seconds:.1} s."));
        } else {
            let look = self.members_command()?;
            note(format_args!("Not complete after {seconds:.0} s; `{look}` shows who is missing."));
        }
        stopped.recv().context("cannot wait for Ctrl-C")
    }

    /// Whether each node lists all nodes as active. Others with the same key may be there as well.
    fn is_complete(&self) -> Result<bool> {
        let ours = (0..self.nodes).map(|n| self.api(n)).collect::<Result<BTreeSet<_>>>()?;
        Ok(ours.iter().all(|api| {
            let answer = client::get(api, "/api/cluster/members", Duration::from_secs(1));
            let list = answer.and_then(|body| client::parse::<MemberList>(&body));
            list.is_ok_and(|list| list.active_apis().is_superset(&ours))
        }))
    }
}

/// How this program was called; whoever started it through cargo has no `spore` on the path.
fn program() -> String {
    let name = std::env::args_os().next();
    name.map_or_else(|| "spore".to_owned(), |name| quoted(&name.to_string_lossy()).into_owned())
}

/// A node that panics must not leave a cluster that looks whole.
fn die_with_any_thread() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
}

#[cfg(test)]
mod tests {
    use super::{Up, client};
    use crate::client::MemberList;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        up: Up,
    }

    fn up(arguments: &[&str]) -> Up {
        Line::parse_from(["up"].iter().chain(arguments)).up
    }

    #[test]
    fn the_commands_that_are_shown_have_the_options_that_they_need() {
        let end = |command: String| command.split_once(" node ").unwrap().1.to_owned();
        assert_eq!(end(up(&[]).node_command().unwrap()), "--bind 127.42.0.6");
        let arguments = ["--port", "5000", "--http-port", "81", "--key-file", "my key"];
        let other = up(&[&["--base", "127.9.0.1", "--nodes", "2"][..], &arguments].concat());
        assert_eq!(
            end(other.node_command().unwrap()),
            "--bind 127.9.0.3 --port 5000 --http-port 81 --key-file 'my key'"
        );
        assert!(other.members_command().unwrap().ends_with(" members --node 127.9.0.1:81"));
    }

    #[test]
    fn no_node_is_suggested_where_none_can_be() {
        assert!(up(&["--base", "127.1.0.250", "--nodes", "4"]).node_command().is_some());
        let full = up(&["--base", "127.1.0.250", "--nodes", "5"]);
        assert!(full.address(4).is_ok() && full.node_command().is_none());
        assert!(up(&["--base", "127.1.0.250", "--nodes", "6"]).address(5).is_err());
    }

    #[test]
    fn only_active_members_count_and_by_address_and_port() {
        let list: MemberList = client::parse(
            r#"{"members":[
            {"id":"1","hostname":"a","address":"127.0.0.1","http_port":80,"status":"active",
             "status_version":1,"last_seen_ms":null,"rtt_us":null},
            {"id":"2","hostname":"b","address":"127.0.0.2","http_port":81,"status":"suspect",
             "status_version":1,"last_seen_ms":null,"rtt_us":null}]}"#,
        )
        .unwrap();
        assert_eq!(list.active_apis().into_iter().collect::<Vec<_>>(), ["127.0.0.1:80"]);
    }
}
