//! Texts that are services, and those that are not.

use super::{CommandService, InvalidCommandService, METHODS, Services};
use spore_core::api::Policy;
use spore_core::services::{InvalidCatalogue, InvalidService};

fn parse(text: &str) -> Result<CommandService, InvalidCommandService> {
    text.parse()
}

#[test]
fn a_text_is_a_name_maybe_a_policy_and_a_command() {
    for (text, name, policy, command) in [
        ("echo=cat", "echo", Policy::Signed, "cat"),
        ("echo:open=cat", "echo", Policy::Open, "cat"),
        ("echo:signed=a=b c:d", "echo", Policy::Signed, "a=b c:d"),
    ] {
        let CommandService { service, command: found } = parse(text).unwrap();
        assert_eq!((service.name(), service.policy(), &*found), (name, policy, command));
        assert_eq!(service.methods(), METHODS);
    }
}

#[test]
fn other_texts_are_refused() {
    for text in ["", "echo", "echo=", "echo= ", "echo:open"] {
        assert_eq!(parse(text), Err(InvalidCommandService::Form), "{text}");
    }
    let policy = InvalidCommandService::Policy("closed".to_owned());
    assert_eq!(parse("echo:closed=cat"), Err(policy));
    for text in ["=cat", ":open=cat", "Echo=cat", "a b=cat", "a/b=cat", "1a=cat"] {
        let wrong = Err(InvalidCommandService::Service(InvalidService::Name));
        assert_eq!(parse(text), wrong, "{text}");
    }
}

#[test]
fn a_node_has_seven_commands_and_each_name_once() {
    let commands = |count: u8| (0..count).map(|n| parse(&format!("s{n}=cat")).unwrap()).collect();
    assert_eq!(Services::new(commands(7)).unwrap().services().len(), 8);
    assert_eq!(Services::new(commands(8)).unwrap_err(), InvalidCatalogue::TooMany);
    let own = vec![parse("identify=cat").unwrap()];
    assert_eq!(Services::new(own).unwrap_err(), InvalidCatalogue::SameId("identify"));
}
