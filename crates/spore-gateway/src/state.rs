//! The retained messages, but for Home Assistant's: a function of what is known.

use crate::cluster::{Cluster, Node};
use crate::documents::{Member, Row};
use crate::topics::Topics;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What availability topics say.
pub(crate) const ONLINE: &str = "online";
/// Its opposite.
pub(crate) const OFFLINE: &str = "offline";

/// All of them, by their topics.
pub(crate) fn messages(cluster: &Cluster, topics: &Topics) -> BTreeMap<String, String> {
    let mut messages = BTreeMap::new();
    messages.insert(topics.gateway(), ONLINE.to_owned());
    messages.insert(topics.cluster(), members(cluster).to_string());
    messages.insert(topics.rollout(), rollout(cluster).to_string());
    for (id, node) in cluster.nodes() {
        let here = if node.member.is_live() { ONLINE } else { OFFLINE };
        messages.insert(topics.member(id, "availability"), here.to_owned());
        messages.insert(topics.member(id, "state"), state(cluster, id, node).to_string());
        if takes_updates(node) && !node.is_legacy() {
            messages.insert(topics.member(id, "update"), update(cluster, id, node).to_string());
        }
    }
    for service in &cluster.services {
        let live: Vec<_> = service
            .providers
            .iter()
            .filter(|provider| provider.is_live())
            .map(|provider| json!({ "id": provider.id, "hostname": provider.hostname }))
            .collect();
        if let Some(name) = service.name.as_deref().filter(|_| !live.is_empty()) {
            messages.insert(topics.service(name), json!({ "providers": live }).to_string());
        }
    }
    messages
}

/// The member that a state was about, as far as it says.
pub(crate) fn member(id: &str, state: &[u8]) -> Option<Member> {
    let mut state: Value = serde_json::from_slice(state).ok()?;
    state.as_object_mut()?.insert("id".to_owned(), id.into());
    serde_json::from_value(state).ok().map(Member::into_another)
}

/// How many members are how.
fn members(cluster: &Cluster) -> Value {
    let count = |status| cluster.nodes().filter(|(_, node)| node.member.status == status).count();
    let [active, suspect, dead] = ["active", "suspect", "dead"].map(count);
    json!({ "members": active + suspect, "active": active, "suspect": suspect, "dead": dead })
}

/// The rollout, and how many nodes are how far by the engine's own count.
fn rollout(cluster: &Cluster) -> Value {
    let rollout = cluster.update.rollout.as_ref();
    json!({
        "id": rollout.map(|rollout| &rollout.id),
        "state": rollout.map(|rollout| &rollout.state),
        "counts": cluster.update.counts,
    })
}

fn row<'a>(cluster: &'a Cluster, id: &str) -> Option<&'a Row> {
    cluster.update.nodes.iter().find(|row| row.id == id)
}

fn state(cluster: &Cluster, id: &str, node: &Node) -> Value {
    let (member, status) = (&node.member, node.status());
    let row = row(cluster, id).filter(|_| cluster.update.rollout.is_some());
    json!({
        "hostname": member.hostname,
        "address": member.address,
        "http_port": member.http_port,
        "status": member.status,
        "board": status.map(|status| &status.board),
        "version": status.map(|status| &status.version),
        "image": node.image,
        "uptime_s": status.map(|status| status.uptime_ms / 1_000),
        "free_memory": status.map(|status| status.free_memory),
        "reset_reason": status.map(|status| &status.reset_reason),
        "safe_mode": status.map(|status| status.safe_mode),
        "rssi": status.and_then(|status| status.rssi),
        "rtt_us": node.figures.as_ref().and_then(|figures| figures.rtt_us),
        "rollout": row.map(|row| json!({
            "state": row.state, "percent": row.percent, "reason": row.reason,
        })),
    })
}

/// Whether images can be sent to it.
pub(crate) fn takes_updates(node: &Node) -> bool {
    node.image.is_some() || node.running().is_some()
}

/// What Home Assistant's update entity reads; it takes no other names.
fn update(cluster: &Cluster, id: &str, node: &Node) -> Value {
    let row = row(cluster, id).filter(|_| cluster.is_rolling());
    let (mut latest, mut percent, mut busy) = (node.image, None, false);
    if let Some(row) = row.filter(|row| row.state != "out") {
        latest = cluster.target(row.board.as_deref()).or(latest);
        busy = matches!(row.state.as_str(), "fetching" | "on_trial");
        percent = row.percent.filter(|_| row.state == "fetching");
    }
    let mut document = Map::new();
    for (name, image) in [("installed_version", node.image), ("latest_version", latest)] {
        if let Some(image) = image {
            document.insert(name.to_owned(), image.to_string().into());
        }
    }
    document.insert("in_progress".to_owned(), busy.into());
    document.insert("update_percentage".to_owned(), percent.into());
    document.into()
}

