//! `spore doctor`.

mod cluster;
mod desk;

use crate::client::Target;
use crate::key_file::{KeyFile, ReleaseKeyFile};
use crate::output::{print, print_line};
use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use spore_core::config::DEFAULT_PORT;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Look whether all is well with keys, serial port, network and cluster, and say what to do where it is not.
///
/// To each network a datagram is sent that nobody takes for a node's; nodes count it as malformed. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// The serial port of a board [default: those that there are: /dev/ttyUSB*, /dev/ttyACM*]
    #[arg(long, value_name = "DEVICE")]
    serial: Option<PathBuf>,
    /// One of this machine's addresses, whose network nodes are on [default: all that it has]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<Ipv4Addr>,
    /// The cluster's UDP port
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    release: ReleaseKeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore doctor
  spore doctor --node 192.168.1.20          with the cluster of this node
  spore doctor --json | jq '.checks[] | select(.state == \"wrong\")'

ok: as it should be. absent: not there, and needed for some purposes alone. warning: it may be as you
want it. wrong: something does not work.
Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage.";

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Absent,
    Warning,
    Wrong,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// What to do.
    advice: Option<String>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), advice: None }
    }

    fn bad(
        state: State,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { check, state, found: found.into(), advice: Some(advice.into()) }
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Result<()> {
        let mut checks = vec![desk::cluster_key(&self.key), desk::release_key(&self.release)];
        checks.extend(desk::serial_ports(self.serial.as_deref()));
        checks.extend(desk::broadcasts(self.bind, self.port));
        checks.extend(cluster::checks(&self.target, &self.key, self.port));
        let wrong = checks.iter().filter(|check| check.state == State::Wrong).count();
        if self.target.json {
            print_line(json!({ "ok": wrong == 0, "checks": checks }))?;
        } else {
            print(text(&checks))?;
        }
        match wrong {
            0 => Ok(()),
            _ => bail!("{wrong} of {} checks found something wrong", checks.len()),
        }
    }
}

fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { check, state, found, advice } in checks {
        text.push_str(&format!("{:<7}  {check:width$}  {found}\n", state.name()));
        for line in advice.iter().flat_map(|advice| advice.lines()) {
            text.push_str(&format!("{:9}{:width$}  -> {line}\n", "", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Check, State, text};

    #[test]
    fn what_to_do_stands_below_what_was_found() {
        let bad = Check::bad(State::Wrong, "serial port", "no permission", "log in\nanew");
        assert_eq!(
            text(&[Check::ok("node", "a"), bad]),
            "ok       node         a\n\
             wrong    serial port  no permission\n                      -> log in\n                      -> anew\n"
        );
    }
}
