//! A connection to the broker, MQTT 3.1.1 or 5. When it breaks it is over, with all that was under way; a new one is another value.

use crate::bridge::Message;
use crate::feeds::Input;
use crate::state::OFFLINE;
use crate::tls::Tls;
use anyhow::{Context as _, Result};
use rumqttc::v5;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V3,
    /// 5.
    V5,
}

/// Where the broker is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Which MQTT it is spoken to.
    pub version: Version,
    /// How its connection is encrypted, if it is.
    pub tls: Option<Tls>,
    /// User and password, if it wants them.
    pub login: Option<(String, String)>,
}

/// After half as much more, a broker holds a silent gateway for dead and tells its last will.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// No message is longer, in bytes.
const PACKET_MAX: u32 = 256 * 1024;

/// Messages that wait in the client; one at a time is sent, and some subscriptions at the start.
const REQUESTS: usize = 16;

/// What the broker says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It has let us in.
    Connected,
    /// It has a message of ours.
    Acknowledged,
    /// A message; whether it was there before we asked.
    Message { topic: String, payload: Vec<u8>, stale: bool },
    /// The connection is over, and why.
    Closed(String),
}

/// One connection.
pub(crate) struct Link {
    client: Client,
}

enum Client {
    V3(rumqttc::Client),
    V5(v5::Client),
}

impl Link {
    /// Begins to connect. What the broker says comes through `to`, with the number of the connection.
    pub(crate) fn open(
        broker: &Broker,
        id: &str,
        will: &str,
        (number, to): (u64, SyncSender<Input>),
    ) -> Result<Self> {
        let tell = move |said| to.send(Input::Broker(number, said)).is_ok();
        let client = match broker.version {
            Version::V3 => open_v3(broker, id, will, tell),
            Version::V5 => open_v5(broker, id, will, tell),
        }?;
        Ok(Self { client })
    }

    /// Asks for what matches these filters.
    pub(crate) fn subscribe(&self, filters: &[String]) -> Result<()> {
        for filter in filters {
            match &self.client {
                Client::V3(client) => client.try_subscribe(filter, rumqttc::QoS::AtLeastOnce)?,
                Client::V5(client) => {
                    client.try_subscribe(filter, v5::mqttbytes::QoS::AtLeastOnce)?;
                }
            }
        }
        Ok(())
    }

    /// Sends a message, which is acknowledged.
    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        let Message { topic, payload, retained } = message;
        match &self.client {
            Client::V3(client) => {
                let qos = rumqttc::QoS::AtLeastOnce;
                client.try_publish(topic, qos, *retained, payload.clone())?;
            }
            Client::V5(client) => {
                let qos = v5::mqttbytes::QoS::AtLeastOnce;
                client.try_publish(topic.clone(), qos, *retained, payload.clone())?;
            }
        }
        Ok(())
    }

    /// Says that it goes; then there is no last will.
    pub(crate) fn close(self) {
        // That it is full or over already is as good.
        match self.client {
            Client::V3(client) => drop(client.try_disconnect()),
            Client::V5(client) => drop(client.try_disconnect()),
        }
    }
}

/// Reads a connection on a thread of its own, until it is over or nobody listens.
fn read<E, X: std::fmt::Display>(
    events: impl Iterator<Item = Result<E, X>>,
    said: impl Fn(E) -> Option<Said>,
    tell: impl Fn(Said) -> bool,
) {
    for event in events {
        let known = match event {
            Ok(event) => said(event).is_none_or(&tell),
            Err(error) => {
                tell(Said::Closed(error.to_string()));
                false
            }
        };
        if !known {
            return;
        }
    }
    tell(Said::Closed("it was closed".to_owned()));
}

fn open_v3(
    broker: &Broker,
    id: &str,
    will: &str,
    tell: impl Fn(Said) -> bool + Send + 'static,
) -> Result<Client> {
    use rumqttc::{Event, LastWill, MqttOptions, Packet, QoS};
    let mut options = MqttOptions::new(id, &broker.host, broker.port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_session(true);
    options.set_max_packet_size(PACKET_MAX as usize, PACKET_MAX as usize);
    options.set_last_will(LastWill::new(will, OFFLINE, QoS::AtLeastOnce, true));
    if let Some(tls) = &broker.tls {
        options.set_transport(tls.transport());
    }
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user, password);
    }
    let (client, mut connection) = rumqttc::Client::new(options, REQUESTS);
    let said = |event| match event {
        Event::Incoming(Packet::ConnAck(_)) => Some(Said::Connected),
        Event::Incoming(Packet::PubAck(_)) => Some(Said::Acknowledged),
        Event::Incoming(Packet::Publish(publish)) => {
            let (topic, payload) = (publish.topic, publish.payload.to_vec());
            Some(Said::Message { topic, payload, stale: publish.retain })
        }
        _ => None,
    };
    let thread = thread::Builder::new().name("mqtt".to_owned());
    thread.spawn(move || read(connection.iter(), said, tell)).context("cannot start a thread")?;
    Ok(Client::V3(client))
}

fn open_v5(
    broker: &Broker,
    id: &str,
    will: &str,
    tell: impl Fn(Said) -> bool + Send + 'static,
) -> Result<Client> {
    use v5::mqttbytes::QoS;
    use v5::mqttbytes::v5::{LastWill, Packet, PubAckReason};
    use v5::{Event, MqttOptions};
    let mut options = MqttOptions::new(id, &broker.host, broker.port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_start(true);
    options.set_max_packet_size(Some(PACKET_MAX));
    options.set_last_will(LastWill::new(will, OFFLINE, QoS::AtLeastOnce, true, None));
    if let Some(tls) = &broker.tls {
        options.set_transport(tls.transport());
    }
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user, password);
    }
    let (client, mut connection) = v5::Client::new(options, REQUESTS);
    let said = |event| match event {
        Event::Incoming(Packet::ConnAck(_)) => Some(Said::Connected),
        Event::Incoming(Packet::PubAck(ack)) => {
            // To send it again would change nothing.
            if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                log::warn!("the broker does not take a message: {:?}", ack.reason);
            }
            Some(Said::Acknowledged)
        }
        Event::Incoming(Packet::Publish(publish)) => {
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            Some(Said::Message { topic, payload: publish.payload.to_vec(), stale: publish.retain })
        }
        _ => None,
    };
    let thread = thread::Builder::new().name("mqtt".to_owned());
    thread.spawn(move || read(connection.iter(), said, tell)).context("cannot start a thread")?;
    Ok(Client::V5(client))
}
