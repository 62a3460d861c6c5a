//! `spore members`.

use crate::client::{Member, MemberList, Target, one_line};
use crate::table::{Table, span};
use crate::watch::Watch;
use anyhow::Result;
use clap::Args;

/// List the members of the cluster.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Members {
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore members                        as the node in API_NODE sees them
  spore members --node 192.168.1.20    as this one does
  spore members --watch                again every two seconds, until Ctrl-C
  spore members --json                 for programs";

impl Members {
    pub(crate) fn run(self) -> Result<()> {
        self.watch.show(self.target.json, || {
            if self.target.json {
                let body = self.target.get(&self.target.node(), "/api/cluster/members")?;
                return Ok(one_line(&body)? + "\n");
            }
            Ok(table(&self.target.members()?).to_string())
        })
    }
}

fn table(list: &MemberList) -> Table {
    let mut members: Vec<&Member> = list.members.iter().collect();
    members.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    // Nodes with little memory know what others are made of only as long as they need it.
    let detailed = members.iter().any(|member| member.board.is_some() || member.version.is_some());
    let mut header = vec!["HOSTNAME", "STATUS", "ADDRESS", "API", "SEEN", "RTT", "REV", "ID"];
    if detailed {
        header.extend(["BOARD", "VERSION"]);
    }
    let mut table = Table::new(&header);
    for member in members {
        let mut row = vec![
            member.hostname.clone(),
            member.status.clone(),
            member.address.clone(),
            member.http_port.to_string(),
            seen(member),
            member.rtt_us.filter(|_| !member.is_self()).map_or_else(|| "-".to_owned(), rtt),
            member.status_version.to_string(),
            member.id.clone(),
        ];
        if detailed {
            let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            row.extend([cell(&member.board), cell(&member.version)]);
        }
        table.row(row);
    }
    table
}

/// When a datagram last came from it. The node that was asked sends itself none.
fn seen(member: &Member) -> String {
    match member.last_seen_ms {
        _ if member.is_self() => "self".to_owned(),
        Some(millis) => format!("{} ago", span(millis)),
        None => "-".to_owned(),
    }
}

fn rtt(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::{MemberList, table};
    use crate::client::parse;

    #[test]
    fn members_are_listed_by_name() {
        let body = r#"{"members":[
            {"id":"2","hostname":"b","address":"10.0.0.2","http_port":80,"status":"dead",
             "status_version":1,"last_seen_ms":null,"rtt_us":null},
            {"id":"1","hostname":"a","address":"10.0.0.1","http_port":80,"status":"active",
             "status_version":3,"last_seen_ms":1500,"rtt_us":2345},
            {"id":"3","hostname":"c","address":"10.0.0.3","http_port":80,"status":"active",
             "status_version":7,"last_seen_ms":0,"rtt_us":null,"self":true},
            {"id":"4","hostname":"d","address":"10.0.0.4","http_port":80,"status":"active",
             "status_version":7,"last_seen_ms":0,"rtt_us":null,"self":null}]}"#;
        let list: MemberList = parse(body).unwrap();
        let text = table(&list).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("a         active  10.0.0.1"), "{text}");
        assert!(lines[1].contains("1.5 s ago") && lines[1].contains("2.34 ms"), "{text}");
        assert!(lines[2].starts_with("b         dead"), "{text}");
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cells(lines[3]), ["c", "active", "10.0.0.3", "80", "self", "-", "7", "3"]);
        assert_eq!(cells(lines[4])[4..], ["0", "ms", "ago", "-", "7", "4"], "{text}");
        assert!(!lines[0].contains("BOARD"), "{text}");
    }

    #[test]
    fn board_and_version_are_shown_where_the_node_knows_them() {
        let body = r#"{"members":[
            {"id":"1","hostname":"a","address":"10.0.0.1","http_port":80,"status":"active",
             "status_version":3,"last_seen_ms":1,"rtt_us":2,"board":"esp-01","version":"0.2.0"},
            {"id":"2","hostname":"b","address":"10.0.0.2","http_port":80,"status":"active",
             "status_version":1,"last_seen_ms":null,"rtt_us":null,"board":null,"version":null}]}"#;
        let text = table(&parse(body).unwrap()).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("BOARD   VERSION"), "{text}");
        assert!(lines[1].ends_with("esp-01  0.2.0"), "{text}");
        assert!(lines[2].ends_with("-       -"), "{text}");
    }
}
