//! The loopback network of a network namespace of its own: nftables counts what comes in there, and loses some of it.

use crate::cluster::Traffic;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// To whom everybody listens.
const EVERYONE: &str = "127.255.255.255";

/// Brings up the network, on which this share of all packets but broadcasts gets lost, in percent.
///
/// # Errors
/// When this is no namespace of its own, or there is no nftables.
pub(super) fn open(loss: u8) -> Result<()> {
    run(Command::new("ip").args(["link", "set", "lo", "up"]), "")?;
    let rules = format!(
        "table ip air {{
            counter datagrams {{ }}
            counter segments {{ }}
            chain input {{
                type filter hook input priority 0;
                meta l4proto udp counter name datagrams
                meta l4proto tcp counter name segments
                ip daddr != {EVERYONE} numgen random mod 100 < {loss} drop
            }}
        }}"
    );
    run(Command::new("nft").args(["-f", "-"]), &rules)?;
    Ok(())
}

/// What was sent since it was last asked.
///
/// # Errors
/// When nftables does not tell.
pub(super) fn traffic() -> Result<Traffic> {
    parse(&run(Command::new("nft").args(["-j", "reset", "counters"]), "")?)
}

fn parse(json: &str) -> Result<Traffic> {
    let told: Value = serde_json::from_str(json).context("nft does not tell")?;
    let counters: Vec<&Value> =
        told["nftables"].as_array().into_iter().flatten().map(|it| &it["counter"]).collect();
    let sum = |field| counters.iter().filter_map(|counter| counter[field].as_u64()).sum();
    let traffic = Traffic { packets: sum("packets"), bytes: sum("bytes") };
    let named = counters.iter().filter(|counter| counter["name"].is_string()).count();
    ensure!(named == 2, "nft does not tell both counters: {json}");
    Ok(traffic)
}

fn run(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
            format!("cannot run {program}; the packages iproute2 and nftables have what it takes")
        })?;
    child.stdin.take().context("it has an input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{program} has failed");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::cluster::Traffic;

    #[test]
    fn datagrams_and_segments_are_counted_together() {
        let json = r#"{"nftables":[{"metainfo":{"json_schema_version":1}},
            {"counter":{"family":"ip","name":"datagrams","table":"air","handle":1,"packets":10,"bytes":900}},
            {"counter":{"family":"ip","name":"segments","table":"air","handle":2,"packets":3,"bytes":120}}]}"#;
        assert_eq!(parse(json).unwrap(), Traffic { packets: 13, bytes: 1020 });
        assert!(parse(r#"{"nftables":[]}"#).is_err());
        assert!(parse("").is_err());
    }
}
