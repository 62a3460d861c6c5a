//! `spore tasks`.

use crate::client::{self, Client, Member, MemberList, Request, Signer, Target};
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::print;
use crate::table::{Table, span};
use crate::times;
use crate::watch::Watch;
use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use std::str::FromStr;

/// List what a node does by itself, or pause, resume, pace or run one of its tasks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tasks {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Stop running a task, until it is resumed: after a restart, too
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause {
        /// The task
        name: Name,
    },
    /// Run a task again that was paused, or that its program leaves to you to start
    #[command(after_help = RESUME_EXAMPLES)]
    Resume {
        /// The task
        name: Name,
    },
    /// Run a task once, now, on this node: also one that is paused, or that another node owns
    #[command(after_help = RUN_EXAMPLES)]
    Run {
        /// The task
        name: Name,
    },
    /// Change how often a task runs
    #[command(after_help = INTERVAL_EXAMPLES)]
    Interval {
        /// The task
        name: Name,
        /// A number with ms, s, m, h or d, from 10ms to 7d; or default, for what the program says
        interval: Interval,
    },
}

const EXAMPLES: &str = "\
Examples:
  spore tasks                        a table of the node's tasks
  spore tasks --node 192.168.1.20    of another node
  spore tasks pause blink            and: resume, run
  spore tasks interval blink 2s

Changes are for holders of the cluster key; requests are signed with it. OWNER is the member that
runs a clustered task now; MISSED counts the due times at which the last run, or the node, was busy.";

const PAUSE_EXAMPLES: &str = "\
Examples:
  spore tasks pause blink
  spore tasks pause alarm --node node-2    another member that carries it takes over";

const RESUME_EXAMPLES: &str = "\
Examples:
  spore tasks resume blink";

const RUN_EXAMPLES: &str = "\
Examples:
  spore tasks run backup
  spore tasks run send-discovery    announces the node at once";

const INTERVAL_EXAMPLES: &str = "\
Examples:
  spore tasks interval blink 250ms
  spore tasks interval status-poll 1m     tasks of the engine take 1s to 1h
  spore tasks interval blink default";

/// A task's name, which is part of a path.
#[derive(Clone, Debug)]
struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        match text.bytes().all(plain) && !text.is_empty() {
            true => Ok(Self(text.to_owned())),
            false => Err("a task's name has the characters a-z, 0-9 and '-'".to_owned()),
        }
    }
}

/// In milliseconds; none for that of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval(Option<u32>);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self(None));
        }
        match times::millis(text) {
            Some(millis) if (10.0..=604_800_000.0).contains(&millis) => {
                Ok(Self(Some(millis as u32)))
            }
            _ => Err("an interval is 10ms to 7d, such as 250ms, 5s or 1.5h".to_owned()),
        }
    }
}

/// One entry of `GET /api/tasks`.
#[derive(Debug, Deserialize)]
struct Task {
    name: String,
    kind: String,
    schedule: String,
    enabled: bool,
    interval_ms: Option<u64>,
    clustered: bool,
    owner: Option<String>,
    running: bool,
    runs: u64,
    missed: u64,
    last_us: u64,
    longest_us: u64,
    next_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct TaskList {
    tasks: Vec<Task>,
}

impl Tasks {
    pub(crate) fn run(self) -> Result<()> {
        if self.action.is_some() && self.watch.is_on() {
            return Err(Misuse::error("--watch is for the table: spore tasks --watch"));
        }
        let (client, node) = (self.target.client(), self.target.node());
        let (name, change) = match &self.action {
            None => return self.watch.show(self.target.json, || self.list(&client, &node)),
            Some(Action::Pause { name }) => (name, json!({ "enabled": false })),
            Some(Action::Resume { name }) => (name, json!({ "enabled": true })),
            Some(Action::Run { name }) => (name, json!({ "run": true })),
            Some(Action::Interval { name, interval }) => {
                (name, json!({ "interval_ms": interval.0 }))
            }
        };
        let signer = Signer::new(&self.key)?;
        let body = self.change(&client, &node, &signer, &name.0, &change)?;
        if self.target.json {
            return client::print_document(&body);
        }
        let task: Task = client::parse(&body)?;
        print(table(&[task], &[]))
    }

