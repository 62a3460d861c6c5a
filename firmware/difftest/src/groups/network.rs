//! The IP stack that embassy-net uses: packets on the wire, and a whole TCP conversation in virtual time.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Loopback, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    HardwareAddress, IpAddress, IpCidr, IpProtocol, IpRepr, Ipv4Address, Ipv4Packet, Ipv4Repr,
    TcpPacket, TcpRepr, UdpPacket, UdpRepr,
};

use crate::{Inputs, Trace};

fn address(inputs: &mut Inputs) -> Ipv4Address {
    Ipv4Address::from(inputs.edge() as u32)
}

pub(super) fn packets(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let checksums = ChecksumCapabilities::default();
    for _ in 0..150 {
        let mut bytes = datagram(inputs, &checksums);
        trace.bytes(&bytes);
        parse(&bytes, &checksums, trace);
        let at = inputs.index(bytes.len());
        bytes[at] = inputs.any() as u8;
        parse(&bytes, &checksums, trace);
        bytes.truncate(inputs.index(bytes.len()));
        parse(&bytes, &checksums, trace);
        arp(inputs, trace);
        dhcp(inputs, trace);
    }
}

/// An IPv4 packet that carries a UDP datagram.
#[inline(never)]
fn datagram(inputs: &mut Inputs, checksums: &ChecksumCapabilities) -> Vec<u8> {
    let mut payload = vec![0; inputs.index(90)];
    inputs.fill(&mut payload);
    let udp = UdpRepr { src_port: 1 + inputs.any() as u16 / 2, dst_port: 4210 };
    let ip = Ipv4Repr {
        src_addr: address(inputs),
        dst_addr: address(inputs),
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 1 + inputs.below(255) as u8,
    };
    let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
    ip.emit(&mut packet, checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(ip.src_addr),
        &IpAddress::Ipv4(ip.dst_addr),
        payload.len(),
        |to| to.copy_from_slice(&payload),
        checksums,
    );
    bytes
}

#[inline(never)]
fn parse(bytes: &[u8], checksums: &ChecksumCapabilities, trace: &mut Trace<'_>) {
    let Ok(packet) = Ipv4Packet::new_checked(bytes) else { return trace.text("no packet") };
    let ip = Ipv4Repr::parse(&packet, checksums);
    trace.display(format_args!("{ip:?}"));
    let (from, to) = (IpAddress::Ipv4(packet.src_addr()), IpAddress::Ipv4(packet.dst_addr()));
    if let Ok(udp) = UdpPacket::new_checked(packet.payload()) {
        trace.display(format_args!("{:?}", UdpRepr::parse(&udp, &from, &to, checksums)));
        trace.bytes(udp.payload());
    }
    if let Ok(tcp) = TcpPacket::new_checked(packet.payload()) {
        trace.display(format_args!(
            "{:?}",
            TcpRepr::parse(&tcp, &from, &to, &ChecksumCapabilities::ignored())
        ));
    }
    if let Ok(ip) = ip {
        trace.word(IpRepr::Ipv4(ip).buffer_len());
    }
}

#[inline(never)]
fn arp(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut hardware = [0; 6];
    inputs.fill(&mut hardware);
    let repr = ArpRepr::EthernetIpv4 {
        operation: if inputs.coin() { ArpOperation::Request } else { ArpOperation::Reply },
        source_hardware_addr: EthernetAddress(hardware),
        source_protocol_addr: address(inputs),
        target_hardware_addr: EthernetAddress::BROADCAST,
        target_protocol_addr: address(inputs),
    };
    let mut bytes = vec![0; EthernetFrame::<&[u8]>::buffer_len(repr.buffer_len())];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_src_addr(EthernetAddress(hardware));
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    trace.bytes(&bytes);
    let at = inputs.index(bytes.len());
    bytes[at] ^= inputs.any() as u8;
    if let Ok(packet) = ArpPacket::new_checked(&bytes[14..]) {
        trace.display(format_args!("{:?}", ArpRepr::parse(&packet)));
    }
}

