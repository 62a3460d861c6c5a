//! What is to happen in a world.

pub use crate::engine::Capacity;
pub use crate::network::{Channel, Conditions};
pub use spore_radio::Router;

use spore_core::Catalogue;
use spore_core::config::{DEFAULT_PORT, Timing};
use spore_core::network::{Credentials, Password};
use spore_core::security::ReleaseKey;
use spore_core::tasks::Tasks;
use std::fmt;
use std::time::Duration;

/// The most nodes of a world.
pub const MAX_NODES: usize = 4096;

/// The largest drift of a clock, in parts per million.
pub const MAX_DRIFT_PPM: u32 = 500_000;

/// A world to be: change what matters, take the rest from [`Scenario::default`].
///
/// All times are the world's own, counted from its beginning. Nodes are numbered from 0.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many nodes there are, 1 to [`MAX_NODES`]. Default 5.
    pub nodes: usize,
    /// What all chance in the world comes from. Default 1.
    pub seed: u64,
    /// How many nodes, the first ones, have the capacities of an ESP-01 rather than those of a
    /// Linux machine. Default 0; at most `nodes`.
    pub esp01: usize,
    /// The nodes start at random times within so long. Default zero: all at once. A node that has
    /// a [`Command::Start`] in the script starts only then.
    pub start_within: Duration,
    /// The behaviour of the network, until a [`Command::Conditions`]. Default: a clean one.
    pub conditions: Conditions,
    /// The WiFi, if the nodes are not wired. Default: they are.
    pub wifi: Option<Wifi>,
    /// The images of the nodes. Default: they have no slots for any, and take no updates.
    pub fleet: Option<Fleet>,
    /// The channel that all share. Default: there is room for all that is sent.
    pub channel: Option<Channel>,
    /// How wrong the nodes' clocks are.
    pub clocks: Clocks,
    /// How the nodes remember.
    pub flash: Flash,
    /// What each node offers when it starts. Default: nothing.
    pub services: Catalogue,
    /// The tasks that each node has. Default: none.
    pub tasks: Tasks,
    /// How long each run of a task takes. Default 5 ms.
    pub task_time: Duration,
    /// The probability from 0 to 1 that a fetch over HTTP fails, besides what the network does to
    /// it. Default 0.
    pub fetch_failure: f64,
    /// The pace of the membership protocol. Default: that of the engine.
    pub timing: Timing,
    /// The cluster's UDP port. Default that of the engine.
    pub port: u16,
    /// How many of the latest datagrams [`Simulation::recording`] keeps. Default 0.
    ///
    /// [`Simulation::recording`]: crate::Simulation::recording
    pub recording: usize,
    /// What happens when. Commands of the same time are obeyed in the order of the list.
    pub script: Vec<(Duration, Command)>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            nodes: 5,
            seed: 1,
            esp01: 0,
            start_within: Duration::ZERO,
            conditions: Conditions::default(),
            wifi: None,
            fleet: None,
            channel: None,
            clocks: Clocks::default(),
            flash: Flash::default(),
            services: Catalogue::EMPTY,
            tasks: Tasks::EMPTY,
            task_time: Duration::from_millis(5),
            fetch_failure: 0.0,
            timing: Timing::DEFAULT,
            port: DEFAULT_PORT,
            recording: 0,
            script: Vec::new(),
        }
    }
}

/// What is on the air, and what all nodes with their radios know of it. Radios and routers are those of
/// [`spore_radio`]; two nodes reach each other if they are in networks of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wifi {
    /// The routers, until a [`Command::Air`].
    pub routers: Vec<Router>,
    /// With what a node connects to which nothing else was given.
    pub credentials: Option<Credentials>,
    /// The password of the nodes' own access points.
    pub password: Password,
}

/// Nodes that are updated, and the [images](crate::images) that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Who signs plans; all nodes know it.
    pub release_key: ReleaseKey,
    /// The sequence number of the image that all run at first.
    pub first: u32,
    /// The others, by their numbers, and what becomes of nodes that start them.
    pub images: Vec<(u32, Nature)>,
    /// How long it takes to fetch them, besides what the network does to it.
    pub work: Work,
}

/// How long a node takes for what it does with its slots, and what waits meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// To program a page of 256 bytes.
    pub program: Duration,
    /// To erase a sector.
    pub erase: Duration,
    /// To read a page, with all that is done to it: hashed, or relocated and sealed.
    pub read: Duration,
    /// To verify a signature.
    pub verify: Duration,
    /// So many datagrams wait.
    pub queue: usize,
}

impl Work {
    /// It takes no time.
    pub const NONE: Self = Self {
        program: Duration::ZERO,
        erase: Duration::ZERO,
        read: Duration::ZERO,
        verify: Duration::ZERO,
        queue: 0,
    };

