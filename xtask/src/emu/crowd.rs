//! Members without machines: real engines in this process, on the boards' network, so that a few
//! boards can be members of a large cluster.
//!
//! Each has an address and a MAC address of its own and seals what it says. What they say to each
//! other stays here; the rest passes the switch as frames. They have no TCP.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result};
use spore_core::api::Assets;
use spore_core::config::Timing;
use spore_core::profile::Host;
use spore_core::store::MAX_VALUE;
use spore_core::tasks::Tasks;
use spore_core::time::Instant;
use spore_core::wire::MAX_DATAGRAM;
use spore_core::{
    Action, Catalogue, ClusterKey, Completion, Config, Destination, Event, Facts, FetchFailed,
    Hostname, Node, Seed, Storage, Stored,
};

use super::frame::{self, Arp, Datagram, EVERYONE, End, Mac};
use super::secret::{self, Secret};

/// Between the starts of two members.
const STAGGER: Duration = Duration::from_millis(50);
/// The longest wait for a frame, and so for the end when all is to stop.
const POLL: Duration = Duration::from_millis(20);
/// Between two looks at what the members say of the boards.
const LOOK: Duration = Duration::from_millis(100);
/// Longest frame that is read; real ones have at most 1,514 bytes.
const FRAME_MAX: usize = 2048;
/// What the crowd is to be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// How many members, up to 100; at 0 there is no crowd.
    pub(crate) members: u8,
}

/// What the members of the crowd say of the boards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How often one of them began to suspect a board, by itself or by hearsay.
    pub(crate) suspected: usize,
    /// How often one of them held a board for dead.
    pub(crate) died: usize,
    /// How many boards are active for all of them.
    pub(crate) active: usize,
}

/// A running crowd. Dropping it stops it.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    verdict: Arc<Mutex<Verdict>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a crowd is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The first three bytes of all addresses.
    pub(super) network: [u8; 3],
    /// The first member has this plus 1 as the last one, the others count up.
    pub(super) before: u8,
    /// The cluster's UDP port.
    pub(super) port: u16,
    /// The switch.
    pub(super) switch: SocketAddr,
}

impl Crowd {
    /// Starts the members, at the plug whose socket is `socket`.
    ///
    /// # Errors
    /// When there is no randomness or no thread.
    pub(super) fn start(self, socket: UdpSocket, place: Place, key: &Secret) -> Result<Running> {
        let key = ClusterKey::from_bytes(*key);
        let seeds: Vec<Seed> =
            (0..self.members).map(|_| secret::random().map(Seed)).collect::<Result<_>>()?;
        let (stop, verdict) = (Arc::default(), Arc::default());
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&verdict));
        let thread = std::thread::Builder::new()
            .name("crowd".into())
            .spawn(move || run(socket, place, &key, &seeds, &stopped, &told))
            .context("cannot start the crowd's thread")?;
        Ok(Running { stop, verdict, thread: Some(thread) })
    }
}

impl Running {
    /// What its members say of the boards.
    pub(crate) fn verdict(&self) -> Verdict {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}

fn run(
    socket: UdpSocket,
    place: Place,
    key: &ClusterKey,
    seeds: &[Seed],
    stop: &AtomicBool,
    verdict: &Mutex<Verdict>,
) {
    let mut memory: Vec<Box<Storage<Host>>> =
        seeds.iter().map(|_| Box::new(Storage::NEW)).collect();
    let mut air = Air { socket, place, macs: HashMap::new(), inside: VecDeque::new(), members: 0 };
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut waiting = seeds.iter().zip(&mut memory);
    let (start, mut looked, mut tally) = (Clock::now(), Clock::now(), Verdict::default());
    let now = || Instant::from_micros(start.elapsed().as_micros().try_into().unwrap_or(u64::MAX));
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed() >= STAGGER * u32::from(air.members);
        if let Some((seed, memory)) = due.then(|| waiting.next()).flatten() {
            air.members += 1;
            let config = config(air.address(air.members), key);
            let stored = Stored::default();
            nodes.push(Node::new(now(), &config, FACTS, &stored, seed, memory.as_mut()));
        }
        let mut next = now() + spore_core::time::Duration::from_millis(POLL.as_millis() as u64);
        for (number, node) in (1..).zip(&mut nodes) {
            if node.poll_timeout().is_none_or(|deadline| deadline <= now()) {
                node.handle_timeout(now());
            }
            air.drain(number, node, now(), &mut tally);
            next = node.poll_timeout().map_or(next, |deadline| deadline.min(next));
        }
        if looked.elapsed() >= LOOK {
            looked = Clock::now();
            tally.active = boards_active(&nodes, &air);
            *verdict.lock().unwrap_or_else(PoisonError::into_inner) = tally;
        }
        air.listen(Duration::from_micros(next.since(now()).as_micros()));
        while let Some((number, datagram)) = air.inside.pop_front() {
            let Some(node) = nodes.get_mut(usize::from(number) - 1) else { continue };
            let mut bytes = datagram.bytes;
            node.handle_datagram(now(), datagram.from, &mut bytes);
            air.drain(number, node, now(), &mut tally);
        }
    }
}

