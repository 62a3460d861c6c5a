//! Child processes that do not outlive us.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result};

/// A running program. Dropping it kills the program and waits for its end.
pub(crate) struct Guarded {
    name: String,
    child: Child,
}

impl Guarded {
    /// Starts `program` under the name `name`, with the arguments, environment and streams that
    /// `set_up` gives it.
    ///
    /// The program is a group of its own, so that Ctrl-C reaches us alone and the end is
    /// orderly. It is started through `setpriv`, which has the kernel kill it should we die
    /// without a chance to. That holds for the thread that calls, so it should be the main one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        name: impl Into<String>,
        program: &str,
        set_up: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).process_group(0);
        let child = set_up(&mut command).spawn().with_context(|| {
            format!("cannot run `setpriv`, which starts {program}: install the package util-linux")
        })?;
        Ok(Self { name: name.into(), child })
    }

    /// What it was named at the start.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its streams.
    pub(crate) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.name))
    }

    /// Kills it (SIGKILL) and waits for its end. Does nothing if it has ended.
    pub(crate) fn kill(&mut self) {
        // Both fail only if it is gone already, and gone is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}
