//! One node on Linux.

use crate::crash::{Crash, Scene};
use crate::faults::{Faults, Faulty, Hears};
use crate::net::{BindError, Sockets};
use crate::portal::AccessPoint;
use crate::present_key::PresentKey;
use crate::radio::{Driver, ModelledRadio};
use crate::services::{REPLY_MAX, Services};
use crate::slots;
use crate::sprockets::{HostSprockets, Watchdog, has_bitten};
use crate::state::{FolderError, Memory, StateFolder};
use crate::stop::Stop;
use crate::system::{HostSystem, Reason};
use crate::tasks::CommandTasks;
use crate::{CONNECTIONS, STREAMS};
use embassy_futures::join::{join, join_array, join3, join5};
use embassy_futures::select::{Either, select};
use embassy_sync::signal::Signal;
use futures_lite::future::{block_on, or};
use log::{error, warn};
use spore_boot::map::Slot;
use spore_core::api::{Assets, Entrance};
use spore_core::config::Timing;
use spore_core::crash::{Cause, CrashRecord};
use spore_core::profile::Host;
use spore_core::settings::Claim;
use spore_core::sprockets::Roster;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{ClusterKey, Config, Hostname, Key, Seed, Storage, Stored};
use spore_node::http::{BODY_MAX, BUFFER_LEN, Server, Timeouts};
use spore_node::provision::PAGE;
use spore_node::sprocket::Crew;
use spore_node::{DASHBOARD, Shell, client};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What the operator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name.
    pub hostname: Hostname,
    /// Its address, which must be one of this machine's.
    pub address: Ipv4Addr,
    /// The cluster's UDP port.
    pub port: u16,
    /// The TCP port of the node's HTTP API.
    pub http_port: u16,
    /// The cluster's key, unless the node was [claimed](crate::claim()) with one; without either the
    /// node is unclaimed (see [`Config::key`]).
    pub key: Option<ClusterKey>,
    /// The folder in which the node remembers what it must, and which is its alone; it is made if
    /// need be. Without one, the node has a new id at each start.
    pub state: Option<PathBuf>,
    /// What it offers to others.
    pub services: Services,
    /// What it does by itself.
    pub tasks: CommandTasks,
    /// Its sprockets, which offer more.
    pub sprockets: HostSprockets,
    /// What befalls the datagrams that come in, to try a cluster under bad radio.
    pub faults: Faults,
    /// A radio that is modelled; without one, the node is wired.
    pub radio: Option<ModelledRadio>,
    /// The file of the slots that the program was [started from](crate::Launcher), and which of them it was; without them the node
    /// takes no updates.
    pub slots: Option<(PathBuf, Slot)>,
}

impl Settings {
    fn access_point(&self) -> Option<&AccessPoint> {
        self.radio.as_ref()?.access_point.as_ref()
    }
}

/// A node whose addresses and folder are taken, ready to run.
pub struct HostNode {
    settings: Settings,
    sockets: Sockets,
    memory: Memory,
    key: PresentKey,
    roster: &'static Roster,
}

