//! A relay: it is switched over HTTP or by events, and tells when it was.

use embedded_hal::digital::OutputPin;
use spore_node::sprocket::{Call, Event, Manifest, Method, NodeContext, Reply, Sprocket, signed};

/// A relay at a pin, which is low at first.
pub struct Relay<P> {
    pub pin: P,
    pub on: bool,
}

impl<P: OutputPin> Relay<P> {
    fn switch(&mut self, on: bool, node: &mut NodeContext<'_>) {
        let _ = self.pin.set_state(on.into());
        self.on = on;
        node.publish("relay/changed", on);
    }
}

impl<P: OutputPin> Sprocket for Relay<P> {
    const MANIFEST: Manifest = Manifest::new("relay")
        .offers(&[signed("relay", &[Method::Get, Method::Post], "Switches: on, off, toggle")])
        .hears(&["relay/set"]);

    fn call(&mut self, call: &Call<'_>, node: &mut NodeContext<'_>, reply: &mut Reply<'_>) {
        match (call.method, call.body) {
            (Method::Get, _) => (),
            (_, b"on") => self.switch(true, node),
            (_, b"off") => self.switch(false, node),
            (_, b"toggle") => self.switch(!self.on, node),
            _ => return reply.refuse(400, "say on, off or toggle"),
        }
        reply.json(&[("on", self.on.into())]);
    }

    fn event(&mut self, event: &Event<'_>, node: &mut NodeContext<'_>) {
        event.flag().into_iter().for_each(|on| self.switch(on, node));
    }
}
