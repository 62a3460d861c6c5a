//! Sprockets: what users write.
//!
//! A sprocket is a Rust value that brings tasks, services, subscriptions and settings, which its
//! [`Manifest`] names, and the code that carries them out, which is its [`Sprocket`] implementation. The same source runs
//! on a board and on a PC: what it switches and reads, it is given as `embedded-hal`'s pins.
//!
//! `docs/sprockets.md` is a tutorial; `examples/` has three.
//!
//! # How handlers are called
//!
//! One after the other, on the node's one thread, between two awaits: while a handler runs, the node neither hears nor
//! answers anybody. So it must return soon. One that takes longer than [`SLOW`] is counted as slow in the node's status;
//! one that does not return within three seconds makes the watchdog restart the node. A handler waits for nothing: what
//! is to be done later is a task.

mod bench;
mod call;
mod context;
mod crew;
mod event;

pub use bench::{Answer, Bench, Memory};
pub use call::{Call, Reply};
pub use context::NodeContext;
pub use crew::Crew;
pub(crate) use crew::{Caller, Entered, Handler};
pub use event::Event;
pub use spore_core::api::{Method, Methods, Policy};
pub use spore_core::sprockets::{Manifest, Roster, SLOW, Setting, Value};
pub use spore_core::tasks::{RunId, TaskSpec as Task};
pub use spore_core::time::{Duration, Instant};
pub use spore_core::{NodeId, Service};

use spore_core::tasks::TaskKind;

/// What a user writes: a value with a manifest and handlers. Handlers that are not written do nothing.
pub trait Sprocket {
    /// What it brings.
    const MANIFEST: Manifest;

    /// The node has started. Members and events come later.
    fn start(&mut self, node: &mut NodeContext<'_>) {
        let _ = node;
    }

    /// The time of the task `task` has come, or somebody wants it done now.
    fn run(&mut self, task: &'static str, node: &mut NodeContext<'_>) {
        let _ = (task, node);
    }

    /// Somebody calls one of its services, and is let in by its policy. What is not written into `reply` is an
    /// empty answer with status 200.
    fn call(&mut self, call: &Call<'_>, node: &mut NodeContext<'_>, reply: &mut Reply<'_>) {
        let _ = (call, node, reply);
    }

    /// An event has come that it subscribed to. Those that it publishes itself come back to it, too.
    fn event(&mut self, event: &Event<'_>, node: &mut NodeContext<'_>) {
        let _ = (event, node);
    }
}

/// Any sprocket, without its type. [`Sprocket`]s are ones.
pub trait AnySprocket {
    /// What it brings.
    fn manifest(&self) -> &'static Manifest;
    /// See [`Sprocket::start`].
    fn start(&mut self, node: &mut NodeContext<'_>);
    /// See [`Sprocket::run`].
    fn run(&mut self, task: &'static str, node: &mut NodeContext<'_>);
    /// See [`Sprocket::call`].
    fn call(&mut self, call: &Call<'_>, node: &mut NodeContext<'_>, reply: &mut Reply<'_>);
    /// See [`Sprocket::event`].
    fn event(&mut self, event: &Event<'_>, node: &mut NodeContext<'_>);
}

impl<S: Sprocket> AnySprocket for S {
    fn manifest(&self) -> &'static Manifest {
        const { &S::MANIFEST }
    }

    fn start(&mut self, node: &mut NodeContext<'_>) {
        Sprocket::start(self, node);
    }

    fn run(&mut self, task: &'static str, node: &mut NodeContext<'_>) {
        Sprocket::run(self, task, node);
    }

    fn call(&mut self, call: &Call<'_>, node: &mut NodeContext<'_>, reply: &mut Reply<'_>) {
        Sprocket::call(self, call, node, reply);
    }

    fn event(&mut self, event: &Event<'_>, node: &mut NodeContext<'_>) {
        Sprocket::event(self, event, node);
    }
}

/// Several sprockets, in the order in which their manifests stand in a [`Roster`].
pub trait SprocketSet {
    /// The one at `place`, the first being at 0.
    fn get(&mut self, place: usize) -> Option<&mut dyn AnySprocket>;
}

/// The sprockets of a firmware: a tuple of up to eight, or `()` for none.
///
/// More services, tasks or subscriptions than a node can have do not compile.
pub trait Sprockets: SprocketSet {
    /// What they bring.
    const MANIFESTS: &'static [&'static Manifest];

