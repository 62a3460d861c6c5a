use super::{LATE, Rollout, Task};
use crate::api::Error;
use crate::cluster::Status;
use crate::ota::announcement::{Announcement, Ended};
use crate::ota::around::{Own, Peer, TRIAL};
use crate::ota::fetch::Fetch;
use crate::ota::plan::{Image, Plan, RolloutId, SignedPlan};
use crate::ota::state::{Reason, State, UpdateState};
use crate::ota::turn::LOOK;
use crate::security::{ReleaseKey, Verdict};
use crate::store::MAX_VALUE;
use crate::time::{Duration, Instant};
use crate::wire::NodeId;
use std::vec::Vec;

const KEY: ReleaseKey = ReleaseKey([1; 32]);
const GATE: u16 = 60;
const CANARY: NodeId = NodeId([1; 6]);
const IMAGE: u32 = 5;

fn plan(number: u32) -> Plan {
    let mut board = [0; Image::BOARD];
    board[..4].copy_from_slice(b"host");
    Plan {
        id: RolloutId { number, random: 0 },
        images: [Image { board, sequence: IMAGE, digest: [9; Image::DIGEST] }]
            .into_iter()
            .collect(),
        canaries: [CANARY].into_iter().collect(),
        waves: [20, 100].into_iter().collect(),
        gate: GATE,
        max_failures: 2,
        expiry: 24,
        catches_up: true,
    }
}

/// A node that starts with this value.
fn restored(now: Instant, value: &[u8]) -> Rollout {
    let mut rollout = Rollout::new(now);
    rollout.restore(now, value);
    rollout
}

fn signed(number: u32) -> SignedPlan {
    SignedPlan { plan: plan(number), signature: [3; 64] }
}

fn told(number: u32) -> Announcement {
    Announcement { signed: signed(number), ended: Ended::No, age: 0 }
}

fn tag() -> u16 {
    plan(1).id.tag()
}

/// A node of this wave.
fn of_wave(wave: u8) -> NodeId {
    all_of_wave(wave).next().unwrap()
}

fn all_of_wave(wave: u8) -> impl Iterator<Item = NodeId> {
    let ids = (0..=u8::MAX).map(|n| NodeId([0, 0, 0, 0, 0, n]));
    ids.filter(move |id| plan(1).wave(*id) == wave)
}

fn own(id: NodeId) -> Own {
    Own {
        id,
        board: "host",
        sequence: Some(4),
        confirmed: true,
        free: true,
        quarantined: None,
        key: Some(KEY),
    }
}

