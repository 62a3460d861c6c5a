//! `cargo xtask soak`: real processes under bad radio, killed and restarted at random, must agree
//! in the end, and deliver events once, in order and without an unreported gap all the time.

mod chaos;
mod deliveries;
mod events;
mod fleet;
mod views;

use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{e2e, emu, paths};
use chaos::Chaos;
use events::{Events, Published};
use fleet::{Fleet, Radio};
use views::View;

/// How long all may take to know each other after the start, and to agree after the last
/// disturbance: a death, of one who was just killed, and the news of it, with as much again.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(60);
/// How long the lists must stay right then. Loss goes on, so suspicions come and go.
const HOLD: Duration = Duration::from_secs(10);
/// How long all may take to deliver the last event, or to report it, after that. What comes ahead
/// of its turn waits 10 s for those before it.
const EVENT_LIMIT: Duration = Duration::from_secs(15);
/// Between two looks at all lists, while nodes are disturbed.
const LOOK: Duration = Duration::from_secs(1);
/// Likewise, while they are to agree.
const CLOSE_LOOK: Duration = Duration::from_millis(200);
/// How soon a disturbance that is due is noticed, and Ctrl-C.
const TICK: Duration = Duration::from_millis(20);
/// Between two lines about the progress.
const PROGRESS: Duration = Duration::from_secs(30);

/// Kill, stall and restart real nodes under bad radio; all member lists must agree in the end, and
/// no event that is published meanwhile may come twice, in wrong order, or be missed without a report.
#[derive(Args)]
pub(crate) struct Soak {
    /// How many nodes.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(3..=64))]
    nodes: u8,
    /// How long to disturb them.
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// Percent of unicast datagrams that each node misses.
    #[arg(long, default_value_t = 10.0, value_parser = percent)]
    loss: f64,
    /// Percent of broadcasts that each node misses; an ESP8266 misses about half.
    #[arg(long, default_value_t = 50.0, value_parser = percent)]
    broadcast_loss: f64,
    /// Each datagram is held up for a time from 0 to so many milliseconds.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(..=10_000))]
    jitter: u64,
    /// Decides what is done to whom and when, and which datagrams are lost.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// More members than these declared dead while they ran are a failure.
    #[arg(long, default_value_t = 0)]
    max_false_deaths: u32,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("must be a number from 0 to 10000".into()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("must be a number from 0 to 100".into()),
    }
}

impl Soak {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// When the nodes do not agree, an event was not delivered as it must be, a node ends by itself or is not who it was, or one cannot
    /// be started. The logs are kept then.
    pub(crate) fn run(self) -> Result<()> {
        let spore = e2e::build_spore()?;
        let interrupted = emu::interruption()?;
        let name = format!("soak-{}", std::process::id());
        let folder = paths::repository().join("target/soak").join(name);
        let radio = Radio {
            loss: self.loss,
            broadcast_loss: self.broadcast_loss,
            jitter: self.jitter,
            seed: self.seed,
        };
        let fleet = Fleet::start(&spore, folder.clone(), self.nodes, radio)?;
        let run = Run {
            events: Events::follow(fleet.apis(), fleet.key(), self.seed),
            fleet,
            interrupted,
            looked: Instant::now(),
        };
        let repeat = format!("repeat with `cargo xtask soak {}`", self.options());
        run.finish(&self).with_context(|| format!("logs: {}; {repeat}", folder.display()))?;
        // Nobody needs the logs of what went well.
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }

    /// The options that give the same run.
    fn options(&self) -> String {
        let Self { nodes, minutes, loss, broadcast_loss, jitter, seed, max_false_deaths } = self;
        format!(
            "--nodes {nodes} --minutes {minutes} --loss {loss} --broadcast-loss {broadcast_loss} \
             --jitter {jitter} --seed {seed} --max-false-deaths {max_false_deaths}"
        )
    }

