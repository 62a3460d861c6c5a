//! The ROM's tasks: each has a priority and a queue of messages. The one of the highest priority runs first, to its end.

use core::ffi::c_void;

use crate::chip;
use crate::local::Local;

/// Priorities, of which each has one task.
const PRIORITIES: usize = 32;

/// `ETSEvent`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Event {
    signal: u32,
    parameter: u32,
}

type Function = unsafe extern "C" fn(*mut Event);
type IdleFunction = unsafe extern "C" fn(*mut c_void);

#[derive(Clone, Copy)]
struct Task {
    function: Function,
    /// The program's, with room for `length` messages.
    queue: *mut Event,
    length: u8,
    /// The place of the oldest message, and how many there are.
    first: u8,
    waiting: u8,
}

struct Tasks {
    tasks: [Option<Task>; PRIORITIES],
    idle: Option<(IdleFunction, *mut c_void)>,
}

static TASKS: Local<Tasks> = Local::new(Tasks { tasks: [None; PRIORITIES], idle: None });

unsafe extern "C" {
    /// No interrupts (`table.S`).
    safe fn rom_intr_lock();
    /// All interrupts (`table.S`).
    safe fn rom_intr_unlock();
    /// Sleeps until there is an interrupt, and lets it through (`exceptions.S`).
    safe fn rom_sleep();
}

/// `ets_task`.
#[unsafe(no_mangle)]
extern "C" fn rom_task(function: Option<Function>, priority: u8, queue: *mut Event, length: u8) {
    TASKS.with(|tasks| {
        if let Some(task) = tasks.tasks.get_mut(usize::from(priority)) {
            let task_of = |function| Task { function, queue, length, first: 0, waiting: 0 };
            *task = function.map(task_of);
        }
    });
}

/// `ets_post`: 0 if there was room.
#[unsafe(no_mangle)]
extern "C" fn rom_post(priority: u8, signal: u32, parameter: u32) -> u32 {
    TASKS.with(|tasks| match tasks.tasks.get_mut(usize::from(priority)) {
        Some(Some(task)) if task.waiting < task.length => {
            let place = (u32::from(task.first) + u32::from(task.waiting)) % u32::from(task.length);
            // SAFETY: the program gave a queue of this length.
            unsafe { task.queue.add(place as usize).write(Event { signal, parameter }) };
            task.waiting += 1;
            0
        }
        _ => 1,
    })
}

/// `ets_set_idle_cb`.
#[unsafe(no_mangle)]
extern "C" fn rom_set_idle(function: Option<IdleFunction>, argument: *mut c_void) {
    TASKS.with(|tasks| tasks.idle = function.map(|function| (function, argument)));
}

/// `ets_run`: the main loop.
#[unsafe(no_mangle)]
extern "C" fn rom_run() -> ! {
    chip::main_loop_begins();
    rom_intr_unlock();
    loop {
        while let Some((function, mut event)) = TASKS.with(Tasks::take) {
            // SAFETY: the program's function for such messages.
            unsafe { function(&raw mut event) };
        }
        if let Some((function, argument)) = TASKS.with(|tasks| tasks.idle) {
            // SAFETY: the program's function with its argument.
            unsafe { function(argument) };
        }
        chip::rests();
        rom_intr_lock();
        if TASKS.with(|tasks| tasks.is_waiting()) {
            rom_intr_unlock();
        } else {
            rom_sleep();
        }
    }
}

impl Tasks {
    fn is_waiting(&self) -> bool {
        self.tasks.iter().flatten().any(|task| task.waiting > 0)
    }

    /// The oldest message of the most important task that has one.
    fn take(&mut self) -> Option<(Function, Event)> {
        let task = self.tasks.iter_mut().rev().flatten().find(|task| task.waiting > 0)?;
        // SAFETY: within the queue, where a message was written.
        let event = unsafe { task.queue.add(usize::from(task.first)).read() };
        task.first = (task.first + 1) % task.length;
        task.waiting -= 1;
        Some((task.function, event))
    }
}
