//! The test vectors of `docs/protocol.md`, which another implementation has made.

use crate::events::Topic;
use crate::ota::announcement::{Announcement, Ended};
use crate::ota::plan::{Image, Plan, RolloutId, SignedPlan};
use crate::ota::state::{Reason, State, UpdateState};
use crate::security::rotation::{Lock, Secret, proof};
use crate::security::{ClusterKey, Header, ReleaseKey, Sealer, Token};
use crate::services::{ServiceId, ServiceIds};
use crate::wire::{
    EventKey, EventRecord, Head, Hostname, Incarnation, Kind, MAX_DATAGRAM, Message, MessageWriter,
    NodeId, Record, Rumor, U24, parse_hex,
};
use serde_json::Value;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

static FILE: &str = include_str!("../../../../docs/protocol-vectors.json");

fn file() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value, field: &str) -> T {
    let number = value[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {value}"));
    number.try_into().unwrap()
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    let digits = text(value, field).as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn u24(value: &Value, field: &str) -> U24 {
    U24::new(number(value, field)).unwrap()
}

fn services(value: &Value) -> ServiceIds {
    let mut ids = ServiceIds::EMPTY;
    for id in value["services"].as_array().unwrap() {
        assert!(ids.insert(ServiceId(parse_hex(id.as_str().unwrap()).unwrap())));
    }
    ids
}

fn update(value: &Value) -> UpdateState {
    let state = match text(value, "state") {
        "idle" => State::Idle,
        "fetching 0" => State::Fetching(0),
        "fetching 3" => State::Fetching(3),
        "ready" => State::Ready,
        "on trial" => State::OnTrial,
        "updated" => State::Updated,
        "out" => State::Out,
        "failed 0" => State::Failed(Reason::NOT_STARTED),
        "failed 15" => State::Failed(Reason::LAST),
        other => panic!("{other}"),
    };
    UpdateState::new(state, number(value, "tag"))
}

/// The rollout that a message tells of; its signature is not read.
fn told(value: &Value) -> Announcement {
    let (plan, numbers) = (&value["plan"], |values: &Value| -> Vec<u64> {
        values.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect()
    });
    let images = plan["images"].as_array().unwrap().iter().map(|image| {
        let mut board = [0; Image::BOARD];
        let name = text(image, "board").as_bytes();
        board[..name.len()].copy_from_slice(name);
        let digest = bytes(image, "digest").try_into().unwrap();
        Image { board, sequence: number(image, "sequence"), digest }
    });
    let canaries = plan["canaries"].as_array().unwrap().iter();
    let [number_of, random] = numbers(&plan["id"])[..] else { panic!("{plan}") };
    let plan = Plan {
        id: RolloutId { number: number_of.try_into().unwrap(), random: random.try_into().unwrap() },
        images: images.collect(),
        canaries: canaries.map(|id| id.as_str().unwrap().parse().unwrap()).collect(),
        waves: numbers(&plan["waves"]).into_iter().map(|it| it.try_into().unwrap()).collect(),
        gate: number(plan, "gate"),
        max_failures: number(plan, "max_failures"),
        expiry: number(plan, "expiry"),
        catches_up: plan["catches_up"].as_bool().unwrap(),
    };
    let ended = [Ended::No, Ended::Expired, Ended::Halted][number::<usize>(value, "ended")];
    let signed = SignedPlan { plan, signature: [0; SignedPlan::SIGNATURE] };
    Announcement { signed, ended, age: number(value, "age") }
}

fn record(value: &Value) -> Record {
    let incarnation = &value["incarnation"];
    let rumor = match text(value, "status") {
        "alive" => Rumor::Alive {
            address: text(value, "address").parse().unwrap(),
            http_port: number(value, "http_port"),
            status_version: number(value, "status_version"),
            update: update(&value["update"]),
            hostname: Hostname::new(text(value, "hostname")).unwrap(),
            services: services(value),
        },
        "suspect" => Rumor::Suspect,
        "dead" => Rumor::Dead,
        "left" => Rumor::Left,
        other => panic!("{other}"),
    };
    Record {
        id: text(value, "id").parse().unwrap(),
        incarnation: Incarnation {
            epoch: u24(incarnation, "epoch"),
            refutation: u24(incarnation, "refutation"),
        },
        published: u24(value, "published"),
        rumor,
    }
}

fn event_key(value: &Value) -> EventKey {
    EventKey {
        clock: number(value, "clock"),
        publisher: text(value, "publisher").parse().unwrap(),
        epoch: u24(value, "epoch"),
        seq: u24(value, "seq"),
    }
}

/// What follows the sender's own record, in the order in which it stands there.
fn list<'v, T>(message: &'v Value, field: &str, read: impl Fn(&'v Value) -> T) -> Vec<T> {
    message[field].as_array().into_iter().flatten().map(read).collect()
}

fn kind(value: &Value) -> Kind {
    let token = || Token::from_bytes(parse_hex(text(value, "token")).unwrap());
    let id = |field| text(value, field).parse().unwrap();
    match text(value, "kind") {
        "announce" => Kind::Announce,
        "ping" => Kind::Ping(token()),
        "ack" => Kind::Ack(token()),
        "ping-req" => Kind::PingReq { token: token(), target: id("target") },
        "relay-ping" => Kind::RelayPing { token: token(), origin: id("origin") },
        "relay-ack" => Kind::RelayAck { token: token(), origin: id("origin") },
        "indirect-ack" => Kind::IndirectAck { token: token(), target: id("target") },
        "events" => Kind::Events,
        "window" => Kind::Window { asks: false },
        "window, asking" => Kind::Window { asks: true },
        "want" => Kind::Want { image: number(value, "image"), first: number(value, "first") },
        "piece" => Kind::Piece {
            image: number(value, "image"),
            number: number(value, "number"),
            left: number(value, "left"),
        },
        "rollout" => Kind::Rollout,
        other => panic!("{other}"),
    }
}

#[test]
fn valid_messages_are_made_and_read_byte_for_byte() {
    let file = file();
    let key: ClusterKey = text(&file, "key").parse().unwrap();
    let sealer = Sealer::new(&key);
    for vector in file["valid"].as_array().unwrap() {
        let name = text(vector, "name");
        let (wanted, plaintext) = (&vector["message"], bytes(vector, "plaintext"));
        let header = &vector["header"];
        let header = Header {
            sender: text(header, "sender").parse().unwrap(),
            epoch: u24(header, "epoch"),
            counter: u24(header, "counter"),
        };
        let own = record(&wanted["own"]);
        let records = list(wanted, "records", record);
        let payloads = list(wanted, "events", |event| bytes(event, "payload"));
        let events = list(wanted, "events", |event| EventRecord {
            key: event_key(event),
            retained: event["retained"].as_bool().unwrap(),
            topic: Topic::new(text(event, "topic")).unwrap(),
            payload: &[],
        });
        let events = events.into_iter().zip(&payloads);
        let events: Vec<_> =
            events.map(|(event, payload)| EventRecord { payload, ..event }).collect();
        let keys = list(wanted, "keys", event_key);
        let pieces = wanted.get("pieces").map_or_else(Vec::new, |_| bytes(wanted, "pieces"));

        let release: ReleaseKey = text(&file, "release_key").parse().unwrap();
        let told = wanted.get("told").map(|value| {
            let mut told = told(value);
            told.signed.signature = *plaintext.last_chunk().unwrap();
            assert!(told.signed.is_signed_by(&release), "{name}");
            assert_eq!(told.digest(), number::<u32>(wanted, "rollout"), "{name}");
            told
        });

        let mut datagram = [0; MAX_DATAGRAM];
        let space = Sealer::message(&mut datagram);
        let head = Head {
            members: number(wanted, "members"),
            events: number(wanted, "window"),
            clock: number(wanted, "clock"),
            rollout: number(wanted, "rollout"),
        };
        let mut writer = MessageWriter::new(space, kind(wanted), head, &own).unwrap();
        records.iter().for_each(|record| writer.push(record).unwrap());
        events.iter().for_each(|event| writer.push_event(event).unwrap());
        keys.iter().for_each(|key| writer.push_key(key).unwrap());
        writer.push_pieces(&pieces).unwrap();
        told.iter().for_each(|told| writer.push_rollout(told).unwrap());
        let len = writer.finish();
        assert_eq!(Sealer::message(&mut datagram)[..len], plaintext, "{name}");
        let len = sealer.seal(&header, &mut datagram, len).unwrap();
        assert_eq!(datagram[..len], bytes(vector, "datagram"), "{name}");

        let (opened, message) = sealer.open(&mut datagram[..len]).unwrap();
        assert_eq!(opened, header, "{name}");
        let message = Message::parse(message, header.sender).unwrap();
        assert_eq!((message.kind, message.head), (kind(wanted), head), "{name}");
        assert_eq!(message.own, own, "{name}");
        assert_eq!(message.records().collect::<Vec<_>>(), records, "{name}");
        assert_eq!(message.events().collect::<Vec<_>>(), events, "{name}");
        assert_eq!(message.keys().collect::<Vec<_>>(), keys, "{name}");
        assert_eq!(message.pieces(), pieces, "{name}");
        assert_eq!(message.rollout(), told, "{name}");
    }
}

#[test]
fn what_is_sealed_for_a_node_is_what_others_seal_and_so_is_the_proof() {
    let file = file();
    let rotation = &file["rotation"];
    let array =
        |value: &Value, field: &str| -> [u8; 32] { bytes(value, field).try_into().unwrap() };
    let secret = Secret(bytes(rotation, "secret").try_into().unwrap());
    let key: ClusterKey = text(&file, "key").parse().unwrap();
    for (lock, field) in [(Lock::enrolment(&key), "enrolment"), (Lock::rotation(&secret), "key")] {
        let vector = &rotation[field];
        let (content, nonce) = (array(vector, "content"), bytes(vector, "nonce"));
        let sealed = lock.seal(number(vector, "number"), nonce.try_into().unwrap(), &content);
        assert_eq!(sealed.to_vec(), bytes(vector, "sealed"), "{field}");
        assert_eq!(lock.open(&sealed), Some((number(vector, "number"), content)));
    }
    let newest = ClusterKey::from_bytes(array(&rotation["key"], "content"));
    let node = text(rotation, "node").parse().unwrap();
    let shown = proof(&secret, node, number(&rotation["key"], "number"), &newest);
    assert_eq!(shown.to_string(), text(rotation, "proof"));
}

#[test]
fn nodes_have_their_turn_in_a_rollout_as_others_compute_it() {
    let file = file();
    let valid = file["valid"].as_array().unwrap().iter();
    let plans = valid.filter_map(|vector| vector["message"].get("told"));
    let plan = plans.map(|value| told(value).signed.plan).max_by_key(|plan| plan.id).unwrap();
    for turn in file["turns"].as_array().unwrap() {
        let node = text(turn, "node").parse().unwrap();
        assert_eq!(plan.id.rank(node), number::<u32>(turn, "rank"), "{node}");
        assert_eq!(plan.wave(node), number::<u8>(turn, "wave"), "{node}");
    }
}

#[test]
fn malformed_messages_are_refused_for_the_right_reason() {
    let file = file();
    for vector in file["malformed"].as_array().unwrap() {
        let sender: NodeId = text(vector, "sender").parse().unwrap();
        let error = Message::parse(&bytes(vector, "plaintext"), sender).unwrap_err();
        assert_eq!(format!("{error:?}"), text(vector, "error"), "{}", text(vector, "name"));
    }
}

#[test]
fn foreign_and_altered_datagrams_are_refused_for_the_right_reason() {
    let file = file();
    let key: ClusterKey = text(&file, "key").parse().unwrap();
    for vector in file["refused"].as_array().unwrap() {
        let error = Sealer::new(&key).open(&mut bytes(vector, "datagram")).unwrap_err();
        assert_eq!(format!("{error:?}"), text(vector, "error"), "{}", text(vector, "name"));
    }
}

#[test]
fn no_bytes_make_the_parser_panic() {
    let mut rng = fastrand::Rng::with_seed(7);
    let seeds: Vec<Vec<u8>> =
        file()["valid"].as_array().unwrap().iter().map(|v| bytes(v, "plaintext")).collect();
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut message = seeds[rng.usize(..seeds.len())].clone();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..message.len());
            message[at] = rng.u8(..);
        }
        message.truncate(rng.usize(..=message.len()));
        if let Ok(parsed) = Message::parse(&message, NodeId([1, 0x23, 0x45, 0x67, 0x89, 0xab])) {
            accepted += parsed.records().count();
            accepted += parsed.events().count() + parsed.keys().count() + parsed.pieces().len();
            accepted += parsed.events().count() + parsed.keys().count();
            accepted += usize::from(parsed.rollout().is_some());
        }
    }
    assert!(accepted > 0, "some mutations stay valid");
    let names: String = "a".repeat(64);
    assert!((0..64).all(|len| Hostname::new(&names[..len]).is_ok() == (1..=32).contains(&len)));
}
