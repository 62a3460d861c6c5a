//! Any sequence of the engine's verbs: a node, and a peer that it may come to trust.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use spore_core::api::{Assets, Method, ROUTES, Request, Response};
use spore_core::improv::Improv;
use spore_core::network::{Lease, Radio, RadioConfig, RadioEvent};
use spore_core::node::StoreFailed;
use spore_core::ota::state::UpdateState;
use spore_core::ota::{Cut, Done, Found, Job, Refused, Running, Stage, StepFailed};
use spore_core::profile::Esp01;
use spore_core::security::request::{Credentials, Nonce, Signed, SigningKey};
use spore_core::security::{Header, Sealer, Token, Verdict};
use spore_core::services::IDENTIFY;
use spore_core::store::MAX_VALUE;
use spore_core::tasks::{TaskKind, TaskSpec, Tasks};
use spore_core::time::{Duration, Instant};
use spore_core::wire::{
    Head, Incarnation, Kind, MAX_DATAGRAM, Message, MessageWriter, Record, Rumor, U24,
};
use spore_core::{
    Action, Catalogue, ClusterKey, Completion, Config, Facts, FetchFailed, Filter, Hostname, Node,
    NodeId, Resources, Scope, Seed, Storage, Stored,
};

use crate::See;
use crate::bytes::Bytes;

const KEY: ClusterKey = ClusterKey::from_bytes([7; 32]);
const PEER: NodeId = NodeId([2; 6]);
/// What nodes have that start after an odd number of crashes: a task that each runs, and one that one of them runs.
const TASKS: Tasks = {
    const EVERY: TaskKind = TaskKind::Periodic { interval: Duration::from_millis(500) };
    const SPECS: &[TaskSpec] = &[
        valid(TaskSpec::new("each", "on each node", EVERY)),
        valid(valid(TaskSpec::new("one", "on one of them", EVERY)).clustered()),
    ];
    valid(Tasks::new(SPECS))
};
/// What a node offers at times.
const SERVICES: Catalogue = valid(Catalogue::new(&[IDENTIFY]));
/// The most verbs of one run: what takes longer says nothing new.
const VERBS: usize = 400;
const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4210);
const OWN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 4210);

/// The memory of a node.
pub(crate) fn storage() -> Box<Storage<Esp01>> {
    Box::default()
}

/// A node with what its body would do, and its peer.
pub(crate) struct Bench<'a> {
    node: Node<'a>,
    now: Instant,
    sealer: Sealer,
    signing: SigningKey,
    /// Of the peer's next datagram.
    counter: u32,
    /// What the node wants to have back from the peer.
    token: Option<Token>,
    /// The last number that was delivered.
    delivered: u32,
}

/// Does what the input says.
pub(crate) fn run(input: &[u8], see: See<'_>) {
    let mut bytes = Bytes(input);
    let mut storage = storage();
    let mut bench = Bench::new(&mut storage, bytes.u8());
    for _ in 0..VERBS {
        if bytes.is_empty() {
            break;
        }
        bench.verb(&mut bytes, see);
        bench.check();
    }
    see(format_args!("{:?}", bench.node.traffic()));
}

impl<'a> Bench<'a> {
    /// A node without a past; `kind` says which one.
    pub(crate) fn new(storage: &'a mut Storage<Esp01>, kind: u8) -> Self {
        Self::with(storage, kind, &Stored::default())
    }

    /// A node that finds pieces of the input in its flash.
    pub(crate) fn stored(storage: &'a mut Storage<Esp01>, mut bytes: Bytes<'_>) -> Self {
        let kind = bytes.u8();
        let damaged = bytes.u8();
        let stored = Stored {
            identity: bytes.piece(),
            peers: bytes.piece(),
            settings: bytes.piece(),
            settings_damaged: damaged & 1 != 0,
            network: bytes.piece(),
            tasks: bytes.piece(),
            sprockets: bytes.piece(),
            claim: bytes.piece(),
            claim_damaged: damaged & 2 != 0,
            update: bytes.piece(),
            rollout: bytes.piece(),
            crash: bytes.piece(),
            crashed: bytes.piece(),
        };
        Self::with(storage, kind, &stored)
    }

