//! The groups, and how they are run. One file per family.

mod atomics;
mod collections;
mod constants;
mod control;
mod corpus;
mod crypto;
mod engine;
mod engine_parts;
mod executor;
mod floats;
mod futures;
mod http;
mod integers;
mod json;
mod link;
mod network;
mod server;
mod slices;
mod store;
pub(crate) mod tasks;
mod text;
mod time;
mod works;

use core::fmt::Display;

use crate::{Inputs, Trace};
pub use works::{work, works};

/// One group: draws inputs, traces results.
type Group = fn(&mut Inputs, &mut Trace<'_>);

/// Every group, by name. Names hold no space.
const GROUPS: &[(&str, Group)] = &[
    ("i8", integers::i_8),
    ("u8", integers::u_8),
    ("i16", integers::i_16),
    ("u16", integers::u_16),
    ("i32", integers::i_32),
    ("u32", integers::u_32),
    ("i64", integers::i_64),
    ("u64", integers::u_64),
    ("i128", integers::i_128),
    ("u128", integers::u_128),
    ("constants", constants::constants),
    ("f64", floats::doubles),
    ("f32", floats::singles),
    ("float-conversions", floats::conversions),
    ("formatting", text::formatting),
    ("parsing", text::parsing),
    ("strings", text::strings),
    ("slices", slices::slices),
    ("unaligned", slices::unaligned),
    ("overlapping", slices::overlapping),
    ("matches", control::matches),
    ("calls", control::calls),
    ("aggregates", control::aggregates),
    ("dispatch", control::dispatch),
    ("loops", control::loops),
    ("alloc-collections", collections::trees),
    ("heapless-lists", collections::heapless_lists),
    ("heapless-maps", collections::heapless_maps),
    ("atomics", atomics::atomics),
    ("async-machines", futures::machines),
    ("async-combinators", futures::combinators),
    ("embassy-sync", futures::channels),
    ("embassy-time", time::times),
    ("embassy-timers", executor::timers),
    ("embassy-executor", executor::wakes),
    ("fastrand", time::random),
    ("chacha20", link::random),
    ("chacha20poly1305", crypto::seal),
    ("request signing", crypto::sign),
    ("serde-json-core", json::documents),
    ("httparse", http::heads),
    ("smoltcp-wire", network::packets),
    ("smoltcp-tcp", network::conversation_on_ethernet),
    ("smoltcp-ip", network::conversation_on_ip),
    ("net-frame-queue", link::queue),
    ("net-arp", link::arp),
    ("net-driver", link::driver),
    ("engine-codec", engine::codec),
    ("engine-nodes", engine::nodes),
    ("engine-topics", engine_parts::topics),
    ("engine-network", engine_parts::radio),
    ("engine-tasks", tasks::scheduler),
    ("http-server", server::visits),
    ("store", store::values),
    ("corpus-datagram", corpus::datagram),
    ("corpus-engine", corpus::engine),
    ("corpus-events", corpus::events),
    ("corpus-http", corpus::http),
    ("corpus-image", corpus::image),
    ("corpus-records", corpus::records),
    ("corpus-selector", corpus::selector),
    ("corpus-serial", corpus::serial),
];

/// Runs all groups and reports one line each: name and hash.
/// If `only` names a group, runs that one and reports each of its steps first.
pub fn run(only: &str, report: &mut dyn FnMut(&dyn Display)) {
    for (name, group) in GROUPS {
        let mut inputs = Inputs::for_group(name);
        let hash = if only.is_empty() {
            let mut trace = Trace::hashing();
            group(&mut inputs, &mut trace);
            trace.hash()
        } else if only == *name {
            let mut trace = Trace::reporting(report);
            group(&mut inputs, &mut trace);
            trace.hash()
        } else {
            continue;
        };
        // What the generator does next is part of the result: both sides must have drawn equally often.
        report(&format_args!("{name} {:016x}", hash ^ inputs.any()));
    }
}
