//! The queue against a model, and the link and its driver as board and stack use them.

extern crate std;

use core::net::Ipv4Addr;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::vec::Vec;

use embassy_net_driver::{Driver, LinkState, RxToken, TxToken};

use super::access_point::AccessPoint;
use super::arp::{End, LIFETIME, Neighbors, Operation, Packet};
use super::driver::{Identity, LinkDriver, NEIGHBORS};
use super::ethernet::{BROADCAST, Header, MacAddress, TYPE_IPV4};
use super::frame_queue::{FrameQueue, QueueFull};
use super::interface::Interface;
use super::link::{BOARD_QUEUE, FRAME_MAX, Link, TRANSMIT_MAX};

const OWN: Identity =
    Identity { mac: [2, 0, 0, 0, 0, 1], ip: Ipv4Addr::new(10, 0, 1, 21), prefix_len: 24 };
const PEER: End = End { mac: [2, 0, 0, 0, 0, 9], ip: Ipv4Addr::new(10, 0, 1, 22) };

fn frame(len: usize, first: u8) -> Vec<u8> {
    (0..len).map(|i| first.wrapping_add(i as u8)).collect()
}

fn push<const N: usize>(queue: &mut FrameQueue<N>, frame: &[u8]) -> Result<(), QueueFull> {
    queue.push(frame.len(), 0, |slot| slot.copy_from_slice(frame))
}

#[test]
fn queue_keeps_order_and_content_however_often_it_is_full() {
    let mut queue = FrameQueue::<256>::new();
    let mut model: VecDeque<Vec<u8>> = VecDeque::new();
    let mut state = 1_u32;
    let mut refused = 0;
    let used = |model: &VecDeque<Vec<u8>>| model.iter().map(|frame| 2 + frame.len()).sum::<usize>();
    for step in 0..20_000_u32 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = (state >> 16) as usize % 121;
        if state >> 31 == 0 {
            let frame = frame(len, step as u8);
            let spare = if step % 3 == 0 { 100 } else { 0 };
            let fits = used(&model) + 2 + len + spare <= 256;
            let pushed = queue.push(len, spare, |slot| slot.copy_from_slice(&frame));
            assert_eq!(pushed.is_ok(), fits, "{len} bytes and {spare} beside {}", used(&model));
            match pushed {
                Ok(()) => model.push_back(frame),
                Err(QueueFull) => refused += 1,
            }
        } else {
            queue.pop();
            model.pop_front();
        }
        assert_eq!(queue.len(), model.len());
        assert_eq!(queue.front_mut().map(|f| f.to_vec()), model.front().cloned());
    }
    assert!(refused > 100, "the run must also meet a full queue");
}

#[test]
fn queue_takes_any_length_when_empty() {
    let mut queue = FrameQueue::<64>::new();
    for len in (0..=62).chain((0..=62).rev()) {
        assert_eq!(push(&mut queue, &frame(len, 7)), Ok(()));
        assert_eq!(queue.front_mut().map(|f| f.len()), Some(len));
        queue.pop();
    }
    assert_eq!(push(&mut queue, &frame(63, 7)), Err(QueueFull));
    assert!(queue.is_empty());
}

#[test]
fn full_queue_refuses_and_stays_as_it_is() {
    let mut queue = FrameQueue::<64>::new();
    assert_eq!(push(&mut queue, &frame(30, 1)), Ok(()));
    assert_eq!(push(&mut queue, &frame(30, 2)), Ok(()));
    assert_eq!(queue.push(0, 0, |_| panic!("must not be filled")), Err(QueueFull));
    assert_eq!(queue.front_mut().map(|f| f.to_vec()), Some(frame(30, 1)));
    queue.pop();
    assert_eq!(push(&mut queue, &frame(30, 3)), Ok(()));
    queue.pop();
    assert_eq!(queue.front_mut().map(|f| f.to_vec()), Some(frame(30, 3)));
}

#[derive(Default)]
struct CountWakes(AtomicU32);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A frame with an IPv4 packet of `len` bytes from `from` to `to`; everything else in it is zero.
fn packet_frame(receiver: MacAddress, from: End, to: Ipv4Addr, len: usize) -> Vec<u8> {
    let mut frame = Header { receiver, sender: from.mac, kind: TYPE_IPV4 }.to_bytes().to_vec();
    frame.extend(packet(from.ip, to, len));
    frame
}

fn packet(from: Ipv4Addr, to: Ipv4Addr, len: usize) -> Vec<u8> {
    let mut packet = std::vec![0; len];
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet
}

fn deliver<const N: usize>(link: &Link<N>, frame: &[u8]) -> bool {
    let receiver = *frame.first_chunk().unwrap();
    link.deliver(receiver, frame.len(), |slot| slot.copy_from_slice(frame))
}