const FACTS: Facts = Facts {
    board: "sim",
    version: "0",
    chip_id: 0,
    flash_size: 0,
    reset_reason: "start",
    crashes: 0,
    image: None,
};

fn config(at: SocketAddrV4, key: &ClusterKey) -> Config {
    let hostname = format!("crowd-{}", at.ip().octets()[3]);
    Config {
        // Letters, a hyphen and digits.
        hostname: Hostname::new(&hostname).expect("a good name"),
        address: *at.ip(),
        port: at.port(),
        http_port: 80,
        key: Some(key.clone()),
        services: Catalogue::EMPTY,
        assets: Assets::NONE,
        tasks: Tasks::EMPTY,
        sprockets: &[],
        timing: Timing::DEFAULT,
        radio: None,
    }
}

/// How many members that are not of the crowd are active for all of it.
fn boards_active(nodes: &[Node<'_>], air: &Air) -> usize {
    let mut count = HashMap::<Ipv4Addr, usize>::new();
    for member in nodes.iter().flat_map(|node| node.members()) {
        if member.status().name() == "active" && air.number(member.address()).is_none() {
            *count.entry(member.address()).or_default() += 1;
        }
    }
    count.values().filter(|count| **count == nodes.len()).count()
}

/// The crowd's plug, and what waits for its members.
struct Air {
    socket: UdpSocket,
    place: Place,
    /// Of those who are not of the crowd.
    macs: HashMap<Ipv4Addr, Mac>,
    /// What is for the members, by their numbers.
    inside: VecDeque<(u8, Datagram)>,
    /// How many have started.
    members: u8,
}

impl Air {
    /// The address of member `number`, from 1.
    fn address(&self, number: u8) -> SocketAddrV4 {
        let [a, b, c] = self.place.network;
        SocketAddrV4::new(Ipv4Addr::new(a, b, c, self.place.before + number), self.place.port)
    }

    /// The number of the member with an address.
    fn number(&self, ip: Ipv4Addr) -> Option<u8> {
        let [a, b, c, host] = ip.octets();
        let number = host.checked_sub(self.place.before).filter(|number| *number > 0)?;
        ([a, b, c] == self.place.network && number <= self.members).then_some(number)
    }

    fn end(&self, number: u8) -> End {
        let ip = *self.address(number).ip();
        End { mac: [0x02, b'C', b'R', 0, 0, ip.octets()[3]], ip }
    }

    /// Does what a node wants done after a verb.
    fn drain(&mut self, number: u8, node: &mut Node<'_>, now: Instant, tally: &mut Verdict) {
        while let Some(action) = node.poll_action(now) {
            let completion = match action {
                // It lives once, so there is nothing to remember.
                Action::Store(key) => {
                    node.value(key, &mut [0; MAX_VALUE]);
                    Completion::Store(key, Ok(()))
                }
                Action::Fetch(_) => Completion::Fetch(Err(FetchFailed)),
                // Nobody asks a member of the crowd for these.
                Action::RunTask(index) => Completion::Ran(index),
                Action::Verify(subject) => {
                    Completion::Verify(subject, spore_core::security::Verdict::Unsigned)
                }
                Action::Restart | Action::Radio(_) | Action::Update(_) | Action::Exchange(_) => {
                    continue;
                }
            };
            node.handle_completion(now, completion);
        }
        let mut buffer = [0; MAX_DATAGRAM];
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            self.send(number, transmit.destination, buffer[..transmit.len].to_vec());
        }
        while let Some(event) = node.poll_event() {
            let (id, count) = match event {
                Event::MemberSuspected(id) => (id, &mut tally.suspected),
                Event::MemberDied(id) => (id, &mut tally.died),
                _ => continue,
            };
            let member = node.members().iter().find(|member| member.id() == id);
            *count += usize::from(member.is_some_and(|m| self.number(m.address()).is_none()));
        }
    }

    fn send(&mut self, number: u8, destination: Destination, bytes: Vec<u8>) {
        let from = self.address(number);
        let everyone = SocketAddrV4::new(Ipv4Addr::BROADCAST, self.place.port);
        let (to, broadcast) = match destination {
            Destination::Unicast(to) => (to, false),
            Destination::Broadcast => (everyone, true),
        };
        let datagram = Datagram { from, to, bytes };
        if broadcast {
            let others = (1..=self.members).filter(|other| *other != number);
            self.inside.extend(others.map(|other| (other, datagram.clone())));
        } else if let Some(other) = self.number(*to.ip()) {
            self.inside.push_back((other, datagram));
            return;
        }
        let own = self.end(number);
        let frame = match self.macs.get(to.ip()) {
            _ if broadcast => frame::with_datagram(own.mac, EVERYONE, &datagram),
            Some(mac) => frame::with_datagram(own.mac, *mac, &datagram),
            // The datagram is lost, as others are; the next one finds the way.
            None => frame::with_arp(Arp::Request(own, *to.ip())),
        };
        self.put(&frame);
    }

    fn put(&self, frame: &[u8]) {
        // A frame that cannot be sent is lost.
        let _ = self.socket.send_to(frame, self.place.switch);
    }

    /// Waits for a frame, and takes it and all others that are there.
    fn listen(&mut self, wait: Duration) {
        // A timeout of zero would mean to wait for ever.
        let mut wait = wait.max(Duration::from_micros(100));
        let mut buffer = [0; FRAME_MAX];
        while self.socket.set_read_timeout(Some(wait)).is_ok() {
            let Ok((len, from)) = self.socket.recv_from(&mut buffer) else { return };
            if from == self.place.switch {
                self.take(&buffer[..len]);
            }
            wait = Duration::from_micros(100);
        }
    }

    fn take(&mut self, frame: &[u8]) {
        match frame::arp_in(frame) {
            Some(Arp::Request(asker, ip)) => {
                self.macs.insert(asker.ip, asker.mac);
                if let Some(number) = self.number(ip) {
                    self.put(&frame::with_arp(Arp::Reply(self.end(number), asker)));
                }
                return;
            }
            Some(Arp::Reply(sender, _)) => {
                self.macs.insert(sender.ip, sender.mac);
                return;
            }
            None => {}
        }
        let (Some(datagram), Some(sender)) = (frame::datagram_in(frame), frame::sender_of(frame))
        else {
            return;
        };
        if datagram.to.port() != self.place.port {
            return;
        }
        self.macs.insert(*datagram.from.ip(), sender);
        if frame::receiver_of(frame) == Some(EVERYONE) {
            self.inside.extend((1..=self.members).map(|number| (number, datagram.clone())));
        } else if let Some(number) = self.number(*datagram.to.ip()) {
            self.inside.push_back((number, datagram));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emu::switch::{self, Faults, Port, Switch};

    /// What two crowds at one switch say of each other as soon as each has all of the other as
    /// active, or after some seconds.
    fn verdicts(members: [u8; 2], keys: [Secret; 2], patience: Duration) -> [Verdict; 2] {
        let mut sockets = switch::loopback_sockets(3).unwrap();
        let own = sockets.pop().unwrap();
        let at = own.local_addr().unwrap();
        let port = |s: &UdpSocket| Port { address: s.local_addr().unwrap(), spared: false };
        let ports = sockets.iter().map(port).collect();
        let latency = Duration::ZERO;
        let faults = Faults { loss: 0.0, broadcast_loss: 0.0, latency, seed: 1 };
        let _switch = Switch::start(own, ports, faults).unwrap();
        let place = |before| Place { network: [10, 0, 1], before, port: 4210, switch: at };
        let crowds = [0, 1].map(|n| {
            let crowd = Crowd { members: members[n] };
            crowd.start(sockets.remove(0), place([20, 100][n]), &keys[n]).unwrap()
        });
        let start = Clock::now();
        loop {
            let verdicts = crowds.each_ref().map(Running::verdict);
            let done = verdicts.map(|v| v.active) == [members[1], members[0]].map(usize::from);
            if done || start.elapsed() > patience {
                return verdicts;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn two_crowds_at_one_switch_become_one_cluster() {
        let verdicts = verdicts([3, 5], [[7; 32]; 2], Duration::from_secs(20));
        let good = |active| Verdict { suspected: 0, died: 0, active };
        assert_eq!(verdicts, [good(5), good(3)]);
    }

    #[test]
    fn crowds_with_different_keys_do_not() {
        let verdicts = verdicts([2, 2], [[7; 32], [8; 32]], Duration::from_secs(3));
        assert_eq!(verdicts, [Verdict::default(); 2]);
    }
}
