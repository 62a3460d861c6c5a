//! What is known of the cluster.

use crate::documents::{Member, MemberList, Running, Service, ServiceList, Status, Update};
use crate::feeds::Figures;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a node that is in no list any more, and has not said that it goes, is held for lost. Nodes list the dead for as long.
const LOST: Duration = Duration::from_secs(24 * 3600);

/// Of so many members it is known that they have left.
const DEPARTED: usize = 512;

/// The cluster as the gateway's own node sees it, and what its members say of themselves.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    nodes: BTreeMap<String, Node>,
    pub(crate) services: Vec<Service>,
    pub(crate) update: Update,
    /// Members that an earlier gateway has told the broker of, until it is known what they are.
    adopted: BTreeMap<String, Member>,
    departed: BTreeSet<String>,
    settled: bool,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) member: Member,
    pub(crate) figures: Option<Figures>,
    /// The image that it runs for good, by what the cluster knows.
    pub(crate) image: Option<u32>,
    /// Since when it is in no list.
    missing: Option<Instant>,
}

impl Node {
    fn new(member: Member) -> Self {
        Self { member, figures: None, image: None, missing: None }
    }

    /// Whether it is lost, and nothing is known of what it was; then what the broker has of it stays.
    pub(crate) fn is_legacy(&self) -> bool {
        self.figures.is_none() && !self.member.is_live()
    }

    pub(crate) fn status(&self) -> Option<&Status> {
        self.figures.as_ref().map(|figures| &figures.status)
    }

    /// What it said of its image last; none if it takes no updates.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.figures.as_ref()?.image.as_ref()
    }
}

impl Cluster {
    /// Takes the member list of the gateway's own node. Who has left is gone at once; who is not listed any more is lost, since
    /// a node that restarts lists nobody for a while.
    pub(crate) fn members(&mut self, list: MemberList, now: Instant) {
        for node in self.nodes.values_mut() {
            node.missing.get_or_insert(now);
        }
        for member in list.members {
            if member.status == "left" {
                self.depart(member.id);
                continue;
            }
            self.departed.remove(&member.id);
            let id = member.id.clone();
            let node = self.nodes.entry(id).or_insert_with(|| Node::new(member.clone()));
            (node.member, node.missing) = (member, None);
        }
        self.nodes.retain(|_, node| match node.missing {
            Some(since) => {
                "dead".clone_into(&mut node.member.status);
                now.duration_since(since) < LOST
            }
            None => true,
        });
    }

    fn depart(&mut self, id: String) {
        self.nodes.remove(&id);
        self.adopted.remove(&id);
        if self.departed.len() == DEPARTED {
            self.departed.pop_first();
        }
        self.departed.insert(id);
    }

    /// Whether it said that it goes, and has not come again.
    pub(crate) fn has_left(&self, id: &str) -> bool {
        self.departed.contains(id)
    }

    /// Takes the member list of another node: it knows who is dead, and who has left, from before the gateway began.
    pub(crate) fn witness(&mut self, list: MemberList, now: Instant) {
        for member in list.members {
            if self.nodes.contains_key(&member.id) {
                continue;
            }
            if member.status == "left" {
                self.depart(member.id);
            } else {
                self.adopted.insert(member.id.clone(), member.into_another());
            }
        }
        self.settle(now);
    }

    /// Takes a member that an earlier gateway has told the broker of. It is lost, unless a list has it, or somebody knows that it has left.
    pub(crate) fn adopt(&mut self, member: Member, now: Instant) {
        if !self.nodes.contains_key(&member.id) && !self.departed.contains(&member.id) {
            self.adopted.insert(member.id.clone(), member);
        }
        if self.settled {
            self.settle(now);
        }
    }

