//! A learning Ethernet switch for QEMU machines, which also loses and delays frames on request.
//!
//! QEMU's `-netdev dgram` sends and receives each frame as one UDP datagram on the loopback
//! interface, so the switch is a socket, a table of addresses and a queue.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The longest wait for a frame, and so for the end when the switch is to stop.
const POLL: Duration = Duration::from_millis(50);

/// Longest datagram that is read; frames are at most 1,514 bytes.
const DATAGRAM_MAX: usize = 2048;

/// Addresses that are remembered; frames to others go to everyone.
const LEARNED_MAX: usize = 1024;

/// Two addresses and a type: anything shorter is no frame.
const FRAME_MIN: usize = 14;

/// What the switch does to frames between machines. A port can be spared, see [`Port`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Faults {
    /// Probability from 0 to 1 that a frame to one machine is lost.
    pub(crate) loss: f64,
    /// The same for each receiver of a broadcast or multicast.
    pub(crate) broadcast_loss: f64,
    /// How long each frame takes.
    pub(crate) latency: Duration,
    /// Start of the sequence of random numbers: the same frames in the same order meet the same
    /// fate.
    pub(crate) seed: u64,
}

/// One plug of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    /// Where the machine at this plug sends from and listens.
    pub(crate) address: SocketAddr,
    /// Whether frames from and to here pass without loss and delay.
    pub(crate) spared: bool,
}

/// Frames since the start, counted once per receiver.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    forwarded: AtomicU64,
    lost: AtomicU64,
}

impl Counters {
    /// Frames that were passed on.
    pub(crate) fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Frames that were lost on purpose.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// A running switch. Dropping it stops it.
pub(crate) struct Switch {
    stop: Arc<AtomicBool>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Starts a switch on `socket`, between `ports`.
    ///
    /// # Errors
    /// When the socket or the thread cannot be set up.
    pub(crate) fn start(socket: UdpSocket, ports: Vec<Port>, faults: Faults) -> Result<Self> {
        socket.set_read_timeout(Some(POLL)).context("cannot set up the switch's socket")?;
        let stop = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(Counters::default());
        let mut fabric = Fabric {
            socket,
            ports,
            faults,
            random: fastrand::Rng::with_seed(faults.seed),
            learned: HashMap::new(),
            delayed: BinaryHeap::new(),
            sequence: 0,
            counters: Arc::clone(&counters),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("switch".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    fabric.step();
                }
            })
            .context("cannot start the switch's thread")?;
        Ok(Self { stop, counters, thread: Some(thread) })
    }

    /// What has passed so far.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}

/// Sockets on the loopback interface, bound to free ports: one per plug and one for the switch.
///
/// They are bound all at once, so that no two are the same. QEMU binds its own, so those of the
/// plugs must be dropped just before it starts.
///
/// # Errors
/// When there are not that many free ports.
pub(crate) fn loopback_sockets(count: usize) -> Result<Vec<UdpSocket>> {
    (0..count)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()
        .context("cannot bind UDP sockets on 127.0.0.1")
}

type MacAddress = [u8; 6];

/// A frame that is on its way: due time, sequence number (to keep the order), port, bytes.
type Delayed = Reverse<(Instant, u64, SocketAddr, Vec<u8>)>;

struct Fabric {
    socket: UdpSocket,
    ports: Vec<Port>,
    faults: Faults,
    random: fastrand::Rng,
    learned: HashMap<MacAddress, Port>,
    delayed: BinaryHeap<Delayed>,
    sequence: u64,
    counters: Arc<Counters>,
}

impl Fabric {
    /// Waits for a frame or the next due time, and does what is to be done.
    fn step(&mut self) {
        let due = self.delayed.peek().map(|Reverse((due, ..))| *due);
        let wait = due.map_or(POLL, |due| due.saturating_duration_since(Instant::now()).min(POLL));
        // A timeout of zero would mean to wait for ever.
        let wait = wait.max(Duration::from_micros(100));
        if self.socket.set_read_timeout(Some(wait)).is_ok() {
            let mut buffer = [0; DATAGRAM_MAX];
            // An error is a timeout, or the echo of a machine that has ended (ECONNREFUSED).
            if let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
                self.switch(&buffer[..len], from);
            }
        }
        self.send_due();
    }

    fn switch(&mut self, frame: &[u8], from: SocketAddr) {
        // Only machines at our plugs: other programs on this computer have no business here.
        let Some(&source) = self.ports.iter().find(|port| port.address == from) else { return };
        if frame.len() < FRAME_MIN {
            return;
        }
        let address = |at: usize| MacAddress::try_from(&frame[at..at + 6]).unwrap_or_default();
        let (to, by) = (address(0), address(6));
        let is_group = |address: MacAddress| address[0] & 1 != 0;
        let known = self.learned.contains_key(&by);
        if !is_group(by) && (known || self.learned.len() < LEARNED_MAX) {
            self.learned.insert(by, source);
        }
        match self.learned.get(&to) {
            Some(&port) if port != source => self.pass(frame, source, port, self.faults.loss),
            Some(_) => {}
            None => {
                let loss = if is_group(to) { self.faults.broadcast_loss } else { self.faults.loss };
                for index in 0..self.ports.len() {
                    if self.ports[index] != source {
                        self.pass(frame, source, self.ports[index], loss);
                    }
                }
            }
        }
    }