    /// As a board does it: 60 KB/s are programmed, a sector is erased in 50 ms, as data sheets have it typically; 16 million instructions
    /// verify a signature; and the queue of the firmware has room for three pieces.
    pub const BOARD: Self = Self {
        program: Duration::from_micros(4_270),
        erase: Duration::from_millis(50),
        read: Duration::from_micros(600),
        verify: Duration::from_millis(220),
        queue: 3,
    };
}

/// What an image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It runs.
    Good,
    /// It runs, and nothing gets in or out, so that it is never confirmed.
    Deaf,
    /// It crashes as soon as it is started.
    Crashes,
    /// It stands still at some moment of its first nine seconds, until the watchdog restarts it five seconds later.
    Hangs,
}

/// The nodes' own clocks. Each boot of each node draws one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// A clock gains or loses up to so many microseconds a second. Default 20, a usual crystal;
    /// at most [`MAX_DRIFT_PPM`].
    pub drift_ppm: u32,
    /// The least that a clock shows when its node starts. Default zero.
    pub from: Duration,
    /// The most that a clock shows then; not less than `from`. Default 100 days, so that a
    /// counter of 32-bit milliseconds would wrap in some of them.
    pub offset: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        let offset = Duration::from_secs(100 * 24 * 3600);
        Self { drift_ppm: 20, from: Duration::ZERO, offset }
    }
}

/// The nodes' flash chips, in which they keep what they remember: 32 KB each, as on an ESP-01.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flash {
    /// How long it takes to store a value. A node that is killed meanwhile has the earlier one or
    /// the new one. Default 60 ms: one sector erased, one page written.
    pub time: Duration,
    /// The probability from 0 to 1 that it fails, and nothing happens. Default 0.
    pub failure: f64,
    /// The probability from 0 to 1 that a kill during a store tears an operation of the chip,
    /// rather than coming before one or after it. Default 0.5.
    pub torn: f64,
}

impl Default for Flash {
    fn default() -> Self {
        Self { time: Duration::from_millis(60), failure: 0.0, torn: 0.5 }
    }
}

/// What a restarted node remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// What it stored last; what was being stored when it was killed may be there or not.
    Kept,
    /// Nothing: it takes a new id.
    Lost,
}

/// An event to be published for the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Whether it stays until there is a newer one of its topic.
    pub retained: bool,
}

/// Something that is done to a world.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A node starts, with what it remembers. Nothing happens if it runs.
    Start(usize),
    /// A node loses its power. Nothing happens if it does not run.
    Kill(usize),
    /// A node loses its power and has it back at once.
    Restart(usize, Memory),
    /// A node leaves on purpose, and ends when it has. Nothing happens if it does not run.
    Leave(usize),
    /// A node remembers what another one does, as if its flash or folder had been copied.
    CopyMemory {
        /// Whose memory.
        from: usize,
        /// Who has it too, from its next start on.
        to: usize,
    },
    /// A node's clock jumps forward by so much. Nothing happens if it does not run.
    StepClock(usize, Duration),
    /// A node does nothing for a while; a few datagrams wait for it meanwhile, see
    /// [`simulation::INBOX`](crate::simulation::INBOX). Nothing happens if it does not run.
    Stall(usize, Duration),
    /// From now on, also after restarts, a node takes so long for each thing that comes (a datagram, a request, the end of
    /// what it has begun) and each deadline, and sends only then what comes of it; meanwhile a few datagrams wait, as for
    /// one that is stalled. Zero: as fast as ever.
    Slow(usize, Duration),
    /// A node offers other services from now on. Nothing happens if it does not run.
    Offer(usize, Catalogue),
    /// A node publishes an event for the cluster. Nothing happens if it does not run, or refuses to.
    Publish(usize, Publication),
    /// Nothing from the nodes `from` reaches the nodes `to` any more.
    Block {
        /// Senders.
        from: Vec<usize>,
        /// Receivers.
        to: Vec<usize>,
    },
    /// What was blocked of this is so no more.
    Unblock {
        /// Senders.
        from: Vec<usize>,
        /// Receivers.
        to: Vec<usize>,
    },
    /// Nothing from one of the nodes reaches any other node, nor the other way round.
    Isolate(Vec<usize>),
    /// Everyone reaches everyone.
    Heal,
    /// These routers are on the air from now on, and no others.
    Air(Vec<Router>),
    /// Somebody wants to be on the access point of a node, whenever it is open. Nothing happens if
    /// it does not run, or is wired.
    JoinAccessPoint(usize),
    /// One of them does not want to be any more.
    LeaveAccessPoint(usize),
    /// Nothing is wrong with these nodes from now on, nor between them: they run, at full speed, and reach each other. All else stays
    /// as broken as it is.
    HealCore(Vec<usize>),
    /// The network behaves like this from now on.
    Conditions(Conditions),
}