impl std::fmt::Debug for HostNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostNode").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl HostNode {
    /// Takes the addresses of a node, then its folder.
    pub fn bind(settings: Settings) -> Result<Self, BindError> {
        let (services, tasks) = (settings.services.services(), settings.tasks.tasks().specs());
        let roster = Roster::new(services, tasks, settings.sprockets.manifests());
        let roster = roster.map_err(BindError::Sprockets)?;
        // There is one for each node of a process.
        let roster = Box::leak(Box::new(roster));
        let sockets = Sockets::bind(settings.address, settings.port, settings.http_port)?;
        if let Some(access_point) = settings.access_point() {
            // They are taken whenever it opens; what keeps them from it is said now.
            access_point.bind()?;
        }
        let memory = match &settings.state {
            None => Memory::Process(RefCell::default()),
            Some(folder) => match StateFolder::open(folder) {
                Ok(opened) => Memory::Folder(opened),
                Err(FolderError::InUse) => return Err(BindError::StateInUse(folder.clone())),
                Err(FolderError::Io(error)) => {
                    return Err(BindError::State(folder.clone(), error));
                }
            },
        };
        let key = PresentKey::new(&memory.look(Key::Claim).value, settings.key.as_ref());
        Ok(Self { settings, sockets, memory, key, roster })
    }

    /// The node's name: the one that was set through its API, or else the configured one.
    pub fn hostname(&self) -> Hostname {
        hostname(&self.settings, &self.memory)
    }

    /// The cluster key that the node has, now and whenever it is asked for.
    pub fn key(&self) -> PresentKey {
        self.key.clone()
    }

    /// Runs the node on this thread until `stop` is requested; then it leaves the cluster, for
    /// which it takes less than a second. When it is to restart, it lets go of its addresses and
    /// takes them again, and knows what it had stored; nothing else in the process notices. But one that was started from a slot
    /// ends then, since another program may have to be started in its place.
    ///
    /// # Panics
    ///
    /// If the operating system gives no entropy, without which nothing can be sealed.
    pub fn run(self, stop: &Stop) -> Ending {
        let Self { settings, mut sockets, memory, key, roster } = self;
        let memory = Rc::new(memory);
        let take = || memory.scene().map_or_else(Crash::default, |scene| scene.take());
        let crash = take();
        let reason = match CrashRecord::decode(&crash.record) {
            _ if has_bitten() => Reason::Watchdog,
            Some(CrashRecord { cause: Cause::Watchdog, .. }) => Reason::Watchdog,
            Some(_) => Reason::Panic,
            None => Reason::Start,
        };
        let mut start = (reason, crash);
        while live(&settings, sockets, (&memory, &key), (roster, start), stop) == Ending::Restarted
        {
            if settings.slots.is_some() {
                return Ending::Restarted;
            }
            start = (Reason::Restart, take());
            match Self::bind_again(&settings, stop) {
                Some(bound) => sockets = bound,
                None => break,
            }
        }
        Ending::Stopped
    }

    /// Takes the addresses again, which somebody else may have got hold of. `None` if `stop` is
    /// requested meanwhile.
    fn bind_again(settings: &Settings, stop: &Stop) -> Option<Sockets> {
        loop {
            match Sockets::bind(settings.address, settings.port, settings.http_port) {
                Ok(sockets) => return Some(sockets),
                Err(error) => error!("{}: cannot restart yet: {error}", settings.hostname),
            }
            let pause = async {
                async_io::Timer::after(BIND_PAUSE).await;
                false
            };
            let stopped = async {
                stop.requested().await;
                true
            };
            if block_on(or(stopped, pause)) {
                return None;
            }
        }
    }
}

/// What the node is called in a life that begins now.
fn hostname(settings: &Settings, memory: &Memory) -> Hostname {
    let stored = memory.look(Key::Settings);
    let stored = Stored { settings: &stored.value, ..Stored::default() };
    let set = spore_core::settings::Settings::restore(&stored).hostname;
    set.unwrap_or_else(|| settings.hostname.clone())
}

/// One life, until the node is to stop or wants to be restarted.
fn live(
    settings: &Settings,
    sockets: Sockets,
    (memory, key): (&Rc<Memory>, &PresentKey),
    (roster, (reason, crash)): (&'static Roster, (Reason, Crash)),
    stop: &Stop,
) -> Ending {
    let scene = memory.scene();
    let _watched = scene.clone().map(Scene::watch);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives entropy");
    let config = Config {
        hostname: settings.hostname.clone(),
        address: settings.address,
        port: settings.port,
        http_port: settings.http_port,
        key: settings.key.clone(),
        services: roster.catalogue(),
        assets: Assets { everywhere: DASHBOARD, access_point: PAGE },
        tasks: roster.tasks(),
        sprockets: roster.sprockets(),
        timing: Timing::DEFAULT,
        radio: settings.radio.as_ref().map(ModelledRadio::config),
    };
    let restart = Rc::new(Signal::new());
    let radio = settings.radio.as_ref().map(|radio| Driver::new(radio, settings.address));
    let radio = radio.map(Rc::new);
    let name = hostname(settings, memory);
    let system = HostSystem {
        hostname: name.to_string(),
        address: settings.address,
        memory: Rc::clone(memory),
        key: key.clone(),
        seed: Seed(seed),
        reason,
        crash: crash.clone(),
        services: settings.services.clone(),
        tasks: settings.tasks.clone(),
        watchdog: (!roster.sprockets().is_empty()).then(|| Watchdog::start(name.as_str(), scene)),
        restart: Rc::clone(&restart),
        slots: slots::find(settings.slots.as_ref()),
        radio: radio.clone(),
    };
    let mut storage = Box::new(Storage::<Host>::NEW);
    let values = system.load();
    let mut stored = Stored { crashed: &crash.record, ..Stored::default() };
    for (key, found) in &values {
        stored.set(*key, &found.value);
        if found.damaged {
            stored.doubt(*key);
        }
    }
    let claim = Claim::restore(&stored).unwrap_or_default();
    if claim.key.is_some() && settings.key.is_some() && claim.key != settings.key {
        warn!("{name}: this node was claimed with another cluster key, which holds");
    }
    let mut sprockets = settings.sprockets.make();
    let crew = Crew::new(roster, &mut *sprockets);
    let shell = Shell::new(&config, &stored, system, &mut storage, crew);
    let (lost, disowned) =
        shell.with_node(|node| (node.settings().damaged, node.is_claim_damaged()));
    if lost {
        warn_of_damage((&name, settings), "settings were lost", "no release key is taken");
    }
    if disowned {
        warn_of_damage(
            (&name, settings),
            "whose it is was lost",
            "it joins nobody and takes no orders",
        );
    }
    let goodbye = async {
        stop.requested().await;
        or(shell.leave(), async {
            async_io::Timer::after(LEAVING).await;
        })
        .await;
        Ending::Stopped
    };
    let restarted = async {
        restart.wait().await;
        Ending::Restarted
    };
    let air = async {
        match &radio {
            Some(radio) => radio.run(&shell).await,
            None => std::future::pending().await,
        }
    };
    let portal = radio.as_deref().zip(settings.access_point());
    let node = Box::pin(or(drive(&shell, &sockets, &settings.faults, portal), air));
    // The node itself never ends.
    let Either::First(ending) = block_on(select(or(goodbye, restarted), node));
    ending
}

/// Says `what` was lost, and what follows `until` somebody does what can be done.
fn warn_of_damage((name, settings): (&Hostname, &Settings), what: &str, until: &str) {
    let folder = settings.state.as_deref().unwrap_or(Path::new("")).display();
    warn!("{name}: {what}; until `spore repair {folder}`, {until}");
}

/// How the life of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It left the cluster, as it was told to.
    Stopped,
    /// It was told to start anew.
    Restarted,
}

