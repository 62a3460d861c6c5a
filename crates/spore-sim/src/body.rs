//! One node's body: its clock, its memory, its socket, and the engine if it runs.

use crate::checks::Turns;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::flash::NorChip;
use crate::images;
use crate::ledger::{self, Delivered};
use crate::nonces::Last;
use crate::queue::{self, Input};
use crate::report::Traffic;
use crate::scenario::Nature;
use crate::simulation::memory::{Pending, SECTORS};
use crate::simulation::slots::Slots;
use spore_core::network::{Credentials, RadioCommand};
use spore_core::ota::{Job, Step, StepFailed};
use spore_core::security::Verdict;
use spore_core::store::MAX_VALUE;
use spore_core::tasks::TaskRun;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{
    Action, Completion, Delivery, Destination, Event, Facts, Fetch, Filter, Hostname, Key, Node,
};
use spore_radio::RadioModel;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

/// A node, running or not.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) address: SocketAddrV4,
    /// What a restart leaves.
    pub(crate) chip: NorChip,
    /// What is to be stored there, one after the other.
    pub(crate) pending: VecDeque<Pending>,
    /// How often it has started.
    pub(crate) boot: u32,
    pub(crate) life: Option<Running>,
    /// Its slots for images, if it can be updated. A restart leaves them, too.
    pub(crate) slots: Option<Slots>,
    /// Whether it has left on purpose, and was not started since.
    pub(crate) left: bool,
    /// How long it takes for each thing that comes, and each deadline.
    pub(crate) pace: Duration,
    /// Its traffic in all boots, without the time of the present one.
    pub(crate) traffic: Traffic,
}

/// What there is of a node while it runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    /// Its radio, if it is not wired.
    pub(crate) radio: Option<RadioModel>,
    /// Since when its time is to be added to the traffic.
    pub(crate) since: Duration,
    /// When it wants to be woken.
    pub(crate) wake: Option<Duration>,
    /// How often it was woken in a row.
    pub(crate) turns: Turns,
    pub(crate) stall: Option<Stall>,
    /// When the image that it runs hangs, if it will.
    pub(crate) hangs: Option<Duration>,
    /// What has come about while it stood still, and is told when it goes on.
    pub(crate) put_off: Vec<queue::Event>,
    /// For how much its flash is at work: jobs of the exchange of images, and steps of an update.
    pub(crate) working: u8,
    /// Whether its slow processor is at work.
    pub(crate) busy: bool,
    /// What waits meanwhile, in the order in which it came.
    pub(crate) inbox: VecDeque<Input>,
    /// The number of the last event that was delivered on its bus.
    pub(crate) delivered: u32,
    /// The nonce that it used last.
    pub(crate) nonce: Option<Last>,
}

/// A node that is held up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) since: Duration,
    pub(crate) until: Duration,
}

/// What came out of an engine after a verb.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// It wants to be restarted.
    pub(crate) restart: bool,
    pub(crate) values: Vec<(Key, Rc<[u8]>)>,
    pub(crate) datagrams: Vec<(Destination, Rc<[u8]>)>,
    pub(crate) events: Vec<Event>,
    /// What was delivered on its bus, after how many that are gone.
    pub(crate) deliveries: Vec<(u32, Delivered)>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) runs: Vec<TaskRun>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) steps: Vec<Step>,
    /// Commands for the radio, with the credentials of the moment.
    pub(crate) commands: Vec<(RadioCommand, Option<Credentials>)>,
}

impl Body {
    /// The address of node number `index`, which has up to 16 bits.
    pub(crate) fn address(index: usize, port: u16) -> SocketAddrV4 {
        // One up, since the first address of a network is no node's.
        let [.., high, low] = (index + 1).to_be_bytes();
        SocketAddrV4::new(Ipv4Addr::new(10, 0, high, low), port)
    }

    /// The number of the node at `address`, if there is one among so many.
    pub(crate) fn index(address: SocketAddrV4, port: u16, nodes: usize) -> Option<usize> {
        let [.., high, low] = address.ip().octets();
        let index = usize::from(u16::from_be_bytes([high, low])).checked_sub(1)?;
        (index < nodes && Self::address(index, port) == address).then_some(index)
    }

    pub(crate) fn new(address: SocketAddrV4, slots: Option<Slots>) -> Self {
        let (chip, pending) = (NorChip::blank(SECTORS), VecDeque::new());
        let (traffic, life, left, pace) = (Traffic::default(), None, false, Duration::ZERO);
        Self { address, chip, pending, boot: 0, life, slots, left, pace, traffic }
    }

    /// Whether nothing gets in or out, because of the image that runs.
    pub(crate) fn is_deaf(&self) -> bool {
        self.slots.as_ref().is_some_and(|slots| slots.nature() == Nature::Deaf)
    }

