//! Linux nodes and boards on the test's network.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::api::{Api, Members};
use super::network::{self, Network};
use super::sniffer::Sniffer;
use super::updates::images;
use crate::emu::board::{Board, Files, Owner};
use crate::emu::child::Guarded;
use crate::emu::machine::{Event, Plug, Report};
use crate::emu::secret::{self, Secret};
use crate::process;

pub(super) const CLUSTER_PORT: u16 = spore_core::config::DEFAULT_PORT;
const HOST_HTTP_PORT: u16 = 8080;
const BOARD_HTTP_PORT: u16 = crate::emu::cluster::HTTP_PORT;

/// How long all may take to know each other, with the start of the processes on a busy machine.
const AGREE_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a view.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// What is tested, and where the rest goes.
pub(super) struct Plan<'a> {
    /// How many Linux nodes.
    pub(super) hosts: u8,
    /// How many boards.
    pub(super) boards: u8,
    /// What boards are made of.
    pub(super) files: Files<'a>,
    /// The `spore` command.
    pub(super) spore: &'a Path,
    /// Part of the names of what is made.
    pub(super) name: &'a str,
    /// Where the nodes' output goes.
    pub(super) logs: &'a Path,
    /// Start of the random numbers.
    pub(super) seed: u64,
    /// Whether the Linux nodes take updates.
    pub(super) updates: bool,
}

impl Plan<'_> {
    /// The file with the cluster key.
    pub(super) fn key_file(&self) -> std::path::PathBuf {
        self.logs.join("cluster.key")
    }

    fn owner<'o>(&'o self, key: &'o Path) -> Owner<'o> {
        Owner { spore: self.spore, key, folder: self.logs }
    }
}

/// All nodes.
pub(super) struct Cluster<'a> {
    pub(super) hosts: Vec<(Guarded, Api)>,
    pub(super) boards: Vec<(Board<'a>, Api)>,
    /// What boards do, and where they tell it.
    events: (Sender<Event>, Receiver<Event>),
    /// How often each board has started.
    booted: BTreeMap<u16, u32>,
    pub(super) key: Secret,
    pub(super) sniffer: Sniffer,
    _gateway: Guarded,
}

impl<'a> Cluster<'a> {
    /// Starts all of them.
    ///
    /// # Errors
    /// When something cannot be made or started.
    pub(super) fn start(plan: &'a Plan<'a>) -> Result<Self> {
        let network = Network::new(plan.name)?;
        let sniffer = Sniffer::new(CLUSTER_PORT, network::OBSERVER)?;
        let key = secret::random()?;
        let key_file = plan.key_file();
        secret::write_key(&key_file, &key)?;
        let gateway = network.add_gateway(&plan.logs.join("gateway.log"))?;

        let owner = plan.owner(&key_file);
        owner.make_release_key()?;
        let mut hosts = Vec::new();
        for number in 1..=plan.hosts {
            hosts.push(start_host(plan, &network, number, &owner)?);
        }
        let events = mpsc::channel();
        let mut boards = Vec::new();
        for number in 1..=plan.boards {
            let plug = Plug::Tap(network.add_tap(number)?);
            let mut board = Board::new(plan.files, &owner, number.into(), plug)?;
            board.switch_on(events.0.clone())?;
            let name = board.name().to_owned();
            // It asks for an address, which the others tell us.
            let api = Api { name, address: Ipv4Addr::UNSPECIFIED, port: BOARD_HTTP_PORT };
            boards.push((board, api));
        }
        let booted = BTreeMap::new();
        Ok(Self { hosts, boards, events, booted, key, sniffer, _gateway: gateway })
    }

