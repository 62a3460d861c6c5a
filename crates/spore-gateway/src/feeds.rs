//! The threads that read nodes, and what they tell.

use crate::api::{Api, Frame};
use crate::bridge::Call;
use crate::documents::{MemberList, NodeUpdate, Running, ServiceList, Status, Update};
use crate::pace::Pace;
use anyhow::{Context as _, Result, ensure};
use log::{debug, warn};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the gateway's own node is asked. It is in this process.
const WATCH: Duration = Duration::from_secs(1);

/// Before a stream that has ended is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whether somebody is to be asked.
const LOOK: Duration = Duration::from_millis(100);

/// What a member says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) status: Status,
    /// None if it takes no updates.
    pub(crate) image: Option<Running>,
    /// What the gateway's node measured then.
    pub(crate) rtt_us: Option<u64>,
    pub(crate) at: Instant,
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Input {
    /// What the gateway's own node knows.
    Cluster(MemberList, ServiceList, Update),
    /// What another member lists.
    Witness(MemberList),
    /// What a member says of itself.
    Figures(String, Box<Figures>),
    Event(Frame),
    /// What a service has answered: member, service, status, body.
    Answer(String, String, u16, String),
    /// From the broker, by the number of the connection.
    Broker(u64, crate::broker::Said),
}

/// Where live members are, by their ids, and their round trips; told by the one loop, read by who asks them.
pub(crate) type Live = Arc<Mutex<BTreeMap<String, (String, Option<u64>)>>>;

fn document<T: DeserializeOwned>(api: &dyn Api, node: &str, path: &str) -> Result<T> {
    let body = api.get(node, path)?;
    serde_json::from_str(&body).with_context(|| format!("{node} gives no {path}"))
}

/// Asks the gateway's own node what it knows, for ever.
pub(crate) fn watch(api: &dyn Api, own: &str, to: &SyncSender<Input>) {
    loop {
        let known = || {
            let members = document(api, own, "/api/cluster/members")?;
            let services = document(api, own, "/api/cluster/services")?;
            let update = document(api, own, "/api/cluster/update")?;
            anyhow::Ok(Input::Cluster(members, services, update))
        };
        match known() {
            Ok(known) => {
                if to.send(known).is_err() {
                    return;
                }
            }
            // It restarts, or begins.
            Err(error) => debug!("the gateway's node: {error:#}"),
        }
        thread::sleep(WATCH);
    }
}

/// Follows the events of the gateway's own node, for ever.
pub(crate) fn follow(api: &dyn Api, own: &str, to: &SyncSender<Input>) {
    let mut last = "0".to_owned();
    loop {
        match api.events(own, Some(&last)) {
            Ok(frames) => {
                for frame in frames {
                    if let Some(id) = &frame.id {
                        last.clone_from(id);
                    }
                    if to.send(Input::Event(frame)).is_err() {
                        return;
                    }
                }
            }
            Err(error) => debug!("the events of the gateway's node: {error:#}"),
        }
        thread::sleep(PAUSE);
    }
}

/// Asks the members what they are, one after the other, for ever; the first of the others also whom it lists.
pub(crate) fn ask(
    api: &dyn Api,
    own: &str,
    live: &Live,
    interval: Duration,
    to: &SyncSender<Input>,
) {
    let (mut pace, mut has_witness) = (Pace::new(interval), false);
    loop {
        let members = live.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ids: Vec<_> = members.keys().cloned().collect();
        let next = pace.next(&ids, Instant::now());
        let Some((id, (node, rtt_us))) = next.and_then(|id| members.get_key_value(&id)) else {
            thread::sleep(LOOK);
            continue;
        };
        if !has_witness && node != own {
            match document(api, node, "/api/cluster/members") {
                Ok(list) => {
                    has_witness = true;
                    if to.send(Input::Witness(list)).is_err() {
                        return;
                    }
                }
                Err(error) => debug!("{node}: {error:#}"),
            }
        }
        match figures(api, node, id, *rtt_us) {
            Ok(figures) => {
                if to.send(Input::Figures(id.clone(), Box::new(figures))).is_err() {
                    return;
                }
            }
            Err(error) => debug!("{node}: {error:#}"),
        }
    }
}

fn figures(api: &dyn Api, node: &str, id: &str, rtt_us: Option<u64>) -> Result<Figures> {
    let status: Status = document(api, node, "/api/node/status")?;
    ensure!(status.id == id, "{node} is {} now", status.id);
    let update: NodeUpdate = document(api, node, "/api/node/update")?;
    Ok(Figures { status, image: update.image, rtt_us, at: Instant::now() })
}

/// Calls services, one after the other, until nobody asks for that any more.
pub(crate) fn call(api: &dyn Api, calls: &Receiver<Call>, to: &SyncSender<Input>) {
    for Call { member, service, api: node, body } in calls {
        let path = format!("/api/services/{service}");
        let (status, body) = match api.send(&node, "POST", &path, &body) {
            Ok(answer) => (answer.status, answer.body),
            Err(error) => {
                warn!("{service} of {node}: {error:#}");
                (504, format!("{error:#}"))
            }
        };
        if to.send(Input::Answer(member, service, status, body)).is_err() {
            return;
        }
    }
}
