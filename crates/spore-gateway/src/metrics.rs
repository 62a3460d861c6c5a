//! The whole cluster for Prometheus, from what the gateway knows: text exposition format 0.0.4.

use crate::bridge::{Bridge, Counters};
use crate::cluster::{Cluster, Node};
use std::fmt::Write as _;
use std::time::Instant;

/// The document. No node is asked for it.
pub(crate) fn text(bridge: &Bridge, now: Instant) -> String {
    let mut page = Page::default();
    page.gateway(bridge);
    page.cluster(bridge.cluster());
    page.nodes(bridge.cluster(), now);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

/// A figure of a node; none while it has none.
type Figure<'a> = Box<dyn Fn(&Node) -> Option<f64> + 'a>;

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let start = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{start}{label}=\"{}\"", escaped(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn gateway(&mut self, bridge: &Bridge) {
        let Counters { out, taken, refused, connections } = bridge.counters();
        let name = "spore_gateway_build_info";
        self.family(name, "gauge", "The gateway's program, and what it calls its cluster.");
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("cluster", bridge.topics().name())];
        self.sample(name, &labels, 1.0);
        let connected = f64::from(u8::from(bridge.is_connected()));
        for (name, kind, help, value) in [
            (
                "spore_gateway_broker_connected",
                "gauge",
                "1 if there is a connection to the MQTT broker.",
                connected,
            ),
            (
                "spore_gateway_broker_connections_total",
                "counter",
                "Connections to the MQTT broker.",
                figure(connections),
            ),
            (
                "spore_gateway_events_sent_total",
                "counter",
                "Events of the cluster sent to the MQTT broker.",
                figure(out),
            ),
            (
                "spore_gateway_events_taken_total",
                "counter",
                "Events of the MQTT broker that the cluster has taken.",
                figure(taken),
            ),
            (
                "spore_gateway_orders_refused_total",
                "counter",
                "Events and calls of the MQTT broker that were refused.",
                figure(refused),
            ),
            (
                "spore_gateway_events_waiting",
                "gauge",
                "Events of the cluster that wait for the MQTT broker.",
                figure(bridge.waiting() as u64),
            ),
        ] {
            self.single(name, kind, help, value);
        }
    }

    fn cluster(&mut self, cluster: &Cluster) {
        let name = "spore_cluster_members";
        self.family(name, "gauge", "Members by their status.");
        for status in ["active", "suspect", "dead"] {
            let count = cluster.nodes().filter(|(_, node)| node.member.status == status).count();
            self.sample(name, &[("status", status)], figure(count as u64));
        }
        let rolling = f64::from(u8::from(cluster.is_rolling()));
        self.single("spore_rollout_running", "gauge", "1 while a rollout goes on.", rolling);
        let name = "spore_rollout_nodes";
        self.family(name, "gauge", "Nodes by what became of them in the last rollout.");
        for (state, count) in cluster.update.counts.as_object().into_iter().flatten() {
            self.sample(name, &[("state", state)], count.as_f64().unwrap_or(0.0));
        }
    }

    fn nodes(&mut self, cluster: &Cluster, now: Instant) {
        let name = "spore_node_info";
        self.family(name, "gauge", "What a node is.");
        for (id, node) in cluster.nodes() {
            let status = node.status();
            let labels = [
                ("id", id),
                ("hostname", &*node.member.hostname),
                ("address", &node.member.address),
                ("board", status.map_or("", |status| &status.board)),
                ("version", status.map_or("", |status| &status.version)),
            ];
            self.sample(name, &labels, 1.0);
        }
        for (name, help, of) in figures(now) {
            self.family(name, "gauge", help);
            for (id, node) in cluster.nodes() {
                if let Some(value) = of(node) {
                    let labels = [("id", id), ("hostname", &*node.member.hostname)];
                    self.sample(name, &labels, value);
                }
            }
        }
    }
}