    /// What they bring, with what every body offers.
    const ROSTER: &'static Roster =
        &roster(&[spore_core::services::IDENTIFY], &[], Self::MANIFESTS);
}

/// A [`Roster`], for a `const`.
///
/// # Panics
///
/// If one node cannot have all that; in a `const` it does not compile then, and the compiler shows why.
pub const fn roster(
    services: &[Service],
    tasks: &[Task],
    sprockets: &'static [&'static Manifest],
) -> Roster {
    match Roster::new(services, tasks, sprockets) {
        Ok(roster) => roster,
        Err(error) => panic!("{}", error.message()),
    }
}

macro_rules! tuple {
    ($($sprocket:ident $place:tt),*) => {
        impl<$($sprocket: Sprocket),*> SprocketSet for ($($sprocket,)*) {
            fn get(&mut self, place: usize) -> Option<&mut dyn AnySprocket> {
                match place {
                    $($place => Some(&mut self.$place),)*
                    _ => None,
                }
            }
        }

        impl<$($sprocket: Sprocket),*> Sprockets for ($($sprocket,)*) {
            const MANIFESTS: &'static [&'static Manifest] = &[$(&$sprocket::MANIFEST),*];
        }
    };
}

tuple!();
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// A task that every node with the sprocket runs again and again. Names and summaries are as those of
/// [`Task::new`], intervals 10 ms to 7 days in whole milliseconds; others do not compile.
///
/// # Panics
///
/// If there can be no such task.
pub const fn every(interval: Duration, name: &'static str, summary: &'static str) -> Task {
    task(name, summary, TaskKind::Periodic { interval })
}

/// A task that every node with the sprocket runs once after each start; else as [`every`].
///
/// # Panics
///
/// If there can be no such task.
pub const fn once_after(span: Duration, name: &'static str, summary: &'static str) -> Task {
    task(name, summary, TaskKind::OneShot { after: span })
}

/// A task that one node of all that have the sprocket runs again and again, and another one when that is gone; else as
/// [`every`].
///
/// # Panics
///
/// If there can be no such task.
pub const fn clustered(interval: Duration, name: &'static str, summary: &'static str) -> Task {
    match every(interval, name, summary).clustered() {
        Ok(task) => task,
        Err(_) => panic!("a task that runs again and again can be clustered"),
    }
}

const fn task(name: &'static str, summary: &'static str, kind: TaskKind) -> Task {
    match Task::new(name, summary, kind) {
        Ok(task) => task,
        Err(_) => {
            panic!(
                "a task has a name as a service has, a summary of at most 64 characters, 10 ms to 7 days"
            )
        }
    }
}

/// A service that everyone on the network may call. Names and summaries are as those of
/// [`Service::new`]; others do not compile.
///
/// # Panics
///
/// If there can be no such service.
pub const fn open(name: &'static str, methods: &[Method], summary: &'static str) -> Service {
    service(name, Policy::Open, methods, summary)
}

/// A service for holders of the cluster key, who sign their requests; else as [`open`].
///
/// # Panics
///
/// If there can be no such service.
pub const fn signed(name: &'static str, methods: &[Method], summary: &'static str) -> Service {
    service(name, Policy::Signed, methods, summary)
}

const fn service(
    name: &'static str,
    policy: Policy,
    methods: &[Method],
    summary: &'static str,
) -> Service {
    let (mut set, mut rest) = (Methods::NONE, methods);
    while let [method, others @ ..] = rest {
        set = set.with(*method);
        rest = others;
    }
    match Service::new(name, policy, set, summary) {
        Ok(service) => service,
        Err(_) => {
            panic!("a service has a name as it must be, and a summary of at most 64 characters")
        }
    }
}
