//! Credentials that are changed, and what becomes of them.

use super::{ACCESS_POINT, LEASE, NEW, OWN, Rig, connected, get, radio};
use crate::api::{Entrance, Method, Request};
use crate::network::{RadioCommand, RadioEvent, Reason};
use crate::tests::world::{config, configured};
use crate::{Action, Completion, Config, Event, Key, Stored};
use std::format;

const OLD: &str = r#"{"ssid":"old","password":"old-password"}"#;

/// A node that tries the new credentials.
fn on_trial() -> Rig {
    let mut rig = connected();
    rig.change(NEW);
    rig.run(1);
    assert_eq!(rig.attempts(), 2);
    assert_eq!(rig.events(), [Event::NetworkDisconnected(Reason::Changed)]);
    rig
}

#[test]
fn credentials_that_lead_to_an_address_are_kept() {
    let mut rig = connected();
    rig.change(NEW);
    let status = rig.status();
    assert_eq!((&status["state"], &status["credentials"]), (&"changing".into(), &"trial".into()));
    assert!(rig.node.is_connected(), "the answer needs the network");
    rig.run(1);
    assert!(!rig.node.is_connected());
    rig.radio(RadioEvent::Associated);
    rig.run(5);
    rig.radio(RadioEvent::Address(LEASE));
    let status = rig.status();
    assert_eq!((&status["ssid"], &status["credentials"]), (&"new".into(), &"kept".into()));
    assert!(rig.events().ends_with(&[Event::NetworkConnected, Event::CredentialsKept]));
    rig.restart();
    assert_eq!((rig.ssid(), rig.attempts()), (Some("new"), 1));
    assert_eq!(rig.status()["credentials"], "kept");
}

#[test]
fn credentials_that_lead_nowhere_for_60_seconds_go_and_the_old_ones_return() {
    let mut rig = on_trial();
    rig.fail(Reason::NotFound);
    rig.run(59);
    assert_eq!(rig.ssid(), Some("new"));
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 0, "the old ones come first");
    rig.run(1);
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), [Event::CredentialsReturned]);
    assert_eq!(rig.status()["credentials"], "returned");
    assert_eq!(rig.commands.last().map(|(_, command)| *command), Some(RadioCommand::Connect));
    rig.run(1);
    rig.radio(RadioEvent::Address(LEASE));
    assert!(rig.node.is_connected());
    rig.restart();
    assert_eq!(rig.ssid(), Some("old"));
}

#[test]
fn a_password_that_is_wrong_three_times_is_given_up() {
    let mut rig = on_trial();
    rig.fail(Reason::WrongPassword);
    rig.attempt(2);
    rig.fail(Reason::WrongPassword);
    rig.attempt(3);
    assert_eq!(rig.ssid(), Some("new"));
    rig.fail(Reason::WrongPassword);
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), [Event::CredentialsReturned]);
}

#[test]
fn where_nothing_was_before_the_access_point_comes_back() {
    let mut rig = Rig::new(None);
    assert_eq!(rig.status()["state"], "unconfigured");
    rig.change(NEW);
    rig.run(62);
    assert_eq!(rig.ssid(), None);
    let status = rig.status();
    assert_eq!(status["credentials"], "returned");
    assert_eq!(status["access_point"]["open"], true);
    rig.restart();
    assert_eq!(rig.status()["state"], "unconfigured");
    assert_eq!(rig.count(RadioCommand::OpenAccessPoint), 1);
}

