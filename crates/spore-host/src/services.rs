//! What a Linux node offers: `identify`, and commands that the operator has given.

use async_io::Timer;
use async_process::{Command, Stdio};
use futures_lite::future::{or, try_zip};
use futures_lite::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use log::{info, warn};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use spore_core::api::{Error, Method, Methods, Policy, ServiceRequest};
use spore_core::services::{IDENTIFY, InvalidCatalogue, InvalidService};
use spore_core::{Catalogue, Hostname, Service};
use spore_node::ServiceReply;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes that a command can answer; more is a failure.
pub(crate) const REPLY_MAX: usize = 2048;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of what a command writes to its standard error is kept.
const COMPLAINT_MAX: usize = 4096;

/// What a command answers.
const TEXT: &str = "text/plain; charset=utf-8";

/// The methods that a command answers.
const METHODS: Methods = Methods::NONE
    .with(Method::Get)
    .with(Method::Post)
    .with(Method::Put)
    .with(Method::Patch)
    .with(Method::Delete);

/// A service that runs a command: `NAME=COMMAND`, or `NAME:open=COMMAND` for one that everyone on
/// the network may call without signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandService {
    service: Service,
    command: String,
}

/// Why a text is no [`CommandService`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidCommandService {
    /// There is no `=`, or nothing behind it.
    Form,
    /// What stands behind the name's `:` is neither `open` nor `signed`.
    Policy(String),
    /// The name cannot be one.
    Service(InvalidService),
}

impl fmt::Display for InvalidCommandService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("a service is NAME=COMMAND or NAME:open=COMMAND"),
            Self::Policy(policy) => {
                write!(f, "a service's policy is open or signed, not {policy}")
            }
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InvalidCommandService {}

impl FromStr for CommandService {
    type Err = InvalidCommandService;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('=').filter(|(_, command)| !command.trim().is_empty());
        let (service, command) = parts.ok_or(InvalidCommandService::Form)?;
        let (name, policy) = match service.split_once(':') {
            None => (service, Policy::Signed),
            Some((name, "signed")) => (name, Policy::Signed),
            Some((name, "open")) => (name, Policy::Open),
            Some((_, policy)) => return Err(InvalidCommandService::Policy(policy.to_owned())),
        };
        // A node's services live as long as the process, of which they are a handful.
        let name = Box::leak(name.to_owned().into_boxed_str());
        Service::new(name, policy, METHODS, "Runs a command of the operator")
            .map(|service| Self { service, command: command.to_owned() })
            .map_err(InvalidCommandService::Service)
    }
}

/// The services of one node: `identify`, and commands.
#[derive(Clone, Debug)]
pub struct Services {
    catalogue: Catalogue,
    /// Those of the services that follow the first, which is `identify`.
    commands: Arc<[CommandService]>,
}

impl Default for Services {
    fn default() -> Self {
        Self::new(Vec::new()).expect("one service is a catalogue")
    }
}

impl Services {
    /// `identify` and these, of which there may be seven. No two may have the same name.
    pub fn new(commands: Vec<CommandService>) -> Result<Self, InvalidCatalogue> {
        let commanded = commands.iter().map(|command| command.service);
        // As with the names, there is one for each node of a process.
        let services = std::iter::once(IDENTIFY).chain(commanded).collect::<Vec<_>>().leak();
        Ok(Self { catalogue: Catalogue::new(services)?, commands: commands.into() })
    }

    /// What they are to others.
    pub(crate) const fn catalogue(&self) -> Catalogue {
        self.catalogue
    }

    /// Answers a call.
    pub(crate) async fn call(
        &self,
        hostname: &Hostname,
        request: &ServiceRequest<'_>,
        reply: &mut [u8],
    ) -> ServiceReply {
        let Some(command) = request.service.checked_sub(1) else {
            info!("{hostname}: identify: this is {hostname}");
            return ServiceReply::identified(hostname, reply);
        };
        match self.commands.get(command) {
            Some(command) => run(command, request, reply).await,
            None => ServiceReply::error(Error::NotFound, reply),
        }
    }
}

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
enum Outcome {
    Done(Vec<u8>),
    TooLong,
    Failed(String),
    TimedOut,
}

async fn run(
    command: &CommandService,
    request: &ServiceRequest<'_>,
    reply: &mut [u8],
) -> ServiceReply {
    let name = command.service.name();
    let limit = REPLY_MAX.min(reply.len());
    let finish = async {
        execute(&command.command, request, limit)
            .await
            .unwrap_or_else(|error| Outcome::Failed(format!("the command cannot be run: {error}")))
    };
    let over = async {
        Timer::after(PATIENCE).await;
        Outcome::TimedOut
    };
    let message = match or(finish, over).await {
        Outcome::Done(text) => return ServiceReply::new(200, TEXT, &text, reply),
        Outcome::TimedOut => {
            warn!("service {name}: no answer within {} s, killed", PATIENCE.as_secs());
            return ServiceReply::error(Error::ServiceTimeout, reply);
        }
        Outcome::TooLong => format!("the command's answer is longer than {limit} bytes"),
        Outcome::Failed(complaint) => complaint,
    };
    warn!("service {name}: {message}");
    let document = json!({ "error": { "code": "service_failed", "message": message } });
    ServiceReply::new(502, ServiceReply::JSON, document.to_string().as_bytes(), reply)
}

/// Runs `command` in a shell, in a process group of its own, and waits for its end.
async fn execute(command: &str, request: &ServiceRequest<'_>, limit: usize) -> io::Result<Outcome> {
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    shell.env("SPORE_METHOD", request.method.name());
    shell.env("SPORE_PATH", request.path).env("SPORE_QUERY", request.query);
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
        let _ = input.write_all(request.body).await;
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

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
