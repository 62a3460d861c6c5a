extern crate std;
use super::{Cut, Done, Exchange, Fetched, Found, ImageId, Job, Letter, PIECE, Page};
use crate::ota::{Bits, Refused};
use crate::time::{Duration, Instant};
use core::net::{Ipv4Addr, SocketAddrV4};
use heapless::Vec as Bounded;
use std::boxed::Box;
use std::vec::Vec;

const IMAGE: ImageId = *b"the image's id..";
const CUT: Cut = Cut { manifest: 5, count: 205 };
const PAUSE: Duration = Duration::from_millis(3);

/// What every piece has that is right.
fn bytes(number: u16) -> Vec<u8> {
    let length = if number == CUT.count - 1 { 100 } else { PIECE };
    (0..length).map(|at| (at as u16 ^ number.wrapping_mul(7)) as u8).collect()
}

/// A node with a flash that does what `docs/image.md` says.
struct Node {
    address: SocketAddrV4,
    exchange: Exchange<'static>,
    flash: Vec<Option<Vec<u8>>>,
    ended: Option<Fetched>,
    /// It sends pieces that are wrong.
    lies: bool,
    wants: u32,
    written: u32,
}

impl Node {
    fn new(number: u8) -> Self {
        let bits: &'static mut Bounded<u8, 40> = Box::leak(Box::new(Bounded::new()));
        let page = Box::leak(Box::new(Page::NEW));
        Self {
            address: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, number), 4210),
            exchange: Exchange::new(Bits::new(bits), page, PAUSE),
            flash: std::vec![None; CUT.count.into()],
            ended: None,
            lies: false,
            wants: 0,
            written: 0,
        }
    }

    fn holder(number: u8, now: Instant) -> Self {
        let mut node = Self::new(number);
        node.flash = (0..CUT.count).map(|number| Some(bytes(number))).collect();
        node.exchange.serve(now, IMAGE);
        node
    }

    fn has(&self, pieces: impl IntoIterator<Item = u16>) -> bool {
        let is_right = |number: u16| self.flash[usize::from(number)] == Some(bytes(number));
        pieces.into_iter().all(is_right)
    }

    fn wipe(&mut self, pieces: impl IntoIterator<Item = u16>) {
        pieces.into_iter().for_each(|number| self.flash[usize::from(number)] = None);
    }

    fn work(&mut self, job: Job) -> Done {
        match job {
            Job::Prepare(_) => Done::Prepared(Ok(if self.has(0..CUT.manifest) {
                Found::Manifest(CUT)
            } else if self.has(0..2) && self.flash[2..5].iter().all(Option::is_none) {
                Found::Head(CUT)
            } else {
                self.wipe(0..CUT.manifest);
                Found::Nothing
            })),
            Job::Write => {
                let (number, piece) = self.exchange.piece();
                assert!(number != 1 || self.flash[0].is_some(), "the first one comes first");
                let (number, piece) = (usize::from(number), piece.to_vec());
                assert_eq!(self.flash[number], None, "piece {number} is there");
                self.flash[number] = Some(piece);
                self.written += 1;
                Done::Written(true)
            }
            Job::Check(chunk) => {
                let whole = self.has(CUT.pieces(chunk));
                if !whole {
                    self.wipe(CUT.pieces(chunk));
                }
                Done::Checked(Some(whole))
            }
            Job::Offer(_) => Done::Offered(self.has(0..CUT.count).then_some((CUT, false))),
            Job::Read { piece, held } => {
                assert!(!held || self.ended.is_some());
                let mut bytes = self.flash[usize::from(piece)].clone().unwrap();
                bytes[0] ^= u8::from(self.lies);
                self.exchange.handle_read(piece, &bytes);
                Done::Read(true)
            }
        }
    }

    fn act(&mut self, now: Instant) {
        while let Some(job) = self.exchange.poll_job(now) {
            let done = self.work(job);
            self.ended = self.exchange.done(now, done).or(self.ended);
        }
    }
}

enum Sent {
    Want(SocketAddrV4, u32, u16, Vec<u8>),
    Piece(Option<SocketAddrV4>, u32, u16, u16, Vec<u8>),
}

/// Some nodes, and how many pieces went to one of them, and to all.
struct World {
    now: Instant,
    nodes: Vec<Node>,
    rng: fastrand::Rng,
    /// Of unicasts and of broadcasts.
    loss: [f64; 2],
    sent: [u32; 2],
}

