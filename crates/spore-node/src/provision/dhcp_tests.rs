extern crate std;

use core::net::{Ipv4Addr, SocketAddrV4};
use std::vec;
use std::vec::Vec;

use super::{CLIENTS, DHCP_BUFFER_LEN, Leases};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;

/// xorshift32 (Marsaglia, 2003).
pub(in crate::provision) struct Random(pub(in crate::provision) u32);

impl Random {
    pub(in crate::provision) fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        usize::try_from(self.0).unwrap() % below
    }
}

/// A message of client `n`, byte by byte (RFC 2131, section 2): `kind`, and these further options.
fn message(n: u8, kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 1, 2, 3, n, 0, 0, 0, 0];
    message.extend([0; 16]);
    message.extend([2, 0, 0, 0, 0, n]);
    message.extend([0; 10 + 64 + 128]);
    message.extend([99, 130, 83, 99, 53, 1, kind]);
    for (code, value) in options {
        message.extend([*code, u8::try_from(value.len()).unwrap()]);
        message.extend(*value);
    }
    message.push(255);
    message
}

fn tell(leases: &mut Leases, message: &[u8]) -> Option<(Vec<u8>, SocketAddrV4)> {
    let mut buf = [0xEE; DHCP_BUFFER_LEN];
    buf[..message.len()].copy_from_slice(message);
    let (len, to) = leases.answer(&mut buf, message.len())?;
    Some((buf[..len].to_vec(), to))
}

/// The value of an option.
fn option(message: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = &message[240..];
    while let [found, len, tail @ ..] = rest {
        let (value, tail) = tail.split_at_checked(usize::from(*len))?;
        if *found == code {
            return Some(value);
        }
        rest = tail;
    }
    None
}

/// The kind of an answer and the address in it.
fn outcome(answer: Option<(Vec<u8>, SocketAddrV4)>) -> Option<(u8, Ipv4Addr)> {
    let (message, _) = answer?;
    let address: [u8; 4] = message[16..20].try_into().unwrap();
    Some((option(&message, 53)?[0], address.into()))
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 4, last)
}

/// Client `n` asks for an address and takes the one that it is offered.
fn join(leases: &mut Leases, n: u8) -> Option<Ipv4Addr> {
    let (kind, offered) = outcome(tell(leases, &message(n, DISCOVER, &[])))?;
    assert_eq!(kind, OFFER);
    let options: [(u8, &[u8]); 2] = [(50, &offered.octets()), (54, &OWN.octets())];
    let (kind, given) = outcome(tell(leases, &message(n, REQUEST, &options)))?;
    assert_eq!((kind, given), (ACK, offered));
    Some(given)
}

#[test]
fn a_client_is_given_all_that_it_needs() {
    let mut leases = Leases::new(OWN, || 0);
    let wanted: [(u8, &[u8]); 1] = [(55, &[1, 3, 6, 15, 114])];
    let (offer, to) = tell(&mut leases, &message(7, DISCOVER, &wanted)).unwrap();
    assert_eq!(to, "255.255.255.255:68".parse().unwrap());
    assert_eq!((offer[0], &offer[4..8]), (2, &[1, 2, 3, 7][..]), "a reply to this message");
    assert!(offer.len() >= 300 && offer[290..].iter().all(|byte| *byte == 0));
    for (code, value) in [
        (1, &[255, 255, 255, 0][..]),
        (3, &OWN.octets()),
        (6, &OWN.octets()),
        (54, &OWN.octets()),
        (51, &600_u32.to_be_bytes()),
    ] {
        assert_eq!(option(&offer, code), Some(value), "option {code}");
    }
    assert_eq!(option(&offer, 114), None);
    assert_eq!(leases.count(), 0, "an offer is no lease");
    assert_eq!(join(&mut leases, 7), Some(address(2)));
    assert_eq!(leases.count(), 1);
    // Again, as after a restart of the phone: the same one.
    assert_eq!(join(&mut leases, 7), Some(address(2)));
    assert_eq!(leases.count(), 1);
}

#[test]
fn clients_beyond_the_last_get_nothing_until_one_leaves() {
    let mut leases = Leases::new(OWN, || 0);
    for n in 0..4 {
        assert_eq!(join(&mut leases, n), Some(address(2 + n)));
    }
    assert_eq!((leases.count(), CLIENTS), (4, 4));
    assert_eq!(join(&mut leases, 9), None);
    let mut goodbye = message(1, RELEASE, &[(54, &OWN.octets())]);
    goodbye[12..16].copy_from_slice(&address(3).octets());
    assert_eq!(tell(&mut leases, &goodbye), None);
    assert_eq!(leases.count(), 3);
    assert_eq!(join(&mut leases, 9), Some(address(3)));
}

#[test]
fn an_address_of_elsewhere_is_refused_and_so_is_that_of_another() {
    let mut leases = Leases::new(OWN, || 0);
    assert_eq!(join(&mut leases, 1), Some(address(2)));
    for wanted in [[192, 168, 1, 20], [192, 168, 4, 1], [192, 168, 4, 2], [192, 168, 4, 6], [0; 4]]
    {
        let (kind, _) = outcome(tell(&mut leases, &message(2, REQUEST, &[(50, &wanted)]))).unwrap();
        assert_eq!(kind, NAK, "{wanted:?}");
    }
    // What is meant for another server is none of ours.
    let options: [(u8, &[u8]); 2] = [(50, &[192, 168, 4, 3]), (54, &[192, 168, 4, 9])];
    assert_eq!(tell(&mut leases, &message(2, REQUEST, &options)), None);
    assert_eq!(leases.count(), 1);
}

#[test]
fn who_renews_is_answered_at_his_address_unless_he_asks_for_all() {
    let mut leases = Leases::new(OWN, || 0);
    assert_eq!(join(&mut leases, 1), Some(address(2)));
    let mut renewal = message(1, REQUEST, &[]);
    renewal[12..16].copy_from_slice(&address(2).octets());
    let (answer, to) = tell(&mut leases, &renewal).unwrap();
    assert_eq!((to, option(&answer, 53)), (SocketAddrV4::new(address(2), 68), Some(&[ACK][..])));
    assert_eq!(answer[10], 0);
    renewal[10] = 0x80;
    let (answer, to) = tell(&mut leases, &renewal).unwrap();
    assert_eq!(to, "255.255.255.255:68".parse().unwrap());
    assert_eq!(answer[10], 0x80);
}

#[test]
fn junk_does_no_harm_and_takes_no_more_than_there_is() {
    let mut random = Random(0x5EED);
    let mut leases = Leases::new(OWN, || 0);
    let mut answered = 0;
    for n in 0..50_000_u32 {
        let [.., client] = n.to_be_bytes();
        let kind = [DISCOVER, REQUEST, RELEASE, 8][random.below(4)];
        let options: [(u8, &[u8]); 2] = [(50, &[192, 168, 4, client % 8]), (55, &[1, 3, 6, 15])];
        let mut message = message(client, kind, &options);
        for _ in 0..random.below(5) {
            let at = random.below(message.len());
            message[at] = u8::try_from(random.below(256)).unwrap();
        }
        message.truncate(message.len() - random.below(40).saturating_sub(20));
        answered += usize::from(tell(&mut leases, &message).is_some());
        assert!(leases.count() <= CLIENTS);
    }
    assert!(answered > 1_000, "{answered}");
}