fn peer(id: NodeId, state: State) -> Peer {
    let update = UpdateState::new(state, tag());
    Peer { id, status: Status::Active, since: Instant::ZERO, update }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One node, whose body does what it is asked.
struct Bench {
    now: Instant,
    own: Own,
    rollout: Rollout,
    peers: Vec<Peer>,
    done: Vec<Task>,
}

impl Bench {
    fn new(id: NodeId) -> Self {
        let now = Instant::ZERO;
        let rollout = Rollout::new(now);
        Self { now, own: own(id), rollout, peers: Vec::new(), done: Vec::new() }
    }

    /// A node that has heard of rollout 1.
    fn taking_part(id: NodeId) -> Self {
        let mut bench = Self::new(id);
        bench.rollout.hear(bench.now, told(1));
        bench.run(1);
        bench.done.clear();
        bench
    }

    fn stored(&self) -> Vec<u8> {
        let mut value = [0; MAX_VALUE];
        let len = self.rollout.value(&mut value);
        value[..len].to_vec()
    }

    /// Lets so many seconds pass; the state at the end.
    fn run(&mut self, seconds: u64) -> State {
        let end = self.now + secs(seconds);
        let mut state = None;
        while self.now < end {
            self.now = self.now + LOOK;
            state = self.rollout.review(self.now, &self.own, self.peers.iter().copied()).or(state);
            while let Some(task) = self.rollout.poll(self.now, &self.own) {
                self.done.push(task);
                match task {
                    Task::Verify => self.rollout.verified(self.now, Verdict::Genuine),
                    Task::Store => self.rollout.stored(self.now, true),
                    Task::Fetch(_) => self.rollout.fetched(self.now, Ok(())),
                    Task::Serve(_) => (),
                    Task::Arm => {
                        self.rollout.armed(self.now, Ok(()));
                    }
                }
            }
        }
        state.map_or_else(|| self.rollout.state(&self.own).state(), UpdateState::state)
    }

    fn has_armed(&self) -> bool {
        self.done.contains(&Task::Arm)
    }
}

#[test]
fn a_plan_is_in_force_when_it_is_verified_and_stored() {
    let mut bench = Bench::new(of_wave(1));
    assert_eq!(bench.rollout.digest(), 0);
    let id = bench.rollout.begin(bench.now, Some(KEY), signed(1)).unwrap();
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Verify));
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), None, "once");
    assert_eq!(bench.rollout.to_verify(), Some(&signed(1)));
    assert_eq!((bench.rollout.outcome(id), bench.rollout.digest()), (None, 0));
    bench.rollout.verified(bench.now, Verdict::Genuine);
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Store));
    assert_eq!((bench.rollout.outcome(id), bench.rollout.digest()), (None, 0));
    let value = bench.stored();
    bench.rollout.stored(bench.now, true);
    assert_eq!(bench.rollout.outcome(id), Some(Ok(())));
    assert_eq!(bench.rollout.digest(), told(1).digest());
    assert_eq!(restored(bench.now, &value).current(), Some(&told(1)));
    for cut in 0..value.len() {
        assert_eq!(restored(bench.now, &value[..cut]).current(), None, "cut at {cut}");
    }
}

#[test]
fn what_is_forged_old_or_not_to_be_checked_changes_nothing() {
    let mut bench = Bench::new(of_wave(1));
    assert_eq!(bench.rollout.begin(bench.now, None, signed(1)), Err(Error::NoReleaseKey));
    let id = bench.rollout.begin(bench.now, Some(KEY), signed(1)).unwrap();
    assert_eq!(bench.rollout.begin(bench.now, Some(KEY), signed(2)), Err(Error::ChangeUnderWay));
    bench.rollout.poll(bench.now, &bench.own);
    bench.rollout.verified(bench.now, Verdict::Unsigned);
    assert_eq!(bench.rollout.outcome(id), Some(Err(Error::RolloutUnsigned)));
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), None);
    // Forged ones of other members do not keep a chip busy.
    bench.rollout.hear(bench.now, told(1));
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), None);
    bench.now = bench.now + super::REST;
    bench.rollout.hear(bench.now, told(1));
    let keyless = Own { key: None, ..bench.own };
    assert_eq!(bench.rollout.poll(bench.now, &keyless), None, "without a key nothing is taken");
    assert!(!bench.rollout.knows(told(1).digest()));

    let mut bench = Bench::taking_part(of_wave(1));
    bench.rollout.hear(bench.now, told(0));
    bench.run(1);
    assert_eq!(bench.rollout.begin(bench.now, Some(KEY), signed(0)), Err(Error::RolloutOutdated));
    let other = SignedPlan { signature: [4; 64], ..signed(1) };
    let reused = bench.rollout.begin(bench.now, Some(KEY), other.clone());
    assert_eq!(reused, Err(Error::RolloutOutdated), "an id is never used again");
    bench.rollout.hear(bench.now, Announcement { signed: other, ..told(1) });
    assert_eq!(bench.rollout.begin(bench.now, Some(KEY), signed(1)), Ok(plan(1).id), "again");
    assert_eq!(bench.rollout.current(), Some(&told(1)));
    assert!(!bench.done.contains(&Task::Verify) && !bench.done.contains(&Task::Store));
}

