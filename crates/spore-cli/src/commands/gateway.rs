//! `spore gateway`.

use super::node::{self, Options};
use crate::client::{Client, Request, Signer, Stream};
use crate::misuse::Misuse;
use crate::output::print_line;
use crate::variables;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use spore_gateway::{Answer, Api, Broker, Frame, Frames, Gateway as Bridge, Name, Version};
use spore_host::{HostSprockets, Stop};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Run a node that shows its cluster to MQTT, Home Assistant and Prometheus, until Ctrl-C.
///
/// It is a member like any other, with the options of `spore node`. On the broker, events of the cluster are at
/// spore/CLUSTER/event/TOPIC, what is published at spore/CLUSTER/publish/TOPIC becomes an event, and what is known of members and
/// services is retained. docs/gateway.md has all topics.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Gateway {
    #[command(flatten)]
    options: Options,
    /// The MQTT broker, with a port if it is not at 1883
    #[arg(long, value_name = "HOST", value_parser = broker)]
    broker: Option<Address>,
    /// Which MQTT it is spoken to
    #[arg(long, value_name = "VERSION", default_value = "3")]
    mqtt: Mqtt,
    /// The user that the broker knows; the password is in SPORE_MQTT_PASSWORD or --password-file
    #[arg(long, value_name = "NAME", requires = "broker")]
    user: Option<String>,
    /// The file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// What the cluster is called on the broker: letters, digits, - and _; no two clusters the same
    #[arg(long, value_name = "CLUSTER", default_value = "home")]
    cluster: Name,
    /// Tell Home Assistant nothing
    #[arg(long)]
    no_home_assistant: bool,
    /// Serve /metrics of the whole cluster for Prometheus: an address with a port
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Do not announce members by multicast DNS, which is done unless --bind is a loopback address
    #[arg(long)]
    no_mdns: bool,
    /// How often each member is asked how it is, in seconds, 10 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(10..=3600))]
    poll: u16,
}

const EXAMPLES: &str = "\
Examples:
  spore gateway --bind 192.168.1.20 --broker 192.168.1.2
  spore gateway --bind 192.168.1.20 --broker mqtt.home:1884 --user spore --password-file mqtt.password
  spore gateway --bind 127.42.0.6 --broker localhost --cluster workshop --mqtt 5
  spore gateway --bind 192.168.1.20 --metrics 192.168.1.20:9464
  mosquitto_sub -t 'spore/home/#' -v              and then: all there is to see
  mosquitto_pub -t spore/home/publish/kitchen/lamp -m on

A broker that goes away is waited for. There is no TLS: use a broker on your own network.
Exit codes: 0 ended by Ctrl-C, 1 it failed, 2 wrong usage.";

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mqtt {
    /// MQTT 3.1.1
    #[value(name = "3", alias = "3.1.1")]
    V3,
    /// MQTT 5
    #[value(name = "5", alias = "5.0")]
    V5,
}

/// An address as `HOST` or `HOST:PORT`.
fn broker(text: &str) -> Result<Address, String> {
    let (host, port) = text.split_once(':').unwrap_or((text, "1883"));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match port.parse() {
        Ok(port @ 1..) if !host.is_empty() && host.chars().all(allowed) => {
            Ok(Address { host: host.to_owned(), port })
        }
        _ => Err("a name or an IPv4 address, with :PORT if that is not 1883".to_owned()),
    }
}

/// How long a node may take to answer; services take up to 15 s.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_WITH_SERVICES: Duration = Duration::from_secs(17);

/// What asks nodes for the gateway.
struct Nodes {
    reading: Client,
    sending: Client,
    signer: Signer,
}

impl Api for Nodes {
    fn get(&self, node: &str, path: &str) -> Result<String> {
        self.reading.get(node, path)
    }

    fn send(&self, node: &str, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let request = Request::with_json(method, path, body);
        let answer = self.sending.exchange_signed(node, &request, &self.signer)?;
        Ok(Answer { status: answer.status, body: answer.text() })
    }

    fn events(&self, node: &str, after: Option<&str>) -> Result<Frames> {
        let request = Request::get("/api/events");
        let authorization = self.signer.authorization(&self.reading, node, &request)?;
        let opened = self.reading.open(node, &request, &authorization, after)?;
        let stream = opened.map_err(|answer| self.signer.error(&answer, node, &request))?;
        Ok(Box::new(frames(stream)))
    }
}

fn frames(stream: Stream) -> impl Iterator<Item = Frame> + Send {
    std::iter::from_fn(move || {
        let frame = stream.next()?;
        Some(Frame { id: frame.id, event: frame.event, data: frame.data })
    })
}

