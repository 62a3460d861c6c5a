//! What happens in the test, from inside its namespaces.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::api::{self, Api, Members};
use super::junk::Junk;
use super::network::{self, Network};
use super::sniffer::Sniffer;
use crate::emu::boot::{self, Boot, Secret};
use crate::emu::child::Guarded;
use crate::emu::machine::{Event, Machine, Plug, Report};
use crate::machine::Pace;
use crate::process;

const HOSTS: u8 = 3;
const BOARDS: u8 = 2;

const CLUSTER_PORT: u16 = spore_core::config::DEFAULT_PORT;
const HOST_HTTP_PORT: u16 = 8080;
const BOARD_HTTP_PORT: u16 = crate::emu::cluster::HTTP_PORT;

/// How long all may take to know each other, with the start of the processes on a busy machine.
const AGREE_LIMIT: Duration = Duration::from_secs(30);
/// How long the death of a node may stay unknown to the others.
const DEATH_LIMIT: Duration = Duration::from_secs(15);
/// How long the cluster may take to be whole again after the junk.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);
/// How long a board may take to switch its relay, and until two values of sensors were heard.
const SPROCKETS_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at a view.
const POLL: Duration = Duration::from_millis(100);

/// How long a node may refuse connections.
const PATIENCE: Duration = Duration::from_secs(5);

/// Junk of each kind for each of the two nodes.
const JUNK: usize = 1000;
/// Real datagrams that must be there to make junk of.
const SAMPLES_MIN: usize = 5;
/// The shortest ack or ping (docs/protocol.md): header 13, kind 1, token 14, digest 4, a record of 22 and
/// a host name of at least 1, tag 16.
const ACK_MIN: usize = 13 + 1 + 14 + 4 + 22 + 1 + 16;

/// What is tested, and where the rest goes.
pub(super) struct Plan<'a> {
    /// The boards' firmware.
    pub(super) elf: &'a Path,
    /// The `spore` command.
    pub(super) spore: &'a Path,
    /// Part of the names of what is made.
    pub(super) name: &'a str,
    /// Where the nodes' output goes.
    pub(super) logs: &'a Path,
    /// Start of the random numbers.
    pub(super) seed: u64,
}

/// Runs the test.
///
/// # Errors
/// What was not as it must be. Whatever happens, nothing is left running.
pub(super) fn run(plan: &Plan<'_>) -> Result<()> {
    let mut cluster = Cluster::start(plan)?;
    let everyone: Vec<Api> = cluster.apis().cloned().collect();
    cluster.expect_agreement(&everyone)?;
    cluster.expect_sprockets(plan)?;
    let survivors = cluster.expect_deaths_noticed()?;
    cluster.expect_junk_survived(&survivors, plan.seed)?;
    println!("e2e: passed");
    Ok(())
}

struct Cluster {
    hosts: Vec<(Guarded, Api)>,
    boards: Vec<(Machine, Api)>,
    events: Receiver<Event>,
    /// The boards that have booted; none may do so again.
    booted: BTreeSet<u16>,
    key: Secret,
    sniffer: Sniffer,
}

impl Cluster {
    fn start(plan: &Plan<'_>) -> Result<Self> {
        let network = Network::new(plan.name)?;
        let sniffer = Sniffer::new(CLUSTER_PORT, network::OBSERVER)?;
        let key = boot::random_secret()?;
        let key_file = plan.logs.join("cluster.key");
        boot::write_key(&key_file, &key)?;

        let mut hosts = Vec::new();
        for number in 1..=HOSTS {
            hosts.push(start_host(plan, &network, number, &key_file)?);
        }
        let (sender, events) = mpsc::channel();
        let mut boards = Vec::new();
        for number in 1..=BOARDS {
            let boot = Boot {
                id: number.into(),
                address: network::board_address(number),
                prefix_len: network::PREFIX_LEN,
                hostname: format!("board-{number}"),
                key,
                port: CLUSTER_PORT,
            };
            let plug = Plug::Tap(network.add_tap(number)?);
            let log = plan.logs.join(format!("board-{number}.log"));
            let machine = Machine::start(plan.elf, &boot, &plug, Pace::Host, log, sender.clone())?;
            let api = Api { name: boot.hostname, address: boot.address, port: BOARD_HTTP_PORT };
            boards.push((machine, api));
        }
        Ok(Self { hosts, boards, events, booted: BTreeSet::new(), key, sniffer })
    }

    fn apis(&self) -> impl Iterator<Item = &Api> {
        self.hosts.iter().map(|(_, api)| api).chain(self.boards.iter().map(|(_, api)| api))
    }

