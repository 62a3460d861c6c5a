//! `spore key enroll`.

use super::Whom;
use super::asked::{Keys, ask, hand};
use crate::client::{Client, Member};
use crate::key_file::KeyFile;
use crate::output::{note, print, print_line};
use crate::registry::{Entry, Registry};
use crate::table::Table;
use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::json;
use spore_core::ClusterKey;
use spore_core::security::rotation::{Lock, Secret};
use std::slice;

/// Give each node a secret of its own, so that a stolen one can be left out later.
///
/// The secrets go into a file beside the key file, for its owner only: `spore key rotate` needs it. Nodes that were claimed with this
/// command have one already, and are only written down. Do this before a board is stolen: whoever has the cluster key can read
/// what is given here.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Enroll {
    #[command(flatten)]
    whom: Whom,
}

const EXAMPLES: &str = "\
Examples:
  spore key enroll                          all members that the asked node knows
  spore key enroll --node 192.168.1.20

Exit code 0 only if all live members are enrolled.";

impl Enroll {
    pub(super) fn run(&self, file: &KeyFile, json: bool) -> Result<()> {
        let target = self.whom.target(json);
        let mut registry = Registry::open(file)?;
        let key = registry.settled()?.clone();
        let members = target.members()?.members;
        let (client, mut table, mut documents) =
            (target.client(), Table::new(&["NODE", "ID", "STATE"]), Vec::new());
        let mut failed = 0_usize;
        for member in members.iter().filter(|member| member.is_live()) {
            let outcome = enrol(&client, &key, &mut registry, member);
            let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
            let state = *outcome.as_ref().unwrap_or(&"failed");
            failed += usize::from(error.is_some());
            if let Some(error) = &error {
                note(format_args!("spore: {error}"));
            }
            table.row([member.hostname.clone(), member.id.clone(), state.to_owned()]);
            let Member { id, hostname, .. } = member;
            documents
                .push(json!({ "id": id, "hostname": hostname, "state": state, "error": error }));
        }
        if json {
            print_line(json!({ "file": registry.path(), "nodes": documents }))?;
        } else {
            print(table)?;
            print_line(format_args!("The secrets are in {}.", registry.path().display()))?;
        }
        if failed > 0 {
            bail!("{failed} of {} are not enrolled", documents.len());
        }
        Ok(())
    }
}

/// Enrols a member; how it stands then.
fn enrol(
    client: &Client,
    key: &ClusterKey,
    registry: &mut Registry,
    member: &Member,
) -> Result<&'static str> {
    let (api, id) = (member.api(), Some(member.id.clone()));
    let said = ask(client, &api, key)?;
    let shows = |node: &Entry, said: &Keys| said.shows(node, &member.id, said.number, key);
    let number = registry.record.number;
    let nodes = &mut registry.record.nodes;
    let by_id = nodes.iter().position(|node| node.id == id);
    if said.is_enrolled() {
        // One that was claimed at the desk, or lost its id; or who did not hear the answer asks again.
        let place = nodes.iter().position(|node| shows(node, &said)).ok_or_else(|| {
            anyhow!(
                "{} at {api} has a secret that is not in this record: another operator's, or of a record that was lost",
                member.hostname
            )
        })?;
        if by_id.is_some_and(|other| other != place) {
            bail!("{} at {api} has the id of another node of the record", member.hostname);
        }
        let known = nodes[place].enrolled && nodes[place].id == id;
        write_down(&mut nodes[place], member, number);
        registry.save()?;
        return Ok(if known { "known" } else { "enrolled" });
    }
    let place = match by_id {
        // The node has lost its secret with its memory, or never got it.
        Some(place) if nodes[place].enrolled => bail!(
            "{} at {api} was enrolled and has no secret any more: claim it anew at the desk, or take it out of the record",
            member.hostname
        ),
        Some(place) => place,
        None => {
            nodes.push(Entry::new(id, Some(member.hostname.clone()), number)?);
            nodes.len() - 1
        }
    };
    let Secret(secret) = nodes[place].secret()?;
    // Written down first: a secret that only the node has is of no use.
    registry.save()?;
    let mut content = [0; 32];
    content[..secret.len()].copy_from_slice(&secret);
    let said = hand(client, &api, slice::from_ref(key), (&Lock::enrolment(key), number, &content))?;
    let node = &mut registry.record.nodes[place];
    if !shows(node, &said) {
        bail!("{} at {api} does not show that it has taken its secret", member.hostname);
    }
    write_down(node, member, number);
    registry.save()?;
    Ok("enrolled")
}

/// The node has shown that it has its secret and the newest key.
fn write_down(node: &mut Entry, member: &Member, number: u32) {
    node.id = Some(member.id.clone());
    node.hostname.get_or_insert_with(|| member.hostname.clone());
    node.address = Some(member.api());
    (node.enrolled, node.key) = (true, number);
}
