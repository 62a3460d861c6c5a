//! SPORE's own engine: its codec, and nodes that talk in virtual time.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use spore_core::api::{Assets, MIN_PIECE, Method, Methods, Policy, Request, Response};
use spore_core::ota::state::{Reason, State, UpdateState};
use spore_core::profile::Esp01;
use spore_core::security::{Header, Sealer, Token};
use spore_core::services::ServiceIds;
use spore_core::store::MAX_VALUE;
use spore_core::tasks::Tasks;
use spore_core::time::{Duration, Instant};
use spore_core::wire::{
    EventKey, EventRecord, Head, Incarnation, Kind, MAX_DATAGRAM, Message, MessageWriter, Record,
    Rumor, U24,
};
use spore_core::{
    Action, Catalogue, ClusterKey, Completion, Config, Destination, Facts, Fetch, FetchFailed,
    Filter, Hostname, Node, NodeId, Scope, Seed, Service, ServiceId, Storage, Stored, Topic,
};

use crate::{Inputs, Trace};

/// Nodes in [`nodes`].
const NODES: u8 = 3;
/// Milliseconds of virtual time that [`nodes`] runs.
const RUN: u64 = 20_000;

/// Messages emitted, sealed, damaged, opened and parsed.
pub(super) fn codec(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut key = [0; 32];
    inputs.fill(&mut key);
    let sealer = Sealer::new(&ClusterKey::from_bytes(key));
    for _ in 0..120 {
        let header = Header { sender: id(inputs), epoch: number(inputs), counter: number(inputs) };
        let mut datagram = vec![0; MAX_DATAGRAM];
        let Some(len) = write_message(inputs, Sealer::message(&mut datagram), header.sender, trace)
        else {
            continue;
        };
        let Some(len) = sealer.seal(&header, &mut datagram, len) else {
            trace.text("no room for the seal");
            continue;
        };
        datagram.truncate(len);
        trace.bytes(&datagram);
        let mut damaged = datagram.clone();
        let at = inputs.index(damaged.len());
        damaged[at] ^= 1 << inputs.below(8);
        damaged.truncate(inputs.index(len + 1));
        open(&sealer, &mut damaged, trace);
        open(&sealer, &mut datagram, trace);
        damage_message(inputs, header.sender, trace);
    }
}

fn id(inputs: &mut Inputs) -> NodeId {
    let mut id = [0; 6];
    inputs.fill(&mut id);
    NodeId(id)
}

fn number(inputs: &mut Inputs) -> U24 {
    U24::new(inputs.edge() as u32 & U24::MAX.get()).unwrap_or(U24::ZERO)
}

const STATES: [State; 7] = [
    State::Idle,
    State::Fetching(2),
    State::Ready,
    State::OnTrial,
    State::Updated,
    State::Out,
    State::Failed(Reason::NO_PEER),
];

#[inline(never)]
fn record(inputs: &mut Inputs, id: NodeId, rumor: u64) -> Record {
    let rumor = match rumor {
        0 => Rumor::Suspect,
        1 => Rumor::Dead,
        2 => Rumor::Left,
        _ => Rumor::Alive {
            address: Ipv4Addr::from(inputs.edge() as u32),
            http_port: inputs.edge() as u16,
            status_version: inputs.edge() as u16,
            update: UpdateState::new(STATES[inputs.index(STATES.len())], inputs.edge() as u16),
            hostname: hostname(&format!("node-{}", inputs.any() >> inputs.below(64))),
            services: services(inputs),
        },
    };
    Record {
        id,
        incarnation: Incarnation { epoch: number(inputs), refutation: number(inputs) },
        published: number(inputs),
        rumor,
    }
}

fn event_key(inputs: &mut Inputs, publisher: NodeId) -> EventKey {
    EventKey {
        clock: inputs.edge() as u32,
        publisher,
        epoch: number(inputs),
        seq: U24::new(1 + inputs.below(100) as u32).unwrap_or(U24::MAX),
    }
}

