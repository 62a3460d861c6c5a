//! A board is stolen: all others, boards and Linux nodes, get another cluster key while they run.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::api::{self, Api};
use super::cluster::{Cluster, POLL, Plan};
use super::said;
use super::scenario::wholeness;
use super::signed::{self, Order};
use crate::emu::secret::{self, Secret};

/// How long `spore key …` may take, all nodes together.
const COMMAND: Duration = Duration::from_secs(60);
/// What each node has for an answer, in seconds.
const ANSWER: &str = "10";
/// How long the board that is left out may still count as a member.
const PARTED_LIMIT: Duration = Duration::from_secs(40);
/// How long a node may refuse connections.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last board is stolen, and left out of the new key. Another one has its power cut as soon as it has that key.
///
/// # Errors
/// When somebody has a key that it must not have, or is not a member under the one that it has.
pub(super) fn run(cluster: &mut Cluster<'_>, plan: &Plan<'_>) -> Result<()> {
    let begun = Instant::now();
    cluster.claimed_and_enrolled(plan)?;
    let (_stolen, stolen) = cluster.boards.pop().context("no board to steal")?;
    let names = cluster.apis().map(|api| (api.name.clone(), "new key".to_owned()));
    let mut expected: BTreeMap<_, _> = names.collect();
    expected.insert(stolen.name.clone(), "left out".to_owned());
    let rotated = cluster.key(plan, &["rotate", "--without", &stolen.name])?;
    ensure!(states(&rotated)? == expected, "after the rotation: {}", said(&rotated));
    let old = std::mem::replace(&mut cluster.key, secret::read_key(&plan.key_file())?);
    ensure!(cluster.key != old, "the key file has the old key");
    let switched = Instant::now();
    println!(
        "e2e: another key without {} after {:.1} s",
        stolen.name,
        begun.elapsed().as_secs_f32()
    );

    cluster.boards[0].0.switch_off();
    cluster.switch_on(0)?;
    let parted = loop {
        cluster.check_health()?;
        // A board that starts may get another address.
        let whole = cluster.find_boards().and_then(|()| {
            wholeness(&cluster.apis().cloned().collect::<Vec<_>>())?;
            cluster.apis().try_for_each(|api| is_dead(&stolen.name, api))
        });
        match whole {
            Ok(()) => break switched.elapsed(),
            Err(reason) if switched.elapsed() > PARTED_LIMIT => {
                return Err(reason.context(format!("{} is not left out", stolen.name)));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    };
    let again = &cluster.boards[0].1;
    let uptime = api::patiently(PATIENCE, || again.uptime())?;
    ensure!(uptime < switched.elapsed(), "{} was not off: {uptime:?}", again.name);
    // What the thief signs is refused by all but the stolen board, whose key it is.
    for api in cluster.apis() {
        takes(api, &cluster.key, true)?;
        takes(api, &old, false)?;
    }
    takes(&stolen, &old, true)?;
    takes(&stolen, &cluster.key, false)?;
    println!(
        "e2e: {} nodes are whole without {} after {:.1} s, {} having lost its power; {:.0} s in all",
        cluster.apis().count(),
        stolen.name,
        parted.as_secs_f32(),
        again.name,
        begun.elapsed().as_secs_f32()
    );
    Ok(())
}

impl Cluster<'_> {
    /// Each node has a secret of its own: boards from the desk, Linux nodes over the network.
    fn claimed_and_enrolled(&self, plan: &Plan<'_>) -> Result<()> {
        let enrolled = self.key(plan, &["enroll"])?;
        let names = self.apis().map(|api| (api.name.clone(), "enrolled".to_owned()));
        let expected: BTreeMap<_, _> = names.collect();
        ensure!(states(&enrolled)? == expected, "not all are enrolled: {}", said(&enrolled));
        Ok(())
    }

    /// `spore key …`.
    fn key(&self, plan: &Plan<'_>, words: &[&str]) -> Result<Output> {
        let arguments = [&["key"], words, &["--json", "--timeout", ANSWER]].concat();
        let output = self.spore(plan, COMMAND, &arguments)?;
        ensure!(output.status.success(), "spore key {}: {}", words[0], said(&output));
        Ok(output)
    }
}

/// What `spore key …` says of each node, by host name.
fn states(output: &Output) -> Result<BTreeMap<String, String>> {
    let said: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    let text = |node: &Value, name| node[name].as_str().map(str::to_owned);
    let nodes = said["nodes"].as_array().context("no list of nodes")?;
    nodes
        .iter()
        .map(|node| text(node, "hostname").zip(text(node, "state")).context("a node without name"))
        .collect()
}

/// Whether `name` is dead for the node, or nobody whom it knows.
fn is_dead(name: &str, api: &Api) -> Result<()> {
    let members = api.members()?;
    let member = members.get(name).filter(|member| member.status != "dead");
    ensure!(member.is_none(), "for {} it is {member:?}", api.name);
    Ok(())
}

/// The node carries out what is signed with this key, or refuses it.
fn takes(api: &Api, key: &Secret, taken: bool) -> Result<()> {
    let order = Order { method: "GET", path: "/api/cluster/key", body: &Value::Null };
    let expected = if taken { "200" } else { "401" };
    let answer = api::patiently(PATIENCE, || signed::send(api, key, order, expected))?;
    let code = &answer["error"]["code"];
    if taken || code == "credentials_invalid" { Ok(()) } else { bail!("{}: {answer}", api.name) }
}
