//! Events over HTTP: `POST /api/events` publishes, `GET /api/events` streams what is delivered here.

use super::body::{Full, Piece};
use super::publication::{self, Publication};
use super::{Body, Error, Request, Response, check_parameters, query_parameter};
use crate::events::{Delivery, Filter, Topic};
use crate::node::Node;
use crate::text::hex;
use crate::time::Instant;
use crate::wire::{NodeId, U24, parse_lower_hex};
use serde::Serialize;

/// Where in its events a stream is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Of those up to `until`, which were there before the reader, it gets what is retained.
    Retained {
        /// The number of the one that was looked at last.
        after: u32,
        until: u32,
    },
    /// It gets all that match with higher numbers than this, and has yet to hear how many of those are gone already: once,
    /// however they lie between the others.
    Behind(u32),
    /// Of those with higher numbers it gets all that match.
    After {
        /// The number of the one that was looked at last.
        after: u32,
        /// So many that are gone it has been told of in advance.
        told: u32,
    },
}

/// An event, without what it says.
#[derive(Serialize)]
struct EventView<'a> {
    topic: &'a str,
    publisher: NodeId,
    scope: &'static str,
    retained: bool,
    /// In which boot of its publisher, and its number there; null if it is local.
    epoch: Option<u32>,
    number: Option<u32>,
    /// Its number here.
    seq: u32,
    uptime_ms: u64,
}

/// What a publisher hears.
#[derive(Serialize)]
struct PublishedView {
    seq: u32,
    publisher: NodeId,
    epoch: Option<u32>,
    number: Option<u32>,
}

/// `POST /api/events`.
pub(super) fn publish(
    node: &mut Node<'_>,
    now: Instant,
    request: &Request<'_>,
) -> Result<Response, Error> {
    let Publication { topic, payload, scope, retained } = Publication::parse(request.body)?;
    let seq = node.publish(now, scope, &topic, &payload, retained)?;
    let delivery = node.next_event(seq.saturating_sub(1), Filter::ALL);
    let number = delivery.and_then(|delivery| delivery.key).map(|key| key.seq);
    Ok(Response::accepted(Body::published(seq, number)))
}

/// `GET /api/events`.
pub(super) fn stream(node: &Node<'_>, request: &Request<'_>) -> Result<Response, Error> {
    check_parameters(request.query, &["topic", "after"])?;
    let mut text = [0; Topic::MAX];
    filter(request.query, &mut text)?;
    let asked = match query_parameter(request.query, "after")? {
        Some(id) => Some(after(node, id).ok_or(Error::InvalidField("after"))?),
        None => None,
    };
    // Who reconnects by itself asks with its first query, and with the last event that it has seen.
    let seen = request.last_event_id.map(|id| after(node, id).unwrap_or(0));
    let place = match seen.or(asked) {
        Some(after) => Place::Behind(after),
        None => Place::Retained { after: 0, until: node.last_event() },
    };
    Ok(Response::stream(Body::events(place)))
}

/// The number that an id stands for; 0, and so all that is still there, if it is of another node or
/// of another boot. `None` if it is no id.
fn after(node: &Node<'_>, id: &str) -> Option<u32> {
    if id == "0" {
        return Some(0);
    }
    let mut parts = id.splitn(3, '-');
    let publisher = NodeId(parse_lower_hex(parts.next()?)?);
    let epoch: u32 = parts.next()?.parse().ok()?;
    let seq: u32 = parts.next()?.parse().ok()?;
    let own = node.own();
    let same = own.id == publisher && own.incarnation.epoch.get() == epoch;
    // A boot that remembers nothing of its predecessor may have the same name.
    Some(if same && seq <= node.last_event() { seq } else { 0 })
}

/// The filter that `query` asks for, decoded into `text`.
fn filter<'t>(query: &str, text: &'t mut [u8; Topic::MAX]) -> Result<Filter<'t>, Error> {
    let Some(asked) = query_parameter(query, "topic")? else { return Ok(Filter::ALL) };
    let filter = decode(asked, text).and_then(|text| Filter::new(text).ok());
    filter.ok_or(Error::InvalidField("topic"))
}

