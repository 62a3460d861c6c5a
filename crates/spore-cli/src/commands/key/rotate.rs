//! `spore key rotate`.

use super::Whom;
use super::asked::{Keys, ask, hand};
use crate::client::{Client, Member};
use crate::key_file::{self, KeyFile};
use crate::keys;
use crate::output::{note, print, print_line};
use crate::registry::{Entry, Record, Registry};
use crate::table::Table;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use serde_json::json;
use spore_core::ClusterKey;
use spore_core::security::rotation::Lock;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

/// Give the cluster another key, and leave out nodes that were stolen.
///
/// Each node that stays gets the new key sealed for it alone. When all have it they change over, without being apart for a moment, and the
/// key file has the new key. Nodes must have been enrolled (`spore key enroll`), or claimed with this command. After an interruption --resume
/// goes on; it also reaches nodes that were away.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rotate {
    /// Leave this node out, now and in later rotations: by the hostname or id that it was enrolled with
    #[arg(long, value_name = "NODE", conflicts_with = "resume")]
    without: Vec<String>,
    /// Go on with the last rotation: where it was interrupted, and with nodes that were away
    #[arg(long)]
    resume: bool,
    /// Go on without live members that are not enrolled, or do not take the key: they are locked out
    #[arg(long)]
    leave_behind: bool,
    #[command(flatten)]
    whom: Whom,
}

const EXAMPLES: &str = "\
Examples:
  spore key rotate --without pantry     the board pantry was stolen
  spore key rotate                      a new key for all
  spore key rotate --resume             when nodes that were away are back

Exit code 0 only if all nodes that stay have the new key.";

/// From one look whether all have changed over to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// How often that is looked for.
const LOOKS: u32 = 20;

impl Rotate {
    pub(super) fn run(&self, file: &KeyFile, json: bool) -> Result<()> {
        let target = self.whom.target(json);
        let registry = Registry::open(file)?;
        if registry.record.nodes.is_empty() {
            bail!("no node is enrolled; `spore key enroll` does that, before a board is stolen");
        }
        // A cluster whose asked node is away, or has changed over already, can still be reached where it was last.
        let members = match target.members() {
            Ok(list) => Some(list.members.into_iter().filter(Member::is_live).collect()),
            Err(error) if self.resume => {
                note(format_args!("spore: {error:#}"));
                None
            }
            Err(error) => return Err(error),
        };
        let mut rotation =
            Rotation { client: target.client(), registry, members, errors: BTreeMap::new() };
        if !self.resume {
            rotation.begin(&self.without, self.leave_behind)?;
        } else if rotation.registry.record.number == 0 {
            bail!("there was no rotation yet");
        }
        rotation.stage();
        if !rotation.registry.record.switched {
            rotation.check(self.leave_behind)?;
        }
        rotation.switch(file)?;
        let behind = rotation.show(json)?;
        if behind > 0 {
            bail!(
                "{behind} {} not have the new key; `spore key rotate --resume` goes on when they are there",
                if behind == 1 { "node does" } else { "nodes do" }
            );
        }
        Ok(())
    }
}

/// A rotation, with who is there.
struct Rotation {
    client: Client,
    registry: Registry,
    /// Those that are live, as the node that was asked has them; `None` if it does not answer.
    members: Option<Vec<Member>>,
    /// Why nodes do not have the key, by their place in the record.
    errors: BTreeMap<usize, anyhow::Error>,
}

