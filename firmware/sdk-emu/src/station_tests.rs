use super::*;

const MILLISECOND_US: u64 = 1_000;

fn wanted(ssid: &str, password: &str) -> Wanted {
    let mut wanted = Wanted::NONE;
    wanted.ssid[..ssid.len()].copy_from_slice(ssid.as_bytes());
    wanted.password[..password.len()].copy_from_slice(password.as_bytes());
    wanted
}

fn air(text: &str) -> Air<'_> {
    Air::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The first event from `now_us` on, within a minute.
fn next(station: &mut Station, air: &Air<'_>, now_us: &mut u64) -> Option<Event> {
    for _ in 0..60_000 {
        if let Some(event) = station.poll(air, *now_us) {
            return Some(event);
        }
        *now_us += MILLISECOND_US;
    }
    None
}

fn reason(event: Option<Event>) -> Option<u8> {
    match event {
        Some(Event::Disconnected { reason, .. }) => Some(reason),
        _ => None,
    }
}

fn started(wanted: Wanted, again: bool) -> Station {
    let mut station = Station::NEW;
    station.set_wanted(wanted);
    station.set_again(again);
    assert!(station.connect(0));
    station
}

#[test]
fn nothing_is_joined_that_nobody_wants() {
    let mut station = Station::NEW;
    assert!(!station.connect(0));
}

#[test]
fn the_right_password_lets_it_in_after_a_while() {
    let air = air("home:secret1234:6");
    let mut station = started(wanted("home", "secret1234"), false);
    let mut now = 0;
    let event = next(&mut station, &air, &mut now);
    assert!(matches!(event, Some(Event::Connected { channel: 6, .. })), "{event:?}");
    assert!(now >= LOOK_US + JOIN_US && station.hears());
    assert_eq!(station.rssi(&air, now), Some(-55));
}

#[test]
fn a_wrong_password_ends_the_handshake_and_no_network_is_none() {
    let air = air("home:secret1234:6");
    let mut station = started(wanted("home", "secret123"), false);
    assert_eq!(reason(next(&mut station, &air, &mut 0)), Some(sdk::REASON_4WAY_HANDSHAKE_TIMEOUT));
    assert_eq!(next(&mut station, &air, &mut 0), None, "it was not to try again");
    let mut station = started(wanted("elsewhere", ""), true);
    let mut now = 0;
    for _ in 0..3 {
        assert_eq!(reason(next(&mut station, &air, &mut now)), Some(sdk::REASON_NO_AP_FOUND));
    }
    assert!(now >= 2 * AGAIN_US);
}

#[test]
fn a_network_that_goes_away_is_missed_and_found_on_another_channel() {
    let air = air("home:secret1234:6;down@10;up@12:11");
    let mut station = started(wanted("home", "secret1234"), true);
    let mut now = 0;
    assert!(matches!(
        next(&mut station, &air, &mut now),
        Some(Event::Connected { channel: 6, .. })
    ));
    let lost = next(&mut station, &air, &mut now);
    assert_eq!(reason(lost), Some(sdk::REASON_BEACON_TIMEOUT));
    assert_eq!(now, 10_000_000 + BEACONS_US);
    let back = next(&mut station, &air, &mut now);
    assert!(matches!(back, Some(Event::Connected { channel: 11, .. })), "{back:?}");
}

#[test]
fn frames_pass_neither_before_nor_in_silence() {
    let air = air("home:secret1234:6;down@10");
    let mut station = started(wanted("home", "secret1234"), false);
    assert!(!station.hears());
    let mut now = 0;
    let _ = next(&mut station, &air, &mut now);
    assert_eq!(station.poll(&air, 10_000_000), None);
    assert!(!station.hears() && station.is_connected());
}

#[test]
fn leaving_is_told_once() {
    let air = air("home::6");
    let mut station = started(wanted("home", ""), true);
    let _ = next(&mut station, &air, &mut 0);
    assert_eq!(reason(station.disconnect(&air, 9_000_000)), Some(sdk::REASON_ASSOC_LEAVE));
    assert_eq!(station.disconnect(&air, 9_000_000), None);
    assert_eq!(next(&mut station, &air, &mut 9_000_000), None);
}

#[test]
fn an_open_network_is_none_for_who_wants_no_open_one() {
    let air = air("home::6");
    let mut picky = wanted("home", "secret1234");
    picky.no_open = true;
    let mut station = started(picky, false);
    assert_eq!(reason(next(&mut station, &air, &mut 0)), Some(sdk::REASON_NO_AP_FOUND));
}
