//! The sprockets that `spore node` has built in: the examples, on pins that are printed.

use spore_examples::blink::Blink;
use spore_examples::relay::Relay;
use spore_examples::sensor::Sensor;
use spore_host::{HostSprockets, PrintedPin, RandomWalk, ReadFile};
use spore_node::sprocket::AnySprocket;
use std::path::PathBuf;
use std::str::FromStr;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Example {
    Blink,
    Relay,
    /// Reads a file, or goes a random walk.
    Sensor(Option<PathBuf>),
}

impl FromStr for Example {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("sensor=")) {
            ("blink", _) => Ok(Self::Blink),
            ("relay", _) => Ok(Self::Relay),
            ("sensor", _) => Ok(Self::Sensor(None)),
            (_, Some(file)) if !file.is_empty() => Ok(Self::Sensor(Some(file.into()))),
            _ => Err("there are blink, relay, sensor and sensor=FILE; \
                      `spore new-sprocket` makes a project for others"
                .to_owned()),
        }
    }
}

/// Where a random walk begins.
const ROOM_TEMPERATURE: i32 = 20;

impl Example {
    fn make(&self) -> Box<dyn AnySprocket> {
        match self {
            Self::Blink => Box::new(Blink { pin: PrintedPin::new("light"), lit: false }),
            Self::Relay => Box::new(Relay { pin: PrintedPin::new("relay"), on: false }),
            Self::Sensor(None) => {
                let mut walk = RandomWalk::new(ROOM_TEMPERATURE);
                Box::new(Sensor { read: move || walk.read(), highest: None, raised: false })
            }
            Self::Sensor(Some(path)) => {
                let mut file = ReadFile::new(path.clone());
                Box::new(Sensor { read: move || file.read(), highest: None, raised: false })
            }
        }
    }
}

/// These, for a node.
pub(crate) fn chosen(examples: &[Example]) -> HostSprockets {
    let examples = examples.to_vec();
    HostSprockets::chosen(move || examples.iter().map(Example::make).collect())
}

#[cfg(test)]
mod tests {
    use super::Example;

    #[test]
    fn examples_are_chosen_by_name() {
        assert_eq!("relay".parse(), Ok(Example::Relay));
        assert_eq!("sensor=a=b".parse(), Ok(Example::Sensor(Some("a=b".into()))));
        for text in ["", "Blink", "sensor=", "relay=x"] {
            assert!(text.parse::<Example>().is_err(), "{text}");
        }
    }
}
