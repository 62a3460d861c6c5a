//! What happens in the test, from inside its namespaces.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::api::{self, Api, Members};
use super::cluster::{CLUSTER_PORT, Cluster, POLL, Plan};
use super::junk::Junk;

/// How long the death of a node may stay unknown to the others.
const DEATH_LIMIT: Duration = Duration::from_secs(15);
/// How long the cluster may take to be whole again after the junk.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);
/// How long a board may take to switch its relay, and until two values of sensors were heard.
const SPROCKETS_LIMIT: Duration = Duration::from_secs(60);
/// How long a node may refuse connections.
const PATIENCE: Duration = Duration::from_secs(5);

/// Junk of each kind for each of the two nodes.
const JUNK: usize = 1000;
/// Real datagrams that must be there to make junk of.
const SAMPLES_MIN: usize = 5;
/// The shortest ack or ping (docs/protocol.md): header 13, kind 1, token 14, digest 4, a record of 22 and
/// a host name of at least 1, tag 16.
const ACK_MIN: usize = 13 + 1 + 14 + 4 + 22 + 1 + 16;

/// Runs the test.
///
/// # Errors
/// What was not as it must be. Whatever happens, nothing is left running.
pub(super) fn run(plan: &Plan<'_>) -> Result<()> {
    let mut cluster = Cluster::start(plan)?;
    cluster.expect_agreement()?;
    cluster.expect_sprockets(plan)?;
    let survivors = cluster.expect_deaths_noticed()?;
    cluster.expect_junk_survived(&survivors, plan.seed)?;
    println!("e2e: passed");
    Ok(())
}

impl Cluster<'_> {
    /// The relay of a board is switched over HTTP, and what the boards' sensors measure is heard of on a Linux node.
    fn expect_sprockets(&mut self, plan: &Plan<'_>) -> Result<()> {
        let (host, board) = (&self.hosts[0].1, &self.boards[0].1);
        let spore = |arguments: &[&str]| self.spore(plan, SPROCKETS_LIMIT, arguments);
        let start = Instant::now();
        let switch = ["call", "relay", "on", "--provider", &board.name];
        let mut done = spore(&switch)?;
        while !done.status.success() && start.elapsed() < SPROCKETS_LIMIT {
            std::thread::sleep(POLL);
            done = spore(&switch)?;
        }
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(said.trim() == r#"{"on":true}"#, "the relay of {} said {said:?}", board.name);
        let log = self.boards[0].0.log();
        // The pin of `boards/esp-01.toml`, which is on at the ground's level.
        let shown = || {
            let log = std::fs::read(&log).unwrap_or_default();
            String::from_utf8_lossy(&log).contains("PIN 0 low")
        };
        while !shown() {
            ensure!(start.elapsed() < SPROCKETS_LIMIT, "{} has not switched its relay", board.name);
            std::thread::sleep(POLL);
        }
        let heard = spore(&["sub", "sensor/value", "--json", "--count", "2"])?;
        let heard = String::from_utf8_lossy(&heard.stdout).into_owned();
        ensure!(heard.lines().count() == 2, "{} has heard of no sensor: {heard:?}", host.name);
        self.expect_no_restart()?;
        println!("e2e: a board switched its relay, and a Linux node heard: {}", heard.trim());
        Ok(())
    }

    /// Kills the last node of each kind; the others must see both as dead. Returns the survivors.
    fn expect_deaths_noticed(&mut self) -> Result<Vec<Api>> {
        let (mut host, dead_host) = self.hosts.pop().context("no Linux node to kill")?;
        let (mut board, dead_board) = self.boards.pop().context("no board to kill")?;
        host.kill();
        board.switch_off();
        let start = Instant::now();
        let dead = [dead_host.name.as_str(), dead_board.name.as_str()];
        println!("e2e: killed {} and {}", dead[0], dead[1]);

        let survivors: Vec<Api> = self.apis().cloned().collect();
        let mut blind: Vec<&Api> = survivors.iter().collect();
        while !blind.is_empty() {
            self.expect_no_restart()?;
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
            self.expect_no_restart()?;
        }
        let start = Instant::now();
        loop {
            self.expect_no_restart()?;
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
}

fn shows_dead(members: &Members, names: &[&str]) -> bool {
    names.iter().all(|name| members.get(*name).is_some_and(|member| member.status == "dead"))
}

/// Whether the survivors see each other as active, and nobody else.
pub(super) fn wholeness(survivors: &[Api]) -> Result<()> {
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
