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
    /// Puts `value` there, instead of an earlier one.
    pub(crate) fn put(&mut self, value: T) -> &mut T {
        *self = Self::Full(value);
        match self {
            Self::Full(value) => value,
            Self::Empty => unreachable!("it was filled just now"),
        }
    }
}
