//! The firmware's own way between card and IP stack: the queue of frames, ARP and the driver; and its random bytes.

use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::task::{Context, Waker};

use embassy_net_driver::{Driver, RxToken, TxToken};
use embassy_time::{Duration, Instant};
use node::net::access_point::AccessPoint;
use node::net::arp::{End, FRAME_LEN, Neighbors, Operation, Packet, Seconds};
use node::net::driver::{Identity, LinkDriver, NEIGHBORS};
use node::net::ethernet::{BROADCAST, HEADER_LEN, Header, TYPE_ARP, TYPE_IPV4};
use node::net::frame_queue::FrameQueue;
use node::net::interface::Interface;
use node::net::link::Link;
use qemu::random;

use crate::{Inputs, Trace, tasks};

const OWN: Identity =
    Identity { mac: [2, 0, 0, 0, 0, 1], ip: Ipv4Addr::new(10, 0, 1, 21), prefix_len: 24 };
const QUEUE_BYTES: usize = 1600;

pub(super) fn queue(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut queue = FrameQueue::<512>::new();
    for _ in 0..3_000 {
        if inputs.coin() {
            let longest = if inputs.below(8) == 0 { 600 } else { 120 };
            let len = inputs.index(longest);
            let spare = [0, 200][inputs.index(2)];
            let pushed = queue.push(len, spare, |frame| inputs.fill(frame));
            trace.word(pushed.is_ok());
        } else {
            if let Some(frame) = queue.front_mut() {
                trace.bytes(frame);
            }
            queue.pop();
        }
        trace.word(queue.len());
    }
}

/// An end in the small network of [`OWN`], or outside it.
fn end(inputs: &mut Inputs) -> End {
    let ip = match inputs.below(8) {
        0 => Ipv4Addr::from_bits(inputs.edge() as u32),
        1 => OWN.ip,
        // More neighbours than the table holds.
        _ => Ipv4Addr::new(10, 0, 1, inputs.any() as u8),
    };
    End { mac: [2, 0, 0, 0, inputs.below(2) as u8, inputs.any() as u8], ip }
}

fn arp_packet(inputs: &mut Inputs) -> Packet {
    let operation = if inputs.coin() { Operation::Request } else { Operation::Reply };
    let target = if inputs.coin() { End { mac: OWN.mac, ip: OWN.ip } } else { end(inputs) };
    Packet { operation, sender: end(inputs), target }
}

pub(super) fn arp(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut neighbors = Neighbors::<9>::new();
    let mut now: Seconds = 65_000;
    for _ in 0..1_000 {
        let mut frame = arp_packet(inputs).to_frame();
        trace.bytes(&frame);
        if inputs.coin() {
            let at = inputs.index(FRAME_LEN);
            frame[at] ^= inputs.any() as u8;
        }
        let len = if inputs.below(6) == 0 { inputs.index(FRAME_LEN) } else { FRAME_LEN };
        let payload = frame[..len].get(HEADER_LEN..).unwrap_or_default();
        trace.display(format_args!("{:?}", Packet::parse(payload)));
        now = now.wrapping_add(inputs.below(9) as Seconds);
        let known = end(inputs);
        neighbors.heard(known.ip, known.mac, now);
        for _ in 0..4 {
            trace.display(format_args!("{:?}", neighbors.find(end(inputs).ip, now)));
        }
    }
}

fn seconds() -> Seconds {
    Instant::now().as_secs() as Seconds
}

/// A frame for us, for everyone or for others: ARP, IPv4, or something else.
fn frame(inputs: &mut Inputs) -> Vec<u8> {
    let mut frame = match inputs.below(3) {
        0 => arp_packet(inputs).to_frame().to_vec(),
        _ => {
            let from = end(inputs);
            let receiver = [OWN.mac, BROADCAST, from.mac][inputs.index(3)];
            let kind = if inputs.below(9) == 0 { TYPE_ARP } else { TYPE_IPV4 };
            let header = Header { receiver, sender: from.mac, kind };
            [&header.to_bytes()[..], &packet(inputs, from.ip, OWN.ip)].concat()
        }
    };
    match inputs.below(6) {
        0 => frame.truncate(inputs.index(frame.len())),
        1 => {
            let at = inputs.index(frame.len());
            frame[at] = inputs.any() as u8;
        }
        _ => {}
    }
    frame
}

fn packet(inputs: &mut Inputs, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0; 20 + inputs.index(300)];
    inputs.fill(&mut packet);
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet
}

pub(super) fn driver(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    tasks::restart_clock();
    let (link, mut neighbors) = (Link::<QUEUE_BYTES>::new(), Neighbors::<NEIGHBORS>::new());
    let own = Interface::new(OWN, AccessPoint::new(|| 0), || 0);
    let mut driver = LinkDriver::new(&link, &own, &mut neighbors, seconds);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3_000 {
        match inputs.below(4) {
            0 => {
                if let Some((received, transmit)) = driver.receive(&mut context) {
                    received.consume(|packet| trace.bytes(packet));
                    answer(inputs, transmit);
                }
            }
            1 => {
                if let Some(transmit) = driver.transmit(&mut context) {
                    answer(inputs, transmit);
                }
            }
            2 => {
                if link.start_transmit(|frame| trace.bytes(frame)) {
                    link.transmit_done();
                }
            }
            _ => {
                let frame = frame(inputs);
                let receiver = frame.first_chunk().copied().unwrap_or(BROADCAST);
                trace
                    .word(link.deliver(receiver, frame.len(), |slot| slot.copy_from_slice(&frame)));
            }
        }
        tasks::pass(Duration::from_millis(inputs.below(200)));
    }
}

#[inline(never)]
fn answer(inputs: &mut Inputs, transmit: impl TxToken) {
    let to = if inputs.below(5) == 0 { Ipv4Addr::BROADCAST } else { end(inputs).ip };
    let packet = packet(inputs, OWN.ip, to);
    transmit.consume(packet.len(), |slot| slot.copy_from_slice(&packet));
}

pub(super) fn random(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..60 {
        let mut seed = [0; 32];
        inputs.fill(&mut seed);
        let (resets, cycles) = (inputs.edge() as u32, inputs.edge() as u32);
        trace.bytes(&random::bytes::<40>(&seed, resets, cycles));
        trace.bytes(&random::bytes::<200>(&seed, resets, cycles));
    }
}
