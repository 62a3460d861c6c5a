//! DHCP and DNS of the access point on sockets.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use async_io::Async;
use edge_nal::{UdpReceive, UdpSend};
use futures_lite::future::or;
use spore_node::provision::{
    DHCP_BUFFER_LEN, DNS_BUFFER_LEN, Leases, answer_names, lease_addresses,
};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);

/// A server lives no longer than this.
const LIFETIME: Duration = Duration::from_secs(10);

#[test]
fn names_are_answered_until_the_access_point_closes() {
    let socket = Async::<UdpSocket>::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let server = socket.get_ref().local_addr().expect("bound");
    thread::spawn(move || {
        let mut buf = [0; DNS_BUFFER_LEN];
        let serving = async {
            answer_names(OWN, edge_nal_std::UdpSocket::new(socket), &mut buf).await;
        };
        let over = async {
            async_io::Timer::after(LIFETIME).await;
        };
        async_io::block_on(or(serving, over));
    });
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    client.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
    // What is no question is passed over.
    for message in [&b""[..], b"junk", &[0xFF; 1000], question] {
        client.send_to(message, server).expect("sent");
    }
    let mut answer = [0; 100];
    let len = loop {
        let (len, from) = client.recv_from(&mut answer).expect("an answer");
        assert_eq!(from, server);
        if answer.starts_with(&question[..2]) {
            break len;
        }
    };
    assert!(answer[..len].ends_with(&OWN.octets()), "{}", answer[..len].escape_ascii());
}

/// A socket that hears nothing.
struct Silent;

impl edge_nal::io::ErrorType for Silent {
    type Error = Infallible;
}

impl UdpReceive for Silent {
    async fn receive(&mut self, _: &mut [u8]) -> Result<(usize, SocketAddr), Infallible> {
        pending().await
    }
}

impl UdpSend for Silent {
    async fn send(&mut self, _: SocketAddr, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// All that they cost besides their buffers and their sockets.
#[test]
fn the_futures_are_small() {
    let (mut messages, mut questions) = ([0; DHCP_BUFFER_LEN], [0; DNS_BUFFER_LEN]);
    let mut leases = Leases::new(OWN, || embassy_time::Instant::now().as_secs());
    let table = size_of_val(&leases);
    let addresses = size_of_val(&lease_addresses(&mut leases, Silent, |_| (), &mut messages));
    let names = size_of_val(&answer_names(OWN, Silent, &mut questions));
    println!("{table} bytes the leases, {addresses} DHCP, {names} DNS");
    assert!(table <= 256 && addresses <= 192 && names <= 192, "{table} {addresses} {names}");
}