#[test]
fn credentials_that_replace_some_on_trial_are_tried_and_the_ones_that_were_kept_return() {
    let mut rig = on_trial();
    rig.run(30);
    rig.change(r#"{"ssid":"third","password":""}"#);
    rig.run(59);
    assert_eq!(rig.ssid(), Some("third"), "it has a time of its own");
    rig.run(2);
    assert_eq!(rig.ssid(), Some("old"));
}

#[test]
fn what_the_radio_says_of_a_network_that_is_left_does_not_count() {
    let mut rig = connected();
    rig.change(NEW);
    rig.fail(Reason::WrongPassword);
    rig.radio(RadioEvent::Address(LEASE));
    assert!(!rig.node.is_connected(), "it is not the one that is to be tried");
    assert_eq!(rig.status()["credentials"], "trial");
    rig.run(1);
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(rig.status()["credentials"], "kept");
}

#[test]
fn a_trial_goes_on_after_a_restart_and_ends_in_the_third_boot_at_the_latest() {
    let mut rig = on_trial();
    for _ in 0..2 {
        rig.restart();
        assert_eq!((rig.ssid(), rig.attempts()), (Some("new"), 1));
        assert_eq!(rig.status()["credentials"], "trial");
    }
    rig.restart();
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), [Event::CredentialsReturned]);
    rig.restart();
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.events(), []);

    let mut rig = on_trial();
    rig.restart();
    rig.radio(RadioEvent::Address(LEASE));
    assert_eq!(rig.events(), [Event::NetworkConnected, Event::CredentialsKept]);
    rig.restart();
    assert_eq!(rig.ssid(), Some("new"));
    assert_eq!(rig.status()["credentials"], "kept");
}

#[test]
fn an_unclaimed_node_takes_credentials_from_its_access_point_alone() {
    let mut rig = connected();
    let (status, document) = rig.put(Entrance::Network, NEW);
    assert_eq!((status, &document["error"]["code"]), (403, &"unclaimed".into()));
    assert_eq!(rig.ssid(), Some("old"));
    assert_eq!(rig.put(ACCESS_POINT, NEW).0, 202);

    let config = Config { radio: Some(radio(None)), ..config(1) };
    let mut claimed = configured(rig.now, 1, &config, &Stored::default());
    let request = Request {
        body: NEW.as_bytes(),
        entrance: ACCESS_POINT,
        host: OWN,
        ..Request::new(Method::Put, "/api/network/wifi")
    };
    let refused = claimed.handle_request(rig.now, &request);
    assert_eq!(refused.status, 401);
    assert_eq!(claimed.handle_head(rig.now, &request).map(|refused| refused.status), Some(401));
    assert_eq!(claimed.station(), None);
    // Other signed routes stay closed on the access point.
    let config = Config { key: None, ..config };
    let mut unclaimed = configured(rig.now, 1, &config, &Stored::default());
    assert!(unclaimed.handle_head(rig.now, &request).is_none());
    let request = Request { method: Method::Put, path: "/api/node/config", ..request };
    assert_eq!(unclaimed.handle_request(rig.now, &request).status, 403);
}

#[test]
fn what_are_no_credentials_is_refused_by_name() {
    let mut rig = connected();
    for (body, field) in [
        (r#"{"password":"12345678"}"#, "ssid"),
        (r#"{"ssid":"home"}"#, "password"),
        (r#"{"ssid":"home","password":"short"}"#, "password"),
        (r#"{"ssid":"home","password":"12345678","hidden":true}"#, "hidden"),
    ] {
        let (status, document) = rig.put(ACCESS_POINT, body);
        assert_eq!((status, &document["error"]["field"]), (400, &field.into()), "{body}");
    }
    assert_eq!(rig.put(ACCESS_POINT, r#"{"ssid":"home","password":""}"#).0, 202);
}

#[test]
fn passwords_are_never_told() {
    let mut rig = on_trial();
    let mut texts = std::vec![format!("{:?}", rig.node)];
    for path in ["status", "scan"] {
        let path = format!("/api/network/{path}");
        texts.push(format!("{}", get(&mut rig.node, rig.now, &path)));
    }
    for text in texts {
        assert!(!text.contains("old-password") && !text.contains("new-password"), "{text}");
        assert!(!text.contains("the board's own"), "{text}");
    }
}

#[test]
fn credentials_that_could_not_be_stored_are_stored_later() {
    let mut rig = connected();
    let request = Request {
        body: OLD.as_bytes(),
        entrance: ACCESS_POINT,
        host: OWN,
        ..Request::new(Method::Put, "/api/network/wifi")
    };
    assert_eq!(rig.node.handle_request(rig.now, &request).status, 202);
    assert_eq!(rig.node.poll_action(rig.now), Some(Action::Store(Key::Network)));
    let failed = Completion::Store(Key::Network, Err(crate::node::StoreFailed));
    rig.node.handle_completion(rig.now, failed);
    rig.settle();
    assert!(rig.stored.is_empty());
    rig.run(11);
    assert!(!rig.stored.is_empty());
}