#[cfg(test)]
mod tests {
    use super::messages;
    use crate::cluster::Cluster;
    use crate::cluster::tests::{figures, list, rollout};
    use crate::topics::Topics;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;
    use std::time::Instant;

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.members(list(&[("1", "active"), ("2", "suspect"), ("3", "dead")]), Instant::now());
        cluster
    }

    fn said(cluster: &Cluster) -> BTreeMap<String, String> {
        let all = messages(cluster, &Topics::new("home".parse().unwrap()));
        all.into_iter()
            .map(|(topic, payload)| (topic.trim_start_matches("spore/home/").to_owned(), payload))
            .collect()
    }

    fn json(messages: &BTreeMap<String, String>, topic: &str) -> Value {
        serde_json::from_str(&messages[topic]).unwrap()
    }

    #[test]
    fn members_are_there_as_long_as_they_are_live() {
        let mut cluster = cluster();
        let said_first = said(&cluster);
        let availability = |said: &BTreeMap<String, String>| {
            ["1", "2", "3"].map(|id| said.get(&format!("member/{id}/availability")).cloned())
        };
        let [online, offline] = ["online", "offline"].map(|text| Some(text.to_owned()));
        assert_eq!(availability(&said_first), [online.clone(), online.clone(), offline]);
        let counts = json!({ "members": 2, "active": 1, "suspect": 1, "dead": 1 });
        assert_eq!(json(&said_first, "cluster"), counts);
        assert_eq!(said_first["gateway"], "online");
        cluster.members(list(&[("1", "active"), ("2", "active"), ("3", "left")]), Instant::now());
        assert_eq!(availability(&said(&cluster)), [online.clone(), online, None]);
        assert!(!said(&cluster).keys().any(|topic| topic.contains("/3/")));
    }

    #[test]
    fn what_a_member_says_of_itself_is_in_its_state() {
        let mut cluster = cluster();
        let state = json(&said(&cluster), "member/2/state");
        assert_eq!((&state["status"], &state["uptime_s"]), (&json!("suspect"), &Value::Null));
        cluster.figures("2", figures(None));
        let said = said(&cluster);
        let state = json(&said, "member/2/state");
        assert_eq!((&state["uptime_s"], &state["rssi"]), (&json!(61), &json!(-61)));
        assert!(!said.contains_key("member/2/update"), "it takes no updates");
    }

    #[test]
    fn an_update_shows_its_progress_and_is_done_when_the_cluster_says_so() {
        let mut cluster = cluster();
        cluster.figures("2", figures(Some((6, "confirmed"))));
        let expect =
            |cluster: &Cluster, installed: &str, latest: &str, busy: bool, percent: Value| {
                assert_eq!(
                    json(&said(cluster), "member/2/update"),
                    json!({ "installed_version": installed, "latest_version": latest,
                        "in_progress": busy, "update_percentage": percent })
                );
            };
        expect(&cluster, "6", "6", false, Value::Null);
        cluster.rollout(rollout("running", "fetching"));
        expect(&cluster, "6", "7", true, json!(40));
        cluster.rollout(rollout("running", "ready"));
        expect(&cluster, "6", "7", false, Value::Null);
        cluster.rollout(rollout("running", "on_trial"));
        expect(&cluster, "6", "7", true, Value::Null);
        cluster.figures("2", figures(Some((7, "confirmed"))));
        expect(&cluster, "6", "7", true, Value::Null);
        cluster.rollout(rollout("running", "updated"));
        expect(&cluster, "7", "7", false, Value::Null);
        assert_eq!(json(&said(&cluster), "rollout")["counts"]["pending"], json!(2));
    }

    #[test]
    fn an_update_that_failed_or_was_halted_is_not_done() {
        let mut cluster = cluster();
        cluster.figures("2", figures(Some((6, "confirmed"))));
        for (state, row, latest) in [("running", "failed", "7"), ("halted", "idle", "6")] {
            cluster.rollout(rollout(state, row));
            let update = json(&said(&cluster), "member/2/update");
            assert_eq!(
                (&update["installed_version"], &update["latest_version"]),
                (&json!("6"), &json!(latest))
            );
            assert_eq!(update["in_progress"], json!(false));
            assert_eq!(json(&said(&cluster), "member/2/state")["rollout"]["state"], json!(row));
        }
    }

    #[test]
    fn services_are_listed_with_who_offers_them() {
        let mut cluster = cluster();
        let provider = |id, status| json!({ "id": id, "hostname": "n", "status": status });
        let services = json!({ "services": [
            { "name": "relay", "providers": [provider("1", "active"), provider("3", "dead")] },
            { "name": "gone", "providers": [provider("3", "dead")] },
            { "name": null, "providers": [provider("1", "active")] },
        ]});
        cluster.services(serde_json::from_value(services).unwrap());
        let said = said(&cluster);
        let services: Vec<_> = said.keys().filter(|topic| topic.starts_with("service/")).collect();
        assert_eq!(services, ["service/relay"]);
        assert_eq!(
            json(&said, "service/relay"),
            json!({ "providers": [{ "id": "1", "hostname": "n" }] })
        );
    }
}
