//! Watches that no nonce is used twice: with two datagrams sealed under one nonce, an eavesdropper
//! has the difference of what is in them, and can forge others.

use std::collections::HashSet;

/// Id and epoch: what each boot has for itself.
type Boot = [u8; 9];

/// All boots under whose id and epoch something was sent.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    used: HashSet<Boot>,
}

/// The last nonce of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    boot: Boot,
    counter: [u8; 3],
}

impl Nonces {
    /// Whether the nonce of `datagram` was never used before. `last` is what the present life of
    /// its sender used last: `None` at its start.
    pub(crate) fn is_fresh(&mut self, last: &mut Option<Last>, datagram: &[u8]) -> bool {
        let Some((_, nonce)) = datagram.split_first() else { return false };
        let Some((boot, rest)) = nonce.split_first_chunk() else { return false };
        let Some(counter) = rest.first_chunk() else { return false };
        let now = Last { boot: *boot, counter: *counter };
        let fresh = match last {
            // Within an epoch the counter only grows.
            Some(last) if last.boot == now.boot => last.counter < now.counter,
            _ => self.used.insert(now.boot),
        };
        *last = Some(now);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::Nonces;

    fn datagram(id: u8, epoch: u8, counter: u8) -> [u8; 14] {
        [1, id, 0, 0, 0, 0, 0, 0, 0, epoch, 0, 0, counter, 99]
    }

    #[test]
    fn a_repeated_counter_and_an_epoch_of_an_earlier_life_are_noticed() {
        let mut nonces = Nonces::default();
        let mut life = None;
        assert!(nonces.is_fresh(&mut life, &datagram(1, 1, 0)));
        assert!(nonces.is_fresh(&mut life, &datagram(1, 1, 1)));
        assert!(!nonces.is_fresh(&mut life, &datagram(1, 1, 1)), "again");
        assert!(nonces.is_fresh(&mut life, &datagram(1, 2, 0)), "the next epoch");
        assert!(!nonces.is_fresh(&mut life, &datagram(1, 1, 2)), "an epoch that was left");
        let mut other = None;
        assert!(nonces.is_fresh(&mut other, &datagram(2, 1, 0)));
        let mut next = None;
        assert!(!nonces.is_fresh(&mut next, &datagram(1, 2, 200)), "after a restart");
        let mut next = None;
        assert!(nonces.is_fresh(&mut next, &datagram(1, 3, 0)));
        assert!(!nonces.is_fresh(&mut None, &[1; 9]), "no datagram");
    }
}