    fn pass(&mut self, frame: &[u8], from: Port, to: Port, loss: f64) {
        let spared = from.spared || to.spared;
        if !spared && self.random.f64() < loss {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if spared || self.faults.latency.is_zero() {
            self.send(frame, to.address);
        } else {
            let due = Instant::now() + self.faults.latency;
            self.delayed.push(Reverse((due, self.sequence, to.address, frame.to_vec())));
            self.sequence += 1;
        }
    }

    fn send_due(&mut self) {
        while let Some(Reverse((due, ..))) = self.delayed.peek() {
            if *due > Instant::now() {
                break;
            }
            if let Some(Reverse((_, _, to, frame))) = self.delayed.pop() {
                self.send(&frame, to);
            }
        }
    }

    fn send(&self, frame: &[u8], to: SocketAddr) {
        // A machine that has ended takes nothing more.
        if self.socket.send_to(frame, to).is_ok() {
            self.counters.forwarded.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Faults =
        Faults { loss: 0.0, broadcast_loss: 0.0, latency: Duration::ZERO, seed: 1 };

    /// For what must come, however busy the machine is.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A switch with `count` plugs, of which the last is spared, and the sockets at the plugs.
    fn plugged(count: usize, faults: Faults) -> (Switch, SocketAddr, Vec<UdpSocket>) {
        let mut sockets = loopback_sockets(count + 1).unwrap();
        let own = sockets.pop().unwrap();
        let at = own.local_addr().unwrap();
        let ports = sockets.iter().enumerate().map(|(index, socket)| Port {
            address: socket.local_addr().unwrap(),
            spared: index == count - 1,
        });
        let switch = Switch::start(own, ports.collect(), faults).unwrap();
        for socket in &sockets {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (switch, at, sockets)
    }

    fn frame(to: u8, by: u8) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[..6].fill(to);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, by]);
        frame
    }

    /// How many frames come: so many are waited for, and any more for a moment.
    fn received(socket: &UdpSocket, expected: usize) -> usize {
        let mut buffer = [0; 100];
        for count in 0.. {
            let limit = if count < expected { PATIENCE } else { Duration::from_millis(300) };
            socket.set_read_timeout(Some(limit)).unwrap();
            match socket.recv(&mut buffer) {
                Ok(len) => assert_eq!(len, 60),
                Err(_) => return count,
            }
        }
        unreachable!()
    }

    #[test]
    fn broadcasts_reach_all_others_and_answers_one() {
        let (switch, at, plugs) = plugged(3, NONE);
        plugs[0].send_to(&frame(0xFF, 10), at).unwrap();
        for (plug, expected) in [(1, 1), (2, 1), (0, 0)] {
            assert_eq!(received(&plugs[plug], expected), expected, "at {plug}");
        }
        let mut answer = frame(0, 11);
        answer[..6].copy_from_slice(&[2, 0, 0, 0, 0, 10]);
        plugs[1].send_to(&answer, at).unwrap();
        assert_eq!((received(&plugs[0], 1), received(&plugs[2], 0)), (1, 0));
        assert_eq!(switch.counters().forwarded(), 3);
    }

    #[test]
    fn strangers_are_not_heard() {
        let (_switch, at, plugs) = plugged(2, NONE);
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stranger.send_to(&frame(0xFF, 10), at).unwrap();
        assert_eq!((received(&plugs[0], 0), received(&plugs[1], 0)), (0, 0));
    }

    #[test]
    fn loss_is_as_ordered_and_spares_the_spared() {
        let (switch, at, plugs) = plugged(3, Faults { broadcast_loss: 0.5, ..NONE });
        for _ in 0..200 {
            plugs[0].send_to(&frame(0xFF, 10), at).unwrap();
        }
        assert_eq!(received(&plugs[2], 200), 200);
        let lossy = received(&plugs[1], 60);
        assert!((60..140).contains(&lossy), "{lossy} of 200 arrived, about 100 should");
        assert_eq!(switch.counters().lost(), 200 - lossy as u64);
    }

    #[test]
    fn latency_delays_and_keeps_the_order() {
        let latency = Duration::from_millis(80);
        let (_switch, at, plugs) = plugged(3, Faults { latency, ..NONE });
        let start = Instant::now();
        for number in 1..=5 {
            plugs[0].send_to(&frame(0xFF, number), at).unwrap();
        }
        let mut buffer = [0; 100];
        for number in 1..=5 {
            plugs[1].recv(&mut buffer).unwrap();
            assert_eq!(buffer[11], number);
        }
        assert!(start.elapsed() >= latency);
    }
}
