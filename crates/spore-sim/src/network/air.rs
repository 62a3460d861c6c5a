//! One channel for all: what a node sends, it sends to the access point, which sends it on.

use std::time::Duration;

/// Bytes that IPv4 and UDP add to a datagram.
const OVERHEAD: usize = 28;

/// The radio channel that all nodes of a world share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Bits a second, as datagrams have them: what is left of the bit rate of the radios for that.
    pub rate: u64,
    /// A datagram that would have to wait longer than this is lost: nobody has room for so many.
    pub patience: Duration,
}

impl Default for Channel {
    /// 5 Mbit/s, and a tenth of a second.
    fn default() -> Self {
        Self { rate: 5_000_000, patience: Duration::from_millis(100) }
    }
}

/// What is on the air.
#[derive(Clone, Debug)]
pub struct Air {
    channel: Channel,
    /// When it is free.
    free: Duration,
    /// Bytes that were sent, each hop for itself.
    bytes: u64,
    lost: u64,
}

impl Air {
    /// Nothing yet.
    pub const fn new(channel: Channel) -> Self {
        Self { channel, free: Duration::ZERO, bytes: 0, lost: 0 }
    }

    /// A datagram of so many bytes is sent over so many hops: two from node to node, also if all nodes get it. When it has arrived, or `None` if it is lost.
    pub fn send(&mut self, now: Duration, bytes: usize, hops: u32) -> Option<Duration> {
        let begin = self.free.max(now);
        if begin - now > self.channel.patience {
            self.lost += 1;
            return None;
        }
        let bytes = (bytes + OVERHEAD) as u64 * u64::from(hops);
        self.bytes += bytes;
        self.free = begin + Duration::from_nanos(bytes * 8 * 1_000_000_000 / self.channel.rate);
        Some(self.free)
    }

    /// Bytes that were sent so far, those of IPv4 and UDP included, each hop for itself.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Datagrams that were lost so far since too many waited.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::{Air, Channel};
    use std::time::Duration;

    #[test]
    fn one_after_the_other_and_what_would_wait_too_long_is_lost() {
        let mut air = Air::new(Channel { rate: 8_000, patience: Duration::from_millis(1500) });
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(air.send(Duration::ZERO, 472, 2), ms(1000));
        assert_eq!(air.send(Duration::from_millis(100), 972, 1), ms(2000));
        assert_eq!(air.send(Duration::from_millis(100), 72, 1), None);
        assert_eq!(air.send(Duration::from_secs(3), 72, 1), ms(3100));
        assert_eq!((air.bytes(), air.lost()), (2_100, 1));
    }
}
