//! `spore call`.

mod providers;

use self::providers::Shuffled;
use crate::client::{Answer, Client, Provider, Request, Signer, Target, Unanswered};
use crate::input::{self, Input};
use crate::key_file::KeyFile;
use crate::misuse::Misuse;
use crate::output::{note, print, print_answer, print_bytes, print_line};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use std::thread;

/// Call a service of the cluster, wherever it is offered.
///
/// One of those who offer it is chosen at random; where it does not answer, or has another service
/// with the same id, the next one is tried. A request that may have been carried out is not sent
/// again if that could do something twice (POST, PATCH), and no request goes on after two have not
/// answered it, or after one has failed over it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Call {
    /// The service's name
    name: String,
    /// The body: a text, @FILE, or - for stdin
    body: Option<Input>,
    /// Ask all who offer it, and show each answer with its node
    #[arg(long, conflicts_with = "provider")]
    all: bool,
    /// Ask this one alone: a member's hostname or id
    #[arg(long, value_name = "NODE")]
    provider: Option<String>,
    /// The method [default: POST with a body; without, GET, or POST where there is no GET]
    #[arg(long, value_parser = method)]
    method: Option<String>,
    /// What follows the service's name in the path; it may end in a query
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore call identify --all                 have every node show itself
  spore call relay                          GET /api/services/relay of a member that offers it
  spore call relay on                       POST it the text \"on\"
  spore call relay @state.json --method PUT --path channels/2
  spore call sensor --all --json            ask everyone who has a sensor

Where a service is for holders of the key alone, the call is signed with the cluster key.
Exit codes: 0 answered, 1 refused or not answered (with --all: by any), 2 wrong usage.";

/// A token (RFC 9110, section 5.6.2) in capitals.
pub(super) fn method(text: &str) -> Result<String, String> {
    let text = text.to_ascii_uppercase();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text);
    }
    Err("a method is a word of letters, such as GET or PUT".to_owned())
}

/// One call, whoever it goes to.
struct Calling<'a> {
    client: Client,
    request: Request<'a>,
    /// No method was chosen, and there is no body: where there is no GET, POST is meant.
    or_post: bool,
    /// Who has the key signs at once, whether the service asks for it or not: else each call of one that does
    /// would begin with a refusal, which the node counts and tells of.
    signer: Result<Signer>,
}

/// What became of a call to one provider.
enum Outcome {
    /// It was done.
    Answered(Answer),
    /// It could be done elsewhere.
    Elsewhere {
        error: anyhow::Error,
        /// Whether the provider has got it, and not answered: it may have done it, and once more is no harm.
        sent: bool,
    },
    /// It was refused, or nobody knows whether it was done.
    Failed(anyhow::Error),
}

impl Call {
    pub(crate) fn run(self) -> Result<()> {
        let target = self.request_target()?;
        let body = self.body.as_ref().map(Input::read).transpose()?;
        let default = if body.is_some() { "POST" } else { "GET" };
        let calling = Calling {
            client: self.target.client(),
            request: Request {
                method: self.method.as_deref().unwrap_or(default),
                target: &target,
                body: body.as_deref().unwrap_or_default(),
                content_type: body.as_deref().map(input::media_type),
            },
            or_post: self.method.is_none() && body.is_none(),
            signer: Signer::new(&self.key),
        };
        let providers = providers::of(&self.target, &self.name, self.provider.as_deref())?;
        if self.all {
            return self.ask_all(&calling, &providers);
        }
        let (provider, answer) = self.ask_any(&calling, providers)?;
        if self.target.json {
            return print_line(document(&provider, &answer));
        }
        print_answer(&answer.body)
    }

    /// The path of the service, and what is below it.
    fn request_target(&self) -> Result<String> {
        let good = |c: char| c.is_ascii_graphic() && c != '#';
        if self.name.is_empty() || self.name.contains(['/', '?']) || !self.name.chars().all(good) {
            return Err(Misuse::error(format_args!(
                "{:?} is no service's name; `spore services` lists them",
                self.name
            )));
        }
        let mut target = format!("/api/services/{}", self.name);
        if let Some(path) = &self.path {
            if !path.chars().all(good) {
                return Err(Misuse::error(format_args!(
                    "{path:?} is no path; what is not ASCII is written %XX"
                )));
            }
            if !path.starts_with(['/', '?']) {
                target.push('/');
            }
            target.push_str(path);
        }
        Ok(target)
    }