/// What the board would put on the air now.
fn sent(link: &Link<4096>) -> Option<Vec<u8>> {
    let mut sent = Vec::new();
    link.start_transmit(|frame| sent.extend_from_slice(frame)).then(|| {
        link.transmit_done();
        sent
    })
}

fn send(driver: &mut LinkDriver<'_, 4096>, to: Ipv4Addr, len: usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let token = driver.transmit(&mut cx).expect("nothing is being sent");
    token.consume(len, |slot| slot.copy_from_slice(&packet(OWN.ip, to, len)));
}

fn zero() -> u16 {
    0
}

#[test]
fn link_carries_packets_both_ways_and_wakes_the_stack() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    let woken = || wakes.0.swap(0, Ordering::Relaxed);

    assert!(driver.link_state(&mut cx) == LinkState::Down);
    link.set_up(true);
    assert_eq!(woken(), 1);
    assert!(driver.link_state(&mut cx) == LinkState::Up);

    assert!(driver.receive(&mut cx).is_none());
    assert!(deliver(&link, &packet_frame(OWN.mac, PEER, OWN.ip, 46)));
    assert_eq!(woken(), 1);

    // The answer is written while the question is being read, as smoltcp does it.
    let (rx, tx) = driver.receive(&mut cx).expect("a packet waits");
    rx.consume(|question| {
        assert_eq!(question, packet(PEER.ip, OWN.ip, 46));
        tx.consume(30, |answer| answer.copy_from_slice(&packet(OWN.ip, PEER.ip, 30)));
    });
    assert!(driver.transmit(&mut cx).is_none(), "one frame at a time");

    assert!(link.start_transmit(|_| ()));
    assert!(!link.start_transmit(|_| panic!("a frame is sent once")));
    assert!(driver.transmit(&mut cx).is_none(), "the radio may still read the frame");
    link.transmit_done();
    assert_eq!(woken(), 1);
    assert!(driver.transmit(&mut cx).is_some());
}

#[test]
fn received_packet_waits_until_an_answer_could_be_sent() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    let mut cx = Context::from_waker(Waker::noop());
    send(&mut driver, Ipv4Addr::BROADCAST, TRANSMIT_MAX - 14);
    assert!(deliver(&link, &packet_frame(BROADCAST, PEER, Ipv4Addr::BROADCAST, 46)));
    assert!(driver.receive(&mut cx).is_none());
    assert_eq!(sent(&link).map(|frame| frame.len()), Some(TRANSMIT_MAX));
    let (rx, _) = driver.receive(&mut cx).expect("the packet is still there");
    assert_eq!(rx.consume(|packet| packet.len()), 46);
}

#[test]
fn broadcasts_need_no_neighbor() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    for to in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 1, 255)] {
        send(&mut driver, to, 40);
        let own = End { mac: OWN.mac, ip: OWN.ip };
        assert_eq!(sent(&link), Some(packet_frame(BROADCAST, own, to, 40)));
    }
}

#[test]
fn unknown_neighbor_is_asked_for_and_holds_nobody_up() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    let mut cx = Context::from_waker(Waker::noop());
    let own = End { mac: OWN.mac, ip: OWN.ip };
    let request = Packet {
        operation: Operation::Request,
        sender: own,
        target: End { mac: [0; 6], ip: PEER.ip },
    };
    send(&mut driver, PEER.ip, 40);
    assert_eq!(sent(&link), Some(request.to_frame().to_vec()));
    // It stays silent; the next datagram goes out all the same.
    send(&mut driver, Ipv4Addr::BROADCAST, 40);
    assert!(sent(&link).is_some());

    let reply = Packet { operation: Operation::Reply, sender: PEER, target: own };
    assert!(deliver(&link, &reply.to_frame()));
    assert!(driver.receive(&mut cx).is_none(), "ARP is not for the stack");
    send(&mut driver, PEER.ip, 40);
    assert_eq!(sent(&link), Some(packet_frame(PEER.mac, own, PEER.ip, 40)));
}

#[test]
fn own_address_is_told_and_others_are_not() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    let mut cx = Context::from_waker(Waker::noop());
    let own = End { mac: OWN.mac, ip: OWN.ip };
    let ask = |ip| {
        let target = End { mac: [0; 6], ip };
        Packet { operation: Operation::Request, sender: PEER, target }.to_frame()
    };
    assert!(deliver(&link, &ask(Ipv4Addr::new(10, 0, 1, 99))));
    assert!(deliver(&link, &ask(OWN.ip)));
    assert!(driver.receive(&mut cx).is_none());
    let reply = Packet { operation: Operation::Reply, sender: own, target: PEER };
    assert_eq!(sent(&link), Some(reply.to_frame().to_vec()));
    assert_eq!(sent(&link), None);
}

