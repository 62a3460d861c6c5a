//! The page that `spore up` and `spore gateway` serve to flash boards from a browser.

use super::claim::access_point_password;
use crate::key_file::{KeyFile, ReleaseKeyFile};
use crate::registry::Registry;
use anyhow::{Context as _, Result};
use clap::Args;
use spore_core::security::ReleaseKey;
use spore_core::settings::Claim;
use spore_gateway::{Desk, Flasher, Images, Memory, Wanted};
use std::fs;
use std::path::PathBuf;

/// How it is served.
#[derive(Debug, Default, Args)]
pub(crate) struct FlasherOptions {
    /// Serve no page to this machine's browser that flashes boards
    #[arg(long, conflicts_with = "images")]
    no_flasher: bool,
    /// The firmware that the page writes into boards: a folder that `./ctl.sh build` has made
    /// [default: firmware/target/esp01/browser]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    #[command(flatten)]
    release: ReleaseKeyFile,
}

/// Where a build leaves the firmware, in the source of SPORE.
const BUILT: &str = "firmware/target/esp01/browser";

impl FlasherOptions {
    /// Looks at the firmware that was named, and serves the page, unless it is not wanted. Boards become members of the cluster whose
    /// `key` that is. Returns where the page is.
    pub(crate) fn start(self, key: KeyFile) -> Result<Option<String>> {
        if self.no_flasher {
            return Ok(None);
        }
        // Without one, there may be a build later.
        let images = match self.images {
            Some(folder) => {
                let images = Images::new(folder);
                images.check()?;
                images
            }
            None => Images::new(BUILT.into()),
        };
        let desk = Keys { key, release: self.release };
        Flasher::start(images, Box::new(desk)).map(Some)
    }
}

/// What a board gets that is to be a member.
struct Keys {
    /// Read for each board: it may be replaced.
    key: KeyFile,
    release: ReleaseKeyFile,
}

impl Desk for Keys {
    fn make(&self, wanted: &Wanted) -> Result<Memory> {
        let release_key = if wanted.claim { self.release.find_public()? } else { None };
        let access_point = access_point_password()?;
        let hostname = wanted.hostname.as_ref();
        let enrol = || Registry::enrol(&self.key, hostname);
        let (key, enrolment) = wanted.claim.then(enrol).transpose()?.unzip();
        let claim = Claim { key, access_point: Some(access_point), wifi: wanted.wifi, enrolment };
        let desk = spore_host::Desk {
            claim,
            hostname: wanted.hostname.clone(),
            release_key: release_key.map(ReleaseKey),
        };
        // For its owner only, and gone when it is read.
        let folder = tempfile::tempdir().context("cannot make a folder for the settings")?;
        let file = folder.path().join("settings.flash");
        spore_host::claim(&file, &desk).context("cannot make the settings")?;
        let settings = fs::read(&file).context("cannot read the settings")?;
        Ok(Memory { settings, access_point_password: access_point.as_str().to_owned() })
    }
}
