//! Requests that a node carries out only for those who have the cluster key.

use super::http::{Answer, Client, Request, Unanswered};
use super::parse;
use crate::key_file::KeyFile;
use crate::signing;
use anyhow::{Result, anyhow};
use serde::Deserialize;
use spore_core::ClusterKey;
use spore_core::security::request::{self, Credentials};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

/// The key that requests are signed with, and where it is from.
#[derive(Debug)]
pub(crate) struct Signer {
    key: ClusterKey,
    file: Option<PathBuf>,
}

/// `GET /api/auth/nonce`.
#[derive(Deserialize)]
struct NonceDocument {
    nonce: String,
}

impl Signer {
    /// Reads the key.
    pub(crate) fn new(file: &KeyFile) -> Result<Self> {
        Ok(Self { key: file.read()?, file: Some(file.path()?) })
    }

    /// With a key that is in no key file.
    pub(crate) fn with(key: &ClusterKey) -> Self {
        Self { key: key.clone(), file: None }
    }

    /// The value of the `Authorization` field for `request`, with a fresh nonce of `node`.
    pub(crate) fn authorization(
        &self,
        client: &Client,
        node: &str,
        request: &Request<'_>,
    ) -> Result<String, Unanswered> {
        Ok(self.credentials(client, node, request)?.to_string())
    }

    /// The target of `request` with nonce and MAC as its last parameters, for clients that cannot
    /// set fields of the head.
    pub(crate) fn signed_target(
        &self,
        client: &Client,
        node: &str,
        request: &Request<'_>,
    ) -> Result<String> {
        let credentials = self.credentials(client, node, request)?;
        Ok(signing::signed_target(request.target, &credentials))
    }

    fn credentials(
        &self,
        client: &Client,
        node: &str,
        request: &Request<'_>,
    ) -> Result<Credentials, Unanswered> {
        let nonce = nonce(client, node)?;
        let Request { method, target, body, .. } = *request;
        Ok(signing::credentials(&self.key, method, target, nonce, body))
    }

    /// What a refusal of `answer` means, if it is about the signature.
    pub(crate) fn error(
        &self,
        answer: &Answer,
        node: &str,
        request: &Request<'_>,
    ) -> anyhow::Error {
        match answer.refusal() {
            Some(refusal) if refusal.code == "credentials_invalid" => anyhow!(
                "{node} does not take the key{}: {} (401, {})",
                self.file.as_ref().map_or(String::new(), |file| format!(" in {}", file.display())),
                refusal.message,
                refusal.code
            ),
            _ => answer.error(node, request),
        }
    }
}

impl Client {
    /// Signs `request`, sends it to `node`, and reads the answer, whatever its status. A nonce that
    /// went stale on the way is replaced once.
    pub(crate) fn exchange_signed(
        &self,
        node: &str,
        request: &Request<'_>,
        signer: &Signer,
    ) -> Result<Answer, Unanswered> {
        let attempt = || {
            let authorization = signer.authorization(self, node, request)?;
            self.exchange(node, request, Some(&authorization))
        };
        let answer = attempt()?;
        // Nothing was done: a second attempt does not do it twice.
        if answer.is_refusal("nonce_stale") { attempt() } else { Ok(answer) }
    }

    /// Signs `request` and sends it to `node`; the answer must not be a refusal.
    pub(crate) fn send_signed(
        &self,
        node: &str,
        request: &Request<'_>,
        signer: &Signer,
    ) -> Result<Answer> {
        let answer = self.exchange_signed(node, request, signer)?;
        if answer.is_success() { Ok(answer) } else { Err(signer.error(&answer, node, request)) }
    }
}

impl Client {
    /// Sends an image of `length` bytes, which is signed by itself: `request` is signed without it. The answer must come within `patience`.
    pub(crate) fn upload(
        &self,
        node: &str,
        request: &Request<'_>,
        signer: &Signer,
        image: &mut dyn Read,
        length: usize,
        patience: Duration,
    ) -> Result<Answer> {
        let authorization = signer.authorization(self, node, request)?;
        Ok(self.send_image(node, request, &authorization, (image, length), patience)?)
    }
}

/// A fresh nonce. That there is none leaves the request unsent.
fn nonce(client: &Client, node: &str) -> Result<request::Nonce, Unanswered> {
    let unsent = |error| Unanswered { sent: false, error };
    let body = client.get(node, "/api/auth/nonce").map_err(unsent)?;
    let NonceDocument { nonce } = parse(&body).map_err(unsent)?;
    nonce.parse().map_err(|_| {
        unsent(anyhow!("{node} gives no nonce of 28 hexadecimal digits; is it a SPORE node?"))
    })
}
