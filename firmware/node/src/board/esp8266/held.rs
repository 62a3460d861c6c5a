//! A future in the SDK's heap, for one that is long and rare.

use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

use sdk_sys::FALSE;
use sdk_sys::mem::{pvPortMalloc, vPortFree};

/// What the SDK's blocks are aligned to.
const ALIGN: usize = 8;

/// A future that has its memory until it is dropped.
pub(super) struct Held<F>(NonNull<F>);

impl<F> Held<F> {
    /// `None` if the heap has no such piece of memory now: `make` was not called.
    pub(super) fn new(make: impl FnOnce() -> F) -> Option<Self> {
        const { assert!(align_of::<F>() <= ALIGN) };
        // SAFETY: a plain call; whether there is a block is looked at.
        let block = unsafe { pvPortMalloc(size_of::<F>(), c"".as_ptr(), 0, FALSE) };
        let place = NonNull::new(block.cast::<F>())?;
        // SAFETY: the block is new, and long enough.
        unsafe { place.write(make()) };
        Some(Self(place))
    }
}

impl<F: Future> Future for Held<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: nobody else has it, and it stays where it is until it is dropped there.
        unsafe { Pin::new_unchecked(self.0.as_mut()) }.poll(context)
    }
}

impl<F> Drop for Held<F> {
    fn drop(&mut self) {
        // SAFETY: it is dropped once, and its block, which is from above, given back after its last use.
        unsafe {
            self.0.drop_in_place();
            vPortFree(self.0.as_ptr().cast(), c"".as_ptr(), 0);
        }
    }
}
