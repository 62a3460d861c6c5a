//! Which peers are stored when.

use super::world::{World, node};
use crate::{Action, Completion, Key};
use std::vec::Vec;

/// Runs for `secs` seconds. When node 1 stored its peers, in milliseconds.
fn stores(world: &mut World, secs: u64) -> Vec<u64> {
    let mut stores = Vec::new();
    for _ in 0..secs * 1_000 {
        let now = world.now;
        while let Some(action) = world.node(1).poll_action(now) {
            if let Action::Store(key) = action {
                world.node(1).handle_completion(now, Completion::Store(key, Ok(())));
                if key == Key::Peers {
                    stores.push(now.as_millis());
                }
            }
        }
        world.run(1);
    }
    stores
}

#[test]
fn peers_are_stored_a_second_after_the_first_one_was_met_and_again_when_there_are_more() {
    let mut world = World::new(2);
    let first = stores(&mut world, 5);
    assert!(matches!(first[..], [at] if (1_000..2_000).contains(&at)), "{first:?}");
    for n in 3..=9 {
        let now = world.now;
        world.nodes.push((n, node(now, n, None)));
    }
    let more = stores(&mut world, 20);
    assert!((1..=2).contains(&more.len()), "until there are eight: {more:?}");
    let again = stores(&mut world, 40);
    assert!(matches!(again[..], [at] if at >= 30_000), "drawn anew: {again:?}");
    assert_eq!(stores(&mut world, 120), [0; 0], "nothing has changed");
}

#[test]
fn flash_is_spared_however_often_peers_come_and_go() {
    let mut world = World::new(2);
    let mut all = Vec::new();
    for n in 3..60 {
        // Another one, with another id.
        all.extend(stores(&mut world, 30));
        world.kill(n - 1);
        let now = world.now;
        world.nodes.push((n, node(now, n, None)));
    }
    assert!((8..=12).contains(&all.len()), "of 57 changes: {all:?}");
    let pauses = all.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(pauses.enumerate().all(|(n, pause)| pause >= 2_000 << n.min(8)), "{all:?}");
}