    fn list(&self, client: &Client, node: &str) -> Result<String> {
        let body = client.get(node, "/api/tasks")?;
        let list: TaskList = client::parse(&body)?;
        if self.target.json {
            return Ok(client::one_line(&body)? + "\n");
        }
        let owned = list.tasks.iter().any(|task| task.owner.is_some());
        let members: Vec<Member> = if owned {
            client::parse::<MemberList>(&client.get(node, "/api/cluster/members")?)?.members
        } else {
            Vec::new()
        };
        Ok(table(&list.tasks, &members).to_string())
    }

    /// Changes the task; the node's own words for what it does not have.
    fn change(
        &self,
        client: &Client,
        node: &str,
        signer: &Signer,
        name: &str,
        change: &Value,
    ) -> Result<String> {
        let (path, body) = (format!("/api/tasks/{name}"), serde_json::to_vec(change)?);
        let request = Request::with_json("PATCH", &path, &body);
        let answer = client.exchange_signed(node, &request, signer)?;
        if answer.is_refusal("not_found") {
            return Err(anyhow!("{node} has no task {name}; see `spore tasks --node {node}`"));
        }
        if !answer.is_success() {
            return Err(signer.error(&answer, node, &request));
        }
        Ok(answer.text())
    }
}

fn table(tasks: &[Task], members: &[Member]) -> Table {
    let mut table = Table::new(&[
        "NAME", "KIND", "STATE", "INTERVAL", "NEXT", "RUNS", "MISSED", "LAST", "LONGEST", "OWNER",
    ]);
    for task in tasks {
        let state = match (task.running, task.enabled) {
            (true, true) => "runs",
            // Its last run, or one that was asked for.
            (true, false) => "paused, runs",
            (false, true) => "on",
            (false, false) => "paused",
        };
        let owner = task.owner.as_ref().map(|id| {
            let member = members.iter().find(|member| member.id == *id);
            member.map_or_else(|| id.clone(), |member| member.hostname.clone())
        });
        let owner = owner.unwrap_or_else(|| if task.clustered { "nobody" } else { "-" }.to_owned());
        let interval = match (task.schedule.as_str(), task.interval_ms) {
            ("once", Some(millis)) => format!("once, {}", span(millis)),
            (_, Some(millis)) => span(millis),
            (_, None) => "-".to_owned(),
        };
        table.row([
            task.name.clone(),
            task.kind.clone(),
            state.to_owned(),
            interval,
            task.next_ms.map_or_else(|| "-".to_owned(), span),
            task.runs.to_string(),
            task.missed.to_string(),
            took(task.last_us, task.runs),
            took(task.longest_us, task.runs),
            owner,
        ]);
    }
    table
}

/// How long a run took.
fn took(micros: u64, runs: u64) -> String {
    match micros {
        _ if runs == 0 => "-".to_owned(),
        0..1_000 => format!("{micros} us"),
        1_000..10_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{Interval, TaskList, table};
    use crate::client::parse;

    #[test]
    fn intervals_are_numbers_with_a_unit() {
        for (text, millis) in [("10ms", 10), ("0.5s", 500), ("5s", 5_000), ("2m", 120_000)] {
            assert_eq!(text.parse(), Ok(Interval(Some(millis))), "{text}");
        }
        assert_eq!("1.5h".parse(), Ok(Interval(Some(5_400_000))));
        assert_eq!("7d".parse(), Ok(Interval(Some(604_800_000))));
        assert_eq!("default".parse(), Ok(Interval(None)));
        for text in ["", "5", "9ms", "8d", "s", "-1s", "NaNs", "5 weeks", "infs"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_task_has_a_line() {
        let body = r#"{"tasks":[{"name":"alarm","kind":"user","schedule":"periodic","summary":"",
            "enabled":false,"interval_ms":250,"clustered":true,"owner":"0123456789ab","running":false,
            "runs":3,"missed":1,"last_us":700,"longest_us":1500,"last_started_ms":5,"next_ms":null}]}"#;
        let list: TaskList = parse(body).unwrap();
        let text = table(&list.tasks, &[]).to_string();
        let line: Vec<_> =
            text.lines().nth(1).unwrap().split("  ").filter(|cell| !cell.is_empty()).collect();
        let cells: Vec<_> = line.iter().map(|cell| cell.trim()).collect();
        let wanted = [
            "alarm",
            "user",
            "paused",
            "250 ms",
            "-",
            "3",
            "1",
            "700 us",
            "1.5 ms",
            "0123456789ab",
        ];
        assert_eq!(cells, wanted);
    }
}