#[test]
fn a_plan_of_another_release_key_is_verified_once() {
    let mut bench = Bench::new(of_wave(1));
    let hear = |bench: &mut Bench, told: &Announcement| {
        bench.now = bench.now + super::REST;
        bench.rollout.hear(bench.now, told.clone());
        let verifies = bench.rollout.poll(bench.now, &bench.own) == Some(Task::Verify);
        bench.rollout.verified(bench.now, Verdict::Unsigned);
        verifies
    };
    let halted = Announcement { ended: Ended::Halted, age: 5, ..told(5) };
    assert!(hear(&mut bench, &told(5)));
    for _ in 0..100 {
        assert!(!hear(&mut bench, &told(5)) && !hear(&mut bench, &halted));
        assert!(!bench.rollout.is_changing() && !bench.rollout.knows(told(5).digest()));
    }
    assert_eq!(bench.run(1), State::Out);
    // What is not the same bytes may be genuine; and so may all be when the key is another one.
    let other = SignedPlan { signature: [4; 64], ..signed(5) };
    assert!(hear(&mut bench, &Announcement { signed: other.clone(), ..told(5) }));
    assert!(hear(&mut bench, &told(5)));
    assert!(!hear(&mut bench, &told(5)));
    bench.rollout.reconsider(bench.now);
    assert!(hear(&mut bench, &told(5)));
    // It keeps none out that the key has signed.
    bench.now = bench.now + super::REST;
    bench.rollout.hear(bench.now, told(1));
    bench.run(1);
    assert_eq!(bench.rollout.current(), Some(&told(1)));
    assert!(hear(&mut bench, &told(5)) && !hear(&mut bench, &told(5)));
    assert_eq!(bench.rollout.current(), Some(&told(1)));
}

#[test]
fn a_plan_that_could_not_be_stored_is_not_in_force() {
    let mut bench = Bench::taking_part(of_wave(1));
    let id = bench.rollout.begin(bench.now, Some(KEY), signed(2)).unwrap();
    bench.rollout.poll(bench.now, &bench.own);
    bench.rollout.verified(bench.now, Verdict::Genuine);
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Store));
    bench.rollout.stored(bench.now, false);
    assert_eq!(bench.rollout.outcome(id), Some(Err(Error::StoreFailed)));
    assert_eq!(bench.rollout.current(), Some(&told(1)));
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Store), "put back");
    assert_eq!(restored(bench.now, &bench.stored()).current(), Some(&told(1)));
}

#[test]
fn who_stores_a_plan_is_woken_for_nothing_that_waits_for_it() {
    let mut bench = Bench::taking_part(of_wave(1));
    bench.rollout.halt(bench.now).unwrap();
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Store));
    bench.rollout.stored(bench.now, false);
    bench.rollout.hear(bench.now, told(2));
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Verify));
    bench.rollout.verified(bench.now, Verdict::Genuine);
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Store));
    // It takes longer than the pause after which the halt would be stored again.
    bench.now = bench.now + super::RETRY;
    bench.rollout.review(bench.now, &bench.own, bench.peers.iter().copied());
    assert_eq!(bench.rollout.poll(bench.now, &bench.own), None);
    assert_eq!(bench.rollout.poll_timeout(), None, "there is nothing to do before it is stored");
    bench.rollout.stored(bench.now, true);
    assert_eq!(bench.rollout.current(), Some(&told(2)));
}

#[test]
fn canaries_restart_at_once_and_others_when_all_before_them_are_well_for_long_enough() {
    let mut canary = Bench::taking_part(CANARY);
    canary.run(1);
    assert!(!canary.rollout.armed(canary.now, Ok(())), "it is armed already");
    assert_eq!(canary.run(1), State::OnTrial);

    let first = of_wave(1);
    let mut second = Bench::taking_part(of_wave(2));
    assert_eq!(second.run(1000), State::Ready, "nobody is known");
    second.peers = [peer(CANARY, State::OnTrial), peer(first, State::Ready)].into();
    second.run(1000);
    second.peers[0] = peer(CANARY, State::Updated);
    second.run(1000);
    second.peers[1] = peer(first, State::Updated);
    second.run(u64::from(GATE) - 1);
    // The time begins anew when one of them is not well.
    second.peers[0].status = Status::Suspect;
    second.run(1);
    second.peers[0].status = Status::Active;
    second.run(u64::from(GATE) - 1);
    assert!(!second.has_armed());
    assert_eq!(second.run(2), State::OnTrial);
    assert!(second.has_armed());
}