/// Why a scenario cannot be run, or a command not be obeyed. Nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub enum ScenarioError {
    /// There are no nodes, or more than [`MAX_NODES`].
    Nodes(usize),
    /// More nodes have the capacities of an ESP-01 than there are.
    Esp01 {
        /// So many should have.
        esp01: usize,
        /// So many there are.
        nodes: usize,
    },
    /// A probability is not one.
    Probability {
        /// Of what.
        name: &'static str,
        /// The value, which should be 0 to 1.
        value: f64,
    },
    /// The least latency is more than the most.
    Latency {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
    },
    /// The least that clocks show at first is more than the most.
    Clock {
        /// The least.
        from: Duration,
        /// The most.
        to: Duration,
    },
    /// The channel that all share carries nothing.
    Channel,
    /// A drift in parts per million is more than [`MAX_DRIFT_PPM`].
    Drift(u32),
    /// A command is about a node that does not exist.
    UnknownNode {
        /// Its number.
        node: usize,
        /// So many nodes there are.
        nodes: usize,
    },
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => {
                write!(f, "{nodes} nodes cannot be simulated; choose 1 to {MAX_NODES}")
            }
            Self::Esp01 { esp01, nodes } => write!(
                f,
                "{esp01} nodes cannot be like an ESP-01 when there are {nodes}; choose 0 to {nodes}"
            ),
            Self::Probability { name, value } => {
                write!(f, "{value} is no probability for {name}; choose 0 to 1")
            }
            Self::Latency { min, max } => write!(
                f,
                "the least latency, {min:?}, is more than the most, {max:?}; exchange them"
            ),
            Self::Clock { from, to } => {
                write!(f, "clocks cannot show {from:?} at least and {to:?} at most; exchange them")
            }
            Self::Channel => write!(f, "a channel of 0 bit/s carries nothing; choose at least 1"),
            Self::Drift(ppm) => {
                write!(f, "a clock cannot drift by {ppm} ppm; choose 0 to {MAX_DRIFT_PPM}")
            }
            Self::UnknownNode { node, nodes } => write!(
                f,
                "there is no node {node}: the {nodes} nodes are numbered from 0 to {}",
                nodes.saturating_sub(1)
            ),
        }
    }
}

impl std::error::Error for ScenarioError {}

impl Scenario {
    /// Refuses what cannot be run.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        if !(1..=MAX_NODES).contains(&self.nodes) {
            return Err(ScenarioError::Nodes(self.nodes));
        }
        if self.esp01 > self.nodes {
            return Err(ScenarioError::Esp01 { esp01: self.esp01, nodes: self.nodes });
        }
        if self.clocks.drift_ppm > MAX_DRIFT_PPM {
            return Err(ScenarioError::Drift(self.clocks.drift_ppm));
        }
        let Clocks { from, offset: to, .. } = self.clocks;
        if from > to {
            return Err(ScenarioError::Clock { from, to });
        }
        if self.channel.is_some_and(|channel| channel.rate == 0) {
            return Err(ScenarioError::Channel);
        }
        let Flash { failure, torn, .. } = self.flash;
        for (name, value) in [("flash failure", failure), ("torn flash operations", torn)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(ScenarioError::Probability { name, value });
            }
        }
        if !(0.0..=1.0).contains(&self.fetch_failure) {
            let value = self.fetch_failure;
            return Err(ScenarioError::Probability { name: "fetch failure", value });
        }
        self.conditions.validate()?;
        self.script.iter().try_for_each(|(_, command)| command.validate(self.nodes))
    }

    /// Whether the node starts when the script says so, rather than at the beginning.
    pub(crate) fn is_scripted(&self, node: usize) -> bool {
        self.script.iter().any(|(_, command)| *command == Command::Start(node))
    }

    /// The capacities of a node.
    pub(crate) fn capacity(&self, node: usize) -> Capacity {
        if node < self.esp01 { Capacity::Esp01 } else { Capacity::Host }
    }
}

impl Command {
    /// Refuses what cannot be done in a world of so many nodes.
    pub(crate) fn validate(&self, nodes: usize) -> Result<(), ScenarioError> {
        let known = |node: &usize| match *node < nodes {
            true => Ok(()),
            false => Err(ScenarioError::UnknownNode { node: *node, nodes }),
        };
        match self {
            Self::Start(node) | Self::Kill(node) | Self::Leave(node) => known(node),
            Self::Restart(node, _) | Self::Stall(node, _) | Self::Offer(node, _) => known(node),
            Self::Publish(node, _) => known(node),
            Self::StepClock(node, _) | Self::Slow(node, _) => known(node),
            Self::JoinAccessPoint(node) | Self::LeaveAccessPoint(node) => known(node),
            Self::CopyMemory { from, to } => known(from).and_then(|()| known(to)),
            Self::Block { from, to } | Self::Unblock { from, to } => {
                from.iter().chain(to).try_for_each(known)
            }
            Self::Isolate(group) | Self::HealCore(group) => group.iter().try_for_each(known),
            Self::Heal | Self::Air(_) => Ok(()),
            Self::Conditions(conditions) => conditions.validate(),
        }
    }
}