/// The figures that each node has. What a node says of itself is told while it is there.
fn figures<'a>(now: Instant) -> Vec<(&'static str, &'static str, Figure<'a>)> {
    fn live(node: &Node) -> Option<&Node> {
        Some(node).filter(|node| node.member.is_live())
    }
    fn status(node: &Node) -> Option<&crate::documents::Status> {
        live(node)?.status()
    }
    vec![
        (
            "spore_node_up",
            "1 if the node is a live member, 0 if it is lost.",
            Box::new(|node| Some(f64::from(u8::from(node.member.is_live())))),
        ),
        (
            "spore_node_suspect",
            "1 if the node does not answer somebody, and has not said that it lives.",
            Box::new(|node| Some(f64::from(u8::from(node.member.status == "suspect")))),
        ),
        (
            "spore_node_last_seen_seconds",
            "Time since the gateway's node has heard of the node itself.",
            Box::new(|node| Some(figure(node.member.last_seen_ms?) / 1e3)),
        ),
        (
            "spore_node_round_trip_seconds",
            "Round-trip time between the gateway's node and the node.",
            Box::new(|node| Some(figure(live(node)?.member.rtt_us?) / 1e6)),
        ),
        (
            "spore_node_uptime_seconds",
            "Time since the node's start, when it was asked.",
            Box::new(|node| Some(figure(status(node)?.uptime_ms) / 1e3)),
        ),
        (
            "spore_node_free_memory_bytes",
            "Memory that the node had left, when it was asked.",
            Box::new(|node| Some(figure(status(node)?.free_memory))),
        ),
        (
            "spore_node_signal_dbm",
            "Strength of the WiFi at the node, when it was asked.",
            Box::new(|node| Some(f64::from(live(node)?.status()?.rssi?))),
        ),
        (
            "spore_node_safe_mode",
            "1 if the node runs without sprockets, tasks and services of its own, after crashes.",
            Box::new(|node| Some(f64::from(u8::from(status(node)?.safe_mode)))),
        ),
        (
            "spore_node_services",
            "Services that the node offers.",
            Box::new(|node| Some(figure(status(node)?.services.len() as u64))),
        ),
        (
            "spore_node_image",
            "Sequence number of the image that the node runs for good.",
            Box::new(|node| node.image.map(f64::from)),
        ),
        (
            "spore_node_figures_age_seconds",
            "Time since the node was asked.",
            Box::new(move |node| {
                let at = live(node)?.figures.as_ref()?.at;
                Some(now.duration_since(at).as_secs_f64())
            }),
        ),
    ]
}

/// A number as Prometheus has all of them: exact up to 2^53.
fn figure(number: u64) -> f64 {
    number as f64
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{escaped, text};
    use crate::bridge::Bridge;
    use crate::cluster::tests::{figures, list, rollout};
    use crate::events::Sent;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Instant;

    /// The most series that a node may have.
    const SERIES: usize = 40;

    fn page(members: &[(&str, &str)]) -> String {
        let (mut bridge, now) = (
            Bridge::new("home".parse().unwrap(), Vec::new(), true, Sent::default()),
            Instant::now(),
        );
        let list = list(members);
        bridge.learn(|cluster| {
            cluster.members(list, now);
            cluster.rollout(rollout("running", "on_trial"));
            for (id, _) in members {
                cluster.figures(id, figures(Some((6, "confirmed"))));
            }
        });
        text(&bridge, now)
    }

    fn names(page: &str) -> BTreeSet<&str> {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap()).collect()
    }

    #[test]
    fn a_node_has_few_series_and_one_that_is_lost_is_down() {
        let page = page(&[("1", "active"), ("2", "suspect"), ("3", "dead")]);
        let mut series = BTreeMap::<&str, usize>::new();
        for line in page.lines().filter(|line| line.contains("{id=\"")) {
            *series.entry(line.split('"').nth(1).unwrap()).or_default() += 1;
        }
        assert_eq!(series.len(), 3);
        assert!(series.values().all(|count| *count <= SERIES), "{series:?}");
        for line in [
            r#"spore_node_up{id="1",hostname="node-1"} 1"#,
            r#"spore_node_up{id="2",hostname="node-2"} 1"#,
            r#"spore_node_up{id="3",hostname="node-3"} 0"#,
            r#"spore_node_uptime_seconds{id="1",hostname="node-1"} 61.5"#,
            r#"spore_node_signal_dbm{id="2",hostname="node-2"} -61"#,
            r#"spore_node_image{id="3",hostname="node-3"} 6"#,
            r#"spore_cluster_members{status="dead"} 1"#,
            r#"spore_rollout_nodes{state="pending"} 2"#,
            "spore_rollout_running 1",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}\n{page}");
        }
        assert!(!page.contains(r#"spore_node_uptime_seconds{id="3""#), "{page}");
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }

    #[test]
    fn what_the_docs_and_the_dashboard_name_is_there_and_nothing_else() {
        let page = page(&[("1", "active")]);
        let there = names(&page);
        let named = |text: &'static str| -> BTreeSet<&str> {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.filter(|word| word.starts_with("spore_")).collect()
        };
        let dashboard = named(include_str!("../../../docs/grafana.json"));
        assert!(dashboard.len() > 8, "{dashboard:?}");
        assert!(dashboard.is_subset(&there), "{:?}", dashboard.difference(&there));
        let docs = named(include_str!("../../../docs/gateway.md"));
        assert_eq!(docs, there, "docs/gateway.md");
    }

    #[test]
    fn the_dashboard_is_one_that_grafana_can_import() {
        let text = include_str!("../../../docs/grafana.json");
        let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
        let panels = dashboard["panels"].as_array().unwrap();
        let mut ids = BTreeSet::new();
        for panel in panels {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
            assert!(panel["targets"].as_array().is_some_and(|all| !all.is_empty()), "{panel}");
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
        }
    }
}