/// Undoes percent-encoding (RFC 3986, section 2.1). A plus sign is one: no filter has a blank.
fn decode<'t>(encoded: &str, text: &'t mut [u8; Topic::MAX]) -> Option<&'t str> {
    let (mut rest, mut len) = (encoded.as_bytes(), 0_usize);
    while let [byte, tail @ ..] = rest {
        let decoded;
        (decoded, rest) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(*high)? << 4 | digit(*low)?;
                (u8::try_from(value).ok()?, tail)
            }
            (b'%', _) => return None,
            (byte, tail) => (*byte, tail),
        };
        *text.get_mut(len)? = decoded;
        len = len.saturating_add(1);
    }
    str::from_utf8(text.get(..len)?).ok()
}

/// How many events behind number `after` this node has no more.
fn gone(node: &Node<'_>, after: u32) -> u32 {
    let (mut last, mut gone) = (after, 0u32);
    while let Some(delivery) = node.next_event(last, Filter::ALL) {
        (last, gone) = (delivery.seq, gone.saturating_add(delivery.lost));
    }
    gone.saturating_add(node.last_event().saturating_sub(last))
}

/// Whether an event is retained, and the newest of its topic that is.
fn is_current(node: &Node<'_>, delivery: &Delivery<'_>) -> bool {
    let Ok(topic) = Filter::new(delivery.topic) else { return false };
    let mut after = 0;
    while let Some(other) = node.next_event(after, topic) {
        if other.retained && other.key > delivery.key {
            return false;
        }
        after = other.seq;
    }
    delivery.retained
}

/// Writes what there is of a stream, in whole events: its length, or `None` at the end.
pub(super) fn fill(
    place: &mut Place,
    node: &Node<'_>,
    query: &str,
    buf: &mut [u8],
) -> Option<usize> {
    let mut text = [0; Topic::MAX];
    // It was one when the stream began.
    let filter = filter(query, &mut text).unwrap_or(Filter::ALL);
    let mut len = 0_usize;
    let mut over = true;
    while let Some(rest) = buf.get_mut(len..) {
        let mut piece = Piece::new(rest);
        match piece.event(node, filter, *place) {
            Ok(Some(next)) => *place = next,
            Ok(None) => break,
            Err(Full) => {
                over = false;
                break;
            }
        }
        len = len.saturating_add(piece.len());
    }
    if over && len == 0 && node.is_ending() { None } else { Some(len) }
}

