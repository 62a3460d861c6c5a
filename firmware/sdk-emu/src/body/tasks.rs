//! Tasks: a queue of messages for each of three priorities, each message handled to its end.

use sdk_sys::ets_sys::{ETSEvent, ETSTask};
use sdk_sys::user_interface as sdk;
use sdk_sys::{Bool, FALSE, TRUE};

use super::local::Local;

/// The firmware's: 0 to 2.
const PRIORITIES: usize = 3;

#[derive(Clone, Copy)]
struct Task {
    run: ETSTask,
    queue: *mut ETSEvent,
    len: u8,
    first: u8,
    waiting: u8,
}

static TASKS: Local<[Option<Task>; PRIORITIES]> = Local::new([None; PRIORITIES]);

/// Handles one message, of the highest priority that has one. False if there is none.
pub(super) fn run_one() -> bool {
    let call = TASKS.with(|tasks| {
        let task = tasks.iter_mut().rev().flatten().find(|task| task.waiting > 0)?;
        // SAFETY: the firmware has given a queue of this length, to keep.
        let event = unsafe { task.queue.add(usize::from(task.first)) };
        task.first = (task.first + 1) % task.len;
        task.waiting -= 1;
        // The place is free before the task runs, so that it can post to itself.
        // SAFETY: as above.
        Some((task.run, unsafe { event.read() }))
    });
    let Some((run, mut event)) = call else { return false };
    // SAFETY: what the firmware has asked for.
    unsafe { run(&mut event) };
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn system_os_task(
    task: ETSTask,
    priority: u8,
    queue: *mut ETSEvent,
    len: u8,
) -> Bool {
    TASKS.with(|tasks| match tasks.get_mut(usize::from(priority)) {
        Some(place) if !queue.is_null() && (1..128).contains(&len) => {
            *place = Some(Task { run: task, queue, len, first: 0, waiting: 0 });
            TRUE
        }
        _ => FALSE,
    })
}

#[unsafe(no_mangle)]
extern "C" fn system_os_post(priority: u8, signal: u32, parameter: u32) -> Bool {
    TASKS.with(|tasks| match tasks.get_mut(usize::from(priority)) {
        Some(Some(task)) if task.waiting < task.len => {
            let place = usize::from((task.first + task.waiting) % task.len);
            // SAFETY: the firmware has given a queue of this length, to keep.
            unsafe { task.queue.add(place).write(ETSEvent { sig: signal, par: parameter }) };
            task.waiting += 1;
            TRUE
        }
        _ => FALSE,
    })
}

super::as_declared!(sdk::{system_os_task, system_os_post});

// SAFETY: the pointer is followed by one thread only.
unsafe impl Send for Task {}
