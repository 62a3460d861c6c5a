//! Plans that are drawn from a seed: anything may fail, and then a core must converge.
//!
//! As in TigerBeetle's simulator of the same name: in the *safety* phase all faults at once befall the cluster, and what must never be
//! is looked for at every step; in the *liveness* phase a random core heals, and all else stays broken for good.

use super::chaos::Rates;
use super::plan::{
    Clock, Cpu, Events, Expect, FlashChips, Image, Liveness, Network, Plan, Profile, Rollout,
};
use super::span::Span;
use fastrand::Rng;

/// The 32-bit counter of milliseconds wraps then.
const WRAP: u64 = 4_294_967;

/// The plan of a seed: 2 to 24 nodes, and each fault there or not, and as hard as it may be.
pub fn vopr(seed: u64) -> Plan {
    let mut rng = Rng::with_seed(seed ^ 0x56_4F_50_52);
    let nodes = rng.usize(2..=24);
    let network = network(&mut rng);
    let chaos = chaos(&mut rng);
    let profile = [Profile::Host, Profile::Esp01, Profile::Mixed][rng.usize(..3)];
    let rate = if rng.bool() { part(&mut rng, 2.0) } else { 0.0 };
    // Short of the wrap by less than the run lasts, or anywhere.
    let wraps = rng.bool();
    let clock = Clock {
        drift_ppm: rng.u32(..=50_000),
        from: if wraps { Span::secs(WRAP - 200) } else { Span::default() },
        to: if wraps { Span::secs(WRAP - 20) } else { Clock::default().to },
    };
    let failure = if rng.bool() { part(&mut rng, 0.2) } else { 0.0 };
    let slow = if rng.bool() { rng.usize(..=nodes / 3) } else { 0 };
    let rollout = rng.bool().then(|| Rollout {
        at: Span::secs(rng.u64(..30)),
        image: [Image::Good, Image::Deaf, Image::Crashes, Image::Hangs][rng.usize(..4)],
        gate: Span::secs(rng.u64(1..=20)),
        waves: if rng.bool() { vec![30, 100] } else { vec![100] },
    });
    Plan {
        title: "anything may fail, and then a core must converge".into(),
        nodes,
        profile,
        start_within: Span::secs(rng.u64(..=5)),
        duration: Span::secs(rng.u64(30..=240)),
        network,
        clock,
        flash: FlashChips { failure, torn: rng.f64(), ..FlashChips::default() },
        cpu: Cpu { slow, by: Span::millis(rng.u64(1..=100)) },
        events: Events { rate, retained: 0.2, bytes: rng.usize(..=256) },
        chaos,
        rollout,
        liveness: Some(Liveness::default()),
        // With such faults it may never be whole before a core heals.
        expect: Expect { whole_within: Span::secs(30), ..Expect::default() },
        ..Plan::default()
    }
}

/// Anything up to `most`.
fn part(rng: &mut Rng, most: f64) -> f64 {
    rng.f64() * most
}

fn network(rng: &mut Rng) -> Network {
    let mut some = |most: f64| if rng.bool() { part(rng, most) } else { 0.0 };
    let (loss, duplication, corruption) = (some(0.4), some(0.2), some(0.2));
    let (replay, reorder, fetch_failure) = (some(0.1), some(0.2), some(0.5));
    let tail = rng.bool().then(|| Span::millis(rng.u64(1..=100)));
    Network {
        loss,
        broadcast_loss: 0.3 + part(rng, 0.6),
        tail,
        duplication,
        corruption,
        replay,
        replay_within: Span::secs(rng.u64(1..=120)),
        reorder,
        reorder_by: Span::millis(rng.u64(1..=3_000)),
        bandwidth: if rng.u8(..4) == 0 { rng.u64(500_000..5_000_000) } else { 0 },
        fetch_failure,
        ..Network::default()
    }
}

fn chaos(rng: &mut Rng) -> Rates {
    let mut some = |most: f64| if rng.bool() { part(rng, most) } else { 0.0 };
    let (kills, stalls, flaps, partitions) = (some(12.0), some(12.0), some(20.0), some(4.0));
    let (steps, junk, forgets) = (some(4.0), some(60.0), some(0.3));
    Rates { kills, forgets, stalls, flaps, partitions, steps, junk, ..Rates::default() }
}