fn event(inputs: &mut Inputs, publisher: NodeId) -> EventRecord<'static> {
    const PAYLOAD: &[u8] = &[0x5A; 256];
    let topics = ["a", "kitchen/lamp", "kitchen/door/state"].map(Topic::new);
    let topic = topics[inputs.below(3) as usize].unwrap_or_else(|_| unreachable!("it is one"));
    EventRecord {
        key: event_key(inputs, publisher),
        retained: inputs.below(2) == 0,
        topic,
        payload: &PAYLOAD[..inputs.below(257) as usize],
    }
}

fn services(inputs: &mut Inputs) -> ServiceIds {
    let mut ids = ServiceIds::EMPTY;
    for _ in 0..inputs.below(10) {
        ids.insert(ServiceId((inputs.any() as u32).to_be_bytes()));
    }
    ids
}

fn hostname(name: &str) -> Hostname {
    Hostname::new(name).unwrap_or_else(|_| unreachable!("`{name}` is a valid host name"))
}

/// Writes a message with as many records as fit, and returns its length.
#[inline(never)]
fn write_message(
    inputs: &mut Inputs,
    room: &mut [u8],
    sender: NodeId,
    trace: &mut Trace<'_>,
) -> Option<usize> {
    let mut token = [0; Token::LEN];
    inputs.fill(&mut token);
    let (token, third) = (Token::from_bytes(token), id(inputs));
    let kind = match inputs.below(10) {
        0 => Kind::Announce,
        1 => Kind::Ping(token),
        2 => Kind::Ack(token),
        3 => Kind::PingReq { token, target: third },
        4 => Kind::RelayPing { token, origin: third },
        5 => Kind::RelayAck { token, origin: third },
        6 => Kind::IndirectAck { token, target: third },
        7 => Kind::Events,
        _ => Kind::Window { asks: inputs.below(2) == 0 },
    };
    let own = record(inputs, sender, 3);
    let head = Head {
        members: inputs.any() as u32,
        events: inputs.any() as u32,
        clock: inputs.edge() as u32,
        rollout: inputs.edge() as u32,
    };
    let mut writer = MessageWriter::new(room, kind, head, &own).ok()?;
    for _ in 0..inputs.below(20) {
        let (other, rumor) = (id(inputs), inputs.below(6));
        trace.word(match kind {
            Kind::Events => writer.push_event(&event(inputs, other)).is_ok(),
            Kind::Window { .. } => writer.push_key(&event_key(inputs, other)).is_ok(),
            _ => writer.push(&record(inputs, other, rumor)).is_ok(),
        });
        trace.word(writer.has_room());
    }
    Some(writer.finish())
}

#[inline(never)]
fn open(sealer: &Sealer, datagram: &mut [u8], trace: &mut Trace<'_>) {
    match sealer.open(datagram) {
        Err(error) => trace.display(format_args!("{error:?}")),
        Ok((header, message)) => {
            trace.display(format_args!("{header:?}"));
            parse(message, header.sender, trace);
        }
    }
}

#[inline(never)]
fn parse(message: &[u8], sender: NodeId, trace: &mut Trace<'_>) {
    match Message::parse(message, sender) {
        Err(error) => trace.display(format_args!("{error:?}")),
        Ok(message) => {
            trace.display(format_args!("{:?} {:?} {:?}", message.kind, message.head, message.own));
            message.records().for_each(|record| trace.display(format_args!("{record:?}")));
            message.events().for_each(|event| trace.display(format_args!("{event:?}")));
            message.keys().for_each(|key| trace.display(format_args!("{key:?}")));
        }
    }
}