#[test]
fn who_is_away_or_takes_no_part_is_not_waited_for_but_a_canary_is() {
    let first = of_wave(1);
    let arms = |canary: Peer, other: Peer| {
        let mut bench = Bench::taking_part(of_wave(2));
        bench.peers = [canary, other].into();
        bench.run(u64::from(GATE) + 2);
        bench.has_armed()
    };
    let well = peer(CANARY, State::Updated);
    let gone = |state, status| Peer { status, ..peer(first, state) };
    assert!(arms(well, gone(State::Fetching(1), Status::Dead)));
    assert!(arms(well, gone(State::Ready, Status::Left)));
    assert!(arms(well, peer(first, State::Out)));
    assert!(arms(well, Peer { update: UpdateState::new(State::Out, 0), ..well_other(first) }));
    assert!(arms(well, peer(first, State::Failed(Reason::FLASH))), "one may fail");
    assert!(arms(well, peer(of_wave(2), State::Ready)), "it comes later, or with this node");
    assert!(!arms(well, gone(State::OnTrial, Status::Dead)), "it may come back with a failure");
    assert!(!arms(well, gone(State::Ready, Status::Suspect)));
    assert!(
        !arms(well, Peer { update: UpdateState::NONE, ..well_other(first) }),
        "it has not heard yet"
    );
    let other = UpdateState::new(State::Updated, tag() ^ 1);
    assert!(!arms(well, Peer { update: other, ..well_other(first) }), "of another rollout");
    let dead = Peer { status: Status::Dead, ..well };
    assert!(!arms(dead, peer(first, State::Updated)));
    assert!(!arms(peer(CANARY, State::Out), peer(first, State::Updated)));
}

/// Nobody is waited for until the rollout expires: not who cannot tell who has signed it, nor who holds to another one.
#[test]
fn who_never_hears_of_a_rollout_keeps_no_gate_shut() {
    for update in [UpdateState::NONE, UpdateState::new(State::Ready, tag() ^ 1)] {
        let mut bench = Bench::taking_part(of_wave(2));
        let deaf = Peer { update, ..well_other(of_wave(1)) };
        bench.peers = [peer(CANARY, State::Updated), deaf].into();
        let until_old = 60 * u64::from(LATE);
        bench.run(until_old - 1);
        assert!(!bench.has_armed());
        bench.run(u64::from(GATE) + 2);
        assert!(bench.has_armed());
        assert_eq!(bench.rollout.current().unwrap().ended, Ended::No, "it is no failure");
        // A canary is waited for all the same.
        let mut bench = Bench::taking_part(of_wave(2));
        bench.peers = [Peer { id: CANARY, ..deaf }].into();
        assert_eq!(bench.run(3 * until_old), State::Ready);
    }
}

#[test]
fn who_finds_a_plan_unsigned_says_that_it_takes_no_part() {
    let mut bench = Bench::new(of_wave(1));
    let refuse = |bench: &mut Bench, number| {
        bench.now = bench.now + super::REST;
        bench.rollout.hear(bench.now, told(number));
        assert_eq!(bench.rollout.poll(bench.now, &bench.own), Some(Task::Verify));
        bench.rollout.verified(bench.now, Verdict::Unsigned);
    };
    refuse(&mut bench, 1);
    let out = |number| UpdateState::new(State::Out, plan(number).id.tag());
    let peers = || core::iter::empty();
    assert_eq!(bench.rollout.review(bench.now, &bench.own, peers()), Some(out(1)), "at once");
    let others = Peer { update: out(1), ..well_other(bench.own.id) };
    assert!(others.is_through(bench.now, tag(), false));
    // One that it has signed counts as long as it goes on.
    let mut bench = Bench::taking_part(of_wave(1));
    refuse(&mut bench, 2);
    assert_eq!(bench.run(1), State::Ready);
    bench.rollout.halt(bench.now).unwrap();
    bench.run(1);
    assert_eq!(bench.rollout.state(&bench.own), out(2));
    // And a newer one, as soon as it is in force.
    bench.now = bench.now + super::REST;
    bench.rollout.hear(bench.now, told(3));
    bench.run(1);
    assert_eq!(bench.run(1), State::Ready);
}

