//! Sprockets on Linux: which ones a node has, and what becomes of those that misbehave.

mod pins;
mod watchdog;

pub use pins::{PrintedPin, RandomWalk, ReadFile};
pub(crate) use watchdog::{Watchdog, has_bitten, restarts};

use spore_node::sprocket::{AnySprocket, Manifest, SprocketSet, Sprockets};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The sprockets of a host node. They are made anew whenever the node starts.
#[derive(Clone)]
pub struct HostSprockets {
    manifests: &'static [&'static Manifest],
    make: Arc<dyn Fn() -> Box<dyn SprocketSet> + Send + Sync>,
}

impl fmt::Debug for HostSprockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.manifests.iter().map(|manifest| manifest.name());
        f.debug_tuple("HostSprockets").field(&names.collect::<Vec<_>>()).finish()
    }
}

impl HostSprockets {
    /// No sprockets.
    pub fn none() -> Self {
        Self::new(|| ())
    }

    /// A tuple of sprockets. What one node cannot have does not compile.
    pub fn new<T: Sprockets + 'static>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let _ = const { T::ROSTER };
        Self { manifests: T::MANIFESTS, make: Arc::new(move || Box::new(make())) }
    }

    /// Sprockets that are chosen when the program runs. They are made once to see which they are.
    pub fn chosen(make: impl Fn() -> Vec<Box<dyn AnySprocket>> + Send + Sync + 'static) -> Self {
        // There is one list for each node of a process.
        let manifests =
            make().iter().map(|sprocket| sprocket.manifest()).collect::<Vec<_>>().leak();
        Self { manifests, make: Arc::new(move || Box::new(Chosen(make()))) }
    }

    pub(crate) const fn manifests(&self) -> &'static [&'static Manifest] {
        self.manifests
    }

    pub(crate) fn make(&self) -> Box<dyn SprocketSet> {
        (self.make)()
    }
}

struct Chosen(Vec<Box<dyn AnySprocket>>);

impl SprocketSet for Chosen {
    fn get(&mut self, place: usize) -> Option<&mut dyn AnySprocket> {
        match self.0.get_mut(place) {
            Some(sprocket) => Some(&mut **sprocket),
            None => None,
        }
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread ends a sprocket alone.
pub(crate) fn is_guarded() -> bool {
    GUARDED.get()
}

/// The most bytes that are kept of what a panic says.
const MESSAGE_MAX: usize = spore_core::sprockets::State::MESSAGE_MAX;

/// Calls `handler`; what it said when it panicked.
pub(crate) fn catch(handler: &mut dyn FnMut()) -> Result<(), &'static str> {
    let before = GUARDED.replace(true);
    // The sprocket is not called again, and the engine's verbs do not panic.
    let ended = catch_unwind(AssertUnwindSafe(handler));
    GUARDED.set(before);
    ended.map_err(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let plain = |c: char| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '?' };
        let message: String =
            text.unwrap_or("it panicked").chars().map(plain).take(MESSAGE_MAX).collect();
        // That is once in the life of a sprocket.
        &*message.leak()
    })
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE_MAX, catch};

    #[test]
    fn what_a_panic_says_is_kept_as_far_as_a_document_takes_it() {
        assert_eq!(catch(&mut || ()), Ok(()));
        assert_eq!(catch(&mut || panic!("broken")), Err("broken"));
        let name = "\"ä\\";
        assert_eq!(catch(&mut || panic!("no {name}\n")), Err("no ????"));
        let long = "x".repeat(1000);
        assert_eq!(catch(&mut || panic!("{long}")).unwrap_err().len(), MESSAGE_MAX);
        assert_eq!(catch(&mut || std::panic::panic_any(7)), Err("it panicked"));
    }
}