    /// Asks one after the other until one answers.
    fn ask_any(
        &self,
        calling: &Calling<'_>,
        providers: Vec<Provider>,
    ) -> Result<(Provider, Answer)> {
        let (mut last, mut silenced) = (None, false);
        for provider in Shuffled::new(providers)? {
            match calling.ask(&provider) {
                Outcome::Answered(answer) => return Ok((provider, answer)),
                Outcome::Failed(error) => return Err(error),
                // One may be gone by chance. A request that ends whoever takes it must not go round.
                Outcome::Elsewhere { error, sent: true } if silenced => return Err(error),
                Outcome::Elsewhere { error, sent } => {
                    silenced |= sent;
                    if let Some(error) = last.replace(error) {
                        note(format_args!("spore: {error:#}"));
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("nobody offers {}", self.name)))
    }

    /// Asks all of them, a few at a time, and shows what each says.
    fn ask_all(&self, calling: &Calling<'_>, providers: &[Provider]) -> Result<()> {
        const AT_ONCE: usize = 8;
        let mut failed = 0_usize;
        let mut documents = Vec::new();
        for some in providers.chunks(AT_ONCE) {
            let outcomes: Vec<_> = thread::scope(|scope| {
                let ask = |provider| scope.spawn(move || calling.ask(provider));
                let asked: Vec<_> = some.iter().map(ask).collect();
                asked.into_iter().map(|thread| thread.join().expect("asking panics not")).collect()
            });
            for (provider, outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Outcome::Answered(answer) if self.target.json => {
                        documents.push(document(provider, &answer));
                    }
                    Outcome::Answered(answer) => show(provider, &answer)?,
                    Outcome::Elsewhere { error, .. } | Outcome::Failed(error) => {
                        failed += 1;
                        note(format_args!("spore: {}: {error:#}", provider.hostname));
                        let error = format!("{error:#}");
                        documents.push(json!({ "node": node(provider), "error": error }));
                    }
                }
            }
        }
        if self.target.json {
            print_line(json!({ "answers": documents }))?;
        }
        if failed > 0 {
            bail!("{failed} of {} did not do it", providers.len());
        }
        Ok(())
    }
}

impl Calling<'_> {
    fn exchange(&self, node: &str, request: &Request<'_>) -> Result<Answer, Unanswered> {
        match &self.signer {
            Ok(signer) => self.client.exchange_signed(node, request, signer),
            Err(_) => self.client.exchange(node, request, None),
        }
    }

    /// Calls one provider.
    fn ask(&self, provider: &Provider) -> Outcome {
        let (node, mut request) = (provider.api(), self.request);
        let mut answered = self.exchange(&node, &request);
        let refused = |code| move |answer: &Answer| answer.is_refusal(code);
        if self.or_post && answered.as_ref().is_ok_and(refused("method_not_allowed")) {
            request.method = "POST";
            answered = self.exchange(&node, &request);
        }
        let request = &request;
        match answered {
            Ok(answer) if answer.is_success() => Outcome::Answered(answer),
            Ok(answer) => match &self.signer {
                Err(missing) if answer.is_refusal("credentials_missing") => Outcome::Failed(
                    anyhow!("{missing:#}").context(format!("{node} wants {request} signed")),
                ),
                signer => {
                    let error = match signer {
                        Ok(signer) => signer.error(&answer, &node, request),
                        Err(_) => answer.error(&node, request),
                    };
                    // 404: it offers something else whose name has the same id. 503: it has no time, or what
                    // the service is of was stopped before.
                    let elsewhere = matches!(answer.status, 404 | 503);
                    if elsewhere {
                        Outcome::Elsewhere { error, sent: false }
                    } else {
                        Outcome::Failed(error)
                    }
                }
            },
            Err(Unanswered { sent, error }) if !sent || request.is_idempotent() => {
                Outcome::Elsewhere { error, sent }
            }
            Err(unanswered) => Outcome::Failed(unanswered.error.context(format!(
                "{} may have done it, so nobody else was asked",
                provider.hostname
            ))),
        }
    }
}

fn node(provider: &Provider) -> Value {
    json!({ "id": provider.id, "hostname": provider.hostname, "api": provider.api() })
}

/// An answer for programs. What is not UTF-8 is given as hexadecimal digits.
fn document(provider: &Provider, answer: &Answer) -> Value {
    let is_json = answer.content_type.as_deref().is_some_and(|kind| kind.contains("json"));
    let parsed = serde_json::from_slice::<Value>(&answer.body).ok().filter(|_| is_json);
    let mut document = json!({
        "node": node(provider),
        "status": answer.status,
        "content_type": answer.content_type,
    });
    let (name, body) = match (parsed, std::str::from_utf8(&answer.body)) {
        (Some(value), _) => ("body", value),
        (None, Ok(text)) => ("body", json!(text)),
        (None, Err(_)) => ("body_hex", json!(crate::signing::hex(&answer.body))),
    };
    document[name] = body;
    document
}

/// An answer for people, under the name of who gave it.
fn show(provider: &Provider, answer: &Answer) -> Result<()> {
    print(format_args!("{} ({})\n", provider.hostname, provider.api()))?;
    print_bytes(&answer.body)?;
    if answer.body.last().is_some_and(|&last| last != b'\n') {
        print("\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Answer, Provider, document, method};

    #[test]
    fn a_body_is_a_value_a_text_or_digits() {
        let provider: Provider = serde_json::from_value(serde_json::json!({
            "id": "1", "hostname": "a", "address": "10.0.0.1", "http_port": 80, "status": "active",
        }))
        .unwrap();
        let of = |content_type: Option<&str>, body: &[u8]| {
            let content_type = content_type.map(str::to_owned);
            document(&provider, &Answer { status: 200, content_type, body: body.to_vec() })
        };
        let json = of(Some("application/json"), br#"{"on":true}"#);
        assert_eq!(json["body"]["on"], true);
        assert_eq!(json["node"]["api"], "10.0.0.1:80");
        assert_eq!(of(Some("text/plain"), b"7")["body"], "7");
        assert_eq!(of(Some("application/json"), b"{")["body"], "{");
        let binary = of(None, b"\xFF\x00");
        assert_eq!((&binary["body_hex"], binary.get("body")), (&"ff00".into(), None));
    }

    #[test]
    fn methods_are_words_in_capitals() {
        assert_eq!(method("put").as_deref(), Ok("PUT"));
        for wrong in ["", "A B", "G\r\n", "PÜT", "M-SEARCH"] {
            assert!(method(wrong).is_err(), "{wrong}");
        }
    }
}
