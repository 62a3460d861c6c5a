//! A node that was claimed at the desk: what was written there holds from its first start on.

use super::network::{credentials, radio};
use super::pieces::{get, read};
use super::world::{act, address, config, configured};
use crate::api::{Entrance, Method, Request};
use crate::network::RadioCommand;
use crate::settings::Claim;
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::MAX_DATAGRAM;
use crate::{Action, ClusterKey, Completion, Config, Node, Stored};
use std::string::String;
use std::vec::Vec;

const NOW: Instant = Instant::from_micros(1_000_000_000);

fn value(claim: &Claim) -> Vec<u8> {
    let mut value = [0; MAX_VALUE];
    let len = claim.encode(&mut value);
    value[..len].to_vec()
}

/// A node whose body has no key for it.
fn node(n: u8, claim: &[u8]) -> Node<'static> {
    let config = Config { key: None, radio: None, ..config(n) };
    let mut node = configured(NOW, n, &config, &Stored { claim, ..Stored::default() });
    act(&mut node, NOW);
    node
}

fn claimed(key: u8) -> Vec<u8> {
    value(&Claim { key: Some(ClusterKey::from_bytes([key; 32])), ..Claim::default() })
}

/// Lets two nodes hear all that they say. Whether they know each other then.
fn meet(one: &[u8], other: &[u8]) -> bool {
    let mut nodes = [node(1, one), node(2, other)];
    let mut datagram = [0; MAX_DATAGRAM];
    for tenth in 0..200 {
        let now = NOW + Duration::from_millis(100 * tenth);
        for (from, to, n) in [(0, 1, 1), (1, 0, 2)] {
            nodes[from].handle_timeout(now);
            act(&mut nodes[from], now);
            while let Some(transmit) = nodes[from].poll_transmit(now, &mut datagram) {
                nodes[to].handle_datagram(now, address(n), &mut datagram[..transmit.len]);
            }
        }
    }
    let now = NOW + Duration::from_secs(20);
    let known = nodes.map(|mut node| {
        let members = get(&mut node, now, "/api/cluster/members");
        members["members"].as_array().unwrap().len() == 2
    });
    assert_eq!(known[0], known[1]);
    known[0]
}

#[test]
fn nodes_claimed_with_one_key_meet_and_others_do_not() {
    assert!(meet(&claimed(7), &claimed(7)));
    assert!(!meet(&claimed(7), &claimed(8)));
    assert!(!meet(&claimed(7), &[]) && !meet(&[], &claimed(7)));
    // Damaged, or of a later format: nobody can tell whose it is.
    assert!(!meet(&claimed(7), &claimed(7)[..20]));
    let mut later = claimed(7);
    later[0] = 2;
    assert!(!meet(&claimed(7), &later));
}

#[test]
fn the_status_tells_whether_a_node_is_claimed_and_nothing_tells_the_key() {
    for (claim, is) in [(claimed(7), true), (Vec::new(), false), (value(&Claim::default()), false)]
    {
        let mut node = node(1, &claim);
        let status = get(&mut node, NOW, "/api/node/status");
        assert_eq!((&status["claimed"], &status["claim_damaged"]), (&is.into(), &false.into()));
        assert!(!std::format!("{node:?}").contains("7, 7, 7, 7"));
    }
}

/// Through the access point of a node whose claim is `stored`: what becomes of WiFi credentials that are not signed.
fn unsigned_credentials(stored: &Stored<'_>) -> (u16, String) {
    let config = Config { key: None, radio: Some(radio(None)), ..config(1) };
    let mut node = configured(NOW, 1, &config, stored);
    let request = Request {
        body: br#"{"ssid":"new","password":"new-password"}"#,
        entrance: Entrance::AccessPoint("192.168.4.1"),
        host: "192.168.4.1",
        ..Request::new(Method::Put, "/api/network/wifi")
    };
    let head = node.handle_head(NOW, &request).map(|refused| refused.status);
    let response = node.handle_request(NOW, &request);
    assert_eq!(head, (response.status == 403).then_some(403));
    (response.status, read(&node, NOW, response))
}

#[test]
fn a_node_whose_claim_is_damaged_joins_nobody_and_cannot_be_taken_over() {
    let claim = claimed(7);
    let damaged = [
        Stored { claim: &claim[..20], ..Stored::default() },
        Stored { claim: &[2, 1], ..Stored::default() },
        Stored { claim_damaged: true, ..Stored::default() },
        // An older claim may be another owner's.
        Stored { claim: &claim, claim_damaged: true, ..Stored::default() },
    ];
    assert_eq!(unsigned_credentials(&Stored::default()).0, 202, "an unclaimed node takes them");
    for stored in damaged {
        // Not with the key that its body has for it, either: it was another one's, maybe.
        let config = Config { radio: Some(radio(None)), ..config(1) };
        let mut node = configured(NOW, 1, &config, &stored);
        for second in 0..120 {
            let now = NOW + Duration::from_secs(second);
            node.handle_timeout(now);
            while let Some(action) = node.poll_action(now) {
                assert_ne!(action, Action::Radio(RadioCommand::OpenAccessPoint));
                if let Action::Store(key) = action {
                    node.handle_completion(now, Completion::Store(key, Ok(())));
                }
            }
            assert_eq!(node.poll_transmit(now, &mut [0; MAX_DATAGRAM]), None);
        }
        assert!(node.access_point().is_none());
        let status = get(&mut node, NOW, "/api/node/status");
        assert_eq!((&status["claimed"], &status["claim_damaged"]), (&false.into(), &true.into()));
        assert!(get(&mut node, NOW, "/api/network/status")["access_point"].is_null());
        let (status, document) = unsigned_credentials(&stored);
        assert_eq!(status, 403);
        assert!(document.contains("claim_damaged"), "{document}");
    }
}

#[test]
fn what_was_claimed_holds_before_what_is_configured_and_what_was_set_since_before_both() {
    let own = "board-password".parse().unwrap();
    let claim = Claim {
        key: None,
        access_point: Some(own),
        wifi: Some(credentials("desk")),
        enrolment: None,
    };
    let config = Config { key: None, radio: Some(radio(Some(credentials("old")))), ..config(1) };
    let start = |stored: &Stored<'_>| configured(NOW, 1, &config, stored);

    let node = start(&Stored::default());
    assert_eq!(node.station(), Some(&credentials("old")));
    assert_eq!(node.access_point().unwrap().1.as_str(), "the board's own");

    let claim = value(&claim);
    let stored = Stored { claim: &claim, ..Stored::default() };
    let node = start(&stored);
    assert_eq!(node.station(), Some(&credentials("desk")));
    assert_eq!(node.access_point().unwrap().1.as_str(), "board-password");

    // As an earlier start of the node has stored it.
    let set = [&[1, 0, 3][..], b"new", &[12], b"new-password"].concat();
    let node = start(&Stored { network: &set, ..stored });
    assert_eq!(node.station(), Some(&credentials("new")));
}

#[test]
fn a_wired_node_has_no_use_for_a_network() {
    let claim = Claim { wifi: Some(credentials("desk")), ..Claim::default() };
    let mut node = node(1, &value(&claim));
    assert_eq!(get(&mut node, NOW, "/api/network/status")["state"], "wired");
    assert!(node.is_connected());
}
