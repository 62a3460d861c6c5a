//! `spore gateway`.

pub(super) mod extent;

use super::flasher::FlasherOptions;
use super::node::{self, Options};
use crate::client::{Client, Request, Signer, Stream};
use crate::misuse::Misuse;
use crate::output::print_line;
use crate::variables;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use spore_gateway::history::{History, Keep};
use spore_gateway::{
    Answer, Api, Broker, Frame, Frames, Gateway as Bridge, Name, Remembered, Source, Tls, Version,
};
use spore_host::{HostSprockets, PresentKey, Stop};
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
    /// The MQTT broker: HOST, or mqtts://HOST if it speaks TLS, with a port if that is not 1883, or 8883
    #[arg(long, value_name = "HOST", value_parser = broker)]
    broker: Option<Address>,
    /// Certificates, in PEM, of who vouches for a broker that speaks TLS [default: those that this system trusts]
    #[arg(long, value_name = "FILE", requires = "broker")]
    ca_file: Option<PathBuf>,
    /// The certificate, in PEM, that the gateway shows to a broker that speaks TLS
    #[arg(long, value_name = "FILE", requires_all = ["private_key", "broker"])]
    certificate: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["certificate", "broker"])]
    private_key: Option<PathBuf>,
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
    /// Make events of this cluster of those of another one on the broker, below its name; all of them, or those that the
    /// filter matches; may be given again
    #[arg(long, value_name = "CLUSTER[/FILTER]", requires = "broker")]
    from: Vec<Source>,
    /// Tell Home Assistant nothing
    #[arg(long)]
    no_home_assistant: bool,
    /// Write down there what becomes of members, events and updates: an SQLite file, for `spore history`
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// How long entries of the history are kept
    #[arg(long, value_name = "TIME", default_value = "90d", requires = "history", value_parser = extent::past)]
    history_keep: u64,
    /// How long the history may be, from 1M; then the oldest entries go
    #[arg(long, value_name = "BYTES", default_value = "64M", requires = "history", value_parser = extent::size)]
    history_size: u64,
    /// Serve /metrics of the whole cluster for Prometheus: an address with a port
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Do not announce members by multicast DNS, which is done unless --bind is a loopback address
    #[arg(long)]
    no_mdns: bool,
    /// How often each member is asked how it is, in seconds, 10 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(10..=3600))]
    poll: u16,
    #[command(flatten)]
    flasher: FlasherOptions,
}

const EXAMPLES: &str = "\
Examples:
  spore gateway --bind 192.168.1.20 --broker 192.168.1.2
  spore gateway --bind 192.168.1.20 --broker mqtt.home:1884 --user spore --password-file mqtt.password
  spore gateway --bind 192.168.1.20 --broker mqtts://mqtt.example.org --ca-file ca.pem
  spore gateway --bind 127.42.0.6 --broker localhost --cluster workshop --mqtt 5
  spore gateway --bind 192.168.1.20 --metrics 192.168.1.20:9464
  spore gateway --bind 192.168.1.20 --history home.db --history-keep 365d
  spore gateway --bind 192.168.1.20 --broker localhost --cluster house --from garage --from office/alarm/#
  mosquitto_sub -t 'spore/home/#' -v              and then: all there is to see
  mosquitto_pub -t spore/home/publish/kitchen/lamp -m on

A broker that goes away is waited for.
Exit codes: 0 ended by Ctrl-C, 1 it failed, 2 wrong usage.";

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
    /// Whether it speaks TLS.
    tls: bool,
}

impl Address {
    fn scheme(&self) -> &'static str {
        if self.tls { "mqtts://" } else { "" }
    }
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

/// An address as `HOST` or `HOST:PORT`, with `mqtts://` or `mqtt://` before it or nothing.
fn broker(text: &str) -> Result<Address, String> {
    let (tls, rest) = match text.strip_prefix("mqtts://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("mqtt://").unwrap_or(text)),
    };
    let (host, port) = rest.split_once(':').unwrap_or((rest, if tls { "8883" } else { "1883" }));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match port.parse() {
        Ok(port @ 1..) if !host.is_empty() && host.chars().all(allowed) => {
            Ok(Address { host: host.to_owned(), port, tls })
        }
        _ => Err("a name or an IPv4 address, with :PORT and before it mqtts:// where that is so"
            .to_owned()),
    }
}

/// How long a node may take to answer; services take up to 15 s.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_WITH_SERVICES: Duration = Duration::from_secs(17);

/// While the cluster key is replaced, a member may have the next one so long before the gateway's node.
const CHANGE: Duration = Duration::from_secs(1);

/// What asks nodes for the gateway, with the key that its own node has.
struct Nodes {
    reading: Client,
    sending: Client,
    key: PresentKey,
}

impl Nodes {
    fn signer(&self) -> Result<Signer> {
        let key = self.key.get().context("the gateway's node has no cluster key")?;
        Ok(Signer::with(&key))
    }
}

impl Api for Nodes {
    fn get(&self, node: &str, path: &str) -> Result<String> {
        self.reading.get(node, path)
    }

    fn send(&self, node: &str, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let request = Request::with_json(method, path, body);
        let mut answer = self.sending.exchange_signed(node, &request, &self.signer()?)?;
        if answer.is_refusal("credentials_invalid") {
            thread::sleep(CHANGE);
            answer = self.sending.exchange_signed(node, &request, &self.signer()?)?;
        }
        Ok(Answer { status: answer.status, body: answer.text() })
    }

