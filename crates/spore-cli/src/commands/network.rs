//! `spore network`.

use crate::client::{Client, Request, Signer, Target, parse, print_document};
use crate::key_file::KeyFile;
use crate::output::{note, print, print_line};
use crate::secret_file;
use crate::table::{Table, span};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use spore_core::network::{Password, Ssid};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Show a node's WiFi, look for networks, or give it another one.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Network {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the network that the node is in, and how it goes (the default)
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
    /// List the networks that the node hears, strongest first
    #[command(after_help = SCAN_EXAMPLES)]
    Scan,
    /// Give the node another network, and follow whether it keeps it
    #[command(after_help = WIFI_EXAMPLES)]
    Wifi {
        /// The network's name
        ssid: Ssid,
        /// The file with the password, for its owner only [default: asked for, or stdin]
        #[arg(long, value_name = "FILE", conflicts_with = "open")]
        password_file: Option<PathBuf>,
        /// The network has no password
        #[arg(long)]
        open: bool,
        /// Do not wait for the outcome
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        key: KeyFile,
    },
}

const EXAMPLES: &str = "\
Examples:
  spore network                         which network the node is in
  spore network scan                    which networks it hears
  spore network wifi home               another network; the password is asked for";

const STATUS_EXAMPLES: &str = "\
Examples:
  spore network status --node 192.168.1.20";

const SCAN_EXAMPLES: &str = "\
Examples:
  spore network scan --json";

const WIFI_EXAMPLES: &str = "\
The node tries the network, and keeps it only if it gets an address there within 60 seconds; else it
goes back to the one from before. The request is signed with the cluster key.

Examples:
  spore network wifi home --password-file ~/wifi-password
  spore network wifi home < ~/wifi-password
  spore network wifi guest --open";

const STATUS: &str = "/api/network/status";
const SCAN: &str = "/api/network/scan";
const WIFI: &str = "/api/network/wifi";

/// A scan takes some seconds, and may have to wait for an attempt to connect.
const SCAN_LIMIT: Duration = Duration::from_secs(40);

/// A trial takes a minute, and the way back some seconds.
const TRIAL_LIMIT: Duration = Duration::from_secs(100);

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// `GET /api/network/status`.
#[derive(Debug, Deserialize)]
struct Status {
    radio: Option<String>,
    state: String,
    ssid: Option<String>,
    rssi: Option<i8>,
    address: Option<String>,
    prefix_len: Option<u8>,
    gateway: Option<String>,
    since_ms: u64,
    attempts: u16,
    reason: Option<String>,
    credentials: Option<String>,
    access_point: Option<AccessPoint>,
}

#[derive(Debug, Deserialize)]
struct AccessPoint {
    open: bool,
    ssid: String,
    clients: u8,
}

/// `GET /api/network/scan`.
#[derive(Debug, Deserialize)]
struct Scan {
    scanning: bool,
    networks: Vec<Seen>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    ssid: String,
    rssi: i8,
    channel: u8,
    secure: bool,
}

impl Network {
    pub(crate) fn run(self) -> Result<()> {
        let node = self.target.node();
        match &self.action {
            None | Some(Action::Status) => {
                let body = self.target.get(&node, STATUS)?;
                if self.target.json { print_document(&body) } else { print(text(&parse(&body)?)) }
            }
            Some(Action::Scan) => self.scan(&node),
            Some(Action::Wifi { ssid, password_file, open, no_wait, key }) => {
                let password =
                    if *open { Password::OPEN } else { password(password_file.as_ref())? };
                let signer = Signer::new(key)?;
                let body = json!({ "ssid": ssid.as_str(), "password": password.as_str() });
                let body = serde_json::to_vec(&body)?;
                let request = Request::with_json("PUT", WIFI, &body);
                let answer = self.target.client().send_signed(&node, &request, &signer)?;
                if *no_wait {
                    return match self.target.json {
                        true => print_document(&answer.text()),
                        false => print_line(format_args!("{node} tries {ssid}.")),
                    };
                }
                self.follow(&node, ssid)
            }
        }
    }

    fn scan(&self, node: &str) -> Result<()> {
        let start = Instant::now();
        let body = loop {
            let body = self.target.get(node, SCAN)?;
            let scan: Scan = parse(&body)?;
            if !scan.scanning {
                break body;
            }
            if start.elapsed() >= SCAN_LIMIT {
                bail!("{node} is still looking for networks");
            }
            thread::sleep(PAUSE);
        };
        if self.target.json {
            return print_document(&body);
        }
        let scan: Scan = parse(&body)?;
        let mut table = Table::new(&["NETWORK", "SIGNAL", "CHANNEL", "PASSWORD"]);
        for Seen { ssid, rssi, channel, secure } in scan.networks {
            let password = if secure { "yes" } else { "no" };
            table.row([ssid, format!("{rssi} dBm"), channel.to_string(), password.to_owned()]);
        }
        print(table)
    }

