//! A Linux process as the body of a node.

use crate::crash::Crash;
use crate::memory;
use crate::present_key::PresentKey;
use crate::radio::Driver;
use crate::services::Services;
use crate::slots::SlotFile;
use crate::sprockets::{self, Watchdog};
use crate::state::{Found, Memory};
use crate::tasks::CommandTasks;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use log::{info, warn};
use spore_boot::layout::Host;
use spore_core::api::ServiceRequest;
use spore_core::network::RadioCommand;
use spore_core::node::StoreFailed;
use spore_core::ota::{Outcome, Running};
use spore_core::security::{Question, Verdict};
use spore_core::tasks::TaskRun;
use spore_core::{Event, Facts, Hostname, Key, Node, NodeId, Resources, Seed};
use spore_node::{Named, ServiceReply, Slots, System};
use std::future::pending;
use std::net::Ipv4Addr;
use std::rc::Rc;

pub(crate) struct HostSystem {
    pub(crate) hostname: String,
    pub(crate) address: Ipv4Addr,
    /// Where the node's values are kept.
    pub(crate) memory: Rc<Memory>,
    /// The key in the claim among them.
    pub(crate) key: PresentKey,
    pub(crate) seed: Seed,
    /// Why the node starts.
    pub(crate) reason: Reason,
    /// The crash that it starts after.
    pub(crate) crash: Crash,
    pub(crate) services: Services,
    pub(crate) tasks: CommandTasks,
    /// Watches the sprockets, if there are any.
    pub(crate) watchdog: Option<Watchdog>,
    /// Its radio, if it is not wired.
    pub(crate) radio: Option<Rc<Driver>>,
    /// Raised to end the node, which is then started again.
    pub(crate) restart: Rc<Signal<NoopRawMutex, ()>>,
    /// The slots that the program was started from, and what is in that one.
    pub(crate) slots: Option<(Slots<SlotFile>, Running)>,
}

/// Why a node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The process was started.
    Start,
    /// It was asked to.
    Restart,
    /// A sprocket did not return.
    Watchdog,
    /// It panicked.
    Panic,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Watchdog => "watchdog",
            Self::Panic => "panic",
        }
    }
}

impl System for HostSystem {
    type Layout = Host;
    type Flash = SlotFile;

    fn slots(&self) -> Option<Slots<SlotFile>> {
        self.slots.as_ref().map(|(slots, _)| slots.clone())
    }

    fn facts(&self) -> Facts {
        Facts {
            board: "host",
            version: env!("CARGO_PKG_VERSION"),
            // A machine has no chip id; the address tells its nodes apart.
            chip_id: self.address.to_bits(),
            flash_size: 0,
            reset_reason: self.reason.name(),
            crashes: self.crash.count,
            image: self.slots.as_ref().map(|(_, running)| *running),
        }
    }

    fn resources(&self) -> Resources {
        Resources { free_memory: memory::available() }
    }

    fn seed(&self) -> Seed {
        self.seed.clone()
    }

    async fn store(&self, key: Key, value: &[u8]) -> Result<(), StoreFailed> {
        if key == Key::Claim {
            self.key.learn(value);
        }
        self.memory.store(key, value).await
    }

    async fn recall(&self, key: Key, buf: &mut [u8]) -> Option<usize> {
        // A store that is under way never waits with the lock held, so neither does this.
        let value = self.memory.look(key).value;
        Some(put(&value, buf))
    }

    fn crashed(&self, buf: &mut [u8]) -> usize {
        put(&self.crash.record, buf)
    }

    fn verify(&self, question: &Question<'_>) -> Verdict {
        question.judge()
    }

    fn radio(&self, command: RadioCommand, node: &Node<'_>) {
        if let Some(radio) = &self.radio {
            radio.command(command, node.station());
        }
    }

    async fn restart(&self) -> ! {
        info!("{}: restarts", self.hostname);
        self.restart.signal(());
        pending().await
    }

    async fn call(
        &self,
        hostname: &Hostname,
        request: &ServiceRequest<'_>,
        reply: &mut [u8],
    ) -> ServiceReply {
        self.services.call(hostname, request, reply).await
    }

