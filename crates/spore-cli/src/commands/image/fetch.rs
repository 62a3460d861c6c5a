//! `spore image fetch`: the container of an image, put together again from what a node has in a slot.

use crate::client::{BUSY_PAUSE, Client, Request, parse};
use anyhow::{Result, bail};
use serde::Deserialize;
use spore_image::Container;
use std::thread;
use std::time::{Duration, Instant};

/// `GET /api/node/image`.
#[derive(Debug, Deserialize)]
struct Images {
    running: Option<About>,
    held: Option<About>,
}

#[derive(Debug, Deserialize)]
struct About {
    manifest: usize,
    length: usize,
    chunks: u16,
}

/// The container of the image that `node` runs, or holds for others. Its digests are right. It may take so long for each
/// part, of which the longest have 4 KB.
pub(super) fn fetch(node: &str, held: bool, patience: Duration) -> Result<Vec<u8>> {
    let client = Client::new(patience);
    let images: Images = parse(&client.get(node, "/api/node/image")?)?;
    let (about, slot) = if held { (images.held, "held") } else { (images.running, "running") };
    let Some(about) = about else {
        match held {
            true => bail!("{node} holds no image besides the one that it runs"),
            false => bail!(
                "{node} has its image without the manifest: it was flashed so, and cannot be given on"
            ),
        }
    };
    let mut bytes =
        part(&client, node, &format!("/api/node/image/manifest?slot={slot}"), patience)?;
    if bytes.len() != about.manifest {
        bail!("the manifest of {node} has {} bytes, and not {}", bytes.len(), about.manifest);
    }
    for chunk in 0..about.chunks {
        let path = format!("/api/node/image/chunks/{chunk}?slot={slot}");
        bytes.extend(part(&client, node, &path, patience)?);
    }
    let whole = bytes.len() == about.length && Container::parse(&bytes).is_ok();
    if !whole {
        bail!("what {node} has is not whole, or was changed meanwhile");
    }
    Ok(bytes)
}

/// A part, asked for again while the node is busy.
fn part(client: &Client, node: &str, path: &str, patience: Duration) -> Result<Vec<u8>> {
    let (request, begun) = (Request::get(path), Instant::now());
    loop {
        let answer = client.exchange(node, &request, None)?;
        if !answer.is_refusal("busy") || begun.elapsed() > patience {
            return Ok(answer.accepted(node, &request)?.body);
        }
        thread::sleep(BUSY_PAUSE);
    }
}
