//! The names of topics on the broker.

use spore_core::Filter;
use std::fmt;
use std::str::FromStr;

/// What a cluster is called on the broker: 1 to 32 characters of `a-z`, `A-Z`, `0-9`, `_` and `-`, as Home Assistant wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// What is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1 to 32 letters, digits, hyphens and underscores")
    }
}

impl std::error::Error for InvalidName {}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let fits = (1..=32).contains(&text.len()) && text.chars().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which events of another cluster become events of this one, below the name of the other: `CLUSTER`, or `CLUSTER/FILTER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    cluster: Name,
    filter: String,
}

impl Source {
    /// Whose events they are.
    pub fn cluster(&self) -> &Name {
        &self.cluster
    }

    fn events(&self) -> String {
        format!("spore/{}/event/", self.cluster)
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (cluster, filter) = text.split_once('/').unwrap_or((text, "#"));
        let cluster = cluster.parse().map_err(|error| format!("a cluster's name is {error}"))?;
        match Filter::new(filter) {
            Ok(_) => Ok(Self { cluster, filter: filter.to_owned() }),
            Err(error) => Err(format!("{filter} is no filter of topics: {error}")),
        }
    }
}

/// Where Home Assistant looks for devices.
const DISCOVERY: &str = "homeassistant";

/// Home Assistant says `online` here when it has started.
pub(crate) const BIRTH: &str = "homeassistant/status";

/// The topics of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    name: Name,
    sources: Vec<Source>,
}

/// What a message of the broker is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// An event is to be published in the cluster.
    Publish { topic: &'a str },
    /// An event of another cluster is to become one here.
    Foreign { cluster: &'a Name, topic: &'a str },
    /// A service of a member is to be called.
    Call { member: &'a str, service: &'a str },
    /// Home Assistant tells of itself.
    Birth,
    /// Whether a gateway is there.
    Gateway,
    /// Which gateway speaks.
    Speaker,
    /// Somebody wants to know which one.
    Question,
    /// What is retained of a member.
    Member { id: &'a str, leaf: &'a str },
    /// Something else that is retained below the cluster's topics.
    Retained,
    /// Nothing of ours.
    Other,
}

impl Topics {
    pub(crate) fn new(name: Name) -> Self {
        Self { name, sources: Vec::new() }
    }

    /// Listens to what other clusters say, too.
    pub(crate) fn with(mut self, sources: Vec<Source>) -> Self {
        self.sources = sources;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name.0
    }

    fn below(&self, rest: &str) -> String {
        format!("spore/{}/{rest}", self.name)
    }

    /// Whether the gateway is there; its last will.
    pub(crate) fn gateway(&self) -> String {
        self.below("gateway")
    }

    /// Which gateway speaks, by the id of its node.
    pub(crate) fn speaker(&self) -> String {
        self.below("speaker")
    }

    /// Where it is asked which gateway speaks.
    pub(crate) fn question(&self) -> String {
        self.below("speaker/ask")
    }

    pub(crate) fn event(&self, topic: &str) -> String {
        self.below(&format!("event/{topic}"))
    }

    /// `leaf` of a member: `availability`, `state`, `update`.
    pub(crate) fn member(&self, id: &str, leaf: &str) -> String {
        self.below(&format!("member/{id}/{leaf}"))
    }

    pub(crate) fn call(&self, id: &str, service: &str) -> String {
        self.below(&format!("call/{id}/{service}"))
    }

    pub(crate) fn answer(&self, id: &str, service: &str) -> String {
        self.below(&format!("answer/{id}/{service}"))
    }

    pub(crate) fn service(&self, name: &str) -> String {
        self.below(&format!("service/{name}"))
    }

    pub(crate) fn cluster(&self) -> String {
        self.below("cluster")
    }

    pub(crate) fn rollout(&self) -> String {
        self.below("rollout")
    }

    /// Where Home Assistant reads what the device `id` is.
    pub(crate) fn discovery(&self, id: &str) -> String {
        format!("{DISCOVERY}/device/spore-{}/{id}/config", self.name)
    }

    /// All that the gateway listens to. Events of its own cluster are not among it, so that it never hears what it says itself.
    pub(crate) fn filters(&self) -> Vec<String> {
        let mut filters: Vec<_> = [
            "gateway",
            "speaker",
            "speaker/ask",
            "publish/#",
            "call/+/+",
            "member/+/+",
            "service/+",
        ]
        .iter()
        .map(|rest| self.below(rest))
        .collect();
        filters.push(self.discovery("+"));
        filters.push(BIRTH.to_owned());
        filters.extend(self.sources.iter().map(|source| source.events() + &source.filter));
        filters
    }

    pub(crate) fn subject<'a>(&'a self, topic: &'a str) -> Subject<'a> {
        if topic == BIRTH {
            return Subject::Birth;
        }
        let ours = format!("{DISCOVERY}/device/spore-{}/", self.name);
        if topic.strip_prefix(&ours).is_some_and(|rest| rest.ends_with("/config")) {
            return Subject::Retained;
        }
        let foreign = |source: &'a Source| {
            let topic = topic.strip_prefix(&source.events())?;
            Some(Subject::Foreign { cluster: &source.cluster, topic })
        };
        if let Some(foreign) = self.sources.iter().find_map(foreign) {
            return foreign;
        }
        match topic {
            _ if topic == self.gateway() => return Subject::Gateway,
            _ if topic == self.speaker() => return Subject::Speaker,
            _ if topic == self.question() => return Subject::Question,
            _ => (),
        }
        let prefix = self.below("");
        let Some((kind, rest)) = topic.strip_prefix(&prefix).and_then(|rest| rest.split_once('/'))
        else {
            return Subject::Other;
        };
        match kind {
            "publish" => Subject::Publish { topic: rest },
            "service" => Subject::Retained,
            "member" => rest
                .split_once('/')
                .map_or(Subject::Retained, |(id, leaf)| Subject::Member { id, leaf }),
            "call" => rest
                .split_once('/')
                .map_or(Subject::Other, |(member, service)| Subject::Call { member, service }),
            _ => Subject::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BIRTH, Name, Source, Subject, Topics};

    #[test]
    fn names_are_one_level_of_a_topic() {
        for good in ["home", "a", "Work_2-b", &"x".repeat(32)] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), good);
        }
        for bad in ["", "a/b", "a+", "#", "a b", "ä", &"x".repeat(33)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_comes_is_told_apart_by_its_topic() {
        let topics = Topics::new("home".parse().unwrap());
        let publish = |topic| Subject::Publish { topic };
        for (topic, subject) in [
            ("spore/home/publish/a/b", publish("a/b")),
            ("spore/home/call/12/relay", Subject::Call { member: "12", service: "relay" }),
            ("spore/home/call/12", Subject::Other),
            ("spore/home/event/a", Subject::Other),
            ("spore/home/answer/12/relay", Subject::Other),
            ("spore/away/publish/a", Subject::Other),
            (BIRTH, Subject::Birth),
        ] {
            assert_eq!(topics.subject(topic), subject, "{topic}");
        }
        assert_eq!(topics.subject("spore/home/gateway"), Subject::Gateway);
        assert_eq!(topics.subject("spore/home/speaker"), Subject::Speaker);
        let state = topics.member("12", "state");
        assert_eq!(topics.subject(&state), Subject::Member { id: "12", leaf: "state" });
        for ours in [topics.service("relay"), topics.discovery("12")] {
            assert_eq!(topics.subject(&ours), Subject::Retained, "{ours}");
        }
        assert_eq!(topics.subject("homeassistant/device/other/12/config"), Subject::Other);
    }

    #[test]
    fn events_of_another_cluster_are_asked_for_and_known() {
        let sources = ["garage", "office/alarm/#"].map(|text| text.parse::<Source>().unwrap());
        let topics = Topics::new("home".parse().unwrap()).with(sources.to_vec());
        let filters = topics.filters();
        for wanted in ["spore/garage/event/#", "spore/office/event/alarm/#"] {
            assert!(filters.iter().any(|filter| filter == wanted), "{filters:?}");
        }
        let (garage, topic) = ("garage".parse().unwrap(), "a/b");
        let foreign = Subject::Foreign { cluster: &garage, topic };
        assert_eq!(topics.subject("spore/garage/event/a/b"), foreign);
        for other in ["spore/garage/publish/a", "spore/shed/event/a", "spore/home/event/a"] {
            assert_eq!(topics.subject(other), Subject::Other, "{other}");
        }
        for bad in ["", "/x", "a b", "garage/", "garage/#/x", "garage//x"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_gateway_does_not_listen_to_what_it_says_of_events() {
        let topics = Topics::new("home".parse().unwrap());
        let filters: Vec<_> =
            topics.filters().iter().map(|filter| spore_core::Filter::new(filter).is_ok()).collect();
        assert!(filters.iter().all(|fits| *fits));
        for filter in topics.filters() {
            assert!(!filter.contains("/event") && !filter.starts_with("spore/home/#"), "{filter}");
        }
    }
}