fn well_other(id: NodeId) -> Peer {
    peer(id, State::Updated)
}

#[test]
fn with_too_many_failures_it_is_halted_for_good() {
    let mut bench = Bench::taking_part(of_wave(2));
    let failed = State::Failed(Reason::NOT_STARTED);
    bench.peers = [peer(CANARY, State::Updated), peer(of_wave(1), failed)].into();
    bench.run(10);
    assert_eq!(bench.rollout.current().unwrap().ended, Ended::No, "two are too many");
    let (silent, since) = (all_of_wave(1).nth(1).unwrap(), bench.now);
    let dead = Peer { status: Status::Dead, since, ..peer(silent, State::OnTrial) };
    bench.peers.push(dead);
    bench.run(TRIAL.as_secs() - 1);
    assert_eq!(bench.rollout.current().unwrap().ended, Ended::No, "it may still come back");
    bench.done.clear();
    assert_eq!(bench.run(2), State::Idle);
    assert_eq!(bench.rollout.take_news(), Some(Ended::Halted));
    assert_eq!(bench.done, [Task::Store]);
    let mut again = Bench { rollout: restored(bench.now, &bench.stored()), ..bench };
    again.peers = [peer(CANARY, State::Updated), peer(of_wave(1), State::Updated)].into();
    again.done.clear();
    assert_eq!(again.run(1000), State::Idle);
    assert_eq!(again.done, [], "neither a restart nor anything else brings it back");
    again.rollout.hear(again.now, told(1));
    assert_eq!(again.rollout.current().unwrap().ended, Ended::Halted);
}

#[test]
fn the_failure_of_this_node_counts_too() {
    let mut bench = Bench::taking_part(CANARY);
    bench.own.quarantined = Some((IMAGE, Reason::NO_PEER));
    bench.peers = [peer(of_wave(1), State::Failed(Reason::FLASH))].into();
    assert_eq!(bench.run(1), State::Failed(Reason::NO_PEER));
    assert_eq!(bench.rollout.current().unwrap().ended, Ended::Halted);
    assert!(!bench.has_armed());
}

#[test]
fn what_one_has_ended_has_ended_for_all_who_hear_of_it() {
    let mut bench = Bench::taking_part(of_wave(1));
    bench.rollout.hear(bench.now, Announcement { ended: Ended::Halted, ..told(1) });
    assert_eq!(bench.run(1), State::Idle);
    assert_eq!(bench.done, [Task::Store]);
    assert_ne!(bench.rollout.digest(), told(1).digest(), "so that others ask");
    bench.rollout.hear(bench.now, Announcement { ended: Ended::Expired, ..told(1) });
    assert_eq!(bench.rollout.current().unwrap().ended, Ended::Halted);
    let mut bench = Bench::new(CANARY);
    assert_eq!(bench.rollout.halt(bench.now), Err(Error::NoRollout));
    bench.rollout.hear(bench.now, told(1));
    bench.rollout.hear(bench.now, Announcement { ended: Ended::Halted, ..told(1) });
    assert_eq!(bench.run(10), State::Idle, "a canary that hears of both at once does not begin");
    assert!(!bench.has_armed());
}

#[test]
fn it_expires_by_the_age_that_anybody_knows_of() {
    let minutes = 24 * 60;
    let mut bench = Bench::taking_part(of_wave(1));
    let old = Announcement { age: minutes - 2, ..told(1) };
    bench.rollout.hear(bench.now, old);
    bench.run(60);
    assert_eq!(bench.rollout.current().unwrap().ended, Ended::No);
    assert_eq!(bench.rollout.announcement(bench.now).unwrap().age, minutes - 1);
    bench.peers = [peer(CANARY, State::Updated)].into();
    bench.run(62);
    assert_eq!(bench.rollout.current().unwrap().ended, Ended::Expired);
    bench.done.clear();
    bench.run(1000);
    assert!(!bench.has_armed());
    // The age goes on from what was stored.
    let again = restored(Instant::ZERO, &bench.stored());
    assert!(again.announcement(Instant::ZERO).unwrap().age >= minutes);
}

