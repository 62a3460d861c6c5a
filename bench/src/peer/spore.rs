//! SPORE as it is on Linux, with its API, its services and all else.

use super::{Peer, tell};
use crate::address;
use crate::engine::Change;
use crate::world::BROADCAST_LOSS;
use anyhow::{Result, ensure};
use log::{LevelFilter, Log, Metadata, Record};
use spore_core::{ClusterKey, Hostname};
use spore_host::{
    CommandTasks, DEFAULT_HTTP_PORT, Ending, Faults, HostNode, HostSprockets, Services, Settings,
    Stop,
};

/// Reads what a node says in its log.
struct Listener;

static LISTENER: Listener = Listener;

pub(super) fn run(peer: &Peer) -> Result<()> {
    log::set_logger(&LISTENER).map_err(|error| anyhow::anyhow!("{error}"))?;
    log::set_max_level(LevelFilter::Info);
    let hostname = format!("spore-{:06}", peer.node);
    let node = HostNode::bind(Settings {
        hostname: Hostname::new(&hostname).expect("letters, digits and a hyphen"),
        address: *address::of(peer.node).ip(),
        port: address::PORT,
        http_port: DEFAULT_HTTP_PORT,
        key: Some(ClusterKey::from_bytes([7; 32])),
        state: None,
        services: Services::default(),
        tasks: CommandTasks::default(),
        sprockets: HostSprockets::none(),
        // On loopback a broadcast is one packet for all; each that hears it has a chance of its own to miss it.
        faults: Faults { broadcast_loss: BROADCAST_LOSS, seed: peer.seed, ..Faults::default() },
        radio: None,
        slots: None,
    })?;
    let ending = node.run(&Stop::default());
    ensure!(ending != Ending::Stopped, "the node has stopped");
    Ok(())
}

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("spore_host")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Some(change) = change(&record.args().to_string())
        {
            tell(change);
        }
    }

    fn flush(&self) {}
}

/// What a line of the log says of the list: `spore-000003: spore-000001 (127.1.0.2) joined`.
fn change(line: &str) -> Option<Change> {
    let (_, rest) = line.split_once(" (")?;
    let (address, what) = rest.split_once(") ")?;
    let node = address::node(address.parse().ok()?)?;
    match what {
        "joined" | "is back" => Some(Change::Up(node)),
        "is dead" | "has left" => Some(Change::Down(node)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::change;
    use crate::engine::Change;

    #[test]
    fn a_line_of_the_log_says_who_has_come_and_who_has_gone() {
        let said = |what| change(&format!("spore-000003: spore-000001 (127.1.0.2) {what}"));
        assert_eq!(said("joined"), Some(Change::Up(1)));
        assert_eq!(said("is back"), Some(Change::Up(1)));
        assert_eq!(said("is dead"), Some(Change::Down(1)));
        assert_eq!(said("has left"), Some(Change::Down(1)));
        assert_eq!(said("is suspected"), None);
        assert_eq!(change("spore-000003: settings changed"), None);
    }
}
