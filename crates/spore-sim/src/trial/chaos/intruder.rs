//! Somebody without a key, who tries to change something.

use super::Chaos;
use crate::Simulation;
use crate::junk::DatagramKind;
use spore_core::api::{Method, Policy, ROUTES, Request, Route};
use spore_core::security::request::{self, Credentials, Signed};

/// Turns within which a node has sent all that it had to send.
const MOST_DUE: usize = 64;

impl Chaos {
    /// Somebody without a key tries to change something at a node.
    pub(super) fn intrude(&mut self, sim: &mut Simulation, node: usize) -> Result<(), String> {
        let recording: Vec<Vec<u8>> = sim.recording().map(|it| it.bytes.to_vec()).collect();
        let kinds = DatagramKind::KEYLESS.into_iter();
        // What was only lost or delayed is no junk.
        let kinds: Vec<_> = kinds.filter(|kind| *kind != DatagramKind::Replayed).collect();
        let kind = kinds[self.rng.usize(..kinds.len())];
        let datagram = self.junk.datagram_of(kind, &recording);
        // With one that is at work it would wait, and what came of it be seen only later, among other things.
        if recording.contains(&datagram) || !sim.is_free(node) {
            return Ok(());
        }
        self.tally.junk += 1;
        let from = sim.address((node + 1) % self.nodes);
        // Empty ones first, until nothing is due any more but what comes next: a node may have several datagrams to send, one for each turn.
        let mut before = None;
        for _ in 0..MOST_DUE {
            sim.inject(node, from, &[]);
            let now = sim.state(node);
            if core::mem::replace(&mut before, now.clone()) == now {
                break;
            }
        }
        if self.rng.bool() {
            sim.inject(node, from, &datagram);
        } else {
            self.ask_unsigned(sim, node, &datagram)?;
        }
        let after = sim.state(node);
        match after == before {
            true => Ok(()),
            false => Err(format!(
                "node {node} was changed without a key at {:?}, by {kind:?}: {datagram:02x?}; from {before:?} to {after:?}",
                sim.now()
            )),
        }
    }

    /// Somebody without a key asks for something that is for whoever has it: without a signature, or with one that is wrong by a bit.
    fn ask_unsigned(
        &mut self,
        sim: &mut Simulation,
        node: usize,
        body: &[u8],
    ) -> Result<(), String> {
        let is_guarded =
            |route: &&Route| matches!(route.policy, Policy::Signed | Policy::Provisioning);
        let guarded: Vec<_> = ROUTES.iter().filter(is_guarded).collect();
        let Some(route) = self.rng.choice(guarded) else { return Ok(()) };
        let (method, path) = (route.method, route.path.replace("{name}", "any"));
        let flipped = self.rng.bool().then(|| self.rng.usize(..256));
        let field = flipped.and_then(|bit| forged(sim, node, (method, path.as_str()), body, bit));
        let request =
            Request { authorization: field.as_deref(), body, ..Request::new(method, &path) };
        match sim.request(node, &request) {
            Some((401, _)) | None => Ok(()),
            Some((status, _)) => Err(format!(
                "node {node} answers {status} to {} {path}, {field:?}, without a key",
                method.name()
            )),
        }
    }
}

/// What proves that whoever asks has the key, with one bit of it flipped; `None` if the node gives no nonce.
fn forged(
    sim: &mut Simulation,
    node: usize,
    (method, path): (Method, &str),
    body: &[u8],
    bit: usize,
) -> Option<String> {
    let mut field = credentials(sim, node, (method, path), body)?.to_string();
    // It ends with the MAC, in hexadecimal digits.
    let at = field.len() - 1 - bit / 4;
    let digit = u8::from_str_radix(&field[at..=at], 16).ok()? ^ 1 << (bit % 4);
    field.replace_range(at..=at, &format!("{digit:x}"));
    Some(field)
}

/// What proves it.
pub(in crate::trial) fn credentials(
    sim: &mut Simulation,
    node: usize,
    (method, path): (Method, &str),
    body: &[u8],
) -> Option<Credentials> {
    let (_, nonce) = sim.get(node, "/api/auth/nonce")?;
    let nonce = nonce.split('"').nth(3).and_then(|nonce| nonce.parse().ok())?;
    let claim = Signed { method: method.name(), path, query: "", nonce, body };
    let mac = request::SigningKey::derive(sim.key()).sign(&claim);
    Some(Credentials { nonce, mac })
}

#[cfg(test)]
mod tests {
    use super::{credentials, forged};
    use crate::{Scenario, Simulation};
    use spore_core::api::{Method, Request};
    use std::time::Duration;

    #[test]
    fn it_is_the_one_bit_that_keeps_the_intruder_out() {
        let mut sim = Simulation::new(Scenario::default()).unwrap();
        sim.run_for(Duration::from_secs(10));
        let route = (Method::Get, "/api/node/config");
        let mut ask = |bit: Option<usize>| {
            let field = match bit {
                Some(bit) => forged(&mut sim, 0, route, b"", bit),
                None => credentials(&mut sim, 0, route, b"").map(|it| it.to_string()),
            };
            let request =
                Request { authorization: field.as_deref(), ..Request::new(route.0, route.1) };
            sim.request(0, &request).expect("it runs").0
        };
        assert_eq!(ask(None), 200);
        for bit in [0, 1, 100, 254, 255] {
            assert_eq!(ask(Some(bit)), 401, "{bit}");
        }
        assert_eq!(ask(None), 200);
    }
}
