//! The engine with the capacities of an ESP-01 and nothing around it, every verb exported.
//!
//! Link-time optimisation keeps what the verbs below reach and drops the rest, so the undefined symbols of the object
//! are exactly what the engine asks of the outside. `cargo xtask purity` reads them. Nothing here ever runs.
#![no_std]

use core::net::SocketAddrV4;
use core::panic::PanicInfo;

use spore_core::api::{Body, Request, Response};
use spore_core::cluster::{Member, Outgoing};
use spore_core::network::RadioEvent;
use spore_core::profile::Esp01;
use spore_core::tasks::TaskRun;
use spore_core::time::Instant;
use spore_core::{
    Action, Catalogue, Completion, Config, Event, Facts, Key, Node, NodeId, Resources, Seed,
    ServiceId, Storage, Stored,
};
use spore_core::{Transmit, node::Traffic};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Exports a verb under its own name. References and options stay what they are: nobody calls these from C.
macro_rules! export {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(
            #[doc = concat!("`Node::", stringify!($name), "`.")]
            #[unsafe(no_mangle)]
            pub fn $name<'a>($($argument: $type),*) $(-> $result)? $body
        )*
    };
}

export! {
    fn new(
        now: Instant,
        config: &Config,
        facts: Facts,
        stored: &Stored<'_>,
        seed: &Seed,
        storage: &'a mut Storage<Esp01>
    ) -> Node<'a> {
        #[cfg(feature = "canary")]
        canary();
        Node::new(now, config, facts, stored, seed, storage)
    }
    fn handle_datagram(node: &mut Node<'a>, now: Instant, from: SocketAddrV4, datagram: &mut [u8]) {
        node.handle_datagram(now, from, datagram)
    }
    fn handle_request(node: &mut Node<'a>, now: Instant, request: &Request<'_>) -> Response {
        node.handle_request(now, request)
    }
    fn handle_head(node: &mut Node<'a>, now: Instant, request: &Request<'_>) -> Option<Response> {
        node.handle_head(now, request)
    }
    fn poll_response(node: &mut Node<'a>, now: Instant, response: &mut Response) -> bool {
        node.poll_response(now, response)
    }
    fn handle_called(node: &mut Node<'a>, status: u16) {
        node.handle_called(status)
    }
    fn handle_completion(node: &mut Node<'a>, now: Instant, completion: Completion) {
        node.handle_completion(now, completion)
    }
    fn value(node: &Node<'a>, key: Key, buf: &mut [u8]) -> usize {
        node.value(key, buf)
    }
    fn handle_fetched(node: &mut Node<'a>, piece: &[u8]) -> bool {
        node.handle_fetched(piece)
    }
    fn set_services(node: &mut Node<'a>, catalogue: Catalogue) {
        node.set_services(catalogue)
    }
    fn first_provider(node: &Node<'a>, id: ServiceId) -> Option<(NodeId, SocketAddrV4)> {
        node.providers(id).next()
    }
    fn handle_resources(node: &mut Node<'a>, resources: Resources) {
        node.handle_resources(resources)
    }
    fn handle_radio(node: &mut Node<'a>, now: Instant, event: RadioEvent) {
        node.handle_radio(now, event)
    }
    fn leave(node: &mut Node<'a>, now: Instant) {
        node.leave(now)
    }
    fn has_left(node: &Node<'a>) -> bool {
        node.has_left()
    }
    fn handle_timeout(node: &mut Node<'a>, now: Instant) {
        node.handle_timeout(now)
    }
    fn handle_elapsed(node: &mut Node<'a>, now: Instant) {
        node.handle_elapsed(now)
    }
    fn task_run(node: &Node<'a>, index: u8) -> Option<TaskRun> {
        node.task_run(index)
    }
    fn poll_body(node: &Node<'a>, now: Instant, body: &mut Body, buf: &mut [u8]) -> usize {
        node.poll_body(now, body, buf)
    }
    fn poll_timeout(node: &Node<'a>) -> Option<Instant> {
        node.poll_timeout()
    }
    fn poll_transmit(node: &mut Node<'a>, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        node.poll_transmit(now, buf)
    }
    fn poll_action(node: &mut Node<'a>, now: Instant) -> Option<Action> {
        node.poll_action(now)
    }
    fn poll_event(node: &mut Node<'a>) -> Option<Event> {
        node.poll_event()
    }
    fn traffic(node: &Node<'a>) -> Traffic {
        node.traffic()
    }
}

/// The engine's memory: so its size is in the object, too.
#[unsafe(no_mangle)]
pub static ENGINE_STORAGE: Storage<Esp01> = Storage::NEW;

/// As many bytes as the named thing takes; the linker tells them to `cargo xtask footprint`.
macro_rules! sizes {
    ($($name:ident: $type:ty),*) => {
        $(
            #[doc = concat!("As large as `", stringify!($type), "`.")]
            #[unsafe(no_mangle)]
            pub static $name: [u8; size_of::<$type>()] = [0; size_of::<$type>()];
        )*
    };
}

sizes! { SIZE_OF_MEMBER: Member, SIZE_OF_OUTGOING: Outgoing, SIZE_OF_NODE: Node<'static> }

/// What an impure engine would look like to the linker.
#[cfg(feature = "canary")]
fn canary() {
    unsafe extern "C" {
        safe fn outside();
    }
    outside();
}