impl Rotation {
    /// Decides who stays, and makes a key.
    fn begin(&mut self, without: &[String], leave_behind: bool) -> Result<()> {
        self.registry.settled()?;
        let members = self.members.as_deref().unwrap_or_default();
        let strangers = strangers(members, &self.registry.record);
        let record = &mut self.registry.record;
        let mut left_out = BTreeSet::new();
        for name in without {
            let called = |(_, node): &(usize, &Entry)| node.is_called(name);
            let named: Vec<_> = record.nodes.iter().enumerate().filter(called).collect();
            match named[..] {
                [(place, _)] => _ = left_out.insert(place),
                // It has no secret, so it cannot be given the key.
                [] if strangers.iter().any(|member| member.id == *name) => (),
                [] => bail!(
                    "no node was enrolled as {name:?}; a member that was not is left out by its id"
                ),
                _ => bail!("several nodes were enrolled as {name:?}; use the id"),
            }
        }
        let is_named = |member: &Member| {
            without.contains(&member.id)
                || left_out.iter().any(|place| is(&record.nodes[*place], member))
        };
        let (named, unasked): (Vec<_>, Vec<_>) =
            strangers.into_iter().partition(|member| is_named(member));
        if !unasked.is_empty() && !leave_behind {
            bail!(
                "not enrolled, and so locked out by a rotation: {}; enrol them, name them with --without, or say --leave-behind",
                list(&unasked)
            );
        }
        let stays =
            |(place, node): (usize, &Entry)| node.is_to_have_keys() && !left_out.contains(&place);
        if !record.nodes.iter().enumerate().any(stays) {
            bail!("no node would stay");
        }
        let late = record.nodes.iter().filter(|it| it.is_to_have_keys() && it.key != record.number);
        for node in late {
            note(format_args!(
                "spore: {} was not seen with the last key; each that it may have is tried",
                node.name()
            ));
        }
        record.begin(&ClusterKey::from_bytes(key_file::random()?))?;
        for place in left_out {
            record.nodes[place].left_out = true;
        }
        // Written down, so that no later step takes them for members that were forgotten.
        for member in named {
            if !record.nodes.iter().any(|node| is(node, member)) {
                let (id, hostname) = (member.id.clone(), member.hostname.clone());
                let mut node = Entry::new(Some(id), Some(hostname), record.number)?;
                node.left_out = true;
                record.nodes.push(node);
            }
        }
        self.registry.save()
    }

    /// Places in the record of those who stay and lack the newest key, or have not changed over to it.
    fn waiting(&self) -> Vec<usize> {
        let record = &self.registry.record;
        let lacks = |node: &Entry| node.is_to_have_keys() && node.key != record.number;
        let nodes = record.nodes.iter().enumerate();
        nodes.filter(|(_, node)| lacks(node)).map(|(place, _)| place).collect()
    }

    /// Hands the newest key to all who lack it. What it is sealed with is known to them alone, so it matters to none who answers.
    fn stage(&mut self) {
        for place in self.waiting() {
            match self.give(place) {
                Ok(()) => self.registry.record.nodes[place].staged = true,
                Err(error) => _ = self.errors.insert(place, error),
            }
            // If it cannot be written, the node is asked once more.
            if let Err(error) = self.registry.save() {
                self.errors.insert(place, error);
            }
        }
    }

    fn give(&mut self, place: usize) -> Result<()> {
        let record = &self.registry.record;
        let (node, number) = (&record.nodes[place], record.number);
        let newest = record.key(number)?;
        let api = self.api(place)?;
        let lock = Lock::rotation(&node.secret()?);
        let has_it = |said: &Keys| shows(said, node, number, &newest);
        // It may have changed over meanwhile, having heard the others.
        if record.switched && ask(&self.client, &api, &newest).is_ok_and(|said| has_it(&said)) {
            return Ok(());
        }
        // Which one it has is not sure: it may have changed over unseen. The newest is not among them, since under that it would change over.
        let said =
            hand(&self.client, &api, &record.earlier()?, (&lock, number, newest.as_bytes()))?;
        if !has_it(&said) {
            bail!("{api} does not show that it has taken the key: it is not {}", node.name());
        }
        Ok(())
    }

    fn members(&self) -> &[Member] {
        self.members.as_deref().unwrap_or_default()
    }

    /// Where a node's API is.
    fn api(&self, place: usize) -> Result<String> {
        let node = &self.registry.record.nodes[place];
        let member = self.members().iter().find(|member| is(node, member));
        member.map(Member::api).or_else(|| node.address.clone()).with_context(|| {
            format!("nobody knows where {} is; `spore key enroll` writes it down", node.name())
        })
    }

    /// Whether those who are live have the key, so that none of them is locked out.
    fn check(&self, leave_behind: bool) -> Result<()> {
        let nodes = &self.registry.record.nodes;
        if self.members.is_none() && !leave_behind {
            bail!(
                "the old key is still in use, since the asked node does not say who is there; ask another one (--node), or say --leave-behind"
            );
        }
        let strangers = strangers(self.members(), &self.registry.record);
        if !strangers.is_empty() && !leave_behind {
            bail!(
                "the old key is still in use, since members are not enrolled and would be locked out: {}; switch them off, or say --leave-behind, and claim them anew later",
                list(&strangers)
            );
        }
        let is_live = |node: &Entry| self.members().iter().any(|member| is(node, member));
        let lacking = self.errors.iter().filter(|(place, _)| is_live(&nodes[**place]));
        let lacking: Vec<_> =
            lacking.map(|(place, why)| format!("{}: {why:#}", nodes[*place].name())).collect();
        let staged = nodes.iter().any(|node| node.staged);
        if !staged || !lacking.is_empty() && !leave_behind {
            let all = self.errors.iter();
            let why = all.map(|(place, why)| format!("{}: {why:#}", nodes[*place].name()));
            let why: Vec<_> = if staged { lacking } else { why.collect() };
            bail!(
                "the old key is still in use, since not all have the new one; `spore key rotate --resume` tries again, with --leave-behind without them: {}",
                why.join("; ")
            );
        }
        Ok(())
    }

