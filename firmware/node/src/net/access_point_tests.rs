//! The access point, as a radio and the IP stack meet it.

extern crate std;

use core::net::{Ipv4Addr, SocketAddrV4};
use std::task::{Context, Waker};
use std::vec;
use std::vec::Vec;

use embassy_net_driver::{Driver as _, RxToken as _, TxToken as _};
use spore_core::api::Entrance;

use crate::net::access_point::{AccessPoint, OWN};
use crate::net::arp::{End, Neighbors, Operation, Packet};
use crate::net::driver::{Identity, LinkDriver, NEIGHBORS};
use crate::net::ethernet::{BROADCAST, HEADER_LEN, Header, MacAddress, TYPE_IPV4};
use crate::net::interface::Interface;
use crate::net::ipv4::{self, PAYLOAD};
use crate::net::link::Link;

const STATION: Identity =
    Identity { mac: [2, 0, 0, 0, 0, 1], ip: Ipv4Addr::new(10, 0, 1, 21), prefix_len: 24 };
const NOWHERE: Identity = Identity { ip: Ipv4Addr::UNSPECIFIED, prefix_len: 0, ..STATION };
const INSIDE: MacAddress = [6, 0, 0, 0, 0, 1];
const PHONE: End = End { mac: [2, 0, 0, 0, 0, 7], ip: Ipv4Addr::new(192, 168, 4, 2) };

type Driver<'a> = LinkDriver<'a, 4096>;

/// A node that is `identity` in its network, and whose access point is open.
fn with_driver(identity: Identity, test: impl FnOnce(&Link<4096>, &Interface, &mut Driver<'_>)) {
    let (link, mut neighbors) = (Link::<4096>::new(), Neighbors::<NEIGHBORS>::new());
    let interface = Interface::new(identity, AccessPoint::new(|| 0), || 0);
    interface.access_point().open(INSIDE);
    test(&link, &interface, &mut LinkDriver::new(&link, &interface, &mut neighbors, || 0));
}

/// A frame has come in, through the access point or not: as the board hands it on.
fn deliver(link: &Link<4096>, interface: &Interface, inside: bool, frame: &[u8]) -> bool {
    let receiver: MacAddress = *frame.first_chunk().unwrap();
    interface.access_point().mark(receiver, inside).is_some_and(|receiver| {
        link.deliver(receiver, frame.len(), |slot| {
            slot.copy_from_slice(frame);
            slot[..6].copy_from_slice(&receiver);
        })
    })
}

/// The packet that the IP stack gets.
fn received(driver: &mut Driver<'_>) -> Option<Vec<u8>> {
    let mut context = Context::from_waker(Waker::noop());
    driver.receive(&mut context).map(|(packet, _)| packet.consume(|packet| packet.to_vec()))
}

fn send(driver: &mut Driver<'_>, packet: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let token = driver.transmit(&mut context).unwrap();
    token.consume(packet.len(), |place| place.copy_from_slice(packet));
}

fn sent(link: &Link<4096>) -> Option<(Header, Vec<u8>)> {
    let mut frame = None;
    link.start_transmit(|bytes| frame = Some(bytes.to_vec()));
    link.transmit_done();
    let frame = frame?;
    let (header, payload) = Header::split(&frame).unwrap();
    Some((header, payload.to_vec()))
}

fn framed(receiver: MacAddress, sender: MacAddress, packet: &[u8]) -> Vec<u8> {
    [&Header { receiver, sender, kind: TYPE_IPV4 }.to_bytes()[..], packet].concat()
}

fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; PAYLOAD + payload.len()];
    packet[PAYLOAD..].copy_from_slice(payload);
    let address = |(ip, port)| SocketAddrV4::new(ip, port);
    assert_eq!(
        ipv4::write_udp(&mut packet, address(from), address(to), payload.len()),
        packet.len()
    );
    packet
}

/// The one's complement sum of 16-bit words; 0xFFFF over what has a right check sum in it.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0)));
    let mut sum: u64 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// What the check sum of TCP or UDP is over.
fn covered(packet: &[u8]) -> Vec<u8> {
    let len = u16::try_from(packet.len() - 20).unwrap().to_be_bytes();
    [&packet[12..20], &[0, packet[9]], &len, &packet[20..]].concat()
}

fn is_whole(packet: &[u8]) -> bool {
    sum(&packet[..20]) == 0xFFFF && sum(&covered(packet)) == 0xFFFF
}

