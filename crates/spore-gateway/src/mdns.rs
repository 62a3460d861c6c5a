//! Members by name, for programs that look around the network: multicast DNS and DNS-SD (RFC 6762, RFC 6763).

use crate::cluster::Cluster;
use anyhow::{Context as _, Result};
use log::warn;
use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What each member is listed as: as one of a cluster, and as something that a browser can open.
const TYPES: [&str; 2] = ["_spore._tcp.local.", "_http._tcp.local."];

/// How a member is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    address: String,
    port: u16,
    text: Vec<(&'static str, String)>,
}

/// All that is to be announced: live members, under both types.
fn entries(cluster: &Cluster, name: &str) -> BTreeMap<(&'static str, String), Entry> {
    let live: Vec<_> = cluster.nodes().filter(|(_, node)| node.member.is_live()).collect();
    let mut entries = BTreeMap::new();
    for (id, node) in &live {
        let member = &node.member;
        let same = live.iter().filter(|(_, other)| other.member.hostname == member.hostname);
        let unique = match same.count() {
            1 => member.hostname.clone(),
            _ => format!("{}-{id}", member.hostname),
        };
        let mut text = vec![("id", (*id).to_owned()), ("cluster", name.to_owned())];
        if let Some(status) = node.status() {
            text.extend([("board", status.board.clone()), ("version", status.version.clone())]);
        }
        for (kind, text) in TYPES.into_iter().zip([text, vec![("path", "/".to_owned())]]) {
            let (name, address, port) = (unique.clone(), member.address.clone(), member.http_port);
            entries.insert((kind, (*id).to_owned()), Entry { name, address, port, text });
        }
    }
    entries
}

/// What announces members on the network of one address.
pub(crate) struct Announcer {
    daemon: ServiceDaemon,
    cluster: String,
    announced: BTreeMap<(&'static str, String), (Entry, String)>,
}

impl Announcer {
    pub(crate) fn new(address: Ipv4Addr, cluster: &str) -> Result<Self> {
        let daemon = ServiceDaemon::new().context("cannot announce members (mDNS)")?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::Addr(address.into()))?;
        Ok(Self { daemon, cluster: cluster.to_owned(), announced: BTreeMap::new() })
    }

    /// Announces what is there now, and takes back what is not any more.
    pub(crate) fn update(&mut self, cluster: &Cluster) {
        let wanted = entries(cluster, &self.cluster);
        // One that has only changed is announced anew, under its name.
        let gone = |key: &(&'static str, String), entry: &Entry| {
            wanted.get(key).is_none_or(|wanted| wanted.name != entry.name)
        };
        for (_, (_, name)) in self.announced.extract_if(.., |key, (entry, _)| gone(key, entry)) {
            if let Err(error) = self.daemon.unregister(&name) {
                warn!("{name}: {error}");
            }
        }
        for (key, entry) in wanted {
            if self.announced.get(&key).is_some_and(|(announced, _)| *announced == entry) {
                continue;
            }
            match announce(&self.daemon, key.0, &entry) {
                Ok(name) => drop(self.announced.insert(key, (entry, name))),
                Err(error) => warn!("{} is not announced: {error:#}", entry.name),
            }
        }
    }

    /// Takes everything back.
    pub(crate) fn end(self) {
        if let Ok(done) = self.daemon.shutdown() {
            let _ = done.recv_timeout(std::time::Duration::from_secs(1));
        }
    }
}

/// Announces one entry, and returns the name that it is known by.
fn announce(daemon: &ServiceDaemon, kind: &str, entry: &Entry) -> Result<String> {
    let Entry { name, address, port, text } = entry;
    let host = format!("{name}.local.");
    let mut service = ServiceInfo::new(kind, name, &host, &**address, *port, &text[..])?;
    // The cluster knows whose name it is; who probes meets the name's own announcement from before.
    service.set_requires_probe(false);
    let name = service.get_fullname().to_owned();
    daemon.register(service)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::{TYPES, entries};
    use crate::cluster::Cluster;
    use crate::cluster::tests::{figures, list};
    use std::time::Instant;

    #[test]
    fn live_members_are_announced_under_names_of_their_own() {
        let mut cluster = Cluster::default();
        let mut members =
            list(&[("1", "active"), ("2", "suspect"), ("3", "active"), ("4", "dead")]);
        "node-1".clone_into(&mut members.members[2].hostname);
        cluster.members(members, Instant::now());
        cluster.figures("2", figures(None));
        let entries = entries(&cluster, "home");
        assert_eq!(entries.len(), 6);
        let of = |kind, id: &str| &entries[&(kind, id.to_owned())];
        let names = ["1", "2", "3"].map(|id| &*of(TYPES[0], id).name);
        assert_eq!(names, ["node-1-1", "node-2", "node-1-3"]);
        let two = of(TYPES[0], "2");
        let text: Vec<_> = two.text.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(text, ["id=2", "cluster=home", "board=host", "version=0.1.0"]);
        assert_eq!((&*two.address, two.port), ("10.0.0.1", 80));
        assert_eq!(of(TYPES[1], "1").text, [("path", "/".to_owned())]);
    }
}
