//! Topics and the filters that select them: MQTT 3.1.1, section 4.7, with less that is allowed.

/// The topic of an event: 1 to 48 bytes, levels separated by `/`, none of them empty. A level is
/// printable ASCII without `+`, `#`, `"`, `\` and space; the first one does not begin with `$`,
/// which MQTT keeps from filters that begin with a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic<'a>(&'a str);

/// The text is no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTopic;

impl InvalidTopic {
    /// A sentence for people.
    pub(crate) const RULE: &'static str = "a topic has 1 to 48 bytes of printable ASCII without + # \" \\ \
         and space, in levels with / between them, none empty";
}

impl core::fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(Self::RULE)
    }
}

impl core::error::Error for InvalidTopic {}

/// Which topics are wanted: as a topic, and a level may be `+`, any one level; the last one may be
/// `#`, any number of levels, also none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter<'a>(&'a str);

/// The text is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFilter;

impl core::fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a filter is a topic whose levels may be +, and whose last one may be #")
    }
}

impl core::error::Error for InvalidFilter {}

/// The system's own topic under which nodes tell the cluster of a crash.
const CRASHED: &str = "node/crashed";

impl<'a> Topic<'a> {
    /// Under which the cluster is told that a node has crashed.
    pub const CRASHED: Topic<'static> = Topic(CRASHED);

    /// First levels that the system's own events have. Nobody else publishes under them.
    pub const RESERVED: [&'static str; 6] =
        ["cluster", "events", "network", "node", "ota", "tasks"];

    /// The most bytes of a topic, and of a filter.
    pub const MAX: usize = 48;

    /// `text`, if it is a topic.
    pub fn new(text: &'a str) -> Result<Self, InvalidTopic> {
        let fits = text.len() <= Self::MAX && !text.starts_with('$');
        (fits && text.split('/').all(is_level)).then_some(Self(text)).ok_or(InvalidTopic)
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether events for the cluster may have it: the system's own are of one node, with one exception.
    pub fn is_for_cluster(self) -> bool {
        !self.is_reserved() || self.0 == CRASHED
    }

    /// Whether only the system's own events are published under it.
    pub fn is_reserved(self) -> bool {
        self.0.split('/').next().is_some_and(|first| Self::RESERVED.contains(&first))
    }
}

impl<'a> Filter<'a> {
    /// The filter that every topic matches.
    pub const ALL: Filter<'static> = Filter("#");

    /// `text`, if it is a filter.
    pub fn new(text: &'a str) -> Result<Self, InvalidFilter> {
        let named = match text.strip_suffix('#') {
            Some("") => return Ok(Self(text)),
            Some(parents) => parents.strip_suffix('/').ok_or(InvalidFilter)?,
            None => text,
        };
        let fits = text.len() <= Topic::MAX && !text.starts_with('$');
        let mut levels = named.split('/');
        (fits && levels.all(|level| level == "+" || is_level(level)))
            .then_some(Self(text))
            .ok_or(InvalidFilter)
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether `topic` is among the wanted ones.
    pub fn matches(self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                (_, None) => return false,
                ("+", Some(_)) => (),
                (wanted, Some(level)) if wanted == level => (),
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

fn is_level(level: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'+' | b'#' | b'"' | b'\\');
    !level.is_empty() && level.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{Filter, Topic};
    use std::string::String;

    #[test]
    fn topics_are_levels_of_printable_characters() {
        let longest = "a".repeat(48);
        for topic in ["a", "a/b/c", "Kitchen/lamp-2/state", "a.b:c;{}", "a/$b", &longest] {
            assert_eq!(Topic::new(topic).map(Topic::as_str), Ok(topic));
        }
        let long = "a".repeat(49);
        for text in [
            "", "/", "/a", "a/", "a//b", "a b", "a/+", "#", "a\"", "a\\b", "ä", "a\n", "$SYS",
            &long,
        ] {
            assert!(Topic::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_system_publishes_is_its_own() {
        let reserved = |text| Topic::new(text).unwrap().is_reserved();
        assert!(reserved("cluster") && reserved("node/restart/asked") && reserved("ota/x"));
        let travels = |text| Topic::new(text).unwrap().is_for_cluster();
        assert!(reserved("node/crashed") && travels("node/crashed") && travels("kitchen/node"));
        assert!(!travels("node/crashed/x") && !travels("node") && !travels("cluster/member/died"));
        assert!(!reserved("clusters/x") && !reserved("kitchen/node") && !reserved("nod"));
    }

    #[test]
    fn filters_are_topics_with_wildcards_in_their_places() {
        let longest = String::from("+/") + &"a".repeat(44) + "/#";
        for filter in ["#", "+", "a", "a/#", "+/+", "a/+/c", "+/#", &longest] {
            assert_eq!(Filter::new(filter).map(Filter::as_str), Ok(filter));
        }
        let long = String::from("+/") + &"a".repeat(45) + "/#";
        for text in
            ["", "/", "a/", "/#", "a//#", "a#", "a/#/b", "#/a", "##", "a+", "a/b+", "$SYS/#", &long]
        {
            assert!(Filter::new(text).is_err(), "{text}");
        }
    }

    /// Examples of MQTT 3.1.1, sections 4.7.1.2 and 4.7.1.3, as far as their topics are ones here.
    #[test]
    fn filters_match_as_those_of_mqtt() {
        let matches = |filter, topic| Filter::new(filter).unwrap().matches(topic);
        let players = "sport/tennis/player1";
        for topic in
            [players, "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"]
        {
            assert!(matches("sport/tennis/player1/#", topic));
            assert!(matches("#", topic));
        }
        assert!(matches("sport/#", "sport"));
        assert!(!matches("sport/#", "sports"));
        assert!(matches("sport/tennis/+", players));
        assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
        assert!(!matches("sport/+", "sport"));
        assert!(matches("+", "finance") && !matches("+", "finance/x"));
        assert!(matches("+/+", "a/finance") && matches("+/tennis/#", players));
        assert!(!matches("sport/tennis", players) && !matches(players, "sport/tennis"));
    }
}