    /// Waits for the outcome of a trial, and tells what happens meanwhile.
    fn follow(&self, node: &str, ssid: &Ssid) -> Result<()> {
        let (client, start) = (self.target.client(), Instant::now());
        let (mut said, mut failure) = (String::new(), None);
        while start.elapsed() < TRIAL_LIMIT {
            thread::sleep(PAUSE);
            let (progress, outcome) = look(&client, node);
            if let Some((status, body)) = outcome {
                match status.credentials.as_deref() {
                    Some("trial") => failure = status.reason.or(failure),
                    Some("kept") if self.target.json => return print_document(&body),
                    Some("kept") => {
                        let address = status.address.unwrap_or_default();
                        return print_line(format_args!(
                            "{node} keeps {ssid}: it is {address} there."
                        ));
                    }
                    _ => {
                        if self.target.json {
                            print_document(&body)?;
                        }
                        bail!("{}", returned(node, ssid, failure.as_deref(), &status));
                    }
                }
            }
            if progress != said {
                note(format_args!("{progress}"));
                said = progress;
            }
        }
        bail!(
            "{node} has not been heard of for {} s; it may have another address now",
            TRIAL_LIMIT.as_secs()
        )
    }
}

/// How it goes, and the status if the node answers.
fn look(client: &Client, node: &str) -> (String, Option<(Status, String)>) {
    let told = client.get(node, STATUS).and_then(|body| Ok((parse::<Status>(&body)?, body)));
    match told {
        Ok((status, body)) => {
            let failed = status.reason.as_deref().map(|reason| format!(", {}", words(reason)));
            let progress = format!("{node}: {}{}", status.state, failed.unwrap_or_default());
            (progress, Some((status, body)))
        }
        Err(_) => (format!("{node}: does not answer"), None),
    }
}

/// What has become of a trial that failed.
fn returned(node: &str, ssid: &Ssid, failure: Option<&str>, status: &Status) -> String {
    let why = failure.map_or_else(String::new, |reason| format!(": {}", words(reason)));
    match (&status.ssid, &status.access_point) {
        (Some(old), _) => format!("{node} did not get into {ssid}{why}; it is back to {old}"),
        (None, Some(AccessPoint { ssid: own, .. })) => {
            format!("{node} did not get into {ssid}{why}; its access point {own} is open")
        }
        (None, None) => format!("{node} did not get into {ssid}{why}"),
    }
}

/// A reason as a person says it.
fn words(reason: &str) -> String {
    match reason {
        "timeout" => "it took too long".to_owned(),
        "lost" => "the network was lost".to_owned(),
        "not_found" => "the network is not heard".to_owned(),
        "wrong_password" => "the network does not take the password".to_owned(),
        "address_conflict" => "somebody else has the address".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The password from a file, from a person, or else a line from stdin.
pub(super) fn password(file: Option<&PathBuf>) -> Result<Password> {
    let text = match file {
        Some(file) => {
            let text = secret_file::read(file, "password file")?;
            text.with_context(|| format!("there is no file {}", file.display()))?
        }
        None => {
            if std::io::stdin().is_terminal() {
                rpassword::prompt_password("The network's password: ").context("cannot ask")?
            } else {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).context("cannot read stdin")?;
                line
            }
        }
    };
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("there is no password; if the network has none, say --open");
    }
    password.parse().context("this is no password of a WiFi")
}

fn text(status: &Status) -> String {
    let dash = || "-".to_owned();
    let address = match (&status.address, status.prefix_len) {
        (Some(address), Some(len)) => format!("{address}/{len}"),
        _ => dash(),
    };
    let mut rows = vec![
        ("radio", status.radio.clone().unwrap_or_else(|| "none: it is wired".to_owned())),
        ("state", format!("{}, for {}", status.state, span(status.since_ms))),
    ];
    if let Some(AccessPoint { open, ssid, clients }) = &status.access_point {
        let access_point = match open {
            true => format!("{ssid}, open, {clients} on it"),
            false => format!("{ssid}, closed"),
        };
        rows.extend([
            ("network", status.ssid.clone().unwrap_or_else(dash)),
            ("signal", status.rssi.map_or_else(dash, |rssi| format!("{rssi} dBm"))),
            ("address", address),
            ("gateway", status.gateway.clone().unwrap_or_else(dash)),
            ("credentials", status.credentials.clone().unwrap_or_else(|| "none".to_owned())),
            ("attempts", status.attempts.to_string()),
            ("last failure", status.reason.as_deref().map_or_else(dash, words)),
            ("access point", access_point),
        ]);
    }
    rows.iter().map(|(what, value)| format!("{what:<12}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Status, returned, text};
    use serde_json::json;

    fn status(ssid: Option<&str>) -> Status {
        serde_json::from_value(json!({
            "radio": "esp8266", "state": "waiting", "ssid": ssid, "rssi": null, "address": null,
            "prefix_len": null, "gateway": null, "since_ms": 61_000, "attempts": 3,
            "reason": "not_found", "credentials": "returned",
            "access_point": { "open": true, "ssid": "SPORE-000001", "clients": 1 },
        }))
        .unwrap()
    }

    #[test]
    fn a_status_is_told_line_by_line() {
        let text = text(&status(Some("home")));
        for line in [
            "radio         esp8266",
            "state         waiting, for 1 min 1 s",
            "network       home",
            "address       -",
            "last failure  the network is not heard",
            "access point  SPORE-000001, open, 1 on it",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_failed_trial_says_why_and_what_holds_now() {
        let ssid = "attic".parse().unwrap();
        let said = returned("a", &ssid, Some("wrong_password"), &status(Some("home")));
        let wanted =
            "a did not get into attic: the network does not take the password; it is back to home";
        assert_eq!(said, wanted);
        let said = returned("a", &ssid, None, &status(None));
        assert_eq!(said, "a did not get into attic; its access point SPORE-000001 is open");
    }
}