    fn with(storage: &'a mut Storage<Esp01>, kind: u8, stored: &Stored<'_>) -> Self {
        let config = Config {
            hostname: hostname(),
            address: *OWN.ip(),
            port: OWN.port(),
            http_port: 80,
            key: (kind & 1 == 0).then_some(KEY),
            services: Catalogue::default(),
            assets: Assets::NONE,
            tasks: if kind & 32 == 0 { Tasks::EMPTY } else { TASKS },
            sprockets: &[],
            timing: Default::default(),
            radio: (kind & 16 != 0).then_some(RadioConfig {
                kind: Radio::Modelled,
                password: None,
                credentials: None,
            }),
        };
        let stage = match kind >> 2 & 3 {
            0 | 1 => Stage::Confirmed,
            2 => Stage::Trial,
            _ => Stage::Fallback { tried: Some(2) },
        };
        let facts = Facts {
            board: "esp-01",
            version: "1",
            chip_id: 1,
            flash_size: 1 << 20,
            reset_reason: "power-on",
            // Now and then it starts in safe mode.
            crashes: kind >> 5,
            image: (kind & 2 == 0).then_some(Running { sequence: 1, stage }),
        };
        let (now, seed) = (Instant::ZERO, Seed([kind; 32]));
        Self {
            node: Node::new(now, &config, facts, stored, &seed, storage),
            now,
            sealer: Sealer::new(&KEY),
            signing: SigningKey::derive(&KEY),
            counter: 0,
            token: None,
            delivered: 0,
        }
    }

    pub(crate) fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// Lets the node do what it does first.
    pub(crate) fn start(&mut self) {
        for _ in 0..4 {
            self.act(&mut Bytes(&[]), &mut |_| ());
            self.pass(Duration::from_millis(50));
        }
    }

    /// Its serial line says `input`; what the node answers is put behind `said`.
    pub(crate) fn hear_line(&mut self, improv: &mut Improv, input: &[u8], said: &mut Vec<u8>) {
        for byte in input {
            improv.handle_byte(&mut self.node, self.now, *byte, &mut |byte| said.push(byte));
        }
    }

    /// It is the node's turn to say something over its serial line.
    pub(crate) fn say_line(&self, improv: &mut Improv, said: &mut Vec<u8>) {
        improv.handle_timeout(&self.node, &mut |byte| said.push(byte));
    }

    /// One verb, as the input says.
    pub(crate) fn verb(&mut self, bytes: &mut Bytes<'_>, see: See<'_>) {
        match bytes.u8() % 16 {
            0 => self.pass(Duration::from_millis(bytes.u8().into())),
            1 => self.pass(Duration::from_millis(u64::from(bytes.u16()) * 16)),
            2 => {
                let mut datagram = [0; 255];
                let piece = bytes.piece();
                datagram[..piece.len()].copy_from_slice(piece);
                self.node.handle_datagram(self.now, FROM, &mut datagram[..piece.len()]);
            }
            3 | 4 => self.hear(bytes),
            5 => {
                // Any message at all, from somebody who has the key.
                let (sender, message) = (bytes.u8(), bytes.piece());
                self.deliver(NodeId([sender; 6]), message);
            }
            6 | 7 => self.act(bytes, see),
            8 | 9 => self.transmit(see),
            10 | 11 => {
                let route = &ROUTES[usize::from(bytes.u8()) % ROUTES.len()];
                let (signed, query, body) =
                    (!bytes.u8().is_multiple_of(4), bytes.text(), bytes.piece());
                self.ask(route.method, route.path, query, body, signed, see);
            }
            12 => {
                let (scope, topic) = (bytes.u8(), bytes.text());
                let (retained, payload) = (scope & 2 != 0, bytes.piece());
                let scope = if scope & 1 == 0 { Scope::Cluster } else { Scope::Local };
                let published = self.node.publish(self.now, scope, topic, payload, retained);
                see(format_args!("{published:?}"));
            }
            13 => {
                let address = Ipv4Addr::from(bytes.array::<4>());
                let lease = Lease { address, prefix_len: bytes.u8() % 33, gateway: None };
                let events = [
                    RadioEvent::Associated,
                    RadioEvent::Address(lease),
                    RadioEvent::Signal(bytes.u8().cast_signed()),
                    RadioEvent::ClientJoined,
                    RadioEvent::ClientLeft,
                    RadioEvent::ScanDone,
                ];
                let event = events[usize::from(bytes.u8()) % events.len()];
                self.node.handle_radio(self.now, event);
            }
            14 => match bytes.u8() % 8 {
                0 => self.node.leave(self.now),
                1 => self.node.handle_upload(self.now, bytes.u32(), bytes.u32()),
                2 => {
                    let result = if bytes.u8().is_multiple_of(2) {
                        Ok(bytes.u32())
                    } else {
                        Err(Refused::Flash)
                    };
                    let mut response = self.node.handle_installed(self.now, result);
                    self.show(&mut response, see);
                }
                3 => self.node.handle_elapsed(self.now),
                4 => self.node.handle_called(bytes.u16()),
                5 => {
                    let taken = self.node.handle_fetched(bytes.piece());
                    see(format_args!("{taken}"));
                }
                6 => self.node.fetch_image(self.now, bytes.array()),
                _ => self.node.handle_piece(bytes.u16(), bytes.piece()),
            },
            _ => {
                let number = bytes.u32();
                self.node.handle_resources(Resources { free_memory: number.into() });
                match number % 8 {
                    1 => self.node.serve_image(self.now, bytes.array()),
                    2 => self.node.set_services(if number & 8 == 0 {
                        SERVICES
                    } else {
                        Catalogue::default()
                    }),
                    3 => self.head(number, bytes, see),
                    _ => (),
                }
            }
        }
    }

