//! A sensor: it publishes what it reads, and one node for all of them raises the alarm.
use spore_node::sprocket::{Duration, Event, Manifest, NodeContext, NodeId, Setting};
use spore_node::sprocket::{Sprocket, clustered, every};

/// How it is read; who has the highest value of all, and which; whether the alarm is raised.
pub struct Sensor<R> {
    pub read: R,
    pub highest: Option<(NodeId, i32)>,
    pub raised: bool,
}

impl<R: FnMut() -> i32> Sprocket for Sensor<R> {
    const MANIFEST: Manifest = Manifest::new("sensor")
        .runs(&[
            every(Duration::from_secs(5), "measure", "Publishes what is read"),
            clustered(Duration::from_secs(2), "alarm", "Tells if it is too much"),
        ])
        .hears(&["sensor/value", "alarm/sensor"])
        .has(&[Setting::number("limit", 30, -100..=1000, "More than this raises the alarm")]);

    fn run(&mut self, task: &'static str, node: &mut NodeContext<'_>) {
        if task == "measure" {
            node.publish_retained("sensor/value", (self.read)());
            return;
        }
        self.highest = self.highest.filter(|(id, _)| node.is_active(*id));
        let high = self.highest.is_some_and(|(_, value)| value > node.number("limit"));
        if self.highest.is_some() && self.raised != high {
            node.publish_retained("alarm/sensor", high);
        }
    }

    fn event(&mut self, event: &Event<'_>, _: &mut NodeContext<'_>) {
        match (event.number(), self.highest) {
            (None, _) => self.raised = event.flag() == Some(true),
            (Some(value), Some((id, most))) if value < most && id != event.publisher => (),
            (Some(value), _) => self.highest = Some((event.publisher, value)),
        }
    }
}