impl World {
    fn new(holders: u8, others: u8, loss: [f64; 2], seed: u64) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut nodes: Vec<_> = (0..holders).map(|number| Node::holder(number, now)).collect();
        for number in holders..holders + others {
            let mut node = Node::new(number);
            node.exchange.fetch(now, IMAGE);
            nodes.push(node);
        }
        Self { now, nodes, rng: fastrand::Rng::with_seed(seed), loss, sent: [0; 2] }
    }

    fn send(&mut self, from: usize) -> bool {
        let (now, members) = (self.now, self.nodes.len());
        let address = self.nodes[from].address;
        let addresses: Vec<_> = self.nodes.iter().map(|node| node.address).collect();
        let others: Vec<_> = addresses.into_iter().filter(|other| *other != address).collect();
        let holder = |rng: &mut fastrand::Rng| rng.choice(&others).copied();
        let letter = self.nodes[from].exchange.poll_letter(now, &mut self.rng, members, holder);
        let sent = match letter {
            None => return false,
            Some(Letter::Want { to, image, first, missing }) => {
                Sent::Want(to, image, first, missing.to_vec())
            }
            Some(Letter::Piece { to, image, number, left, bytes }) => {
                Sent::Piece(to, image, number, left, bytes.to_vec())
            }
        };
        for node in self.nodes.iter_mut().filter(|node| node.address != address) {
            match &sent {
                Sent::Want(to, image, first, missing) if *to == node.address => {
                    node.wants += 1;
                    node.exchange.handle_want(now, address, (*image, *first), missing);
                }
                Sent::Piece(to, image, number, left, bytes)
                    if to.is_none_or(|to| to == node.address) =>
                {
                    if self.rng.f64() >= self.loss[usize::from(to.is_none())] {
                        let (piece, around) = ((*image, *number, *left), (&mut self.rng, members));
                        node.exchange.handle_piece(now, address, piece, bytes, around);
                    }
                }
                _ => continue,
            }
            node.act(now);
        }
        if let Sent::Piece(to, ..) = sent {
            self.sent[usize::from(to.is_none())] += 1;
        }
        true
    }

    /// Goes on until nobody has anything to do by `limit`.
    fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        loop {
            for node in 0..self.nodes.len() {
                self.nodes[node].act(self.now);
                while self.send(node) {
                    self.nodes[node].act(self.now);
                }
            }
            let next = self.nodes.iter().filter_map(|node| node.exchange.poll_timeout()).min();
            match next {
                Some(next) if next < end => {
                    self.now = next.max(self.now + Duration::from_micros(1));
                }
                _ => return,
            }
        }
    }

    #[track_caller]
    fn finish(&mut self) -> Duration {
        let start = self.now;
        self.run(Duration::from_secs(600));
        for node in &self.nodes {
            assert!(node.has(0..CUT.count) && node.exchange.has(IMAGE), "{}", node.address);
        }
        self.now.since(start)
    }
}

#[test]
fn chunks_are_made_of_all_pieces_of_the_payload() {
    for cut in [CUT, Cut { manifest: 2, count: 3 }, Cut { manifest: 48, count: 1919 }] {
        let mut next = cut.manifest;
        for chunk in 0.. {
            let pieces = cut.pieces(chunk);
            if pieces.is_empty() {
                break;
            }
            assert_eq!(pieces.start, next);
            assert!(pieces.clone().all(|piece| cut.chunk(piece) == Some(chunk)));
            assert!(pieces.len() <= if chunk == 0 { 15 } else { 16 });
            next = pieces.end;
        }
        assert_eq!(next, cut.count);
        assert_eq!((cut.chunk(cut.manifest - 1), cut.chunk(cut.count)), (None, None));
        assert!(cut.pieces(u16::MAX).is_empty());
    }
}

#[test]
fn one_node_gets_each_piece_once_and_alone() {
    let mut world = World::new(1, 1, [0.0, 0.5], 1);
    world.finish();
    assert_eq!(world.sent, [CUT.count.into(), 0]);
    assert_eq!(world.nodes[1].ended, Some(Fetched::Whole));
    assert_eq!(world.nodes[1].written, u32::from(CUT.count));
    // It gives it on, the other one being gone.
    let mut late = Node::new(9);
    late.exchange.fetch(world.now, IMAGE);
    world.nodes[0] = late;
    world.finish();
}

#[test]
fn many_nodes_get_it_by_broadcast_for_little_more_than_one() {
    for seed in 0..20 {
        let mut world = World::new(1, 40, [0.05, 0.5], seed);
        let took = world.finish();
        let [unicast, broadcast] = world.sent;
        // Half of all broadcasts get lost, so some node of 40 misses a piece five or six times.
        assert!(unicast + broadcast < 11 * u32::from(CUT.count), "seed {seed}: {:?}", world.sent);
        assert!(took < Duration::from_secs(12), "seed {seed}: {took:?}");
        let wants: u32 = world.nodes.iter().map(|node| node.wants).sum();
        assert!(wants < 40 * 40, "seed {seed}: {wants} questions");
    }
}

#[test]
fn whoever_has_it_gives_it_on_and_a_piece_that_another_one_sent_is_not_sent_again() {
    for seed in 0..20 {
        let mut world = World::new(4, 12, [0.0; 2], seed);
        world.finish();
        let [unicast, broadcast] = world.sent;
        assert!(unicast + broadcast < 4 * u32::from(CUT.count), "seed {seed}: {:?}", world.sent);
    }
}

