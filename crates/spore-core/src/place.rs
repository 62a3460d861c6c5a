//! Memory for what is made in place.

/// Room for one value in the caller's [`Storage`](crate::Storage).
///
/// A node borrows its large parts from there: so it is small itself, and can be made and moved on
/// the stack of a board.
// With this representation an empty one is all zeros, whatever `T` is, so that a board's image need not hold it.
#[repr(u8)]
pub(crate) enum Place<T> {
    Empty,
    Full(T),
}

impl<T> Place<T> {
    /// Puts there what is made, instead of an earlier value.
    // Not inlined: what passes over the stack on its way does so in a frame that is gone afterwards.
    #[inline(never)]
    pub(crate) fn put(&mut self, make: impl FnOnce() -> T) -> &mut T {
        *self = Self::Full(make());
        match self {
            Self::Full(value) => value,
            Self::Empty => unreachable!("it was filled just now"),
        }
    }
}