    /// All views must show all nodes as active, under their addresses and the same ids.
    fn expect_agreement(&mut self, everyone: &[Api]) -> Result<()> {
        let start = Instant::now();
        loop {
            self.check_health(&[])?;
            match agreement(everyone) {
                Ok(()) => break,
                Err(reason) if start.elapsed() > AGREE_LIMIT => {
                    return Err(reason.context(format!(
                        "the nodes did not agree within {} s",
                        AGREE_LIMIT.as_secs()
                    )));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
        println!(
            "e2e: {} member lists agree {:.1} s after the start",
            everyone.len(),
            start.elapsed().as_secs_f32()
        );
        Ok(())
    }

    /// The relay of a board is switched over HTTP, and what the boards' sensors measure is heard of on a Linux node.
    fn expect_sprockets(&mut self, plan: &Plan<'_>) -> Result<()> {
        let (host, board) = (&self.hosts[0].1, &self.boards[0].1);
        let node = format!("{}:{}", host.address, host.port);
        let key_file = plan.logs.join("cluster.key");
        let spore = |arguments: &[&str]| {
            // Who listens does so until it has heard enough.
            let mut command = Command::new("timeout");
            command.arg(SPROCKETS_LIMIT.as_secs().to_string()).arg(plan.spore).args(arguments);
            command.args(["--node", &node]).arg("--key-file").arg(&key_file);
            process::output(&mut command)
        };
        let start = Instant::now();
        let switch = ["call", "relay", "on", "--provider", &board.name];
        let mut done = spore(&switch)?;
        while !done.status.success() && start.elapsed() < SPROCKETS_LIMIT {
            std::thread::sleep(POLL);
            done = spore(&switch)?;
        }
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(said.trim() == r#"{"on":true}"#, "the relay of {} said {said:?}", board.name);
        let log = plan.logs.join(format!("{}.log", board.name));
        let shown = || {
            let log = std::fs::read(&log).unwrap_or_default();
            String::from_utf8_lossy(&log).contains("PIN relay high")
        };
        while !shown() {
            ensure!(start.elapsed() < SPROCKETS_LIMIT, "{} has not switched its relay", board.name);
            std::thread::sleep(POLL);
        }
        let heard = spore(&["sub", "sensor/value", "--json", "--count", "2"])?;
        let heard = String::from_utf8_lossy(&heard.stdout).into_owned();
        ensure!(heard.lines().count() == 2, "{} has heard of no sensor: {heard:?}", host.name);
        self.check_health(&[])?;
        println!("e2e: a board switched its relay, and a Linux node heard: {}", heard.trim());
        Ok(())
    }

    /// Kills the last node of each kind; the others must see both as dead. Returns the survivors.
    fn expect_deaths_noticed(&mut self) -> Result<Vec<Api>> {
        let (mut host, dead_host) = self.hosts.pop().context("no Linux node to kill")?;
        let (mut board, dead_board) = self.boards.pop().context("no board to kill")?;
        host.kill();
        board.kill();
        let start = Instant::now();
        let dead = [dead_host.name.as_str(), dead_board.name.as_str()];
        println!("e2e: killed {} and {}", dead[0], dead[1]);

        let survivors: Vec<Api> = self.apis().cloned().collect();
        let mut blind: Vec<&Api> = survivors.iter().collect();
        while !blind.is_empty() {
            self.check_health(&[board.id()])?;
            for index in (0..blind.len()).rev() {
                let api = blind[index];
                let shown = match api.members() {
                    Ok(members) => shows_dead(&members, &dead),
                    Err(error) if api::is_refusal(&error) => false,
                    Err(error) => return Err(error),
                };
                let after = start.elapsed();
                ensure!(
                    after <= DEATH_LIMIT,
                    "{:.1} s after their death, {dead:?} {} dead for {}; the limit is {} s",
                    after.as_secs_f32(),
                    if shown { "have only now become" } else { "are not" },
                    api.name,
                    DEATH_LIMIT.as_secs()
                );
                if shown {
                    let after = after.as_secs_f32();
                    println!("e2e: {} shows both as dead after {after:.1} s", api.name);
                    blind.remove(index);
                }
            }
            std::thread::sleep(POLL);
        }
        Ok(survivors)
    }

    /// Junk must neither stop nor restart a node, nor change who is there.
    fn expect_junk_survived(&mut self, survivors: &[Api], seed: u64) -> Result<()> {
        let mut junk = Junk::new(seed, &self.key);
        let targets = [self.hosts[0].1.clone(), self.boards[0].1.clone()];
        for api in &targets {
            let samples = self.samples()?;
            let uptime = api::patiently(PATIENCE, || api.uptime())?;
            let asked = Instant::now();
            let known = api::patiently(PATIENCE, || api.refused())?;
            junk.send_datagrams((api.address, CLUSTER_PORT), JUNK, &samples)?;
            let refused = api::patiently(PATIENCE, || api.refused())?.saturating_sub(known);
            ensure!(refused > JUNK as u64 / 4, "{} has seen {refused} of the junk", api.name);
            println!(
                "e2e: {}: {JUNK} junk datagrams (some made from {} real ones), {refused} refused",
                api.name,
                samples.len()
            );
            let answered = junk.send_requests(api, JUNK)?;
            ensure!(answered > JUNK / 2, "{} answered {answered} of {JUNK} requests", api.name);
            println!("e2e: {}: {JUNK} junk requests, {answered} answered", api.name);
            // Without a restart it is `uptime` more than what has passed, else at most that.
            let passed = asked.elapsed();
            let now = api::patiently(PATIENCE, || api.uptime())?;
            ensure!(
                now > passed + uptime / 2,
                "{} has restarted: its uptime was {uptime:?}, and {passed:?} later it is {now:?}",
                api.name
            );
            self.check_health(&[u16::from(BOARDS)])?;
        }
        let start = Instant::now();
        loop {
            self.check_health(&[u16::from(BOARDS)])?;
            match wholeness(survivors) {
                Ok(()) => break,
                Err(reason) if start.elapsed() > RECOVERY_LIMIT => {
                    return Err(reason.context("the cluster is not whole after the junk"));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
        println!("e2e: the cluster is whole {:.1} s after the junk", start.elapsed().as_secs_f32());
        Ok(())
    }

    /// The latest datagrams between the nodes, pings or acks among them.
    fn samples(&mut self) -> Result<Vec<Vec<u8>>> {
        self.sniffer.listen()?;
        let heard = || self.sniffer.latest();
        ensure!(
            heard().count() >= SAMPLES_MIN,
            "only {} datagrams of the cluster were heard on the bridge",
            heard().count()
        );
        ensure!(
            heard().any(|one| one.to.ip().octets()[3] != u8::MAX && one.bytes.len() >= ACK_MIN),
            "no ping or ack was heard on the bridge, only broadcasts"
        );
        Ok(heard().map(|one| one.bytes.clone()).collect())
    }

    /// Fails if a node has ended, or a board's firmware has failed or started twice; the boards
    /// with the ids `killed` may have ended.
    fn check_health(&mut self, killed: &[u16]) -> Result<()> {
        self.sniffer.listen()?;
        for (process, api) in &mut self.hosts {
            if let Some(status) = process.ended()? {
                bail!("{} has ended ({status})", api.name);
            }
        }
        for (id, report) in self.events.try_iter() {
            match report {
                Report::Failed(line) => bail!("board-{id}: {line}"),
                Report::Ended if !killed.contains(&id) => bail!("board-{id} has ended"),
                Report::Booted => {
                    ensure!(self.booted.insert(id), "board-{id} has restarted");
                }
                Report::Ended => {}
            }
        }
        Ok(())
    }
}

fn start_host(
    plan: &Plan<'_>,
    network: &Network,
    number: u8,
    key_file: &Path,
) -> Result<(Guarded, Api)> {
    let name = format!("host-{number}");
    let address = network::host_address(number);
    let namespace = network.add_host(number)?;
    let log = plan.logs.join(format!("{name}.log"));
    let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let errors = file.try_clone().context("cannot share the log file")?;
    let process = Guarded::start(name.as_str(), "nsenter", |command| {
        command
            .arg(format!("--net={namespace}"))
            .args(["--".as_ref(), plan.spore.as_os_str()])
            .args(["-v", "node", "--forget", "--hostname", &name])
            .args(["--bind", &address.to_string(), "--port", &CLUSTER_PORT.to_string()])
            .args(["--http-port", &HOST_HTTP_PORT.to_string()])
            .arg("--key-file")
            .arg(key_file)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
    })?;
    Ok((process, Api { name, address, port: HOST_HTTP_PORT }))
}

/// Whether every node has the same view, in which everyone is active.
fn agreement(everyone: &[Api]) -> Result<()> {
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
    Ok(())
}

fn shows_dead(members: &Members, names: &[&str]) -> bool {
    names.iter().all(|name| members.get(*name).is_some_and(|member| member.status == "dead"))
}

/// Whether the survivors see each other as active, and nobody else.
fn wholeness(survivors: &[Api]) -> Result<()> {
    for api in survivors {
        let members = api.members()?;
        let mut active: Vec<&str> = members
            .iter()
            .filter(|(_, member)| member.status == "active")
            .map(|(name, _)| name.as_str())
            .collect();
        active.sort_unstable();
        let mut expected: Vec<&str> = survivors.iter().map(|api| api.name.as_str()).collect();
        expected.sort_unstable();
        ensure!(active == expected, "for {} the active ones are {active:?}", api.name);
    }
    Ok(())
}
