//! Tasks that nodes run: nothing is done in them, but that takes time.

use super::Simulation;
use crate::log::Entry;
use crate::queue::Input;
use spore_core::Completion;
use spore_core::tasks::TaskRun;

impl Simulation {
    /// A node begins to run a task.
    pub(super) fn run_task(&mut self, node: usize, run: &TaskRun) {
        self.log.add(self.now, &Entry::TaskBegan { node, run });
        self.expect(self.now + self.scenario.task_time, node, Input::Ran(run.index));
    }

    /// A run is over.
    pub(super) fn ran(&mut self, node: usize, index: u8) {
        let Some(life) = &mut self.bodies[node].life else { return };
        let local = life.clock.local(self.now);
        life.engine.with(|node| node.handle_completion(local, Completion::Ran(index)));
    }
}
