//! What Home Assistant reads: one device for each member, and one for the cluster (its MQTT integration, "device discovery").

use crate::cluster::{Cluster, Node};
use crate::state::takes_updates;
use crate::topics::Topics;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The configurations, by their topics.
pub(crate) fn devices(cluster: &Cluster, topics: &Topics) -> BTreeMap<String, String> {
    let mut devices = BTreeMap::new();
    devices.insert(topics.discovery("cluster"), the_cluster(topics).to_string());
    for (id, node) in cluster.nodes().filter(|(_, node)| !node.is_legacy()) {
        devices.insert(topics.discovery(id), device(id, node, topics).to_string());
    }
    devices
}

fn origin() -> Value {
    json!({ "name": "spore gateway", "sw": env!("CARGO_PKG_VERSION") })
}

/// A sensor whose value is `path` of the document at `topic`.
fn sensor(topic: &str, name: &str, path: &str) -> Value {
    json!({
        "p": "sensor", "name": name, "state_topic": topic,
        "value_template": format!("{{{{ value_json.{path} }}}}"),
        "entity_category": "diagnostic",
    })
}

fn with(mut component: Value, more: Value) -> Value {
    if let (Some(component), Value::Object(more)) = (component.as_object_mut(), more) {
        component.extend(more);
    }
    component
}

/// Gives each component the id by which it is known for ever.
fn identified(owner: &str, components: Vec<(String, Value)>) -> Map<String, Value> {
    let identify = |(key, component): (String, Value)| {
        let id = format!("{owner}_{key}");
        (key, with(component, json!({ "unique_id": id })))
    };
    components.into_iter().map(identify).collect()
}

fn the_cluster(topics: &Topics) -> Value {
    let id = format!("spore_{}", topics.name());
    let (members, rollout) = (topics.cluster(), topics.rollout());
    let count = json!({ "state_class": "measurement" });
    let mut components = vec![
        ("members".to_owned(), with(sensor(&members, "Members", "members"), count.clone())),
        ("dead".to_owned(), with(sensor(&members, "Dead members", "dead"), count.clone())),
        ("rollout".to_owned(), sensor(&rollout, "Rollout", "state")),
    ];
    for (key, name) in [
        ("updated", "Updated"),
        ("pending", "Pending"),
        ("failed", "Failed"),
        ("rolled_back", "Rolled back"),
        ("absent", "Absent"),
        ("out", "Take no part"),
    ] {
        let one = sensor(&rollout, name, &format!("counts.{key}"));
        components.push((key.to_owned(), with(one, count.clone())));
    }
    json!({
        "dev": { "ids": [id], "name": format!("SPORE {}", topics.name()), "mf": "SPORE", "mdl": "cluster" },
        "o": origin(),
        "availability": [{ "topic": topics.gateway() }],
        "cmps": identified(&id, components),
    })
}

fn device(id: &str, node: &Node, topics: &Topics) -> Value {
    let owner = format!("spore_{id}");
    let (member, status) = (&node.member, node.status());
    let state = topics.member(id, "state");
    let seconds = json!({ "device_class": "duration", "unit_of_measurement": "s" });
    let bytes = json!({ "device_class": "data_size", "unit_of_measurement": "B", "state_class": "measurement" });
    let statuses = json!({
        "device_class": "enum", "options": ["active", "suspect", "dead"],
        // It says so of a node that is not there, too.
        "availability": [{ "topic": topics.gateway() }],
    });
    let mut components = vec![
        ("status".to_owned(), with(sensor(&state, "Status", "status"), statuses)),
        ("version".to_owned(), sensor(&state, "Version", "version")),
        ("uptime".to_owned(), with(sensor(&state, "Uptime", "uptime_s"), seconds)),
        ("free_memory".to_owned(), with(sensor(&state, "Free memory", "free_memory"), bytes)),
        ("reset_reason".to_owned(), sensor(&state, "Last start", "reset_reason")),
    ];
    if node.status().is_some_and(|status| status.rssi.is_some()) {
        let strength = json!({ "device_class": "signal_strength", "unit_of_measurement": "dBm", "state_class": "measurement" });
        components.push(("signal".to_owned(), with(sensor(&state, "Signal", "rssi"), strength)));
    }
    if takes_updates(node) {
        let update = json!({
            "p": "update", "name": "Firmware", "device_class": "firmware",
            "state_topic": topics.member(id, "update"),
        });
        components.push(("update".to_owned(), update));
    }
    for service in status.map_or(&[][..], |status| &status.services) {
        let name = if service.summary.is_empty() { &service.name } else { &service.summary };
        let button = json!({
            "p": "button", "name": name, "command_topic": topics.call(id, &service.name), "payload_press": "",
        });
        components.push((format!("service_{}", service.name), button));
        // For services that want to be told something.
        let text = json!({
            "p": "text", "name": format!("{name}: call with"), "command_topic": topics.call(id, &service.name),
            "entity_category": "config",
        });
        components.push((format!("text_{}", service.name), text));
    }
    json!({
        "dev": {
            "ids": [owner], "name": member.hostname, "mf": "SPORE",
            "mdl": status.map_or("node", |status| &status.board),
            "sw": status.map_or("unknown", |status| &status.version),
            "cu": format!("http://{}/", member.api()),
            "via_device": format!("spore_{}", topics.name()),
        },
        "o": origin(),
        "availability": [{ "topic": topics.gateway() }, { "topic": topics.member(id, "availability") }],
        "availability_mode": "all",
        "cmps": identified(&owner, components),
    })
}

