//! Empty: only the manifest and the lock file beside it matter.
