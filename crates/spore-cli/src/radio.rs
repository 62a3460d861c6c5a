//! Options for a radio that is modelled.

use anyhow::{Context as _, Result};
use clap::Args;
use spore_core::network::{Credentials, Password};
use spore_host::{AccessPoint, ModelledRadio};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// What its access point is protected with: nothing is on the air.
const ACCESS_POINT_PASSWORD: &[u8] = b"not on the air";

#[derive(Debug, Args)]
pub(crate) struct Radio {
    /// Give the node a modelled radio: nothing is on the air but the networks in this file, a line
    /// NAME:PASSWORD for each. Edit it while the node runs, and see what the node does
    #[arg(long, value_name = "FILE")]
    radio: Option<PathBuf>,
    /// The network that the node knows from the start, as long as it was not given another one
    #[arg(long, value_name = "NAME:PASSWORD", requires = "radio")]
    wifi: Option<spore_host::Router>,
    /// Where the node's access point is: one of this machine's addresses, on a network that has nothing but those who are to join
    /// it. While the access point is open, DHCP, DNS and the page are served there, on ports 67, 53 and 80
    #[arg(long, value_name = "ADDRESS", requires = "radio")]
    access_point: Option<Ipv4Addr>,
}

impl Radio {
    pub(crate) fn model(&self) -> Result<Option<ModelledRadio>> {
        let Some(air) = self.radio.clone() else { return Ok(None) };
        let shown = air.display().to_string();
        let text = std::fs::read_to_string(&air).with_context(|| format!("cannot read {shown}"))?;
        spore_host::read_air(&text).map_err(anyhow::Error::msg).context(shown)?;
        let credentials = self.wifi.as_ref();
        let credentials =
            credentials.map(|it| Credentials { ssid: it.ssid, password: it.password });
        let password = Password::new(ACCESS_POINT_PASSWORD)?;
        let access_point = self.access_point.map(AccessPoint::new);
        Ok(Some(ModelledRadio { air, credentials, password, access_point }))
    }
}