    /// Has all who have the newest key change over to it.
    fn switch(&mut self, file: &KeyFile) -> Result<()> {
        let number = self.registry.record.number;
        let newest = self.registry.record.key(number)?;
        self.registry.record.switched = true;
        self.registry.save()?;
        if file.read()? != newest {
            key_file::store(&file.path()?, &keys::Key::Cluster(newest.clone()), true)?;
        }
        for look in 0..LOOKS {
            let staged = self.waiting().into_iter();
            let staged: Vec<_> =
                staged.filter(|place| self.registry.record.nodes[*place].staged).collect();
            if staged.is_empty() {
                break;
            }
            if look > 0 {
                thread::sleep(PAUSE);
            }
            for place in staged {
                let api = self.api(place)?;
                let node = &mut self.registry.record.nodes[place];
                // The signature is the sign; and those whom it does not reach hear it from the others.
                match ask(&self.client, &api, &newest) {
                    Ok(said) if !shows(&said, node, number, &newest) => {
                        let why = anyhow!("{api} does not show that it is {}", node.name());
                        self.errors.insert(place, why);
                    }
                    Ok(said) if !said.staged => {
                        (node.key, node.address) = (number, Some(api));
                        self.errors.remove(&place);
                    }
                    Ok(_) => (),
                    Err(error) => _ = self.errors.insert(place, error),
                }
            }
            self.registry.save()?;
        }
        self.registry.record.prune();
        self.registry.save()
    }

    /// Shows how all are; how many lack the key that should have it.
    fn show(&self, json: bool) -> Result<usize> {
        let record = &self.registry.record;
        let (mut table, mut documents, mut behind) =
            (Table::new(&["NODE", "ID", "STATE"]), Vec::new(), 0_usize);
        let mut row =
            |id: Option<&str>, hostname: Option<&str>, state: &str, error: Option<String>| {
                let cell = |text: Option<&str>| text.unwrap_or("-").to_owned();
                table.row([cell(hostname), cell(id), state.to_owned()]);
                documents.push(
                    json!({ "id": id, "hostname": hostname, "state": state, "error": error }),
                );
            };
        for (place, node) in record.nodes.iter().enumerate() {
            let state = match node {
                _ if node.left_out => "left out",
                _ if node.id.is_none() => "never seen",
                _ if !node.enrolled => "not enrolled",
                _ if node.key == record.number => "new key",
                _ if node.staged => "staged",
                _ => "old key",
            };
            let error = self.errors.get(&place).map(|error| format!("{error:#}"));
            if node.is_to_have_keys() && node.key != record.number {
                behind += 1;
                let why = error.clone().unwrap_or_else(|| anyhow!("it did not answer").to_string());
                note(format_args!("spore: {}: {why}", node.name()));
            }
            row(node.id.as_deref(), node.hostname.as_deref(), state, error);
        }
        for member in self.members() {
            if !record.nodes.iter().any(|node| is(node, member)) {
                row(Some(&member.id), Some(&member.hostname), "not enrolled", None);
            }
        }
        if json {
            print_line(json!({ "number": record.number, "nodes": documents }))?;
        } else {
            print(table)?;
        }
        Ok(behind)
    }
}

/// Whether the node shows that it has its secret and the newest key.
fn shows(said: &Keys, node: &Entry, number: u32, newest: &ClusterKey) -> bool {
    let id = node.id.as_deref().unwrap_or_default();
    said.shows(node, id, number, newest)
}

/// Members that cannot be given a key, and of whom nobody has said that they are left out.
fn strangers<'a>(members: &'a [Member], record: &Record) -> Vec<&'a Member> {
    let knows =
        |node: &Entry, member: &Member| is(node, member) && (node.enrolled || node.left_out);
    let is_known = |member: &&Member| record.nodes.iter().any(|node| knows(node, member));
    members.iter().filter(|member| !is_known(member)).collect()
}

fn list(members: &[&Member]) -> String {
    let names = members.iter().map(|member| format!("{} ({})", member.hostname, member.id));
    names.collect::<Vec<_>>().join(", ")
}

/// Whether the record means this member.
fn is(node: &Entry, member: &Member) -> bool {
    node.id.as_ref() == Some(&member.id)
}