    /// From now on, who is in no list is lost.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.settled = true;
        for (id, mut member) in std::mem::take(&mut self.adopted) {
            "dead".clone_into(&mut member.status);
            self.nodes
                .entry(id)
                .or_insert_with(|| Node { missing: Some(now), ..Node::new(member) });
        }
    }

    /// Whether what the broker has at this topic stays, although nobody knows whether it is still so.
    pub(crate) fn keeps(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        levels.any(|level| self.nodes.get(level).is_some_and(Node::is_legacy))
    }

    /// Whether it is known who is not there: before, nothing on the broker is without an owner.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(crate) fn services(&mut self, list: ServiceList) {
        self.services = list.services;
    }

    /// Takes what is known of the rollout. A node runs another image when its row says that it is updated.
    pub(crate) fn rollout(&mut self, update: Update) {
        self.update = update;
        for row in self.update.nodes.iter().filter(|row| row.state == "updated") {
            let image = self.target(row.board.as_deref());
            if let Some(node) = self.nodes.get_mut(&row.id) {
                node.image = image.or(node.image);
            }
        }
    }

    /// Takes what a member says of itself.
    pub(crate) fn figures(&mut self, id: &str, figures: Figures) {
        let confirmed = figures.image.as_ref().filter(|image| image.stage == "confirmed");
        let confirmed = confirmed.map(|image| image.sequence);
        // It is updated when the others know it, not when it says so.
        let awaited = confirmed.filter(|image| self.is_awaited(id, &figures.status.board, *image));
        let Some(node) = self.nodes.get_mut(id) else { return };
        if awaited.is_none() {
            node.image = confirmed.or(node.image);
        }
        node.figures = Some(figures);
    }

    /// Whether a running rollout is to bring the node to this image, and has not.
    fn is_awaited(&self, id: &str, board: &str, image: u32) -> bool {
        let row = self.update.nodes.iter().find(|row| row.id == id);
        self.is_rolling()
            && row.is_some_and(|row| !matches!(row.state.as_str(), "updated" | "out"))
            && self.target(Some(board)) == Some(image)
    }

    /// Whether a rollout goes on.
    pub(crate) fn is_rolling(&self) -> bool {
        self.update.rollout.as_ref().is_some_and(|rollout| rollout.state == "running")
    }

    /// What the rollout brings this board to.
    pub(crate) fn target(&self, board: Option<&str>) -> Option<u32> {
        let images = &self.update.rollout.as_ref()?.images;
        images.iter().find(|image| Some(&*image.board) == board).map(|image| image.sequence)
    }

    /// The members, by their ids.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(id, node)| (&**id, node))
    }

    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Cluster, LOST};
    use crate::documents::{MemberList, Running, Status};
    use crate::feeds::Figures;
    use serde_json::{Value, json};
    use std::time::{Duration, Instant};

    /// A list of members, each `id status`.
    pub(crate) fn list(members: &[(&str, &str)]) -> MemberList {
        let member = |(id, status): &(&str, &str)| {
            json!({ "id": id, "hostname": format!("node-{id}"), "address": "10.0.0.1", "http_port": 80,
                    "status": status, "last_seen_ms": 5, "rtt_us": 1500, "self": *id == "1" })
        };
        let members: Vec<Value> = members.iter().map(member).collect();
        serde_json::from_value(json!({ "members": members })).unwrap()
    }

    /// What a member says of itself.
    pub(crate) fn figures(image: Option<(u32, &str)>) -> Figures {
        let image = image.map(|(sequence, stage)| Running { sequence, stage: stage.to_owned() });
        let status = Status {
            board: "host".into(),
            version: "0.1.0".into(),
            uptime_ms: 61_500,
            free_memory: 20_000,
            reset_reason: "start".into(),
            rssi: Some(-61),
            ..Status::default()
        };
        Figures { status, image, rtt_us: None, at: Instant::now() }
    }

    /// A rollout to image 7, with the state of member 2.
    pub(crate) fn rollout(state: &str, row: &str) -> crate::documents::Update {
        serde_json::from_value(json!({
            "rollout": { "id": "7-89abcdef", "state": state, "images": [{ "board": "host", "sequence": 7 }] },
            "counts": { "updated": 1, "pending": 2, "failed": 0, "rolled_back": 0, "absent": 0, "out": 0 },
            "nodes": [{ "id": "2", "board": "host", "state": row, "percent": (row == "fetching").then_some(40),
                        "reason": null }],
        })).unwrap()
    }

    fn statuses(cluster: &Cluster) -> Vec<(&str, &str)> {
        cluster.nodes().map(|(id, node)| (id, &*node.member.status)).collect()
    }

    #[test]
    fn who_has_left_is_gone_and_who_is_missing_is_lost_for_a_day() {
        let (mut cluster, start) = (Cluster::default(), Instant::now());
        cluster.members(list(&[("1", "active"), ("2", "active"), ("3", "dead")]), start);
        cluster.members(list(&[("1", "active"), ("2", "left"), ("3", "dead")]), start);
        assert_eq!(statuses(&cluster), [("1", "active"), ("3", "dead")]);
        // The gateway's own node has restarted.
        cluster.members(list(&[("1", "active")]), start);
        assert_eq!(statuses(&cluster), [("1", "active"), ("3", "dead")]);
        cluster.members(list(&[("1", "active"), ("3", "active")]), start);
        cluster.members(list(&[("1", "active")]), start);
        assert_eq!(statuses(&cluster), [("1", "active"), ("3", "dead")]);
        cluster.members(list(&[("1", "active")]), start + LOST - Duration::from_secs(1));
        assert_eq!(statuses(&cluster).len(), 2);
        cluster.members(list(&[("1", "active")]), start + LOST);
        assert_eq!(statuses(&cluster), [("1", "active")]);
    }

    #[test]
    fn another_member_knows_who_died_before_the_gateway_began() {
        let (mut cluster, now) = (Cluster::default(), Instant::now());
        cluster.members(list(&[("2", "active"), ("9", "active")]), now);
        assert!(!cluster.is_settled());
        let mut told = list(&[
            ("1", "active"),
            ("5", "active"),
            ("2", "suspect"),
            ("3", "dead"),
            ("4", "left"),
        ]);
        told.members[0].id = "9".into();
        cluster.witness(told, now);
        assert!(cluster.is_settled());
        // The fifth one has not met the gateway's node yet.
        let all = [("2", "active"), ("3", "dead"), ("5", "dead"), ("9", "active")];
        assert_eq!(statuses(&cluster), all);
        assert!(cluster.keeps("a/3/b") && !cluster.keeps("a/2/b") && !cluster.keeps("a/b"));
    }

    #[test]
    fn whom_an_earlier_gateway_knew_is_lost_unless_it_is_known_to_have_left() {
        let now = Instant::now();
        let member = |id| list(&[(id, "active")]).members.remove(0);
        let mut cluster = Cluster::default();
        cluster.members(list(&[("1", "active")]), now);
        ["1", "2", "3", "4"].into_iter().for_each(|id| cluster.adopt(member(id), now));
        assert_eq!(statuses(&cluster), [("1", "active")], "nobody knows yet");
        cluster.witness(list(&[("1", "active"), ("2", "left")]), now);
        assert_eq!(statuses(&cluster), [("1", "active"), ("3", "dead"), ("4", "dead")]);
        // What is told late changes nothing, and who comes is there.
        cluster.adopt(member("2"), now);
        cluster.members(list(&[("1", "active"), ("3", "active"), ("4", "left")]), now);
        assert_eq!(statuses(&cluster), [("1", "active"), ("3", "active")]);
        cluster.members(list(&[("1", "active"), ("3", "active"), ("2", "active")]), now);
        assert_eq!(statuses(&cluster).len(), 3);
    }

    #[test]
    fn a_node_is_updated_when_the_cluster_says_so() {
        let (mut cluster, now) = (Cluster::default(), Instant::now());
        cluster.members(list(&[("1", "active"), ("2", "active")]), now);
        let image = |cluster: &Cluster| cluster.node("2").unwrap().image;
        cluster.figures("2", figures(Some((6, "confirmed"))));
        assert_eq!(image(&cluster), Some(6));
        cluster.rollout(rollout("running", "on_trial"));
        cluster.figures("2", figures(Some((7, "trial"))));
        assert_eq!(image(&cluster), Some(6), "it is on trial");
        cluster.figures("2", figures(Some((7, "confirmed"))));
        assert_eq!(image(&cluster), Some(6), "nobody else has heard of it");
        cluster.rollout(rollout("running", "updated"));
        assert_eq!(image(&cluster), Some(7));
        // By hand, and without a rollout.
        cluster.rollout(rollout("halted", "idle"));
        cluster.figures("2", figures(Some((8, "confirmed"))));
        assert_eq!(image(&cluster), Some(8));
    }
}