#[test]
fn who_hears_late_catches_up_or_stays_out_as_the_plan_says() {
    for (catches_up, age, wanted) in
        [(true, LATE, State::Ready), (false, LATE, State::Out), (false, LATE - 1, State::Ready)]
    {
        let mut late = Announcement { age, ..told(1) };
        late.signed.plan.catches_up = catches_up;
        let mut bench = Bench::new(of_wave(1));
        bench.rollout.hear(bench.now, late);
        bench.run(1);
        assert_eq!(bench.run(10), wanted, "{catches_up} {age}");
        let again = Bench { rollout: restored(bench.now, &bench.stored()), ..bench };
        let state = Bench { own: again.own, ..again }.run(10);
        assert_eq!(state, wanted, "after a restart");
    }
}

#[test]
fn nodes_for_which_there_is_nothing_take_no_part() {
    let state = |change: fn(&mut Own)| {
        let mut bench = Bench::taking_part(CANARY);
        change(&mut bench.own);
        bench.done.clear();
        (bench.run(2), bench.has_armed())
    };
    assert_eq!(state(|own| own.board = "esp-01"), (State::Out, false));
    assert_eq!(state(|own| own.sequence = Some(IMAGE + 1)), (State::Out, false));
    assert_eq!(state(|own| own.sequence = None), (State::Out, false));
    assert_eq!(state(|own| own.sequence = Some(IMAGE)), (State::Updated, false));
    let mut updated = Bench::new(CANARY);
    updated.own.sequence = Some(IMAGE);
    updated.rollout.hear(updated.now, told(1));
    updated.run(10);
    assert_eq!(updated.done, [Task::Verify, Task::Store, Task::Serve([9; 16])], "once");
    let trial = |own: &mut Own| (own.sequence, own.confirmed) = (Some(IMAGE), false);
    assert_eq!(state(trial), (State::OnTrial, false));
    let mut unconfirmed = Bench::new(CANARY);
    unconfirmed.own.confirmed = false;
    unconfirmed.rollout.hear(unconfirmed.now, told(1));
    assert_eq!(unconfirmed.run(10), State::Fetching(0), "the other slot is what to go back to");
    assert!(!unconfirmed.has_armed() && !unconfirmed.done.contains(&Task::Fetch([9; 16])));
    // While something else comes into that slot, nothing is fetched; who is updated stays so.
    let mut taken = Bench::new(CANARY);
    taken.own.free = false;
    taken.rollout.hear(taken.now, told(1));
    assert_eq!(taken.run(10), State::Fetching(0));
    assert_eq!(taken.done, [Task::Verify, Task::Store]);
    taken.own.free = true;
    assert_eq!(taken.run(10), State::OnTrial);
    assert_eq!(
        state(|own| (own.sequence, own.free) = (Some(IMAGE), false)),
        (State::Updated, false)
    );
}

#[test]
fn how_much_of_the_image_is_there_is_told_and_one_that_cannot_be_had_is_a_failure() {
    let mut bench = Bench::new(of_wave(1));
    bench.rollout.hear(bench.now, told(1));
    while bench.rollout.poll(bench.now, &bench.own) != Some(Task::Fetch([9; 16])) {
        bench.rollout.verified(bench.now, Verdict::Genuine);
        bench.rollout.stored(bench.now, true);
    }
    for (missing, quarters) in [(1920, 0), (961, 1), (960, 2), (480, 3), (0, 3)] {
        bench.rollout.fetching(missing, 1920);
        assert_eq!(bench.run(1), State::Fetching(quarters), "{missing} are missing");
    }
    bench.rollout.fetched(bench.now, Err(Reason::REFUSED));
    assert_eq!(bench.run(1), State::Failed(Reason::REFUSED));
    assert_eq!(bench.run(100), State::Failed(Reason::REFUSED));

    let mut canary = Bench::taking_part(CANARY);
    canary.rollout.fetch = Fetch::Arming;
    assert!(!canary.rollout.armed(canary.now, Err(Reason::FLASH)));
    assert_eq!(canary.run(1), State::Failed(Reason::FLASH));
}
