use super::{Faults, Faulty, Hears, QUEUE};
use edge_nal::UdpReceive;
use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use embedded_io_async::ErrorType;
use futures_lite::future::block_on;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7);
/// What a busy machine may add to a delay.
const SLACK: Duration = Duration::from_secs(5);

/// A socket at which so many datagrams have arrived, in groups with a pause between them.
struct Source {
    left: u32,
    group: u32,
    pause: embassy_time::Duration,
    next: u32,
}

impl Source {
    /// All at once.
    fn all_at_once(count: u32) -> Self {
        Self { left: count, group: u32::MAX, pause: embassy_time::Duration::MIN, next: 0 }
    }
}

impl ErrorType for Source {
    type Error = Infallible;
}

impl UdpReceive for Source {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), Infallible> {
        if self.left == 0 {
            return std::future::pending().await;
        }
        if self.next > 0 && self.next.is_multiple_of(self.group) {
            Timer::after(self.pause).await;
        }
        self.left -= 1;
        let bytes = self.next.to_be_bytes();
        self.next += 1;
        let fits = bytes.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&bytes[..fits]);
        Ok((bytes.len(), FROM))
    }
}

/// The numbers of all datagrams that arrive, and when, until none has for a while.
fn arrivals(source: Source, faults: Faults, hears: Hears) -> Vec<(u32, Duration)> {
    assert!(source.left as usize <= QUEUE || faults.jitter.is_zero() || source.group < u32::MAX);
    let quiet = embassy_time::Duration::from_millis(100);
    let start = Instant::now();
    let mut socket = Faulty::new(source, &faults, hears);
    let mut arrivals = Vec::new();
    block_on(async {
        let mut buffer = [0; 4];
        while let Either::First(Ok((4, FROM))) =
            select(socket.receive(&mut buffer), Timer::after(quiet)).await
        {
            arrivals.push((u32::from_be_bytes(buffer), start.elapsed().into()));
        }
    });
    arrivals
}

fn numbers(source: Source, faults: Faults, hears: Hears) -> Vec<u32> {
    arrivals(source, faults, hears).into_iter().map(|(number, _)| number).collect()
}

const NONE: Faults =
    Faults { loss: 0.0, broadcast_loss: 0.0, duplication: 0.0, jitter: Duration::ZERO, seed: 1 };

#[test]
fn without_faults_all_arrive_in_order() {
    let all: Vec<u32> = (0..1_000).collect();
    for hears in [Hears::Unicast, Hears::Broadcast(0)] {
        assert_eq!(numbers(Source::all_at_once(1_000), NONE, hears), all);
    }
    assert!(NONE.is_none());
}

#[test]
fn losses_of_unicasts_and_broadcasts_are_apart_and_as_frequent_as_asked() {
    let faults = Faults { loss: 0.1, broadcast_loss: 0.5, ..NONE };
    let arrive = |hears| numbers(Source::all_at_once(10_000), faults, hears);
    // Five standard deviations are 150 of 9,000, and 250 of 5,000.
    let unicast = arrive(Hears::Unicast).len();
    assert!((8_850..9_150).contains(&unicast), "{unicast}");
    let broadcasts = [arrive(Hears::Broadcast(0)), arrive(Hears::Broadcast(1))];
    for broadcast in &broadcasts {
        assert!((4_750..5_250).contains(&broadcast.len()), "{}", broadcast.len());
    }
    // What one socket loses says nothing of the other.
    let both = broadcasts[0].iter().filter(|number| broadcasts[1].contains(number)).count();
    assert!((2_250..2_750).contains(&both), "{both}");
    let all_lost = Faults { loss: 1.0, ..NONE };
    assert!(numbers(Source::all_at_once(10_000), all_lost, Hears::Unicast).is_empty());
}

#[test]
fn the_seed_decides_which_ones_are_lost() {
    let lossy = |seed| {
        let faults = Faults { loss: 0.5, seed, ..NONE };
        numbers(Source::all_at_once(100), faults, Hears::Unicast)
    };
    assert_eq!(lossy(1), lossy(1));
    assert_ne!(lossy(1), lossy(2));
}

#[test]
fn duplicates_are_as_frequent_as_asked() {
    let faults = Faults { duplication: 0.1, ..NONE };
    let numbers = numbers(Source::all_at_once(10_000), faults, Hears::Unicast);
    assert!((10_850..11_150).contains(&numbers.len()), "{}", numbers.len());
    assert!((0..10_000).all(|number| numbers.binary_search(&number).is_ok()));
}

#[test]
fn jitter_delays_evenly_up_to_its_limit_and_reorders() {
    let jitter = Duration::from_millis(80);
    let faults = Faults { jitter, ..NONE };
    let arrivals = arrivals(Source::all_at_once(250), faults, Hears::Unicast);
    let mut numbers: Vec<u32> = arrivals.iter().map(|(number, _)| *number).collect();
    assert!(!numbers.is_sorted());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..250).collect::<Vec<_>>());
    // They came at once, so these are the delays: 40 ms in the mean, give or take 23 / sqrt(250).
    let mean = arrivals.iter().map(|(_, at)| *at).sum::<Duration>() / 250;
    assert!(mean >= Duration::from_millis(32), "{mean:?}");
    assert!(mean <= Duration::from_millis(48) + SLACK, "{mean:?}");
    let (_, last) = arrivals.last().unwrap();
    assert!(*last >= Duration::from_millis(60) && *last <= jitter + SLACK, "{last:?}");
}

#[test]
fn those_that_come_while_others_are_held_up_are_heard_too() {
    let pause = embassy_time::Duration::from_millis(5);
    let source = Source { left: 50, group: 10, pause, next: 0 };
    let faults = Faults { jitter: Duration::from_millis(30), ..NONE };
    let arrivals = arrivals(source, faults, Hears::Unicast);
    assert_eq!(arrivals.len(), 50);
    // The last group comes after 20 ms, the first ones are out by then.
    let first_of_all = arrivals.iter().map(|(number, _)| *number).take(3).max();
    assert!(first_of_all < Some(40), "{arrivals:?}");
}

#[test]
fn what_finds_the_queue_full_is_lost() {
    let faults = Faults { jitter: Duration::from_millis(100), ..NONE };
    let mut socket = Faulty::new(Source::all_at_once(0), &faults, Hears::Unicast);
    for number in 0..1_000u32 {
        socket.take(FROM, 4, &number.to_be_bytes());
    }
    assert_eq!(socket.held.len(), QUEUE);
}

#[test]
fn a_datagram_longer_than_the_buffer_is_cut_and_its_length_told() {
    let mut socket = Faulty::new(Source::all_at_once(1), &NONE, Hears::Unicast);
    let mut short = [9; 3];
    assert_eq!(block_on(socket.receive(&mut short)).unwrap(), (4, FROM));
    assert_eq!(short, [0, 0, 0]);
}

#[test]
fn any_fault_is_one() {
    assert!(Faults::default().is_none());
    let one = [
        Faults { loss: 0.01, ..NONE },
        Faults { broadcast_loss: 0.01, ..NONE },
        Faults { duplication: 0.01, ..NONE },
        Faults { jitter: Duration::from_nanos(1), ..NONE },
    ];
    assert!(one.iter().all(|faults| !faults.is_none()));
}
