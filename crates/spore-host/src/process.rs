//! Commands of the operator: each a shell in a process group of its own.

use async_process::{Command, Stdio};
use futures_lite::future::try_zip;
use futures_lite::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

/// How long a command may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How much of what a command writes to its standard error is kept.
const COMPLAINT_MAX: usize = 4096;

/// Kills what a command has left behind, when it is over or nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // There may be nobody left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What a command has come to.
pub(crate) enum Outcome {
    /// It has succeeded, and written this.
    Done(Vec<u8>),
    /// It has written more than it may.
    TooLong,
    /// It has failed, and said this.
    Failed(String),
    /// It was given no more time.
    TimedOut,
}

/// Runs `command` in a shell with these variables in its environment, in a process group of its own, feeds it
/// `input` and waits for its end. It may write up to `limit` bytes. If the future is dropped, the group is killed.
pub(crate) async fn execute(
    command: &str,
    variables: &[(&str, &str)],
    input: &[u8],
    limit: usize,
) -> Outcome {
    let executed = attempt(command, variables, input, limit).await;
    executed.unwrap_or_else(|error| Outcome::Failed(format!("the command cannot be run: {error}")))
}

async fn attempt(
    command: &str,
    variables: &[(&str, &str)],
    body: &[u8],
    limit: usize,
) -> io::Result<Outcome> {
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    shell.envs(variables.iter().copied());
    let mut shell = Command::from(shell);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn()?;
    let _group = Group(i32::try_from(child.id()).ok().and_then(Pid::from_raw));
    let (Some(mut input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Ok(Outcome::Failed("the command has no pipes".to_owned()));
    };
    let feed = async {
        // A command need not read what it is sent.
        let _ = input.write_all(body).await;
        drop(input);
        Ok(())
    };
    let streams = try_zip(read(output, limit, true), read(errors, COMPLAINT_MAX, false));
    let ((), (text, complaint)) = match try_zip(feed, streams).await {
        Ok(streams) => streams,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(Outcome::TooLong),
        Err(error) => return Err(error),
    };
    let status = child.status().await?;
    if status.success() {
        return Ok(Outcome::Done(text));
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let line = complaint.lines().map(str::trim).find(|line| !line.is_empty());
    // In JSON each takes four bytes at most, and there is room for 512.
    let line = line.map(|line| line.chars().filter(|c| !c.is_control()).take(100).collect());
    Ok(Outcome::Failed(line.unwrap_or_else(|| format!("the command failed: {status}"))))
}

/// Reads to the end: the first `limit` bytes. More of them are an error if `all` are wanted, and
/// dropped if not, since a command whose output nobody reads would wait for ever.
async fn read(mut from: impl AsyncRead + Unpin, limit: usize, all: bool) -> io::Result<Vec<u8>> {
    let (mut kept, mut buf) = (Vec::new(), [0; 1024]);
    loop {
        let len = from.read(&mut buf).await?;
        if len == 0 {
            return Ok(kept);
        }
        let room = limit - kept.len();
        if all && len > room {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        kept.extend_from_slice(&buf[..len.min(room)]);
    }
}