impl Gateway {
    pub(crate) fn run(self) -> Result<()> {
        let signer = self.options.signer()?;
        let broker = self.broker()?;
        let memory = self.options.state()?.map(|folder| folder.join("gateway.json"));
        let metrics = self.metrics.map(|address| {
            let listener = TcpListener::bind(address);
            listener.with_context(|| format!("cannot serve metrics at {address}"))
        });
        let metrics = metrics.transpose()?;
        let node = self.options.bind(HostSprockets::none())?;
        let announce = self.options.address();
        let api = self.options.api();
        self.introduce(node.hostname().as_str(), &api)?;
        let bridge = Bridge {
            name: self.cluster.clone(),
            node: api,
            api: Arc::new(Nodes {
                reading: Client::new(PATIENCE),
                sending: Client::new(PATIENCE_WITH_SERVICES),
                signer,
            }),
            broker,
            home_assistant: !self.no_home_assistant,
            interval: Duration::from_secs(self.poll.into()),
            memory,
            metrics,
            announce: (!self.no_mdns && !announce.is_loopback()).then_some(announce),
        };
        let stopping = Arc::new(AtomicBool::new(false));
        let request = Arc::clone(&stopping);
        ctrlc::set_handler(move || {
            // Who asks twice does not want to wait.
            if request.swap(true, Ordering::Relaxed) {
                process::exit(0);
            }
        })
        .context("cannot wait for Ctrl-C")?;
        let leave = Stop::default();
        let (left, ended) = (leave.clone(), Ended(Arc::clone(&stopping)));
        let thread = thread::Builder::new().name("node".to_owned()).spawn(move || {
            // Without its node, the gateway ends.
            let _ended = ended;
            node.run(&left)
        });
        let thread = thread.context("cannot start a thread")?;
        let done = spore_gateway::run(bridge, &stopping);
        leave.request();
        match thread.join() {
            Ok(ending) => node::end(ending),
            // The panic was told.
            Err(_) => process::exit(101),
        }
        done
    }

    fn broker(&self) -> Result<Option<Broker>> {
        let Some(Address { host, port }) = self.broker.clone() else { return Ok(None) };
        let version = match self.mqtt {
            Mqtt::V3 => Version::V3,
            Mqtt::V5 => Version::V5,
        };
        let login = self.user.clone().map(|user| Ok::<_, anyhow::Error>((user, self.password()?)));
        Ok(Some(Broker { host, port, version, login: login.transpose()? }))
    }

    fn password(&self) -> Result<String> {
        if let Some(file) = &self.password_file {
            let text = fs::read_to_string(file);
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(text.lines().next().unwrap_or_default().to_owned());
        }
        let password = variables::variable("SPORE_MQTT_PASSWORD");
        let password = password.ok_or_else(|| {
            Misuse::error(
                "--user needs a password: set SPORE_MQTT_PASSWORD, or name a --password-file",
            )
        })?;
        password.into_string().map_err(|_| Misuse::error("SPORE_MQTT_PASSWORD is not UTF-8"))
    }

    fn introduce(&self, hostname: &str, api: &str) -> Result<()> {
        let broker = self.broker.as_ref().map(|Address { host, port }| format!("{host}:{port}"));
        if self.options.json() {
            return print_line(json!({
                "hostname": hostname, "api": api, "cluster": self.cluster.to_string(), "broker": broker,
                "metrics": self.metrics.map(|metrics| format!("http://{metrics}/metrics")),
            }));
        }
        print_line(format_args!("{hostname}: http://{api}/api/node/status"))?;
        if let Some(broker) = broker {
            print_line(format_args!("MQTT: {broker}, spore/{}/#", self.cluster))?;
        }
        match self.metrics {
            Some(metrics) => print_line(format_args!("Prometheus: http://{metrics}/metrics")),
            None => Ok(()),
        }
    }
}

/// Sets a flag when it goes.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, broker};

    #[test]
    fn a_broker_is_a_name_and_perhaps_a_port() {
        let address = |host: &str, port| Ok(Address { host: host.to_owned(), port });
        assert_eq!(broker("mqtt.home"), address("mqtt.home", 1883));
        assert_eq!(broker("10.0.0.1:1884"), address("10.0.0.1", 1884));
        for bad in ["", ":1883", "a:0", "a:b", "a:70000", "mqtt://a", "a b", "::1"] {
            assert!(broker(bad).unwrap_err().contains("IPv4"), "{bad}");
        }
    }
}