    pub(crate) fn node(&self) -> Option<&Node<'_>> {
        self.life.as_ref().map(|life| life.engine.node())
    }

    pub(crate) fn stands_still(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.stall.is_some())
    }

    /// Whether it takes in what comes at once.
    pub(crate) fn is_free(&self) -> bool {
        self.pace.is_zero() && self.life.as_ref().is_some_and(|life| !life.is_held())
    }
}

impl Running {
    /// Whether what comes must wait.
    pub(crate) fn is_held(&self) -> bool {
        self.stall.is_some() || self.working > 0 || self.busy
    }

    /// Whether its deadline has passed.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.wake.is_some_and(|at| at <= now)
    }

    /// Polls the engine until nothing more comes, as a shell must after each verb.
    pub(crate) fn drain(
        &mut self,
        now: Duration,
        mut slots: Option<&mut Slots>,
        output: &mut Output,
    ) {
        let local = self.clock.local(now);
        output.restart = false;
        output.values.clear();
        output.datagrams.clear();
        output.events.clear();
        output.deliveries.clear();
        output.fetches.clear();
        output.commands.clear();
        let mut last = self.delivered;
        output.runs.clear();
        output.jobs.clear();
        output.steps.clear();
        let deadline = self.engine.with(|node| {
            while let Some(action) = node.poll_action(local) {
                match action {
                    Action::Store(key) => {
                        let mut value = [0; MAX_VALUE];
                        let len = node.value(key, &mut value);
                        output.values.push((key, Rc::from(&value[..len])));
                    }
                    Action::Fetch(fetch) => output.fetches.push(fetch),
                    Action::Verify(subject) => {
                        let verdict = node.question(subject).map(|asked| asked.judge());
                        let verdict = verdict.unwrap_or(Verdict::Unsigned);
                        node.handle_completion(local, Completion::Verify(subject, verdict));
                    }
                    Action::RunTask(index) => output.runs.extend(node.task_run(index)),
                    Action::Radio(command) => {
                        output.commands.push((command, node.station().copied()));
                    }
                    Action::Exchange(job) => match &mut slots {
                        Some(slots) if slots.is_instant() => {
                            output.restart |= !slots.work(job, node).0.report(local, node);
                        }
                        _ => output.jobs.push(job),
                    },
                    Action::Update(step) => match &mut slots {
                        Some(slots) if slots.is_instant() => {
                            output.restart |= !slots.take_step(step, node).0.report(local, node);
                        }
                        Some(_) => output.steps.push(step),
                        None => {
                            node.handle_completion(
                                local,
                                Completion::Update(step, Err(StepFailed)),
                            );
                        }
                    },
                    Action::Restart => output.restart = true,
                }
            }
            let mut buf = [0; MAX_DATAGRAM];
            while let Some(transmit) = node.poll_transmit(local, &mut buf) {
                output.datagrams.push((transmit.destination, Rc::from(&buf[..transmit.len])));
            }
            while let Some(event) = node.poll_event() {
                output.events.push(event);
            }
            while let Some(delivery) = node.next_event(last, Filter::ALL) {
                last = delivery.seq;
                output.deliveries.push((delivery.lost, delivered(&delivery)));
            }
            node.poll_timeout()
        });
        self.delivered = last;
        self.wake = deadline.map(|deadline| self.clock.world(deadline).max(now));
    }

    /// Hands in a datagram.
    pub(crate) fn receive(&mut self, now: Duration, from: SocketAddrV4, bytes: &[u8]) {
        let local = self.clock.local(now);
        // A socket gives out no more than fits into the shell's buffer, which is a little larger
        // than the largest datagram, so that longer ones are not taken for whole.
        let mut buf = [0; MAX_DATAGRAM + 1];
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        self.engine.with(|node| node.handle_datagram(local, from, &mut buf[..len]));
    }
}

fn delivered(delivery: &Delivery<'_>) -> Delivered {
    match (delivery.key, delivery.system) {
        (Some(key), _) => {
            let Delivery { topic, payload, retained, .. } = delivery;
            Delivered::Event(key, ledger::content(topic, payload, *retained))
        }
        (None, Some(event)) => Delivered::System(event),
        (None, None) => Delivered::Local,
    }
}

/// Twelve characters, as the name of a board usually has.
pub(crate) fn hostname(node: usize) -> Hostname {
    let name = format!("spore-{node:06}");
    Hostname::new(&name).expect("a scenario's largest number has four digits")
}

/// What the node's body says of itself.
pub(crate) fn facts(node: usize, slots: Option<&mut Slots>) -> Facts {
    Facts {
        board: images::BOARD,
        version: env!("CARGO_PKG_VERSION"),
        chip_id: u32::try_from(node).unwrap_or(u32::MAX),
        flash_size: 0,
        reset_reason: "power-on",
        crashes: 0,
        image: slots.and_then(Slots::running),
    }
}
