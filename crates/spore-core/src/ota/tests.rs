//! Trials and uploads, as the engine decides them.

use super::trial::{SETTLING, TRIAL};
use super::{Around, Company, Failure, Outcome, Running, Stage, Step, StepFailed, Updates};
use crate::api::Error;
use crate::time::{Duration, Instant};

const NOBODY: Around = Around { connected: true, acknowledged: false };
const HEARD: Around = Around { connected: true, acknowledged: true };

fn updates(stage: Stage, stored: &[u8]) -> Updates {
    Updates::new(Instant::ZERO, Some(Running { sequence: 5, stage }), stored)
}

/// Has everything stored, and returns the value.
fn store(updates: &mut Updates, now: Instant) -> [u8; 16] {
    while updates.poll_store(now) {
        updates.stored(now, true);
    }
    let mut value = [0; 16];
    assert_eq!(updates.value(&mut value), 16);
    value
}

fn after(span: Duration) -> Instant {
    Instant::ZERO + span
}

#[test]
fn an_image_that_a_peer_has_acknowledged_is_confirmed_once_it_has_settled() {
    let mut updates = updates(Stage::Trial, &[]);
    updates.advance(Instant::ZERO, HEARD);
    assert_eq!(updates.poll_step(Instant::ZERO), None, "too early");
    assert_eq!(updates.poll_timeout(), Some(after(SETTLING)));
    let now = after(SETTLING);
    updates.advance(now, HEARD);
    assert_eq!(updates.poll_step(now), Some(Step::Confirm));
    assert_eq!(updates.poll_step(now), None, "asked once");
    assert_eq!(updates.floor(), 0, "not before it is confirmed");
    assert_eq!(updates.stepped(now, Step::Confirm, Err(StepFailed)), None);
    assert_eq!(updates.poll_step(now), None, "not at once");
    let again = updates.poll_timeout().unwrap();
    assert_eq!(updates.poll_step(again), Some(Step::Confirm));
    let outcome = Outcome { image: 5, failure: None };
    assert_eq!(updates.stepped(again, Step::Confirm, Ok(())), Some(outcome));
    assert_eq!((updates.floor(), updates.outcome()), (5, Some(outcome)));
    assert_eq!(updates.running().unwrap().stage, Stage::Confirmed);
    store(&mut updates, again);
    assert_eq!(updates.poll_timeout(), None);
}

#[test]
fn an_image_that_nobody_acknowledges_is_given_up_and_says_why() {
    for (around, why) in [
        (NOBODY, Failure::NoPeer),
        (Around { connected: false, acknowledged: false }, Failure::NoNetwork),
    ] {
        let mut updates = updates(Stage::Trial, &[]);
        updates.advance(after(SETTLING), around);
        assert_eq!(updates.poll_timeout(), Some(after(TRIAL)));
        updates.advance(after(TRIAL), around);
        assert_eq!(updates.poll_step(after(TRIAL)), None, "it says why first");
        let value = store(&mut updates, after(TRIAL));
        assert_eq!(updates.poll_step(after(TRIAL)), Some(Step::GiveUp));
        // The one before finds that.
        let stage = Stage::Fallback { tried: Some(5) };
        let running = Some(Running { sequence: 4, stage });
        let mut updates = Updates::new(Instant::ZERO, running, &value);
        assert_eq!(updates.poll_step(Instant::ZERO), None, "the quarantine comes first");
        store(&mut updates, Instant::ZERO);
        assert_eq!(updates.poll_step(Instant::ZERO), Some(Step::Confirm));
        let outcome = Outcome { image: 5, failure: Some(why) };
        assert_eq!(updates.stepped(Instant::ZERO, Step::Confirm, Ok(())), Some(outcome));
        assert_eq!((updates.quarantined(), updates.floor()), (Some(5), 4));
    }
}

#[test]
fn who_was_alone_is_confirmed_by_its_network_and_a_deaf_one_is_not() {
    let mut before = updates(Stage::Confirmed, &[]);
    before.prepare(Company { alone: true, away: 0 });
    let alone = store(&mut before, Instant::ZERO);
    before.prepare(Company::default());
    let in_company = store(&mut before, Instant::ZERO);
    let now = after(SETTLING);
    for (value, passes) in [(alone, true), (in_company, false)] {
        let mut updates = updates(Stage::Trial, &value);
        updates.advance(now, Around { connected: false, acknowledged: false });
        assert_eq!(updates.poll_step(now), None);
        updates.advance(now, NOBODY);
        assert_eq!(updates.poll_step(now).is_some(), passes);
    }
}

