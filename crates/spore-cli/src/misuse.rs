//! Wrong usage that shows only when a command looks at its arguments. It ends as all wrong usage does.

use std::fmt;

/// What was used wrongly, and how it is used.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl Misuse {
    /// The exit code of wrong usage, the argument parser's own.
    pub(crate) const CODE: u8 = 2;

    /// An error that says `what`.
    pub(crate) fn error(what: impl fmt::Display) -> anyhow::Error {
        Self(what.to_string()).into()
    }

    /// Whether wrong usage is the cause of `error`.
    pub(crate) fn is_cause_of(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.is::<Self>())
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}