/// A packet of TCP, or UDP, with right check sums.
fn summed(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, fill: u8) -> Vec<u8> {
    let mut packet = udp((from, 80), (to, 4000), &[fill; 33]);
    packet[9] = protocol;
    packet[10..12].fill(0);
    let header = !sum(&packet[..20]);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    let at = if protocol == 6 { 20 + 16 } else { 20 + 6 };
    packet[at..at + 2].fill(0);
    let whole = !sum(&covered(&packet));
    packet[at..at + 2].copy_from_slice(&whole.to_be_bytes());
    assert!(is_whole(&packet));
    packet
}

#[test]
fn a_client_is_given_an_address_and_names_lead_to_the_node() {
    let mut discover = vec![0; 300];
    discover[..8].copy_from_slice(&[1, 1, 6, 0, 9, 8, 7, 6]);
    discover[28..34].copy_from_slice(&PHONE.mac);
    discover[236..244].copy_from_slice(&[99, 130, 83, 99, 53, 1, 1, 255]);
    let discover = udp((Ipv4Addr::UNSPECIFIED, 68), (Ipv4Addr::BROADCAST, 67), &discover);
    let question = [&[1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1][..], b"a", &[0, 0, 1, 0, 1]].concat();
    let question = udp((PHONE.ip, 5353), (OWN, 53), &question);
    for station in [STATION, NOWHERE] {
        with_driver(station, |link, interface, driver| {
            assert!(deliver(link, interface, true, &framed(BROADCAST, PHONE.mac, &discover)));
            assert_eq!(received(driver), None, "it is none of the stack's");
            let (header, packet) = sent(link).unwrap();
            let frame = Header { receiver: PHONE.mac, sender: INSIDE, kind: TYPE_IPV4 };
            assert_eq!(header, frame);
            let offer = ipv4::udp(&packet).unwrap();
            assert_eq!(offer.from, SocketAddrV4::new(OWN, 67));
            assert_eq!(offer.to, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
            assert_eq!((offer.payload[0], &offer.payload[4..8]), (2, &[9, 8, 7, 6][..]));
            assert_eq!(offer.payload[16..20], PHONE.ip.octets());
            assert_eq!(sum(&packet[..20]), 0xFFFF);

            assert!(deliver(link, interface, true, &framed(INSIDE, PHONE.mac, &question)));
            assert_eq!(received(driver), None);
            let (_, packet) = sent(link).unwrap();
            let answer = ipv4::udp(&packet).unwrap();
            assert_eq!(answer.to, SocketAddrV4::new(PHONE.ip, 5353));
            assert!(answer.payload.ends_with(&OWN.octets()));

            // Not from elsewhere, and not when it is closed.
            deliver(link, interface, false, &framed(BROADCAST, PHONE.mac, &discover));
            interface.access_point().close();
            assert!(!deliver(link, interface, true, &framed(BROADCAST, PHONE.mac, &discover)));
            deliver(link, interface, false, &framed(BROADCAST, PHONE.mac, &discover));
            received(driver);
            assert_eq!(sent(link), None);
        });
    }
}

#[test]
fn a_client_meets_the_stack_at_its_own_address_whichever_that_is() {
    let asked = summed(6, PHONE.ip, OWN, 1);
    for station in [STATION, NOWHERE] {
        with_driver(station, |link, interface, driver| {
            let stack = interface.stack().unwrap().ip;
            assert!(deliver(link, interface, true, &framed(INSIDE, PHONE.mac, &asked)));
            let packet = received(driver).unwrap();
            assert_eq!(ipv4::address(&packet, ipv4::End::To), Some(stack));
            assert!(is_whole(&packet));
            send(driver, &summed(6, stack, PHONE.ip, 2));
            let (header, packet) = sent(link).unwrap();
            assert_eq!((header.receiver, header.sender), (PHONE.mac, INSIDE));
            assert_eq!(packet, summed(6, OWN, PHONE.ip, 2));
            // What it sends elsewhere has no way out.
            let elsewhere = summed(6, PHONE.ip, Ipv4Addr::new(1, 1, 1, 1), 1);
            assert!(deliver(link, interface, true, &framed(INSIDE, PHONE.mac, &elsewhere)));
            assert_eq!(received(driver), None);
        });
    }
}

#[test]
fn the_station_goes_on_beside_it() {
    let peer = End { mac: [2, 0, 0, 0, 0, 9], ip: Ipv4Addr::new(10, 0, 1, 22) };
    with_driver(STATION, |link, interface, driver| {
        let packet = summed(17, peer.ip, STATION.ip, 3);
        assert!(deliver(link, interface, false, &framed(STATION.mac, peer.mac, &packet)));
        assert_eq!(received(driver), Some(packet));
        send(driver, &summed(17, STATION.ip, peer.ip, 4));
        let (header, _) = sent(link).unwrap();
        assert_eq!((header.receiver, header.sender), (peer.mac, STATION.mac));
        assert!(!interface.access_point().sends(&header.to_bytes()));
        send(driver, &summed(17, STATION.ip, Ipv4Addr::BROADCAST, 4));
        assert_eq!(sent(link).map(|(header, _)| header.sender), Some(STATION.mac));
    });
    with_driver(NOWHERE, |link, _, driver| {
        for to in [peer.ip, Ipv4Addr::BROADCAST] {
            send(driver, &summed(17, OWN, to, 4));
            assert_eq!(sent(link), None, "there is no network");
        }
    });
}

#[test]
fn nobody_in_the_network_speaks_as_a_client() {
    let ask = |sender| {
        let (operation, target) = (Operation::Request, End { mac: [0; 6], ip: STATION.ip });
        Packet { operation, sender, target }.to_frame()
    };
    with_driver(STATION, |link, interface, driver| {
        let packet = summed(6, PHONE.ip, STATION.ip, 1);
        let from_network = |frame: &[u8]| deliver(link, interface, false, frame);
        assert!(!from_network(&framed(INSIDE, PHONE.mac, &packet)), "to the access point");
        assert!(from_network(&framed(STATION.mac, PHONE.mac, &packet)));
        assert!(from_network(&ask(PHONE)));
        assert_eq!((received(driver), sent(link)), (None, None));
        // As soon as it is closed, these addresses are others'.
        let access_point = interface.access_point();
        assert_eq!(access_point.entrance(PHONE.ip), Entrance::AccessPoint("192.168.4.1"));
        assert_eq!(access_point.entrance(STATION.ip), Entrance::Network);
        access_point.close();
        assert_eq!(access_point.entrance(PHONE.ip), Entrance::Network);
        assert!(from_network(&framed(STATION.mac, PHONE.mac, &packet)));
        assert!(received(driver).is_some());
    });
}

#[test]
fn a_client_that_asks_for_the_node_is_answered_and_one_that_asks_for_others_is_not() {
    with_driver(NOWHERE, |link, interface, driver| {
        for (ip, answered) in [(OWN, true), (Ipv4Addr::new(192, 168, 4, 3), false)] {
            let target = End { mac: [0; 6], ip };
            let request = Packet { operation: Operation::Request, sender: PHONE, target };
            assert!(deliver(link, interface, true, &request.to_frame()));
            assert_eq!(received(driver), None);
            let reply = Packet {
                operation: Operation::Reply,
                sender: End { mac: INSIDE, ip: OWN },
                target: PHONE,
            };
            let sent =
                sent(link).map(|(header, payload)| [&header.to_bytes()[..], &payload].concat());
            assert_eq!(sent, answered.then(|| reply.to_frame().to_vec()), "{ip}");
        }
        // Frames between clients are not the node's.
        let other = framed([2, 0, 0, 0, 0, 8], PHONE.mac, &summed(6, PHONE.ip, OWN, 1));
        assert!(!deliver(link, interface, true, &other));
    });
}

#[test]
fn check_sums_stay_right_whatever_the_addresses_are() {
    let addresses = [0, 1, 0xFFFF, 0x1_0000, 0x0A00_0115, 0xC0A8_0401, u32::MAX - 1, u32::MAX];
    let addresses = addresses.map(Ipv4Addr::from_bits);
    for protocol in [6, 17] {
        for from in addresses {
            for to in addresses {
                for fill in [0, 0x5A, 0xFF] {
                    let mut packet = summed(protocol, from, OWN, fill);
                    ipv4::readdress(&mut packet, ipv4::End::From, to);
                    assert_eq!(ipv4::address(&packet, ipv4::End::From), Some(to));
                    assert!(is_whole(&packet), "{protocol} {from} {to}");
                }
            }
        }
    }
    // UDP without a check sum has none afterwards, and what is cut does no harm.
    let mut packet = udp((STATION.ip, 1), (OWN, 2), b"x");
    ipv4::readdress(&mut packet, ipv4::End::To, STATION.ip);
    assert_eq!((&packet[26..28], sum(&packet[..20])), (&[0, 0][..], 0xFFFF));
    for len in 0..HEADER_LEN + 30 {
        let mut cut = summed(6, STATION.ip, OWN, 1);
        cut.truncate(len);
        ipv4::readdress(&mut cut, ipv4::End::To, STATION.ip);
    }
}