#[test]
fn an_image_that_never_spoke_is_quarantined_all_the_same() {
    let mut updates = updates(Stage::Fallback { tried: Some(9) }, &[]);
    let silent = Outcome { image: 9, failure: Some(Failure::NotStarted) };
    assert_eq!((updates.quarantined(), updates.outcome()), (Some(9), Some(silent)));
    // As long as that cannot be stored, the body waits for the next attempt, and for nothing else.
    assert!(updates.poll_store(Instant::ZERO));
    updates.stored(Instant::ZERO, false);
    assert_eq!(updates.poll_step(Instant::ZERO), None);
    assert_eq!(updates.poll_timeout(), Some(after(super::RETRY)));
    assert!(updates.poll_store(after(super::RETRY)));
    updates.stored(after(super::RETRY), true);
    let value = store(&mut updates, Instant::ZERO);
    // A power cut before the selector was written: the same again, and nothing is stored for it.
    let running = Some(Running { sequence: 5, stage: Stage::Fallback { tried: Some(9) } });
    let mut again = Updates::new(Instant::ZERO, running, &value);
    assert!(!again.poll_store(Instant::ZERO));
    assert_eq!(again.poll_step(Instant::ZERO), Some(Step::Confirm));
    // An image that was only damaged is nobody's failure.
    let running = Some(Running { sequence: 5, stage: Stage::Fallback { tried: None } });
    let mut damaged = Updates::new(Instant::ZERO, running, &[]);
    store(&mut damaged, Instant::ZERO);
    assert_eq!(damaged.poll_step(Instant::ZERO), Some(Step::Confirm));
    assert_eq!(damaged.stepped(Instant::ZERO, Step::Confirm, Ok(())), None);
    assert_eq!((damaged.quarantined(), damaged.outcome()), (None, None));
    assert_eq!(damaged.running().unwrap().stage, Stage::Confirmed);
}

#[test]
fn one_upload_at_a_time_and_only_beside_a_confirmed_image() {
    let mut none = Updates::new(Instant::ZERO, None, &[]);
    assert_eq!(none.begin_upload(false, Company { alone: true, away: 0 }), Err(Error::NoSlots));
    assert_eq!((none.poll_step(Instant::ZERO), none.poll_timeout()), (None, None));
    for stage in [Stage::Trial, Stage::Fallback { tried: None }] {
        assert_eq!(
            updates(stage, &[]).begin_upload(false, Company { alone: true, away: 0 }),
            Err(Error::NotConfirmed)
        );
    }
    let mut updates = updates(Stage::Confirmed, &[]);
    for held in [false, true] {
        assert_eq!(updates.begin_upload(held, Company { alone: true, away: 0 }), Ok(()));
        let wanted = updates.wanted().unwrap();
        assert_eq!((wanted.floor, wanted.quarantined, wanted.held), (5, None, held));
        assert_eq!(
            updates.begin_upload(held, Company { alone: true, away: 0 }),
            Err(Error::UpdateUnderWay)
        );
        let quarters = [0, 249, 250, 499, 500, 999, 1000];
        let told = quarters.map(|received| updates.received(received, 1000));
        assert_eq!(told, [None, None, Some(25), None, Some(50), Some(99), Some(100)]);
        assert_eq!(updates.end_upload(!held), !held);
        assert_eq!((updates.wanted(), updates.progress()), (None, None));
    }
}

#[test]
fn who_is_away_is_remembered_for_an_upload_that_is_to_be_started_and_forgotten_when_it_is_not() {
    for (held, installed, remembered) in
        [(false, true, [true, true]), (false, false, [true, false]), (true, true, [false, false])]
    {
        let mut updates = updates(Stage::Confirmed, &[]);
        let now = Instant::ZERO;
        store(&mut updates, now);
        updates.poll_step(now);
        updates.stepped(now, Step::Confirm, Ok(()));
        updates.begin_upload(held, Company { alone: false, away: 7 }).unwrap();
        assert_eq!((updates.remembers_away(), updates.is_prepared()), (remembered[0], held));
        store(&mut updates, now);
        updates.end_upload(installed);
        let is_stored = updates.is_prepared();
        assert_eq!((updates.remembers_away(), is_stored), (remembered[1], installed));
    }
}
