//! The addresses of the nodes.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The port of all nodes.
pub(crate) const PORT: u16 = 4210;
/// The nodes that an engine is told of which cannot look for others by itself: the first ones.
pub(crate) const SEEDS: usize = 3;

/// The address of a node, of which there are at most 65,535.
pub(crate) fn of(node: usize) -> SocketAddrV4 {
    let [.., high, low] = (node + 1).to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(127, 1, high, low), PORT)
}

/// The node that has the address.
pub(crate) fn node(ip: Ipv4Addr) -> Option<usize> {
    match ip.octets() {
        [127, 1, high, low] => usize::from(u16::from_be_bytes([high, low])).checked_sub(1),
        _ => None,
    }
}

/// Where `node` looks for others.
pub(crate) fn seeds(node: usize) -> Vec<SocketAddrV4> {
    (0..SEEDS).filter(|seed| *seed != node).map(of).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_node_is_found_by_its_address() {
        for index in [0, 1, 254, 255, 256, 4095] {
            assert_eq!(super::node(*super::of(index).ip()), Some(index));
        }
        assert_eq!(super::node([127, 2, 0, 1].into()), None);
        assert_eq!(super::seeds(1), [super::of(0), super::of(2)]);
    }
}
