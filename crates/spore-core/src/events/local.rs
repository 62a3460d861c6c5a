//! Events of this node alone: a small ring, whose oldest ones make room.

use super::Topic;
use heapless::VecView;

/// A local event, without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct LocalEvent {
    pub(super) number: u32,
    /// When it was published, as [`ticks`](super::ticks).
    pub(super) at: u32,
    payload: u16,
    topic: u8,
}

impl LocalEvent {
    fn size(&self) -> usize {
        usize::from(self.topic).saturating_add(self.payload.into())
    }
}

/// The latest local events.
#[derive(Debug)]
pub(super) struct Local<'a> {
    entries: &'a mut VecView<LocalEvent>,
    /// Their topics and payloads, one after the other.
    bytes: &'a mut VecView<u8>,
}

impl<'a> Local<'a> {
    /// A ring in `entries` and `bytes`, emptied.
    pub(super) fn new(entries: &'a mut VecView<LocalEvent>, bytes: &'a mut VecView<u8>) -> Self {
        entries.clear();
        bytes.clear();
        Self { entries, bytes }
    }

    /// Adds an event. What is larger than the whole ring is not kept.
    pub(super) fn add(&mut self, number: u32, at: u32, topic: Topic<'_>, payload: &[u8]) {
        let topic = topic.as_str().as_bytes();
        let size = topic.len().saturating_add(payload.len());
        let (Ok(topic_len), Ok(payload_len)) =
            (u8::try_from(topic.len()), u16::try_from(payload.len()))
        else {
            return;
        };
        if size > self.bytes.capacity() {
            return;
        }
        while self.entries.is_full()
            || self.bytes.len().saturating_add(size) > self.bytes.capacity()
        {
            self.drop_oldest();
        }
        let entry = LocalEvent { number, at, payload: payload_len, topic: topic_len };
        // There is room.
        let _ = self.entries.push(entry);
        let _ = self.bytes.extend_from_slice(topic);
        let _ = self.bytes.extend_from_slice(payload);
    }

    fn drop_oldest(&mut self) {
        let size = self.entries.first().map_or(0, LocalEvent::size).min(self.bytes.len());
        let rest = self.bytes.len().saturating_sub(size);
        self.bytes.copy_within(size.., 0);
        self.bytes.truncate(rest);
        if !self.entries.is_empty() {
            self.entries.remove(0);
        }
    }

    /// The events, oldest first: each with its topic and its payload.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&LocalEvent, &str, &[u8])> {
        let mut rest: &[u8] = self.bytes;
        self.entries.iter().map_while(move |entry| {
            let (topic, tail) = rest.split_at_checked(entry.topic.into())?;
            let (payload, tail) = tail.split_at_checked(entry.payload.into())?;
            rest = tail;
            Some((entry, str::from_utf8(topic).ok()?, payload))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Local, LocalEvent};
    use crate::events::Topic;
    use heapless::Vec;
    use std::vec::Vec as StdVec;

    #[test]
    fn the_oldest_make_room_for_one_more_and_for_its_bytes() {
        let (mut entries, mut bytes) = (Vec::<LocalEvent, 3>::new(), Vec::<u8, 16>::new());
        let mut local = Local::new(entries.as_mut_view(), bytes.as_mut_view());
        let topic = Topic::new("a").unwrap();
        let held = |local: &Local<'_>| -> StdVec<(u32, usize)> {
            local.iter().map(|(entry, _, payload)| (entry.number, payload.len())).collect()
        };
        for number in 1..=4 {
            local.add(number, 0, topic, b"xyz");
        }
        assert_eq!(held(&local), [(2, 3), (3, 3), (4, 3)]);
        local.add(5, 0, topic, &[7; 8]);
        assert_eq!(held(&local), [(4, 3), (5, 8)]);
        assert!(local.iter().all(|(_, topic, _)| topic == "a"));
        local.add(6, 0, topic, &[7; 16]);
        assert_eq!(held(&local), [(4, 3), (5, 8)], "what is larger than the ring is not kept");
        local.add(7, 0, topic, &[7; 15]);
        assert_eq!(held(&local), [(7, 15)]);
    }
}