#[test]
fn pieces_that_are_wrong_are_found_and_fetched_from_others() {
    for seed in 0..20 {
        let mut world = World::new(4, 3, [0.02, 0.3], seed);
        world.nodes[1].lies = true;
        world.finish();
        assert!(world.nodes[4..].iter().all(|node| node.ended == Some(Fetched::Whole)));
    }
}

#[test]
fn after_a_restart_it_goes_on_with_the_chunks_that_are_not_whole() {
    let mut world = World::new(1, 1, [0.0; 2], 1);
    world.run(Duration::from_millis(450));
    let flash = world.nodes[1].flash.clone();
    let there = flash.iter().flatten().count();
    assert!((40..150).contains(&there), "{there} pieces");
    let mut node = Node::new(1);
    node.flash = flash;
    node.exchange.fetch(world.now, IMAGE);
    world.nodes[1] = node;
    world.finish();
    let fetched = world.nodes[1].written as usize;
    assert!(fetched <= usize::from(CUT.count) - there + 16, "{fetched} after {there}");
}

#[test]
fn what_cannot_be_is_refused_and_what_is_not_wanted_any_more_is_nobodys() {
    let now = Instant::from_micros(5);
    let mut exchange = Node::new(1).exchange;
    let ended = |exchange: &mut Exchange<'_>, done| {
        assert!(exchange.poll_job(now).is_some());
        assert_eq!(exchange.poll_job(now), None, "one job at a time");
        exchange.done(now, done)
    };
    exchange.fetch(now, IMAGE);
    let refused = Fetched::Refused(Refused::Older);
    let prepared = Done::Prepared(Err(Refused::Older));
    assert_eq!(ended(&mut exchange, prepared), Some(refused));
    assert_eq!((exchange.poll_job(now), exchange.poll_timeout()), (None, None));
    // More pieces than there are bits.
    exchange.fetch(now, IMAGE);
    let found = Found::Head(Cut { manifest: 5, count: 321 });
    let refused = Some(Fetched::Refused(Refused::TooLarge));
    assert_eq!(ended(&mut exchange, Done::Prepared(Ok(found))), refused);
    // The end of a job that was for another image.
    exchange.fetch(now, IMAGE);
    assert_eq!(exchange.poll_job(now), Some(Job::Prepare(IMAGE)));
    exchange.fetch(now, [2; 16]);
    assert_eq!(exchange.poll_job(now), None);
    assert_eq!(exchange.done(now, Done::Prepared(Err(Refused::Board))), None);
    assert_eq!(exchange.poll_job(now), Some(Job::Prepare([2; 16])));
    assert_eq!(exchange.done(now, Done::Prepared(Ok(Found::Manifest(CUT)))), None);
    // A flash that always fails.
    let chunks = (0..).take_while(|chunk| !CUT.pieces(*chunk).is_empty()).count();
    for _ in 0..chunks {
        assert_eq!(ended(&mut exchange, Done::Checked(None)), None);
    }
    let mut end = None;
    for _ in chunks..=20 {
        assert_eq!(end, None);
        let mut rng = fastrand::Rng::with_seed(1);
        let (from, piece) = (Node::new(2).address, (0x0202_0202, CUT.manifest, 0));
        exchange.handle_piece(now, from, piece, &bytes(CUT.manifest), (&mut rng, 2));
        end = ended(&mut exchange, Done::Written(false));
    }
    assert_eq!(end, Some(Fetched::Refused(Refused::Flash)));
}

#[test]
fn nobody_answers_for_an_image_that_he_has_not() {
    let now = Instant::from_micros(5);
    let mut node = Node::new(1);
    node.exchange.serve(now, IMAGE);
    node.act(now);
    assert!(!node.exchange.has(IMAGE));
    let mut holder = Node::holder(2, now);
    let tag = u32::from_be_bytes(*b"the ");
    let to = node.address;
    holder.exchange.handle_want(now, to, (tag, 0), &[0xFF]);
    assert_eq!(holder.exchange.poll_timeout(), None, "before its body has found it");
    holder.act(now);
    holder.exchange.handle_want(now, to, (tag ^ 1, 0), &[0xFF]);
    assert_eq!(holder.exchange.poll_timeout(), None, "another image");
    // Behind the end there is nothing.
    holder.exchange.handle_want(now, to, (tag, CUT.count), &[0xFF]);
    holder.exchange.handle_want(now, to, (tag, u16::MAX), &[0xFF; 240]);
    assert_eq!(holder.exchange.poll_timeout(), None, "no such pieces");
    holder.exchange.handle_want(now, to, (tag, CUT.count - 1), &[0xFF; 240]);
    assert!(holder.exchange.poll_timeout().is_some());
}
