//! `spore status`.

use crate::client::{self, NodeStatus, Target};
use crate::output;
use crate::table::{bytes, span};
use anyhow::{Context as _, Result};
use clap::Args;

/// Show a node's resources, versions, services, sprockets and endpoints.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// A member's hostname or id, or an address [default: the node that is asked]
    #[arg(value_name = "NODE")]
    of: Option<String>,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore status                 of the node that is asked
  spore status node-3          of another member, by hostname or id
  spore status 192.168.1.20    of a node at this address, member or not";

impl Status {
    pub(crate) fn run(self) -> Result<()> {
        let body = match self.of.as_deref() {
            None => self.ask(&self.target.node())?,
            Some(name) => {
                let located = self.target.locate(name)?;
                let answer = self.ask(&located.api);
                match located.gone {
                    Some(gone) => answer.context(gone)?,
                    None => answer?,
                }
            }
        };
        if self.target.json {
            return client::print_document(&body);
        }
        output::print(text(&client::parse(&body)?))
    }

    fn ask(&self, node: &str) -> Result<String> {
        self.target.get(node, "/api/node/status")
    }
}

fn text(status: &NodeStatus) -> String {
    let mut text = format!("{} ({})\n", status.hostname, status.id);
    let claimed = match status.claimed {
        _ if status.claim_damaged => "lost: it joins nobody until somebody at the machine decides",
        Some(true) => "yes",
        Some(false) => "no: it has no cluster key",
        None => "-",
    };
    let last_start = match status.safe_mode {
        true => format!(
            "{}, in safe mode: after too many crashes no sprocket, service or task was started; `spore restart` tries them again",
            status.reset_reason
        ),
        false => status.reset_reason.clone(),
    };
    let rows = [
        ("api", format!("http://{}:{}", status.address, status.http_port)),
        ("board", format!("{}, chip {:08x}", status.board, status.chip_id)),
        ("version", status.version.clone()),
        ("claimed", claimed.to_owned()),
        ("uptime", span(status.uptime_ms)),
        ("last start", last_start),
        ("free memory", bytes(status.free_memory)),
        ("flash", bytes(u64::from(status.flash_size))),
    ];
    let signal = status.rssi.map(|rssi| ("signal", format!("{rssi} dBm")));
    for (what, value) in rows.into_iter().chain(signal) {
        text.push_str(&format!("  {what:<11}  {value}\n"));
    }
    if !status.services.is_empty() {
        text.push_str("services\n");
    }
    for service in &status.services {
        let line = format!("  {:<20} {:<8} {}", service.name, service.policy, service.summary);
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    if !status.sprockets.is_empty() {
        text.push_str("sprockets\n");
    }
    for sprocket in &status.sprockets {
        let says = sprocket.message.as_deref().unwrap_or_default();
        let line = format!("  {:<20} {:<11} {says}", sprocket.name, sprocket.state);
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text.push_str("endpoints\n");
    for endpoint in &status.endpoints {
        let line = format!("  {:<6} {:<29} {}", endpoint.method, endpoint.path, endpoint.policy);
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn services_sprockets_and_endpoints_are_listed_under_the_resources() {
        let mut status = serde_json::json!({
            "id": "0123", "hostname": "a", "address": "10.0.0.1", "http_port": 80, "board": "esp-01",
            "version": "1.2.3", "chip_id": 255, "reset_reason": "power_on", "uptime_ms": 61_000,
            "free_memory": 20_000, "rssi": -61, "flash_size": 1_048_576, "claimed": false,
            "services": [{ "name": "relay", "policy": "signed", "summary": "A switch" }],
            "sprockets": [
                { "name": "relay", "state": "running", "message": null, "runs": 7 },
                { "name": "door", "state": "failed", "message": "stuck", "runs": 1 },
            ],
            "endpoints": [{ "method": "GET", "path": "/api/node/status", "policy": "open" }],
        });
        let text = text(&serde_json::from_value(status.clone()).unwrap());
        for line in [
            "  board        esp-01, chip 000000ff",
            "  claimed      no: it has no cluster key",
            "  signal       -61 dBm",
            "  relay                signed   A switch",
            "  relay                running",
            "  door                 failed      stuck",
            "  GET    /api/node/status              open",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}: {text}");
        }
        assert!(!text.contains("safe mode"), "{text}");
        status["safe_mode"] = true.into();
        let text = super::text(&serde_json::from_value(status).unwrap());
        assert!(text.contains("  last start   power_on, in safe mode: "), "{text}");
    }
}
