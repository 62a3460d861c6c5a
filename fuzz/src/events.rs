//! Events: topics, the filters that select them, and what a client wants to publish.

use spore_core::api::Method;
use spore_core::{Filter, Topic};

use crate::See;
use crate::bytes::Bytes;
use crate::engine::{self, Bench};

/// A topic, a filter, and the body of a request to publish.
pub(crate) fn read(input: &[u8], see: See<'_>) {
    let mut bytes = Bytes(input);
    let (topic, filter) = (Topic::new(bytes.text()), Filter::new(bytes.text()));
    see(format_args!("{topic:?} {filter:?}"));
    if let (Ok(topic), Ok(filter)) = (topic, filter) {
        see(format_args!("{}", filter.matches(topic.as_str())));
        assert!(Filter::ALL.matches(topic.as_str()), "# selects every topic");
    }
    let mut storage = engine::storage();
    let mut bench = Bench::new(&mut storage, 0);
    bench.start();
    bench.ask(Method::Post, "/api/events", "", bytes.0, true, see);
    let mut after = 0;
    while let Some(delivery) = bench.node().next_event(after, Filter::ALL) {
        assert!(delivery.seq > after, "in the order of their numbers");
        after = delivery.seq;
        see(format_args!("{} {} {:?}", delivery.seq, delivery.topic, delivery.payload));
    }
}
