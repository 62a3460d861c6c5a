//! `spore up`.

use crate::client::{self, MemberList};
use crate::key_file::KeyFile;
use crate::table::Table;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use spore_core::config::DEFAULT_PORT;
use spore_host::{DEFAULT_HTTP_PORT, HostNode, Settings};
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Start a cluster of nodes on this machine.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many nodes, 1 to 64
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=64))]
    nodes: u8,
    /// The address of the first node; the others have those after it
    #[arg(long, value_name = "ADDRESS", default_value = "127.42.0.1", value_parser = loopback)]
    base: Ipv4Addr,
    /// The cluster's UDP port
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The TCP port of each node's HTTP API
    #[arg(long, default_value_t = DEFAULT_HTTP_PORT)]
    http_port: u16,
    #[command(flatten)]
    key: KeyFile,
    /// Print where the nodes are as one line of JSON
    #[arg(long)]
    json: bool,
}

fn loopback(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) if address.is_loopback() => Ok(address),
        _ => Err("an address of this machine alone, 127.x.y.z".to_owned()),
    }
}

/// How long to watch the cluster form before leaving it to itself.
const PATIENCE: Duration = Duration::from_secs(30);

impl Up {
    pub(crate) fn run(self) -> Result<()> {
        let key = self.key.read_or_make()?;
        let mut nodes = Vec::new();
        for n in 0..self.nodes {
            let settings = Settings {
                hostname: format!("node-{}", n + 1).parse()?,
                address: self.address(n)?,
                port: self.port,
                http_port: self.http_port,
                key: key.clone(),
                identity: None,
            };
            nodes.push(HostNode::bind(settings)?);
        }
        // All addresses are taken; nothing has been said yet.
        let (stop, stopped) = mpsc::channel();
        ctrlc::set_handler(move || {
            let _ = stop.send(());
        })
        .context("cannot wait for Ctrl-C")?;
        die_with_any_thread();
        let start = Instant::now();
        for node in nodes {
            thread::Builder::new().spawn(move || node.run()).context("cannot start a thread")?;
        }
        self.introduce()?;
        self.watch(start, &stopped)
    }

    fn address(&self, n: u8) -> Result<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.base.to_bits().saturating_add(u32::from(n)));
        if !address.is_loopback() || address.octets()[3] == 255 {
            bail!("{} nodes do not fit from {} on; choose another --base", self.nodes, self.base);
        }
        Ok(address)
    }

    fn api(&self, n: u8) -> Result<String> {
        Ok(format!("{}:{}", self.address(n)?, self.http_port))
    }

    fn introduce(&self) -> Result<()> {
        let key_file = self.key.path()?;
        if self.json {
            let nodes = (0..self.nodes)
                .map(|n| Ok(json!({ "hostname": format!("node-{}", n + 1), "api": self.api(n)? })))
                .collect::<Result<Vec<_>>>()?;
            println!("{}", json!({ "nodes": nodes, "port": self.port, "key_file": key_file }));
            return Ok(());
        }
        let mut table = Table::new(&["NODE", "API"]);
        for n in 0..self.nodes {
            table.row([format!("node-{}", n + 1), format!("http://{}", self.api(n)?)]);
        }
        print!("{table}");
        // Whoever started this through cargo has no `spore` on the path.
        let spore = std::env::args().next().unwrap_or_else(|| "spore".to_owned());
        println!("Look: {spore} members, or curl http://{}/api/cluster/members", self.api(0)?);
        println!("One more node: {spore} node --bind {}", self.next_address());
        println!("Stop: Ctrl-C");
        Ok(())
    }

    fn next_address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits().saturating_add(u32::from(self.nodes)))
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
            eprintln!("Complete: all {} know each other after {seconds:.1} s.", self.nodes);
        } else {
            eprintln!("Not complete after {seconds:.0} s; `spore members` shows who is missing.");
        }
        stopped.recv().context("cannot wait for Ctrl-C")
    }

    /// Whether each node lists all nodes as active.
    fn is_complete(&self) -> Result<bool> {
        for n in 0..self.nodes {
            let answer = client::get(&self.api(n)?, "/api/cluster/members", Duration::from_secs(1));
            let Ok(body) = answer else { return Ok(false) };
            let list: MemberList = client::parse(&body)?;
            let active = list.members.iter().filter(|member| member.status == "active").count();
            if active < usize::from(self.nodes) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A node that panics must not leave a cluster that looks whole.
fn die_with_any_thread() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
}