    fn events(&self, node: &str, after: Option<&str>) -> Result<Frames> {
        let request = Request::get("/api/events");
        let signer = self.signer()?;
        let authorization = signer.authorization(&self.reading, node, &request)?;
        let opened = self.reading.open(node, &request, &authorization, after)?;
        let stream = opened.map_err(|answer| signer.error(&answer, node, &request))?;
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
    pub(crate) fn run(mut self) -> Result<()> {
        if self.from.iter().any(|source| *source.cluster() == self.cluster) {
            return Err(Misuse::error("--from is of another cluster than --cluster"));
        }
        let without_key =
            || Misuse::error("a gateway needs the cluster key; leave out --unclaimed");
        if !self.options.may_have_key()? {
            return Err(without_key());
        }
        let broker = self.broker()?;
        let metrics = self.metrics.map(|address| {
            let listener = TcpListener::bind(address);
            listener.with_context(|| format!("cannot serve metrics at {address}"))
        });
        let metrics = metrics.transpose()?;
        let node = self.options.bind(HostSprockets::none())?;
        let key = node.key();
        if key.get().is_none() {
            // The folder is of a node that nobody has claimed.
            return Err(without_key());
        }
        // They may be in the folder that the node has just made; it has joined nobody yet.
        let remembered = self.options.state()?.map(|folder| folder.join("gateway.json"));
        let remembered = remembered.map(Remembered::open).transpose()?;
        let history = self.history.clone().map(|file| {
            let age = Duration::from_millis(self.history_keep);
            History::open(Keep { file, age, bytes: self.history_size })
        });
        let history = history.transpose()?;
        let announce = self.options.bind;
        let api = self.options.api();
        let flasher = std::mem::take(&mut self.flasher).start(self.options.key.clone())?;
        let stopping = Arc::new(AtomicBool::new(false));
        let request = Arc::clone(&stopping);
        // Who reads the first line may end it at once.
        ctrlc::set_handler(move || {
            // Who asks twice does not want to wait.
            if request.swap(true, Ordering::Relaxed) {
                process::exit(0);
            }
        })
        .context("cannot wait for Ctrl-C")?;
        self.introduce(node.hostname().as_str(), &api, flasher.as_deref())?;
        let bridge = Bridge {
            name: self.cluster.clone(),
            sources: self.from.clone(),
            node: api,
            api: Arc::new(Nodes {
                reading: Client::new(PATIENCE),
                sending: Client::new(PATIENCE_WITH_SERVICES),
                key,
            }),
            broker,
            home_assistant: !self.no_home_assistant,
            interval: Duration::from_secs(self.poll.into()),
            remembered,
            history,
            metrics,
            announce: (!self.no_mdns && !announce.is_loopback()).then_some(announce),
        };
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
        let Some(Address { host, port, tls }) = self.broker.clone() else { return Ok(None) };
        let tls = tls.then(|| self.tls()).transpose()?;
        if tls.is_none() && (self.ca_file.is_some() || self.certificate.is_some()) {
            return Err(Misuse::error("certificates are for a broker at mqtts://"));
        }
        let version = match self.mqtt {
            Mqtt::V3 => Version::V3,
            Mqtt::V5 => Version::V5,
        };
        let login = self.user.clone().map(|user| Ok::<_, anyhow::Error>((user, self.password()?)));
        Ok(Some(Broker { host, port, version, tls, login: login.transpose()? }))
    }

    fn tls(&self) -> Result<Tls> {
        let read = |file: &Option<PathBuf>| {
            let read = |file: &PathBuf| {
                fs::read(file).with_context(|| format!("cannot read {}", file.display()))
            };
            file.as_ref().map(read).transpose()
        };
        let (authorities, certificate) = (read(&self.ca_file)?, read(&self.certificate)?);
        let key = read(&self.private_key)?;
        let client = certificate.as_deref().zip(key.as_deref());
        Tls::new(authorities.as_deref(), client).context("TLS to the broker")
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

    fn introduce(&self, hostname: &str, api: &str, flasher: Option<&str>) -> Result<()> {
        let broker =
            self.broker.as_ref().map(|it| format!("{}{}:{}", it.scheme(), it.host, it.port));
        if self.options.json {
            return print_line(json!({
                "hostname": hostname, "api": api, "cluster": self.cluster.to_string(), "broker": broker,
                "history": self.history, "metrics": self.metrics.map(|metrics| format!("http://{metrics}/metrics")),
                "flasher": flasher,
            }));
        }
        print_line(format_args!("{hostname}: http://{api}/api/node/status"))?;
        if let Some(broker) = broker {
            print_line(format_args!("MQTT: {broker}, spore/{}/#", self.cluster))?;
        }
        if let Some(history) = &self.history {
            print_line(format_args!("History: {}", history.display()))?;
        }
        if let Some(metrics) = self.metrics {
            print_line(format_args!("Prometheus: http://{metrics}/metrics"))?;
        }
        match flasher {
            Some(url) => print_line(format_args!("Flash a board from a browser: {url}")),
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
        let address = |host: &str, port, tls| Ok(Address { host: host.to_owned(), port, tls });
        assert_eq!(broker("mqtt.home"), address("mqtt.home", 1883, false));
        assert_eq!(broker("mqtt://10.0.0.1:1884"), address("10.0.0.1", 1884, false));
        assert_eq!(broker("mqtts://mqtt.home"), address("mqtt.home", 8883, true));
        assert_eq!(broker("mqtts://a:1"), address("a", 1, true));
        for bad in ["", ":1883", "a:0", "a:b", "a:70000", "http://a", "mqtts://", "a b", "::1"] {
            assert!(broker(bad).unwrap_err().contains("IPv4"), "{bad}");
        }
    }
}
