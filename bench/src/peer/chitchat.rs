//! chitchat: whom its failure detector takes for alive.

use super::{Peer, node_at, tell};
use crate::contender::PROBE_INTERVAL;
use crate::engine::Change;
use anyhow::Result;
use chitchat::transport::UdpTransport;
use chitchat::{
    ChitchatConfig, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a deleted key is remembered: as in chitchat's own tests. Nobody deletes any here.
const GRACE: Duration = Duration::from_secs(15 * 60);

pub(super) async fn run(peer: &Peer) -> Result<()> {
    let config = ChitchatConfig {
        chitchat_id: ChitchatId::new(format!("node-{}", peer.node), 0, peer.address()),
        cluster_id: "peers".to_owned(),
        gossip_interval: PROBE_INTERVAL,
        listen_addr: peer.address(),
        seed_nodes: peer.seeds().map(|seed| seed.to_string()).collect(),
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: GRACE,
        catchup_callback: None,
        extra_liveness_predicate: None,
        // The one that says less.
        protocol_version: ProtocolVersion::V1,
    };
    let node = spawn_chitchat(config, Vec::new(), &UdpTransport).await?;
    let mut live = node.with_chitchat(|chitchat| chitchat.live_nodes_watcher()).await;
    let mut listed = BTreeSet::new();
    loop {
        let now: BTreeSet<usize> = live
            .borrow_and_update()
            .keys()
            .filter_map(|id| node_at(id.gossip_advertise_addr))
            .collect();
        now.difference(&listed).for_each(|node| tell(Change::Up(*node)));
        listed.difference(&now).for_each(|node| tell(Change::Down(*node)));
        listed = now;
        live.changed().await?;
    }
}