/// Parses a message with some bytes replaced, as only a holder of the key could send it.
#[inline(never)]
fn damage_message(inputs: &mut Inputs, sender: NodeId, trace: &mut Trace<'_>) {
    let mut message = [0; 200];
    let Some(len) = write_message(inputs, &mut message, sender, trace) else { return };
    for _ in 0..4 {
        let at = inputs.index(len);
        message[at] = inputs.edge() as u8;
        parse(&message[..inputs.index(len + 1)], sender, trace);
    }
}

/// Nodes that find each other, lose one, and are asked over the API what they know.
pub(super) fn nodes(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    let mut nodes: Vec<Node<'static>> = (1..=NODES).map(|n| node(inputs, n)).collect();
    let mut now = Instant::ZERO;
    for millis in 0..RUN {
        now = now + Duration::from_millis(1);
        let mut air = Vec::new();
        for (index, node) in nodes.iter_mut().enumerate() {
            step(node, now, address(index), &mut air, trace);
        }
        for (from, to, mut bytes) in air {
            // One in ten is lost, one in twenty is damaged.
            if inputs.below(10) == 0 {
                continue;
            }
            if inputs.below(20) == 0 {
                let at = inputs.index(bytes.len());
                bytes[at] ^= 0x40;
            }
            deliver(&mut nodes, now, from, to, &bytes);
        }
        if millis % 700 == 0 {
            publish(inputs, &mut nodes, now, trace);
        }
        if millis % 2_500 == 0 {
            nodes.iter_mut().for_each(|node| ask(node, now, trace));
        }
        if millis == RUN / 3 {
            nodes.pop();
        }
    }
    nodes.iter_mut().for_each(|node| ask(node, now, trace));
}

/// Lets one of the nodes publish, and shows what was delivered on all of them.
#[inline(never)]
fn publish(inputs: &mut Inputs, nodes: &mut [Node<'_>], now: Instant, trace: &mut Trace<'_>) {
    let index = inputs.index(nodes.len());
    let (scope, retained) = if inputs.below(4) == 0 {
        (Scope::Local, false)
    } else {
        (Scope::Cluster, inputs.below(3) == 0)
    };
    let payload = [0x20 + inputs.below(64) as u8; 256];
    let payload = &payload[..inputs.below(257) as usize];
    if let Some(node) = nodes.get_mut(index) {
        let published = node.publish(now, scope, "kitchen/lamp", payload, retained);
        trace.display(format_args!("{published:?}"));
    }
    for node in nodes {
        let mut after = 0;
        while let Some(delivery) = node.next_event(after, Filter::ALL) {
            after = delivery.seq;
            trace.display(format_args!("{} {} {:?}", delivery.seq, delivery.topic, delivery.key));
        }
    }
}

pub(super) fn address(index: usize) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1 + index as u8), 4210)
}