    /// Switches a board on again.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub(super) fn switch_on(&mut self, index: usize) -> Result<()> {
        self.boards[index].0.switch_on(self.events.0.clone())
    }

    pub(super) fn apis(&self) -> impl Iterator<Item = &Api> {
        self.hosts.iter().map(|(_, api)| api).chain(self.boards.iter().map(|(_, api)| api))
    }

    /// All views must show all nodes as active, under their addresses and the same ids. The boards are at the addresses that
    /// the first Linux node has for them.
    pub(super) fn expect_agreement(&mut self) -> Result<Members> {
        let start = Instant::now();
        let members = loop {
            self.check_health()?;
            match self.find_boards().and_then(|()| agreement(&self.apis().collect::<Vec<_>>())) {
                Ok(members) => break members,
                Err(reason) if start.elapsed() > AGREE_LIMIT => {
                    return Err(reason.context(format!(
                        "the nodes did not agree within {} s",
                        AGREE_LIMIT.as_secs()
                    )));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        };
        println!(
            "e2e: {} member lists agree after {:.1} s",
            members.len(),
            start.elapsed().as_secs_f32()
        );
        Ok(members)
    }

    /// What `spore` does that is told this, and to ask the first Linux node. It may take as long as `limit`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn spore(
        &self,
        plan: &Plan<'_>,
        limit: Duration,
        arguments: &[&str],
    ) -> Result<Output> {
        let (_, first) = self.hosts.first().context("no Linux node to ask")?;
        // Who listens does so until it has heard enough.
        let mut command = Command::new("timeout");
        command.arg(limit.as_secs().to_string()).arg(plan.spore).args(arguments);
        command.args(["--node", &format!("{}:{}", first.address, first.port)]);
        process::output(command.arg("--key-file").arg(plan.key_file()))
    }

    /// The boards are at the addresses that the first Linux node has for them.
    pub(super) fn find_boards(&mut self) -> Result<()> {
        let (_, first) = self.hosts.first().context("no Linux node to ask")?;
        let members = first.members()?;
        for (_, api) in &mut self.boards {
            let member = members.get(&api.name);
            let member =
                member.with_context(|| format!("{} does not list {}", first.name, api.name))?;
            api.address = member.address.parse().context("an address")?;
        }
        Ok(())
    }

    /// Fails if a Linux node has ended, or a board's firmware has failed. A board that was switched off may have ended.
    pub(super) fn check_health(&mut self) -> Result<()> {
        self.sniffer.listen()?;
        for (process, api) in &mut self.hosts {
            if let Some(status) = process.ended()? {
                bail!("{} has ended ({status})", api.name);
            }
        }
        for (board, api) in &mut self.boards {
            ensure!(!board.has_ended()?, "{} has ended", api.name);
        }
        for (id, report) in self.events.1.try_iter() {
            match report {
                Report::Failed(line) => bail!("board-{id}: {line}"),
                Report::Booted => *self.booted.entry(id).or_default() += 1,
                // It looks for its network, or is one that was switched off.
                Report::Connected | Report::Ended => (),
            }
        }
        Ok(())
    }

    /// What the boards have reported since this or [`check_health`](Self::check_health) was called last.
    pub(super) fn reports(&self) -> impl Iterator<Item = Event> {
        self.events.1.try_iter()
    }

    /// Fails if a board has started more than once.
    pub(super) fn expect_no_restart(&mut self) -> Result<()> {
        self.check_health()?;
        let again = self.booted.iter().find(|(_, times)| **times > 1);
        ensure!(again.is_none(), "board-{} has restarted", again.map_or(0, |(id, _)| *id));
        Ok(())
    }
}

fn start_host(
    plan: &Plan<'_>,
    network: &Network,
    number: u8,
    owner: &Owner<'_>,
) -> Result<(Guarded, Api)> {
    let name = format!("host-{number}");
    let address = network::host_address(number);
    let namespace = network.add_host(number)?;
    let log = plan.logs.join(format!("{name}.log"));
    let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let errors = file.try_clone().context("cannot share the log file")?;
    let mut arguments: Vec<OsString> = vec!["-v".into()];
    if plan.updates {
        let (slots, state) = (format!("{name}.slots"), plan.logs.join(format!("{name}.state")));
        let _ = fs::remove_dir_all(plan.logs.join(&slots));
        let _ = fs::remove_dir_all(&state);
        fs::create_dir(&state).with_context(|| format!("cannot create {}", state.display()))?;
        fs::write(state.join("settings.flash"), owner.claim(&name)?)
            .with_context(|| format!("no settings for {name}"))?;
        arguments.extend(["launch".into(), "--slots".into(), plan.logs.join(slots).into()]);
        arguments.extend(["--program".into(), images::program(plan, 0)?.into(), "--".into()]);
        arguments.extend(["node".into(), "--unclaimed".into(), "--state".into(), state.into()]);
    } else {
        arguments.extend(["node", "--forget", "--hostname", &name].map(OsString::from));
        arguments.extend(["--key-file".into(), owner.key.into()]);
    }
    let process = Guarded::start(name.as_str(), "nsenter", |command| {
        command
            .arg(format!("--net={namespace}"))
            .args(["--".as_ref(), plan.spore.as_os_str()])
            .args(arguments)
            .args(["--bind", &address.to_string(), "--port", &CLUSTER_PORT.to_string()])
            .args(["--http-port", &HOST_HTTP_PORT.to_string()])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
    })?;
    Ok((process, Api { name, address, port: HOST_HTTP_PORT }))
}

/// The view that every node has, in which everyone is active.
fn agreement(everyone: &[&Api]) -> Result<Members> {
    let mut first: Option<Members> = None;
    for api in everyone {
        let members = api.members()?;
        let names: Vec<&String> = members.keys().collect();
        ensure!(members.len() == everyone.len(), "{} lists {names:?}", api.name);
        for other in everyone {
            let member = members.get(&other.name);
            let member = member.with_context(|| format!("{} lists {names:?}", api.name))?;
            ensure!(
                member.status == "active" && member.address == other.address.to_string(),
                "{} lists {} as {member:?}",
                api.name,
                other.name
            );
        }
        let seen = first.get_or_insert_with(|| members.clone());
        ensure!(*seen == members, "{} differs from {}", api.name, everyone[0].name);
    }
    first.context("there are no nodes")
}
