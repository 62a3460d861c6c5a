//! `spore claim`.

use super::network;
use crate::key_file::{self, KeyFile, ReleaseKeyFile};
use crate::misuse::Misuse;
use crate::output::{note, print, print_line};
use crate::registry::Registry;
use crate::variables::variable;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use spore_core::Hostname;
use spore_core::network::{Credentials, Password, Ssid};
use spore_core::security::ReleaseKey;
use spore_core::settings::Claim as Claimed;
use spore_host::Desk;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

/// Make the memory of a new node, which is yours from its first start on.
///
/// The file holds your cluster key, the public part of your release key, a secret of the node's own (`spore key rotate`), the WiFi that it is
/// to join, and the password of the node's own access point, which is made here and shown once. `./ctl.sh flash`
/// writes it into a board; a node on Linux has it as settings.flash in its state folder. Give each node a
/// file of its own.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Claim {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put no cluster key and no release key into it: somebody claims the node later, on its access point
    #[arg(long, conflicts_with_all = ["key_file", "release_key_file"])]
    unclaimed: bool,
    /// The WiFi that the node is to join [env: SPORE_WIFI]
    #[arg(long, value_name = "NAME", conflicts_with = "no_wifi")]
    wifi: Option<Ssid>,
    /// The file with its password, for its owner only [env: SPORE_WIFI_PASSWORD, the password itself]
    /// [default: asked for, or stdin]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["open", "no_wifi"])]
    password_file: Option<PathBuf>,
    /// The WiFi has no password
    #[arg(long, conflicts_with = "no_wifi")]
    open: bool,
    /// The node is to join none yet: it opens its access point
    #[arg(long)]
    no_wifi: bool,
    /// The node's name [default: one that the board makes up]
    #[arg(long)]
    hostname: Option<Hostname>,
    /// Replace the file that is there, and what a node may have kept in it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    release: ReleaseKeyFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore claim kitchen.flash --wifi home --hostname kitchen
  spore claim kitchen.flash --wifi home --password-file ~/wifi-password
  spore claim pantry/settings.flash --no-wifi && spore node --bind 192.168.1.20 --state pantry
                                                a node on Linux, whose folder pantry is";

/// Letters and digits that look like no other: 32, five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 70 bits: who records an attempt to join can try passwords as fast as its machines do.
const PASSWORD_LEN: usize = 14;

impl Claim {
    pub(crate) fn run(self) -> Result<()> {
        let shown = self.file.display().to_string();
        if !self.force && self.file.try_exists().with_context(|| format!("cannot read {shown}"))? {
            bail!(
                "{shown} exists; a node that has it would lose what it keeps (--force replaces it)"
            );
        }
        if !self.unclaimed {
            // Before a person is asked; it may be another one after that.
            self.key.read()?;
        }
        let release_key = if self.unclaimed { None } else { self.release.find_public()? };
        if !self.unclaimed && release_key.is_none() {
            note("spore: there is no release key: the node takes no update until it is given one");
        }
        let wifi = self.credentials()?;
        let access_point = access_point_password()?;
        let enrol = || Registry::enrol(&self.key, self.hostname.as_ref());
        let (key, enrolment) = (!self.unclaimed).then(enrol).transpose()?.unzip();
        let claim = Claimed { key, access_point: Some(access_point), wifi, enrolment };
        let release_key = release_key.map(ReleaseKey);
        let desk = Desk { claim, hostname: self.hostname.clone(), release_key };
        spore_host::claim(&self.file, &desk).with_context(|| format!("cannot write {shown}"))?;
        let wifi = wifi.map(|it| it.ssid.to_string());
        if self.json {
            return print_line(json!({
                "file": shown,
                "claimed": !self.unclaimed,
                "hostname": self.hostname.as_ref().map(Hostname::as_str),
                "wifi": wifi,
                "release_key": release_key.map(|key| key.to_string()),
                "access_point_password": access_point.as_str(),
            }));
        }
        let claimed = if self.unclaimed { "no, somebody must claim the node" } else { "yes" };
        let rows = [
            ("file", shown),
            ("claimed", claimed.to_owned()),
            ("wifi", wifi.unwrap_or_else(|| "none".to_owned())),
            ("access point", format!("password {}, shown this once", access_point.as_str())),
        ];
        print(rows.iter().map(|(what, value)| format!("{what:<12}  {value}\n")).collect::<String>())
    }

    /// The WiFi that was chosen, by options, variables or a person.
    fn credentials(&self) -> Result<Option<Credentials>> {
        if self.no_wifi {
            return Ok(None);
        }
        let named = match (self.wifi, variable("SPORE_WIFI")) {
            (Some(ssid), _) => Some(ssid),
            (None, Some(name)) => {
                let name = name.to_str().context("SPORE_WIFI is not UTF-8")?;
                Some(name.parse().context("SPORE_WIFI")?)
            }
            (None, None) => ask()?,
        };
        let Some(ssid) = named else {
            if self.open || self.password_file.is_some() {
                return Err(Misuse::error("which WiFi? --wifi NAME says so"));
            }
            return Ok(None);
        };
        let told = variable("SPORE_WIFI_PASSWORD").filter(|_| self.password_file.is_none());
        let password = match told {
            _ if self.open => Password::OPEN,
            Some(password) => {
                let password = password.to_str().unwrap_or_default();
                Password::new(password.as_bytes()).context("SPORE_WIFI_PASSWORD")?
            }
            None => network::password(self.password_file.as_ref())?,
        };
        Ok(Some(Credentials { ssid, password }))
    }
}

/// Asks a person for the name of the WiFi; `None` if there is nobody, or none is wanted.
fn ask() -> Result<Option<Ssid>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut stderr = std::io::stderr();
    let asked = write!(stderr, "The WiFi that the node is to join (none: empty): ");
    asked.and_then(|()| stderr.flush()).context("cannot ask")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("cannot read the answer")?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Ok(None),
        name => Ok(Some(name.parse()?)),
    }
}

/// A new password, that a person can read from paper and type on a phone.
pub(super) fn access_point_password() -> Result<Password> {
    let random = key_file::random()?;
    let text: Vec<u8> =
        random.iter().take(PASSWORD_LEN).map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
    Ok(Password::new(&text)?)
}

#[cfg(test)]
mod tests {
    use super::{ALPHABET, PASSWORD_LEN, access_point_password};
    use std::collections::HashSet;

    #[test]
    fn passwords_are_long_and_never_the_same() {
        let letters: HashSet<_> = ALPHABET.iter().collect();
        assert_eq!(letters.len(), 32, "else some are likelier");
        let passwords: HashSet<String> =
            (0..100).map(|_| access_point_password().unwrap().as_str().to_owned()).collect();
        assert_eq!(passwords.len(), 100);
        assert!(passwords.iter().all(|password| password.len() == PASSWORD_LEN));
    }
}
