//! A light that blinks. `spore tasks interval blink 100ms` makes it blink faster.

use embedded_hal::digital::OutputPin;
use spore_node::sprocket::{Duration, Manifest, NodeContext, Setting, Sprocket, every};

/// A light at a pin.
pub struct Blink<P> {
    pub pin: P,
    pub lit: bool,
}

impl<P: OutputPin> Sprocket for Blink<P> {
    const MANIFEST: Manifest = Manifest::new("blink")
        .runs(&[every(Duration::from_millis(500), "blink", "Toggles the light")])
        .has(&[Setting::flag("inverted", false, "Whether the light is on while the pin is low")]);

    fn run(&mut self, _: &'static str, node: &mut NodeContext<'_>) {
        self.lit = !self.lit;
        let high = self.lit != node.flag("inverted");
        // There is nobody to tell that a pin is broken.
        let _ = self.pin.set_state(high.into());
    }
}