    fn span(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

struct Run {
    fleet: Fleet,
    events: Events,
    interrupted: Receiver<()>,
    /// When the lists were last looked at.
    looked: Instant,
}

impl Run {
    fn finish(mut self, soak: &Soak) -> Result<()> {
        let formed = self.agree().context("the cluster has not formed")?;
        println!(
            "soak: {} nodes, all known to all {:.1} s after the start; disturbing for {:.1} min",
            soak.nodes,
            formed.as_secs_f64(),
            soak.minutes
        );
        let mut chaos = Chaos::new(soak.nodes.into(), soak.seed);
        self.disturb(&mut chaos, soak.span())?;
        for act in chaos.stop() {
            self.fleet.apply(act)?;
        }
        let (running, down) =
            (self.fleet.running(), usize::from(soak.nodes) - self.fleet.running());
        println!("soak: no more disturbances; {running} nodes run, {down} stay down");
        self.fleet.note("no more disturbances")?;
        let last = self.publish_last()?;
        let agreed = self.agree().context("the member lists do not agree")?;
        self.hold().context("the member lists did not stay right")?;
        self.arrive(&last)?;
        let events = self.events.finish()?;
        let tally = &self.fleet.tally;
        ensure!(
            tally.false_deaths <= soak.max_false_deaths,
            "{} members were declared dead while they ran; {} may be",
            tally.false_deaths,
            soak.max_false_deaths
        );
        println!(
            "soak: passed: {} nodes, {} min, {} % loss, {} ms jitter, seed {}: {} kills, {} ends, \
             {} stalls, {} restarts ({} as new members), {} false deaths, all lists agree {:.1} s \
             after the last disturbance, {:.1} datagrams per node and second; {events}",
            soak.nodes,
            soak.minutes,
            soak.loss,
            soak.jitter,
            soak.seed,
            tally.kills,
            tally.ends,
            tally.stalls,
            tally.restarts,
            tally.restarts_as_new,
            tally.false_deaths,
            agreed.as_secs_f64(),
            self.fleet.datagrams_per_second(),
        );
        println!(
            "promise M2 agreed={:.1} ends={} stalls={} restarts={} false_deaths={}",
            agreed.as_secs_f64(),
            tally.kills + tally.ends,
            tally.stalls,
            tally.restarts,
            tally.false_deaths
        );
        Ok(())
    }

    /// Lets `chaos` have its way for `span`.
    fn disturb(&mut self, chaos: &mut Chaos, span: Duration) -> Result<()> {
        let (start, mut told) = (Instant::now(), Duration::ZERO);
        while start.elapsed() < span {
            while let Some(act) = chaos.due(start.elapsed()) {
                self.fleet.apply(act)?;
            }
            self.events.publish_due(start.elapsed(), &self.fleet.awake())?;
            self.look(LOOK)?;
            let at = start.elapsed();
            if at - told >= PROGRESS {
                told = at;
                let tally = &self.fleet.tally;
                println!(
                    "soak: {} of {} s: {} kills, {} ends, {} stalls, {} restarts, {} false deaths; \
                     {} nodes run",
                    at.as_secs(),
                    span.as_secs(),
                    tally.kills,
                    tally.ends,
                    tally.stalls,
                    tally.restarts,
                    tally.false_deaths,
                    self.fleet.running()
                );
            }
        }
        Ok(())
    }

    /// Waits until all lists show all nodes that run as active and nobody else as live; how long
    /// that took.
    fn agree(&mut self) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let Some(views) = self.look(CLOSE_LOOK)? else { continue };
            match self.fleet.check(&views, views::check_active) {
                Ok(()) => return Ok(start.elapsed()),
                Err(error) if start.elapsed() > AGREEMENT_LIMIT => {
                    self.fleet.note_views(&views)?;
                    let limit = AGREEMENT_LIMIT.as_secs();
                    return Err(error.context(format!("not within {limit} s")));
                }
                Err(_) => {}
            }
        }
    }

    /// Watches that nobody is forgotten or declared dead any more.
    fn hold(&mut self) -> Result<()> {
        let (start, mut seen) = (Instant::now(), false);
        while start.elapsed() < HOLD || !seen {
            let Some(views) = self.look(CLOSE_LOOK)? else { continue };
            // Who is silent for long ends the run.
            if views.len() < self.fleet.running() {
                continue;
            }
            seen = true;
            if let Err(error) = self.fleet.check(&views, views::check_live) {
                self.fleet.note_views(&views)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Publishes an event that all nodes must come to know.
    fn publish_last(&mut self) -> Result<Published> {
        let start = Instant::now();
        loop {
            self.look(LOOK)?;
            if let Some(event) = self.events.publish_last(&self.fleet.awake())? {
                return Ok(event);
            }
            let limit = EVENT_LIMIT.as_secs();
            ensure!(start.elapsed() < EVENT_LIMIT, "no node has taken an event for {limit} s");
        }
    }

    /// Waits until all nodes that run know `event`.
    fn arrive(&mut self, event: &Published) -> Result<()> {
        let start = Instant::now();
        loop {
            let without = self.events.without(event, &self.fleet.awake());
            if without.is_empty() {
                return Ok(());
            }
            ensure!(
                start.elapsed() < EVENT_LIMIT,
                "{event} was neither delivered nor reported as missed by {}",
                without.join(", ")
            );
            self.look(CLOSE_LOOK)?;
        }
    }

    /// Waits for a tick, and looks at all lists if that was `every` ago.
    fn look(&mut self, every: Duration) -> Result<Option<Vec<(usize, View)>>> {
        match self.interrupted.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                bail!("interrupted; all nodes are being ended")
            }
        }
        if self.looked.elapsed() < every {
            return Ok(None);
        }
        self.looked = Instant::now();
        self.fleet.poll().map(Some)
    }
}