#[test]
fn frames_for_others_and_runts_are_dropped() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    let mut cx = Context::from_waker(Waker::noop());
    let group = End { mac: [1, 0, 0x5E, 0, 0, 1], ip: PEER.ip };
    let mut other_type = packet_frame(OWN.mac, PEER, OWN.ip, 46);
    other_type[12] = 0x86;
    for frame in [
        packet_frame(PEER.mac, PEER, OWN.ip, 46),
        packet_frame(OWN.mac, group, OWN.ip, 46),
        packet_frame(OWN.mac, PEER, OWN.ip, 46)[..14].to_vec(),
        packet_frame(OWN.mac, PEER, OWN.ip, 46)[..33].to_vec(),
        other_type,
    ] {
        assert!(deliver(&link, &frame));
    }
    assert!(driver.receive(&mut cx).is_none());
    assert!(deliver(&link, &packet_frame(OWN.mac, PEER, OWN.ip, 20)));
    assert!(driver.receive(&mut cx).is_some());
}

#[test]
fn packets_out_of_the_network_go_nowhere() {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, zero);
    for to in [Ipv4Addr::new(10, 0, 2, 22), Ipv4Addr::new(224, 0, 0, 1), OWN.ip] {
        send(&mut driver, to, 40);
        assert_eq!(sent(&link), None, "{to}");
    }
}

#[test]
fn neighbors_are_forgotten_in_time_and_the_most_silent_first() {
    let address = |host: usize| Ipv4Addr::from_bits(0x0A00_0100 + host as u32);
    let mac = |host: usize| [2, 0, 0, 0, 0, host as u8];
    let mut neighbors = Neighbors::<NEIGHBORS>::new();
    let start = u16::MAX - 10;
    for host in 0..NEIGHBORS {
        neighbors.heard(address(host), mac(host), start);
    }
    neighbors.heard(address(0), mac(200), start.wrapping_add(20));
    neighbors.heard(address(100), mac(100), start.wrapping_add(20));
    let find = |host, after| neighbors.find(address(host), start.wrapping_add(after));
    assert_eq!(find(0, 20), Some(mac(200)), "the last word counts");
    assert_eq!(find(1, 20), None, "it made room");
    assert_eq!(find(2, LIFETIME), Some(mac(2)));
    assert_eq!(find(2, LIFETIME + 1), None);
    assert_eq!(find(100, 20 + LIFETIME), Some(mac(100)));
}

#[test]
fn link_drops_what_it_cannot_take() {
    let link = Link::<4096>::new();
    for len in [0, 13, FRAME_MAX + 1, usize::MAX] {
        assert!(!link.deliver(OWN.mac, len, |_| panic!("must not be filled")));
    }
    let mut taken = 0;
    while link.deliver(OWN.mac, FRAME_MAX, |slot| slot.fill(0)) {
        taken += 1;
    }
    assert_eq!(taken, 2);
}

/// A frame with a piece of an image: a page, and what the cluster's messages have around it.
const PIECE: usize = 42 + 306;

#[test]
fn whatever_all_are_sent_there_is_a_place_for_what_is_sent_to_this_node_alone() {
    let group = [1, 0, 0x5E, 0, 0, 1];
    let longest_of_dhcp = TRANSMIT_MAX;
    for (all, len) in
        [(BROADCAST, PIECE), (BROADCAST, 60), (group, 200), (BROADCAST, longest_of_dhcp)]
    {
        let (link, mut waiting) = (Link::<BOARD_QUEUE>::new(), 0);
        let flood = packet_frame(all, PEER, Ipv4Addr::BROADCAST, len - 14);
        // With all the news that fits, and a whole TCP window; at every place that the queue can be at.
        for probe in [42 + 512, 54 + 512].into_iter().cycle().take(50) {
            let probe = packet_frame(OWN.mac, PEER, OWN.ip, probe - 14);
            while deliver(&link, &flood) {
                waiting += 1;
            }
            assert!(waiting > 0, "none of {len} bytes came in");
            assert!(deliver(&link, &probe), "{waiting} frames of {len} bytes push it out");
            assert!(!deliver(&link, &flood));
            for _ in 0..waiting {
                link.take_received(|frame| assert_eq!(frame, flood));
            }
            link.take_received(|frame| assert_eq!(frame, probe));
            // The next ones do not begin where these did.
            assert!(deliver(&link, &probe));
            waiting = usize::from(deliver(&link, &flood));
            link.take_received(|frame| assert_eq!(frame, probe));
        }
    }
}

#[test]
fn two_pieces_of_an_image_wait_beside_the_last_place() {
    let link = Link::<BOARD_QUEUE>::new();
    let piece = packet_frame(BROADCAST, PEER, Ipv4Addr::BROADCAST, PIECE - 14);
    assert!(deliver(&link, &piece));
    for _ in 0..20 {
        assert!(deliver(&link, &piece), "what is free is of use wherever it lies");
        assert!(!deliver(&link, &piece));
        link.take_received(|frame| assert_eq!(frame, piece));
    }
}
