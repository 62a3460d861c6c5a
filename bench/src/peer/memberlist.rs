//! memberlist over UDP and TCP, as it comes: not sealed, without checksums.

use super::{Peer, node_at, tell};
use crate::contender::{self, RETRY};
use crate::engine::Change;
use anyhow::{Result, anyhow};
use memberlist::Memberlist;
use memberlist::delegate::{CompositeDelegate, EventKind, SubscribleEventDelegate};
use memberlist::net::NetTransportOptions;
use memberlist::proto::MaybeResolvedAddress;
use memberlist::tokio::{TokioNetTransport, TokioSocketAddrResolver, TokioTcp};
use std::net::SocketAddr;

type Transport = TokioNetTransport<u32, TokioSocketAddrResolver, TokioTcp>;

pub(super) async fn run(peer: &Peer) -> Result<()> {
    let (events, changes) = SubscribleEventDelegate::<u32, SocketAddr>::unbounded();
    let delegate = CompositeDelegate::new().with_event_delegate(events);
    let mut transport = NetTransportOptions::<u32, TokioSocketAddrResolver, TokioTcp>::new(
        u32::try_from(peer.node)?,
    );
    transport.add_bind_address(peer.address());
    let options = contender::memberlist(peer.contender.pace(), peer.nodes);
    let list = Memberlist::<Transport, _>::with_delegate(delegate, transport, options)
        .await
        .map_err(|error| anyhow!("{error}"))?;
    let join = async {
        // It asks until somebody answers, and so does the first one.
        while list.num_online_members().await < 2 {
            let seeds = peer.seeds().map(MaybeResolvedAddress::Resolved);
            let _ = list.join_many(seeds).await;
            tokio::time::sleep(RETRY).await;
        }
        std::future::pending::<Result<()>>().await
    };
    let told = async {
        loop {
            let event = changes.recv().await?;
            let Some(node) = node_at(*event.node_state().address()) else { continue };
            match event.kind() {
                EventKind::Join => tell(Change::Up(node)),
                EventKind::Leave => tell(Change::Down(node)),
                _ => (),
            }
        }
    };
    tokio::select! {
        ended = join => ended,
        ended = told => ended,
    }
}
