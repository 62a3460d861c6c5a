//! What a Linux node offers: `identify`, and commands that the operator has given.

use crate::process::{Outcome, PATIENCE, execute};
use async_io::Timer;
use futures_lite::future::or;
use log::{info, warn};
use serde_json::json;
use spore_core::api::{Error, Method, Methods, Policy, ServiceRequest};
use spore_core::services::{IDENTIFY, InvalidCatalogue, InvalidService};
use spore_core::{Catalogue, Hostname, Service};
use spore_node::ServiceReply;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes that a command can answer; more is a failure.
pub(crate) const REPLY_MAX: usize = 2048;

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
    pub(crate) const fn services(&self) -> &'static [Service] {
        self.catalogue.services()
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

async fn run(
    command: &CommandService,
    request: &ServiceRequest<'_>,
    reply: &mut [u8],
) -> ServiceReply {
    let name = command.service.name();
    let limit = REPLY_MAX.min(reply.len());
    let finish = async {
        let variables = [
            ("SPORE_METHOD", request.method.name()),
            ("SPORE_PATH", request.path),
            ("SPORE_QUERY", request.query),
        ];
        execute(&command.command, &variables, request.body, limit).await
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

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
