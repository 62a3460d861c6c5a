//! Options that make a good network bad.

use anyhow::{Context as _, Result};
use clap::Args;
use spore_host::Faults;
use std::time::Duration;

/// The longest jitter, in milliseconds: above that, no ping is answered in time.
const JITTER_MAX: u64 = 10_000;

/// To try a cluster under bad radio. HTTP is spared.
#[derive(Debug, Args)]
#[command(next_help_heading = "To try a cluster under bad radio")]
pub(crate) struct BadRadio {
    /// Lose so many of the unicast datagrams that come in, 0 to 100 [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    loss: Option<f64>,
    /// Lose so many of the broadcasts, at each receiver; an ESP8266 misses 50 [default: as --loss]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    broadcast_loss: Option<f64>,
    /// Receive so many of the datagrams twice, 0 to 100 [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    duplication: Option<f64>,
    /// Hold each datagram up for a random time from 0 to so much, up to 10000 [default: 0]
    #[arg(long, value_name = "MILLISECONDS",
        value_parser = clap::value_parser!(u64).range(..=JITTER_MAX))]
    jitter: Option<u64>,
    /// What decides which datagrams that befalls [default: another one at each start]
    #[arg(long, value_name = "NUMBER")]
    fault_seed: Option<u64>,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a number from 0 to 100".to_owned()),
    }
}

impl BadRadio {
    /// What befalls the `n`th node of this process.
    pub(crate) fn faults(&self, n: u8) -> Result<Faults> {
        let part = |percent: Option<f64>| percent.unwrap_or(0.0) / 100.0;
        let seed = match self.fault_seed {
            Some(seed) => seed,
            None => getrandom::u64().context("the operating system gives no entropy")?,
        };
        Ok(Faults {
            loss: part(self.loss),
            broadcast_loss: part(self.broadcast_loss.or(self.loss)),
            duplication: part(self.duplication),
            jitter: Duration::from_millis(self.jitter.unwrap_or(0)),
            seed: seed.wrapping_add(n.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::BadRadio;
    use clap::Parser;
    use spore_host::Faults;
    use std::time::Duration;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        radio: BadRadio,
    }

    fn faults(arguments: &[&str], n: u8) -> Result<Faults, clap::Error> {
        let line = Line::try_parse_from(["node"].iter().chain(arguments));
        line.map(|line| line.radio.faults(n).unwrap())
    }

    #[test]
    fn radio_is_good_unless_asked_for() {
        assert!(faults(&[], 0).unwrap().is_none());
        assert_ne!(faults(&[], 0).unwrap().seed, faults(&[], 0).unwrap().seed);
    }

    #[test]
    fn percentages_become_probabilities_and_each_node_has_a_seed_of_its_own() {
        let arguments = ["--loss", "10", "--jitter", "50", "--fault-seed", "7"];
        let expected = Faults {
            loss: 0.1,
            broadcast_loss: 0.1,
            duplication: 0.0,
            jitter: Duration::from_millis(50),
            seed: 9,
        };
        assert_eq!(faults(&arguments, 2).unwrap(), expected);
        let both = faults(&["--broadcast-loss", "50", "--duplication", "2.5"], 0).unwrap();
        assert_eq!((both.loss, both.broadcast_loss, both.duplication), (0.0, 0.5, 0.025));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in [
            ["--loss", "101"],
            ["--loss", "-1"],
            ["--loss", "NaN"],
            ["--broadcast-loss", "x"],
            ["--duplication", "100.1"],
            ["--jitter", "10001"],
            ["--jitter", "0.5"],
        ] {
            assert!(faults(&wrong, 0).is_err(), "{wrong:?}");
        }
    }
}
