//! Parts of the engine that a few nodes on one network do not bring out: filters of topics, and the network manager.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;

use spore_core::api::{Assets, MIN_PIECE, Method, Request};
use spore_core::network::{
    Credentials, Lease, Password, Radio, RadioCommand, RadioConfig, RadioEvent, Reason, Seen, Ssid,
};
use spore_core::profile::Esp01;
use spore_core::tasks::Tasks;
use spore_core::time::{Duration, Instant};
use spore_core::{
    Action, Catalogue, Completion, Config, Facts, Filter, Hostname, Node, Seed, Storage, Stored,
    Topic,
};

use crate::{Inputs, Trace};

/// Steps of [`radio`], each of up to a minute.
const STEPS: u64 = 400;

/// Topics against filters, made of so few levels that many match.
pub(super) fn topics(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..2_000 {
        let topic = levels(inputs, &["a", "b", "lamp", "", "a+", "\u{e9}", "$spore"]);
        let filter = levels(inputs, &["a", "b", "+", "#", "lamp", "", "a#", "+b", "$spore"]);
        let valid = Topic::new(&topic).map(|topic| topic.is_reserved());
        trace.display(format_args!("{topic} {valid:?}"));
        let matches = Filter::new(&filter).map(|filter| filter.matches(&topic));
        trace.display(format_args!("{filter} {matches:?}"));
    }
}

#[inline(never)]
fn levels(inputs: &mut Inputs, names: &[&str]) -> String {
    let mut text = String::new();
    // A long one now and then, around the limit.
    let most = if inputs.below(8) == 0 { 14 } else { 4 };
    for level in 0..=inputs.below(most) {
        if level > 0 {
            text.push('/');
        }
        text.push_str(names[inputs.index(names.len())]);
    }
    text
}

/// A node whose radio does what it likes: attempts that fail, leases that come and go, scans, and clients.
pub(super) fn radio(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut node = node(inputs);
    let mut now = Instant::ZERO;
    for _ in 0..STEPS {
        now = now + Duration::from_millis(inputs.below(60_000));
        if node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_timeout(now);
        }
        act(&mut node, now, trace);
        for _ in 0..inputs.below(4) {
            let event = event(inputs);
            trace.display(format_args!("{event:?}"));
            node.handle_radio(now, event);
        }
        while let Some(event) = node.poll_event() {
            trace.display(format_args!("{event:?} {}", event.topic()));
        }
        let path = ["/api/network/status", "/api/network/scan"][inputs.index(2)];
        show(&mut node, now, path, trace);
    }
}

#[inline(never)]
fn node(inputs: &mut Inputs) -> Node<'static> {
    let config = Config {
        hostname: Hostname::new("radio").unwrap_or_else(|_| unreachable!("it is one")),
        address: Ipv4Addr::UNSPECIFIED,
        port: 4210,
        http_port: 80,
        key: None,
        services: Catalogue::new(&[]).unwrap_or_default(),
        assets: Assets::NONE,
        tasks: Tasks::EMPTY,
        sprockets: &[],
        timing: Default::default(),
        radio: Some(RadioConfig {
            kind: Radio::Modelled,
            password: Some(password(b"of the board")),
            credentials: ssid(b"home")
                .map(|ssid| Credentials { ssid, password: password(b"secret words") }),
        }),
    };
    let facts = Facts {
        board: "sim",
        version: "0.0.0",
        chip_id: 7,
        flash_size: 1 << 20,
        reset_reason: "power-on",
        crashes: 0,
        image: None,
    };
    let mut seed = [0; 32];
    inputs.fill(&mut seed);
    // The group runs once and the machine stops after it: nothing needs the memory back.
    let storage: &'static mut Storage<Esp01> = Box::leak(Box::default());
    Node::new(Instant::ZERO, &config, facts, &Stored::default(), &Seed(seed), storage)
}

fn password(text: &[u8]) -> Password {
    Password::new(text).unwrap_or_else(|_| unreachable!("it is one"))
}

fn ssid(name: &[u8]) -> Option<Ssid> {
    Ssid::new(name).ok()
}

#[inline(never)]
fn act(node: &mut Node<'_>, now: Instant, trace: &mut Trace<'_>) {
    while let Some(action) = node.poll_action(now) {
        trace.display(format_args!("{} {action:?}", now.as_millis()));
        match action {
            Action::Radio(RadioCommand::Connect) => {
                trace.text(node.station().map_or("none", |station| station.ssid.as_str()));
            }
            Action::Radio(RadioCommand::OpenAccessPoint) => {
                let (ssid, _) = node.access_point().expect("it has a password");
                trace.text(ssid.as_str());
            }
            Action::Store(key) => node.handle_completion(now, Completion::Store(key, Ok(()))),
            _ => {}
        }
    }
}

#[inline(never)]
fn event(inputs: &mut Inputs) -> RadioEvent {
    let reasons = [
        Reason::NotFound,
        Reason::WrongPassword,
        Reason::Lost,
        Reason::AddressConflict,
        Reason::Other(inputs.any() as u8),
    ];
    match inputs.below(9) {
        0 => RadioEvent::Associated,
        1 | 2 => RadioEvent::Address(Lease {
            address: Ipv4Addr::from(inputs.edge() as u32),
            prefix_len: inputs.below(33) as u8,
            gateway: inputs.coin().then(|| Ipv4Addr::from(inputs.edge() as u32)),
        }),
        3 => RadioEvent::Disconnected(reasons[inputs.index(reasons.len())]),
        4 => RadioEvent::Signal(inputs.edge() as i8),
        5 => RadioEvent::ClientJoined,
        6 => RadioEvent::ClientLeft,
        7 => ssid(format!("net-{}", inputs.below(30)).as_bytes()).map_or(
            RadioEvent::ScanDone,
            |ssid| {
                RadioEvent::Scanned(Seen {
                    ssid,
                    rssi: inputs.edge() as i8,
                    channel: 1 + inputs.below(14) as u8,
                    secure: inputs.coin(),
                })
            },
        ),
        _ => RadioEvent::ScanDone,
    }
}

#[inline(never)]
fn show(node: &mut Node<'_>, now: Instant, path: &str, trace: &mut Trace<'_>) {
    let mut response = node.handle_request(now, &Request::new(Method::Get, path));
    trace.word(response.status);
    if response.is_pending() && !node.poll_response(now, &mut response) {
        return trace.text("pending");
    }
    let mut piece = [0; MIN_PIECE];
    loop {
        let len = node.poll_body(now, &mut response.body, &mut piece);
        if len == 0 {
            return;
        }
        trace.text(core::str::from_utf8(&piece[..len]).unwrap_or("not UTF-8"));
    }
}
