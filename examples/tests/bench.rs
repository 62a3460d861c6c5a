//! The examples on a bench: a real engine, without network and clock.

use embassy_time as _;
use embedded_hal::digital::{ErrorType, OutputPin};
use spore_examples::blink::Blink;
use spore_examples::relay::Relay;
use spore_examples::sensor::Sensor;
use spore_node::sprocket::{Bench, Duration, Memory, Method};
use std::cell::Cell;
use std::convert::Infallible;

/// A pin that remembers what it was set to.
#[derive(Default)]
struct Pin {
    high: bool,
    changes: u32,
}

impl ErrorType for Pin {
    type Error = Infallible;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.changes += u32::from(self.high);
        self.high = false;
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.changes += u32::from(!self.high);
        self.high = true;
        Ok(())
    }
}

#[test]
fn a_light_blinks_and_can_be_wired_either_way() {
    let mut memory = Memory::NEW;
    let mut bench = Bench::new(&mut memory, Blink { pin: Pin::default(), lit: false });
    for lit in [true, false, true] {
        bench.run("blink");
        assert_eq!((bench.sprocket().lit, bench.sprocket().pin.high), (lit, lit));
    }
    bench.set("inverted", true);
    bench.run("blink");
    assert!(!bench.sprocket().lit && bench.sprocket().pin.high);
    bench.run("blink");
    assert_eq!(bench.sprocket().pin.changes, 4);
}

#[test]
fn a_relay_is_switched_by_calls_and_by_events_and_tells_of_it() {
    let mut memory = Memory::NEW;
    let mut bench = Bench::new(&mut memory, Relay { pin: Pin::default(), on: false });
    assert_eq!(bench.call(Method::Get, "relay", b"").text(), r#"{"on":false}"#);
    assert_eq!(bench.last("relay/+"), None, "to look is not to change");
    for (said, on) in
        [("on", true), ("on", true), ("toggle", false), ("toggle", true), ("off", false)]
    {
        let answer = bench.call(Method::Post, "relay", said.as_bytes());
        assert_eq!((answer.status, answer.text()), (200, &*format!("{{\"on\":{on}}}")));
        assert_eq!(bench.sprocket().pin.high, on);
        assert_eq!(bench.last("relay/changed"), Some(on.into()));
        bench.pass(Duration::from_secs(5));
    }
    let answer = bench.call(Method::Post, "relay", b"now");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("say on, off or toggle"), "{}", answer.text());
    bench.publish("relay/set", true);
    assert!(bench.sprocket().pin.high);
    bench.pass(Duration::from_secs(5));
    bench.publish("relay/set", "off");
    assert!(bench.sprocket().pin.high, "only a truth value is understood");
}

#[test]
fn a_sensor_publishes_and_the_alarm_is_raised_once_and_withdrawn_once() {
    let value = Cell::new(20);
    let mut memory = Memory::NEW;
    let sensor = Sensor { read: || value.get(), highest: None, raised: false };
    let mut bench = Bench::new(&mut memory, sensor);
    let measure = |bench: &mut Bench<'_, _>, number: i32| {
        value.set(number);
        bench.run("measure");
        assert_eq!(bench.last("sensor/value"), Some(number.into()));
        bench.pass(Duration::from_secs(5));
    };
    measure(&mut bench, 20);
    bench.run("alarm");
    assert_eq!(bench.last("alarm/+"), None, "all is well, and nobody thought otherwise");
    measure(&mut bench, 31);
    for _ in 0..3 {
        bench.run("alarm");
        assert_eq!(bench.last("alarm/sensor"), Some(true.into()));
        assert_eq!(bench.count("alarm/sensor"), 1);
        bench.pass(Duration::from_secs(5));
    }
    bench.set("limit", 31);
    for _ in 0..3 {
        bench.run("alarm");
        assert_eq!(bench.last("alarm/sensor"), Some(false.into()));
        bench.pass(Duration::from_secs(5));
    }
    // A higher value counts at once, and a lower one of the same node does, too.
    measure(&mut bench, 40);
    measure(&mut bench, 5);
    assert_eq!(bench.sprocket().highest.map(|(_, value)| value), Some(5));
    // What another one has raised is not raised again.
    bench.publish("alarm/sensor", true);
    assert!(bench.sprocket().raised);
}

/// What a reader takes in at one glance.
#[test]
fn an_example_has_at_most_forty_lines() {
    let all = [
        include_str!("../src/blink.rs"),
        include_str!("../src/relay.rs"),
        include_str!("../src/sensor.rs"),
    ];
    for text in all {
        let lines = text.lines().count();
        assert!(lines <= 40, "{lines} lines: {text}");
    }
}