/// The configuration that has to come between `known` and `wanted`, if any: a component goes when it is sent with nothing but its platform.
pub(crate) fn transition(known: &str, wanted: &str) -> Option<String> {
    let known: Value = serde_json::from_str(known).ok()?;
    let mut between: Value = serde_json::from_str(wanted).ok()?;
    let components = between.get_mut("cmps")?.as_object_mut()?;
    let mut changed = false;
    for (key, component) in known.get("cmps")?.as_object()? {
        let is_whole = component.as_object().is_some_and(|component| component.len() > 1);
        if is_whole && !components.contains_key(key) {
            components.insert(key.clone(), json!({ "p": component["p"] }));
            changed = true;
        }
    }
    changed.then(|| between.to_string())
}

#[cfg(test)]
mod tests {
    use super::{devices, transition};
    use crate::cluster::Cluster;
    use crate::cluster::tests::{figures, list};
    use crate::documents::OwnService;
    use crate::state;
    use crate::topics::{Subject, Topics};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use std::time::Instant;

    fn topics() -> Topics {
        Topics::new("home".parse().unwrap())
    }

    fn cluster(services: &[&str]) -> Cluster {
        let mut cluster = Cluster::default();
        cluster.members(list(&[("1", "active"), ("2", "active")]), Instant::now());
        let mut figures = figures(Some((6, "confirmed")));
        figures.status.services = services
            .iter()
            .map(|name| OwnService { name: (*name).into(), summary: String::new() })
            .collect();
        cluster.figures("2", figures);
        cluster
    }

    fn device(cluster: &Cluster, id: &str) -> Value {
        serde_json::from_str(&devices(cluster, &topics())[&topics().discovery(id)]).unwrap()
    }

    fn keys(device: &Value) -> Vec<&str> {
        device["cmps"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn a_member_is_a_device_with_what_it_has() {
        let cluster = cluster(&["relay"]);
        let always = ["free_memory", "reset_reason", "status", "uptime", "version"];
        assert_eq!(keys(&device(&cluster, "1")), always);
        let two = device(&cluster, "2");
        let mut all = [&always[..], &["service_relay", "signal", "text_relay", "update"]].concat();
        all.sort_unstable();
        assert_eq!(keys(&two), all);
        assert_eq!(two["dev"]["ids"], json!(["spore_2"]));
        assert_eq!(two["dev"]["via_device"], device(&cluster, "cluster")["dev"]["ids"][0]);
        assert_eq!(two["availability_mode"], json!("all"));
        assert_eq!(two["availability"].as_array().unwrap().len(), 2);
        let called = two["cmps"]["service_relay"]["command_topic"].as_str().unwrap();
        assert_eq!(topics().subject(called), Subject::Call { member: "2", service: "relay" });
    }

    #[test]
    fn every_topic_that_is_read_is_one_that_is_written_and_has_the_value() {
        let cluster = cluster(&["relay"]);
        let written = state::messages(&cluster, &topics());
        let mut ids = BTreeSet::new();
        for id in ["1", "2", "cluster"] {
            let device = device(&cluster, id);
            for topic in device["availability"].as_array().unwrap() {
                assert!(written.contains_key(topic["topic"].as_str().unwrap()), "{topic}");
            }
            for (key, component) in device["cmps"].as_object().unwrap() {
                assert!(ids.insert(component["unique_id"].as_str().unwrap().to_owned()), "{key}");
                let Some(topic) = component["state_topic"].as_str() else {
                    assert!(matches!(component["p"].as_str(), Some("button" | "text")));
                    continue;
                };
                let document: Value = serde_json::from_str(&written[topic]).unwrap();
                let Some(template) = component["value_template"].as_str() else { continue };
                let path = template.trim_start_matches("{{ value_json.").trim_end_matches(" }}");
                let pointer = format!("/{}", path.replace('.', "/"));
                let counts = path.starts_with("counts.");
                assert!(counts || document.pointer(&pointer).is_some(), "{template} of {document}");
            }
        }
    }

    #[test]
    fn a_component_that_goes_is_taken_away_first() {
        let before = device(&cluster(&["relay", "blink"]), "2").to_string();
        let after = device(&cluster(&["blink"]), "2").to_string();
        let between = transition(&before, &after).unwrap();
        let document: Value = serde_json::from_str(&between).unwrap();
        assert_eq!(document["cmps"]["service_relay"], json!({ "p": "button" }));
        assert_eq!(transition(&between, &after), None);
        assert_eq!(transition(&after, &before), None);
        assert_eq!(transition("online", &after), None);
    }
}