    /// The head of a request comes, and nothing behind it.
    fn head(&mut self, number: u32, bytes: &mut Bytes<'_>, see: See<'_>) {
        let route = &ROUTES[(number >> 3) as usize % ROUTES.len()];
        let request = Request { query: bytes.text(), ..Request::new(route.method, route.path) };
        if let Some(mut response) = self.node.handle_head(self.now, &request) {
            self.show(&mut response, see);
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        if self.node.poll_timeout().is_some_and(|due| due <= self.now) {
            self.node.handle_timeout(self.now);
        }
    }

    /// The peer says something that makes sense.
    fn hear(&mut self, bytes: &mut Bytes<'_>) {
        let choice = bytes.u8();
        let token = Token::from_bytes(bytes.array());
        let kind = match choice % 8 {
            0 => Kind::Announce,
            1 => Kind::Ping(token),
            2 | 3 => Kind::Ack(self.token.unwrap_or(token)),
            4 => Kind::Events,
            5 => Kind::Window { asks: choice & 8 != 0 },
            6 => Kind::PingReq { token, target: NodeId(bytes.array()) },
            _ => Kind::RelayPing { token, origin: NodeId(bytes.array()) },
        };
        let incarnation = Incarnation {
            epoch: U24::new(u32::from(choice >> 6)).unwrap_or(U24::ZERO),
            refutation: U24::from_be_bytes([0, 0, bytes.u8()]),
        };
        let rumor = Rumor::Alive {
            address: *FROM.ip(),
            http_port: 80,
            status_version: bytes.u16(),
            update: UpdateState::NONE,
            hostname: hostname(),
            services: Default::default(),
        };
        let published = U24::from_be_bytes([0, 0, bytes.u8()]);
        let own = Record { id: PEER, incarnation, published, rumor };
        let head = Head {
            members: bytes.u32(),
            events: bytes.u32(),
            clock: bytes.u16().into(),
            rollout: bytes.u8().into(),
        };
        let mut room = [0; 400];
        let Ok(writer) = MessageWriter::new(&mut room, kind, head, &own) else { return };
        let len = writer.finish();
        // Behind it whatever the input has: records, events or keys.
        let more = bytes.piece();
        let more = &more[..more.len().min(room.len() - len)];
        room[len..len + more.len()].copy_from_slice(more);
        self.deliver(PEER, &room[..len + more.len()]);
    }

    /// Seals a message in the name of `sender`, and hands it to the node.
    fn deliver(&mut self, sender: NodeId, message: &[u8]) {
        self.counter += 1;
        let counter = U24::new(self.counter).unwrap_or(U24::MAX);
        let epoch = message.get(60).map_or(U24::ZERO, |byte| U24::from_be_bytes([0, 0, byte % 4]));
        let mut datagram = [0; MAX_DATAGRAM];
        let room = Sealer::message(&mut datagram);
        let len = message.len().min(room.len().saturating_sub(64));
        room[..len].copy_from_slice(&message[..len]);
        let header = Header { sender, epoch, counter };
        if let Some(len) = self.sealer.seal(&header, &mut datagram, len) {
            self.node.handle_datagram(self.now, FROM, &mut datagram[..len]);
        }
    }

    /// Does what the node asks for, or fails to, as the input says.
    fn act(&mut self, bytes: &mut Bytes<'_>, see: See<'_>) {
        // At the end of the input all goes well.
        for _ in 0..32 {
            let Some(action) = self.node.poll_action(self.now) else { return };
            see(format_args!("{action:?}"));
            let fails = bytes.u8() % 8 == 7;
            let completion = match action {
                Action::Store(key) => {
                    let mut value = [0; MAX_VALUE];
                    let len = self.node.value(key, &mut value);
                    see(format_args!("{:?}", &value[..len]));
                    Completion::Store(key, if fails { Err(StoreFailed) } else { Ok(()) })
                }
                Action::Fetch(_) => {
                    let taken = self.node.handle_fetched(bytes.piece());
                    Completion::Fetch(if taken && !fails { Ok(()) } else { Err(FetchFailed) })
                }
                Action::Verify(subject) => {
                    let verdict = if fails { Verdict::Unsigned } else { Verdict::Genuine };
                    Completion::Verify(subject, verdict)
                }
                Action::RunTask(index) => Completion::Ran(index),
                Action::Update(step) => {
                    Completion::Update(step, if fails { Err(StepFailed) } else { Ok(()) })
                }
                Action::Exchange(job) if fails => Completion::Exchange(job.failed()),
                Action::Exchange(job) => Completion::Exchange(self.done(job, bytes)),
                Action::Radio(_) | Action::Restart => continue,
            };
            self.node.handle_completion(self.now, completion);
        }
    }

    /// Does for the exchange of images what a body with slots does, with an image that the input describes.
    fn done(&mut self, job: Job, bytes: &mut Bytes<'_>) -> Done {
        let mut cut = || {
            let manifest = u16::from(bytes.u8() % 8) + 2;
            Cut { manifest, count: manifest + 1 + bytes.u16() % 2_048 }
        };
        match job {
            Job::Prepare(_) => Done::Prepared(Ok(match cut() {
                cut if cut.count.is_multiple_of(3) => Found::Nothing,
                cut if cut.count.is_multiple_of(2) && cut.manifest > 2 => Found::Head(cut),
                cut => Found::Manifest(cut),
            })),
            Job::Write => Done::Written(true),
            Job::Check(_) => Done::Checked(Some(!bytes.u8().is_multiple_of(4))),
            Job::Offer(_) => Done::Offered(Some((cut(), bytes.u8().is_multiple_of(2)))),
            Job::Read { piece, .. } => {
                self.node.handle_piece(piece, bytes.piece());
                Done::Read(true)
            }
        }
    }

    /// Sends what the node wants to send: the peer hears it.
    fn transmit(&mut self, see: See<'_>) {
        let mut datagram = [0; MAX_DATAGRAM];
        for _ in 0..64 {
            let Some(sent) = self.node.poll_transmit(self.now, &mut datagram) else { return };
            let bytes = &mut datagram[..sent.len];
            see(format_args!("{:?} {bytes:?}", sent.destination));
            let opened = self.sealer.open(bytes);
            let (header, message) = opened.expect("a node seals what it says");
            let message = Message::parse(message, header.sender)
                .unwrap_or_else(|error| panic!("a node makes sense: {error:?} {message:02x?}"));
            if let Kind::Ping(token) = message.kind {
                self.token = Some(token);
            }
        }
    }

    /// Asks the node's API, and reads the answer to its end.
    pub(crate) fn ask(
        &mut self,
        method: Method,
        path: &str,
        query: &str,
        body: &[u8],
        signed: bool,
        see: See<'_>,
    ) {
        let mut field = alloc::string::String::new();
        let plain = Request { query, body, ..Request::new(method, path) };
        if signed && let Some(nonce) = self.nonce() {
            let mac =
                self.signing.sign(&Signed { method: method.name(), path, query, nonce, body });
            field = alloc::format!("{}", Credentials { nonce, mac });
        }
        let authorization = (!field.is_empty()).then_some(&*field);
        let mut response = self.node.handle_request(self.now, &Request { authorization, ..plain });
        for _ in 0..8 {
            if !response.is_pending() || self.node.poll_response(self.now, &mut response) {
                break;
            }
            self.act(&mut Bytes(&[]), see);
            self.pass(Duration::from_millis(20));
        }
        self.show(&mut response, see);
    }

    /// A nonce of the node's.
    fn nonce(&mut self) -> Option<Nonce> {
        let request = Request::new(Method::Get, "/api/auth/nonce");
        let mut response = self.node.handle_request(self.now, &request);
        let mut room = [0; 256];
        let len = self.node.poll_body(self.now, &mut response.body, &mut room);
        str::from_utf8(&room[..len]).ok()?.split('"').nth(3)?.parse().ok()
    }

    fn show(&self, response: &mut Response, see: See<'_>) {
        see(format_args!("{}", response.status));
        assert!((100..600).contains(&response.status));
        let mut room = [0; 256];
        for _ in 0..256 {
            let len = self.node.poll_body(self.now, &mut response.body, &mut room);
            if len == 0 {
                return;
            }
            see(format_args!("{:?}", str::from_utf8(&room[..len]).expect("the API says UTF-8")));
        }
    }

    /// What holds after every verb.
    fn check(&mut self) {
        assert!(self.node.members().len() < 64, "a list of members is bounded");
        while self.node.poll_event().is_some() {}
        while let Some(delivery) = self.node.next_event(self.delivered, Filter::ALL) {
            assert!(delivery.seq > self.delivered, "each event is delivered once, in order");
            self.delivered = delivery.seq;
        }
    }
}

const fn valid<T: Copy, E: Copy>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => panic!("it is as it must be"),
    }
}

fn hostname() -> Hostname {
    Hostname::new("node").expect("it is one")
}
