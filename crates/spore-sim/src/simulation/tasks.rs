//! Tasks that nodes run: nothing is done in them, but that takes time.

use super::Simulation;
use crate::log::Entry;
use crate::queue::Event;
use spore_core::Completion;
use spore_core::tasks::TaskRun;

impl Simulation {
    /// A node begins to run a task.
    pub(super) fn run_task(&mut self, node: usize, run: &TaskRun) {
        self.log.add(self.now, &Entry::TaskBegan { node, run });
        let (boot, index) = (self.bodies[node].boot, run.index);
        self.queue.push(self.now + self.scenario.task_time, Event::Ran { node, boot, index });
    }

    /// A run is over.
    pub(super) fn ran(&mut self, node: usize, boot: u32, index: u8) {
        let body = &mut self.bodies[node];
        let Some(life) = body.life.as_mut().filter(|_| body.boot == boot) else { return };
        if let Some(stall) = &life.stall {
            return self.queue.push(stall.until, Event::Ran { node, boot, index });
        }
        let local = life.clock.local(self.now);
        life.engine.with(|node| node.handle_completion(local, Completion::Ran(index)));
        self.settle(node);
    }
}