impl Piece<'_> {
    /// Writes the next event, or nothing if it is not wanted; what follows it, `None` if there is
    /// none yet.
    fn event(
        &mut self,
        node: &Node<'_>,
        filter: Filter<'_>,
        place: Place,
    ) -> Result<Option<Place>, Full> {
        // All are looked at, so that a number that is missing is not just one that does not match.
        let (after, until) = match place {
            Place::Retained { after, until } => (after, until),
            Place::Behind(after) => {
                let told = gone(node, after);
                if told > 0 {
                    self.lost(told)?;
                }
                return Ok(Some(Place::After { after, told }));
            }
            Place::After { after, told } => return self.live_event(node, filter, (after, told)),
        };
        let delivery = node.next_event(after, Filter::ALL);
        let Some(delivery) = delivery.filter(|delivery| delivery.seq <= until) else {
            return Ok(Some(Place::After { after: until, told: 0 }));
        };
        if filter.matches(delivery.topic) && is_current(node, &delivery) {
            self.delivery(node, &delivery)?;
        }
        Ok(Some(Place::Retained { after: delivery.seq, until }))
    }

    fn live_event(
        &mut self,
        node: &Node<'_>,
        filter: Filter<'_>,
        (after, told): (u32, u32),
    ) -> Result<Option<Place>, Full> {
        let last = node.last_event();
        let delivery = node.next_event(after, Filter::ALL);
        // Those before the next one, or before whatever comes next.
        let (lost, before) = match &delivery {
            Some(delivery) => (delivery.lost, delivery.seq.saturating_sub(1)),
            None => (last.saturating_sub(after), last),
        };
        if lost > 0 {
            let new = lost.saturating_sub(told);
            if new > 0 {
                self.lost(new)?;
            }
            return Ok(Some(Place::After { after: before, told: told.saturating_sub(lost) }));
        }
        let Some(delivery) = delivery else { return Ok(None) };
        if filter.matches(delivery.topic) {
            self.delivery(node, &delivery)?;
        }
        Ok(Some(Place::After { after: delivery.seq, told }))
    }

    /// Events were gone before the reader got them, whatever topics they had.
    fn lost(&mut self, count: u32) -> Result<(), Full> {
        self.text("event: events/lost\ndata: {\"count\":")?;
        self.json(&count)?;
        self.text("}\n\n")
    }

    fn delivery(&mut self, node: &Node<'_>, delivery: &Delivery<'_>) -> Result<(), Full> {
        let own = node.own();
        let Delivery { seq, uptime_ms, topic, scope, retained, key, .. } = *delivery;
        self.text("id: ")?;
        self.text(&hex::<12>(&own.id.0))?;
        self.text("-")?;
        self.json(&own.incarnation.epoch.get())?;
        self.text("-")?;
        self.json(&seq)?;
        self.text("\nevent: ")?;
        self.text(topic)?;
        self.text("\ndata: ")?;
        self.json(&EventView {
            topic,
            publisher: key.map_or(own.id, |key| key.publisher),
            scope: scope.name(),
            retained,
            epoch: key.map(|key| key.epoch.get()),
            number: key.map(|key| key.seq.get()),
            seq,
            uptime_ms,
        })?;
        self.reopen();
        publication::put_payload(self, &delivery.payload)?;
        self.text("}\n\n")
    }

    /// Writes what a publisher hears of the event with number `seq` here, and `number` among those
    /// that this node has published for the cluster.
    pub(super) fn published(
        &mut self,
        node: &Node<'_>,
        seq: u32,
        number: Option<U24>,
    ) -> Result<(), Full> {
        let own = node.own();
        let epoch = number.map(|_| own.incarnation.epoch.get());
        let number = number.map(U24::get);
        self.json(&PublishedView { seq, publisher: own.id, epoch, number })
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, filter};
    use crate::api::Error;
    use crate::events::Topic;

    #[test]
    fn filters_are_taken_out_of_a_query_and_decoded() {
        let of = |query| {
            filter(query, &mut [0; Topic::MAX]).map(|it| std::string::String::from(it.as_str()))
        };
        for (query, wanted) in [
            ("", "#"),
            ("after=0", "#"),
            ("topic=a", "a"),
            ("x=y&topic=a%2Fb%2f%23&auth-nonce=0", "a/b/#"),
            ("topic=+/b", "+/b"),
            ("topic=%2B/b", "+/b"),
            ("topic=%61", "a"),
        ] {
            assert_eq!(of(query).as_deref(), Ok(wanted), "{query}");
        }
        for query in [
            "topic=",
            "topic=a&topic=b",
            "topic=a/%",
            "topic=%2",
            "topic=%2x",
            "topic=%ff",
            "topic=a#",
            "topic=%00",
        ] {
            assert_eq!(of(query), Err(Error::InvalidField("topic")), "{query}");
        }
    }

    #[test]
    fn what_is_decoded_has_room_for_the_longest_filter_and_no_more() {
        let mut text = [0; Topic::MAX];
        let longest = "%61".repeat(Topic::MAX);
        assert_eq!(decode(&longest, &mut text).map(str::len), Some(Topic::MAX));
        assert_eq!(decode(&(longest + "b"), &mut text), None);
    }
}
