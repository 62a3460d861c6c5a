//! What nodes say of their keys, and what they are handed.

use crate::client::{Client, Request, Signer};
use crate::registry::Entry;
use crate::signing::hex;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;
use spore_core::ClusterKey;
use spore_core::security::request::Mac;
use spore_core::security::rotation::{Content, Lock};

const PATH: &str = "/api/cluster/key";

/// `GET /api/cluster/key`.
#[derive(Debug, Deserialize)]
pub(super) struct Keys {
    pub(super) number: u32,
    /// Whether it waits with the newest key.
    pub(super) staged: bool,
    proof: Option<String>,
}

impl Keys {
    /// Whether the node has a secret.
    pub(super) fn is_enrolled(&self) -> bool {
        self.proof.is_some()
    }

    /// Whether the node shows that it is `node`, whose id is `id`, and has the key of rotation `number`.
    pub(super) fn shows(&self, node: &Entry, id: &str, number: u32, key: &ClusterKey) -> bool {
        let proof: Option<Mac> = self.proof.as_ref().and_then(|proof| proof.parse().ok());
        proof.is_some_and(|proof| node.is_proved(&proof, id, number, key))
    }
}

/// Asks a node, signed with `key`.
pub(super) fn ask(client: &Client, node: &str, key: &ClusterKey) -> Result<Keys> {
    read(&client.send_signed(node, &Request::get(PATH), &Signer::with(key))?.body)
}

/// Hands a node what is sealed for it, signed with the first of `keys` that it takes.
pub(super) fn hand(
    client: &Client,
    node: &str,
    keys: &[ClusterKey],
    (lock, number, content): (&Lock, u32, &Content),
) -> Result<Keys> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).context("the operating system gives no entropy")?;
    let sealed = lock.seal(number, nonce, content);
    let body = serde_json::to_vec(&json!({ "sealed": hex(&sealed) }))?;
    let request = Request::with_json("PUT", PATH, &body);
    let (last, others) = keys.split_last().context("there is no key to sign with")?;
    for key in others {
        let answer = client.exchange_signed(node, &request, &Signer::with(key))?;
        if !answer.is_refusal("credentials_invalid") {
            return read(&answer.accepted(node, &request)?.body);
        }
    }
    read(&client.send_signed(node, &request, &Signer::with(last))?.body)
}

fn read(body: &[u8]) -> Result<Keys> {
    serde_json::from_slice(body).context("the answer is not what a SPORE node gives")
}