    async fn run_task(&self, run: &TaskRun) {
        self.tasks.run(&self.hostname, run).await;
    }

    fn guard(&self, sprocket: Named, handler: &mut dyn FnMut()) -> Result<(), &'static str> {
        let _watched = self.watchdog.as_ref().map(|watchdog| watchdog.watch(sprocket.name));
        sprockets::catch(handler).inspect_err(|message| {
            warn!("{}: the sprocket {} has panicked: {message}", self.hostname, sprocket.name);
        })
    }

    fn restarts(&self, sprocket: Named) -> u8 {
        // Who asks for a restart gives all of them another chance.
        if self.reason == Reason::Watchdog { sprockets::restarts(sprocket) } else { 0 }
    }

    fn report(&self, event: Event, node: &Node<'_>) {
        let (id, change) = match event {
            Event::MemberJoined(id) => (id, "joined"),
            Event::MemberSuspected(id) => (id, "is suspected"),
            Event::MemberReturned(id) => (id, "is back"),
            Event::MemberDied(id) => (id, "is dead"),
            Event::MemberLeft(id) => (id, "has left"),
            Event::MemberForgotten(id) => (id, "is forgotten"),
            Event::SettingsChanged => return info!("{}: settings changed", self.hostname),
            Event::SafeMode => {
                return warn!(
                    "{}: has crashed {} times in a row and starts in safe mode, without sprockets, services and tasks of its own",
                    self.hostname, self.crash.count
                );
            }
            Event::RestartAsked => return info!("{}: a restart was asked for", self.hostname),
            Event::NetworkConnected
            | Event::NetworkDisconnected(_)
            | Event::AccessPointOpened
            | Event::AccessPointClosed
            | Event::CredentialsKept
            | Event::CredentialsReturned
            | Event::UpdateStarted
            | Event::UpdateRefused => {
                return info!("{}: {}", self.hostname, event.topic());
            }
            Event::TaskOverrun { task, micros } => {
                let (task, millis) = (task.name(), micros / 1000);
                return warn!(
                    "{}: task {task} took {millis} ms, longer than its interval",
                    self.hostname
                );
            }
            Event::Rollout(number, _) => {
                return info!("{}: {}: number {number}", self.hostname, event.topic());
            }
            Event::UpdateProgress(percent) => {
                return info!("{}: {percent} % of an image are there", self.hostname);
            }
            Event::UpdateInstalled(image) => {
                return info!("{}: image {image} is installed", self.hostname);
            }
            Event::UpdateEnded(Outcome { image, failure: None }) => {
                return info!("{}: image {image} is confirmed", self.hostname);
            }
            Event::UpdateEnded(Outcome { image, failure: Some(failure) }) => {
                let (name, reason) = (&self.hostname, failure.name());
                return warn!("{name}: image {image} has not passed its trial: {reason}");
            }
            Event::RequestsRefused(count) => {
                return warn!("{}: refused {count} requests for their credentials", self.hostname);
            }
            Event::EventsMissed { publisher, from, to, .. } => {
                let publisher = name(node, publisher);
                return warn!("{}: missed events {from} to {to} of {publisher}", self.hostname);
            }
        };
        info!("{}: {} {change}", self.hostname, name(node, id));
    }
}

impl HostSystem {
    /// All values that were stored before this start.
    pub(crate) fn load(&self) -> [(Key, Found); Key::ALL.len()] {
        Key::ALL.map(|key| (key, self.memory.load(key)))
    }
}

/// Writes `value` into `buf`; its length, or 0 if there is no room.
fn put(value: &[u8], buf: &mut [u8]) -> usize {
    let Some(place) = buf.get_mut(..value.len()) else { return 0 };
    place.copy_from_slice(value);
    value.len()
}

fn name(node: &Node<'_>, id: NodeId) -> String {
    match node.members().iter().find(|member| member.id() == id) {
        Some(member) => format!("{} ({})", member.hostname(), member.address()),
        None => id.to_string(),
    }
}
