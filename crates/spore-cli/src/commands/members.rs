//! `spore members`.

use crate::client::{Member, MemberList, Target};
use crate::table::{Table, span};
use anyhow::Result;
use clap::Args;

/// List the members of the cluster.
#[derive(Debug, Args)]
pub(crate) struct Members {
    #[command(flatten)]
    target: Target,
}

impl Members {
    pub(crate) fn run(self) -> Result<()> {
        if self.target.json {
            let body = self.target.get(self.target.node(), "/api/cluster/members")?;
            println!("{body}");
            return Ok(());
        }
        print!("{}", table(&self.target.members()?));
        Ok(())
    }
}

fn table(list: &MemberList) -> Table {
    let mut members: Vec<&Member> = list.members.iter().collect();
    members.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    let header = ["HOSTNAME", "STATUS", "ADDRESS", "API", "SEEN", "RTT", "VERSION", "ID"];
    let mut table = Table::new(&header);
    for member in members {
        table.row([
            member.hostname.clone(),
            member.status.clone(),
            member.address.clone(),
            member.http_port.to_string(),
            member.last_seen_ms.map_or_else(|| "-".to_owned(), |ms| format!("{} ago", span(ms))),
            member.rtt_us.map_or_else(|| "-".to_owned(), rtt),
            member.status_version.to_string(),
            member.id.clone(),
        ]);
    }
    table
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
             "status_version":3,"last_seen_ms":1500,"rtt_us":2345}]}"#;
        let list: MemberList = parse(body).unwrap();
        let text = table(&list).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("a         active  10.0.0.1"), "{text}");
        assert!(lines[1].contains("1.5 s ago") && lines[1].contains("2.34 ms"), "{text}");
        assert!(lines[2].starts_with("b         dead"), "{text}");
    }
}
