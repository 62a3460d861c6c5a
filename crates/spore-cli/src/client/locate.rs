//! Members by name.

use super::{Member, Target};
use anyhow::{Result, bail};

/// A node that was named, and where its API is.
#[derive(Debug)]
pub(crate) struct Located {
    /// Where its API is.
    pub(crate) api: String,
    /// What the node that was asked says of it if it is not live.
    pub(crate) gone: Option<String>,
}

impl Target {
    /// The node that `name` stands for: an address, or a member's hostname or id.
    pub(crate) fn locate(&self, name: &str) -> Result<Located> {
        // A hostname is one label, and an id has hexadecimal digits alone.
        if name.contains(['.', ':', '/']) {
            return Ok(Located { api: name.to_owned(), gone: None });
        }
        let node = self.node();
        let members = self.members()?.members;
        let Some(member) = find(&members, name)? else {
            bail!("{node} knows no member {name:?}; `spore members` lists those it knows")
        };
        let gone = match member.status.as_str() {
            "dead" => Some(format!("{name} is held for dead by {node}")),
            "left" => Some(format!("{name} has left, says {node}")),
            _ => None,
        };
        Ok(Located { api: member.api(), gone })
    }
}

/// The member whose hostname or id is `name`: one that is live, or else one that was.
///
/// A board that lost its memory comes back as a new member, and its former self is listed as dead
/// for a while.
fn find<'a>(members: &'a [Member], name: &str) -> Result<Option<&'a Member>> {
    let named = members.iter().filter(|member| member.hostname == name || member.id == name);
    let (live, gone): (Vec<_>, Vec<_>) = named.partition(|member| member.is_live());
    let candidates = if live.is_empty() { gone } else { live };
    match candidates[..] {
        [] => Ok(None),
        [member] => Ok(Some(member)),
        _ => bail!("several members are called {name:?}; use the id"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Member, find};

    fn member(id: &str, hostname: &str, status: &str) -> Member {
        serde_json::from_value(serde_json::json!({
            "id": id, "hostname": hostname, "address": "10.0.0.1", "http_port": 80,
            "status": status, "status_version": 1, "last_seen_ms": null, "rtt_us": null,
        }))
        .unwrap()
    }

    #[test]
    fn the_living_come_before_the_dead_and_two_of_a_kind_are_told_apart_by_id() {
        let members = [
            member("1", "back", "dead"),
            member("2", "back", "suspect"),
            member("3", "gone", "left"),
            member("4", "twice", "active"),
            member("5", "twice", "active"),
            member("6", "lost", "dead"),
            member("7", "lost", "dead"),
        ];
        let id = |name: &str| find(&members, name).map(|found| found.map(|m| m.id.as_str()));
        assert_eq!(id("back").unwrap(), Some("2"));
        assert_eq!(id("1").unwrap(), Some("1"));
        assert_eq!(id("gone").unwrap(), Some("3"));
        assert_eq!(id("nobody").unwrap(), None);
        assert!(id("twice").unwrap_err().to_string().contains("use the id"));
        assert!(id("lost").unwrap_err().to_string().contains("use the id"));
        assert_eq!(id("7").unwrap(), Some("7"));
    }
}