/// A reply with the right head and noise for options.
#[inline(never)]
fn dhcp(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut bytes = [0; 300];
    inputs.fill(&mut bytes);
    bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
    bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    // One option that ends the list somewhere, or none.
    let at = 240 + inputs.index(60);
    bytes[at] = 255;
    if let Ok(packet) = DhcpPacket::new_checked(&bytes[..]) {
        for option in packet.options() {
            trace.word(option.kind);
            trace.bytes(option.data);
        }
        trace.word(DhcpRepr::parse(&packet).is_ok());
    }
}

pub(super) fn conversation_on_ethernet(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let address = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 1]));
    conversation(Medium::Ethernet, address, inputs, trace);
}

/// As the firmware has it: Ethernet is dealt with below.
pub(super) fn conversation_on_ip(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    conversation(Medium::Ip, HardwareAddress::Ip, inputs, trace);
}

/// A client and a server on one looped-back interface: handshake, data both ways, close.
fn conversation(
    medium: Medium,
    address: HardwareAddress,
    inputs: &mut Inputs,
    trace: &mut Trace<'_>,
) {
    let mut device = Loopback::new(medium);
    let mut config = Config::new(address);
    config.random_seed = inputs.any();
    let mut interface = Interface::new(config, &mut device, Instant::from_millis(0));
    interface.update_ip_addrs(|addresses| {
        let pushed = addresses.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8));
        trace.word(pushed.is_ok());
    });
    let mut sockets = SocketSet::new(vec![]);
    let tcp_socket = || {
        tcp::Socket::new(tcp::SocketBuffer::new(vec![0; 300]), tcp::SocketBuffer::new(vec![0; 200]))
    };
    let (server, client) = (sockets.add(tcp_socket()), sockets.add(tcp_socket()));
    let udp_buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 256]);
    let beacon = sockets.add(udp::Socket::new(udp_buffer(), udp_buffer()));
    trace.word(sockets.get_mut::<tcp::Socket<'_>>(server).listen(80).is_ok());
    trace.word(sockets.get_mut::<udp::Socket<'_>>(beacon).bind(4210).is_ok());
    let connected = sockets.get_mut::<tcp::Socket<'_>>(client).connect(
        interface.context(),
        (IpAddress::v4(127, 0, 0, 1), 80),
        49_152,
    );
    trace.word(connected.is_ok());
    let mut left = 3000_usize;
    for millis in 0..4000_i64 {
        interface.poll(Instant::from_millis(millis), &mut device, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(client);
        if left > 0 && socket.can_send() {
            let mut piece = [0; 70];
            let piece = &mut piece[..left.min(70)];
            inputs.fill(piece);
            left -= socket.send_slice(piece).unwrap_or(0);
        } else if left == 0 && socket.may_send() {
            socket.close();
        }
        drain(socket, trace);
        echo(sockets.get_mut(server), trace);
        chatter(sockets.get_mut(beacon), millis, trace);
    }
    trace.display(sockets.get::<tcp::Socket<'_>>(client).state());
    trace.display(sockets.get::<tcp::Socket<'_>>(server).state());
    trace.word(left);
}

#[inline(never)]
fn drain(socket: &mut tcp::Socket<'_>, trace: &mut Trace<'_>) {
    let mut received = [0; 64];
    if let Ok(len) = socket.recv_slice(&mut received)
        && len > 0
    {
        trace.bytes(&received[..len]);
    }
}

/// Sends back what came in, altered, and closes after the other side.
#[inline(never)]
fn echo(socket: &mut tcp::Socket<'_>, trace: &mut Trace<'_>) {
    let mut received = [0; 50];
    if socket.can_recv()
        && socket.send_capacity() - socket.send_queue() >= received.len()
        && let Ok(len) = socket.recv_slice(&mut received)
    {
        received[..len].reverse();
        trace.word(socket.send_slice(&received[..len]).unwrap_or(999));
    } else if !socket.may_recv() && socket.may_send() {
        socket.close();
    }
}

/// A datagram to itself every quarter second of virtual time.
#[inline(never)]
fn chatter(socket: &mut udp::Socket<'_>, millis: i64, trace: &mut Trace<'_>) {
    if millis % 250 == 0 {
        let sent = socket.send_slice(&millis.to_le_bytes(), (IpAddress::v4(127, 0, 0, 1), 4210));
        trace.word(sent.is_ok());
    }
    while let Ok((payload, from)) = socket.recv() {
        trace.bytes(payload);
        trace.display(from.endpoint);
    }
}