/// How long a node may take to say that it goes. It needs a third of that.
const LEAVING: Duration = Duration::from_millis(800);

/// Between two attempts to take the addresses again.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// So many tasks run at the same time; the next ones wait.
const TASK_RUNNERS: usize = 4;

/// The buffer of one HTTP connection: larger than it must be, so that every body fits, and the answer
/// of a service behind it; and for fewer and larger pieces.
const HTTP_BUFFER: usize = BUFFER_LEN + BODY_MAX + REPLY_MAX;

async fn drive(
    shell: &Shell<'_, HostSystem>,
    sockets: &Sockets,
    faults: &Faults,
    portal: Option<(&Driver, &AccessPoint)>,
) -> ! {
    let mut http_buffers = vec![[0; HTTP_BUFFER]; CONNECTIONS];
    let mut seats = http_buffers.iter_mut();
    let seats = std::array::from_fn(|_| {
        // There are as many buffers as seats.
        seats.next().map_or(&mut [][..], |buffer| buffer)
    });
    let server = Server::<CONNECTIONS>::new(seats, &mut [], STREAMS, Timeouts::STANDARD);
    let workers = std::array::from_fn::<_, { CONNECTIONS + 1 }, _>(|_| {
        server.worker(&sockets.http, |_| Entrance::Network, shell)
    });

    let (mut out, mut own) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
    let mut broadcast = [[0; MAX_DATAGRAM]; 2];
    let [first, second] = &mut broadcast;
    let (everyone, limited) = (sockets.broadcast.first(), sockets.broadcast.get(1));
    let hear = join3(
        hear(shell, Some(&sockets.unicast), faults, Hears::Unicast, &mut own),
        hear(shell, everyone, faults, Hears::Broadcast(0), first),
        hear(shell, limited, faults, Hears::Broadcast(1), second),
    );
    let speak = shell.drive(&sockets.unicast, sockets.everyone, &mut out);
    let mut answer = [0; client::BUFFER_LEN];
    let ask = shell.fetch(edge_nal_std::Stack::new(), &mut answer);
    let runners = std::array::from_fn::<_, TASK_RUNNERS, _>(|_| shell.run_tasks());
    let serve = join(Box::pin(join_array(workers)), Box::pin(join_array(runners)));
    let portal = async {
        if let Some((radio, access_point)) = portal {
            access_point.serve(&server, shell, radio).await;
        }
    };
    let install = Box::pin(shell.install());
    join5(speak, hear, join(ask, install), serve, portal).await.0
}

/// Listens on a socket that may not be there.
async fn hear(
    shell: &Shell<'_, HostSystem>,
    socket: Option<&edge_nal_std::UdpSocket>,
    faults: &Faults,
    hears: Hears,
    buf: &mut [u8],
) -> ! {
    match socket {
        Some(socket) if faults.is_none() => shell.listen(socket, buf).await,
        Some(socket) => shell.listen(Faulty::new(socket, faults, hears), buf).await,
        None => std::future::pending().await,
    }
}