#[inline(never)]
pub(super) fn node(inputs: &mut Inputs, n: u8) -> Node<'static> {
    let config = Config {
        hostname: hostname(&format!("node-{n}")),
        address: Ipv4Addr::new(10, 0, 0, n),
        port: 4210,
        http_port: 80,
        key: Some(ClusterKey::from_bytes([7; 32])),
        services: catalogue(n),
        assets: Assets::NONE,
        tasks: Tasks::EMPTY,
        sprockets: &[],
        timing: Default::default(),
        radio: None,
    };
    let facts = Facts {
        board: "sim",
        version: "0.0.0",
        chip_id: u32::from(n),
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

/// Answers a fetch with a status that is sometimes cut or damaged.
#[inline(never)]
fn answer(node: &mut Node<'_>, now: Instant, fetch: &Fetch, trace: &mut Trace<'_>) {
    trace.display(format_args!("{} {fetch:?}", now.as_millis()));
    let mut status = format!(
        r#"{{"id":"{}","board":"sim","n":[-0.5e+1,true,null,{{"k":"\u0041\n"}}],"version":"1.2","services":[{{"name":"relay","policy":"open"}}]}}"#,
        fetch.member
    )
    .into_bytes();
    let at = now.as_millis() as usize % status.len();
    match now.as_millis() % 3 {
        0 => status.truncate(at),
        1 => status[at] ^= 4,
        _ => {}
    }
    let taken = status.chunks(17).all(|piece| node.handle_fetched(piece));
    trace.word(taken);
    let result = if taken { Ok(()) } else { Err(FetchFailed) };
    node.handle_completion(now, Completion::Fetch(result));
}

/// What the nodes with odd numbers offer.
static SERVICES: &[Service] = &[
    match Service::new(
        "relay",
        Policy::Open,
        Methods::NONE.with(Method::Post),
        "Switches something",
    ) {
        Ok(service) => service,
        Err(_) => panic!("a service"),
    },
];

fn catalogue(n: u8) -> Catalogue {
    let services = if n % 2 == 1 { SERVICES } else { &[] };
    Catalogue::new(services).unwrap_or_default()
}

type Air = Vec<(SocketAddrV4, Destination, Vec<u8>)>;

/// Lets a node do what is due, and collects what it sends.
#[inline(never)]
fn step(
    node: &mut Node<'_>,
    now: Instant,
    from: SocketAddrV4,
    air: &mut Air,
    trace: &mut Trace<'_>,
) {
    while let Some(action) = node.poll_action(now) {
        match action {
            Action::Store(key) => {
                let mut value = [0; MAX_VALUE];
                let len = node.value(key, &mut value);
                trace.display(format_args!("{key:?} {:?}", &value[..len]));
                node.handle_completion(now, Completion::Store(key, Ok(())));
            }
            Action::Fetch(fetch) => answer(node, now, &fetch, trace),
            Action::RunTask(index) => node.handle_completion(now, Completion::Ran(index)),
            Action::Verify(_)
            | Action::Restart
            | Action::Radio(_)
            | Action::Update(_)
            | Action::Exchange(_) => trace.display(format_args!("{action:?}")),
        }
    }
    if node.poll_timeout().is_some_and(|due| due <= now) {
        node.handle_timeout(now);
    }
    let mut datagram = [0; MAX_DATAGRAM];
    while let Some(transmit) = node.poll_transmit(now, &mut datagram) {
        let bytes = &datagram[..transmit.len];
        trace.display(format_args!("{} {:?}", now.as_millis(), transmit.destination));
        trace.bytes(bytes);
        air.push((from, transmit.destination, bytes.to_vec()));
    }
    while let Some(event) = node.poll_event() {
        trace.display(format_args!("{event:?}"));
    }
}

#[inline(never)]
fn deliver(
    nodes: &mut [Node<'_>],
    now: Instant,
    from: SocketAddrV4,
    to: Destination,
    bytes: &[u8],
) {
    for (index, node) in nodes.iter_mut().enumerate() {
        if matches!(to, Destination::Broadcast) || to == Destination::Unicast(address(index)) {
            node.handle_datagram(now, from, &mut bytes.to_vec());
        }
    }
}

#[inline(never)]
fn ask(node: &mut Node<'_>, now: Instant, trace: &mut Trace<'_>) {
    for path in ["/api/node/status", "/api/cluster/members", "/api/cluster/services", "/nowhere"] {
        for method in [Method::Get, Method::Post] {
            let mut response = node.handle_request(now, &Request::new(method, path));
            trace.display(format_args!(
                "{method:?} {path} {} {:?}",
                response.status, response.allow
            ));
            show(node, now, &mut response, trace);
        }
    }
    trace.display(format_args!("{:?}", node.traffic()));
}

/// Reads an answer to its end.
pub(super) fn show(node: &Node<'_>, now: Instant, response: &mut Response, trace: &mut Trace<'_>) {
    let mut piece = [0; MIN_PIECE];
    loop {
        let len = node.poll_body(now, &mut response.body, &mut piece);
        if len == 0 {
            break;
        }
        trace.text(core::str::from_utf8(&piece[..len]).unwrap_or("not UTF-8"));
    }
}
