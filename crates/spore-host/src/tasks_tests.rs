//! Texts that are tasks, and those that are not.

use super::{CommandTask, CommandTasks, InvalidCommandTask};
use spore_core::tasks::{InvalidTask, InvalidTasks, TASKS_MAX};

fn parse(text: &str) -> Result<CommandTask, InvalidCommandTask> {
    text.parse()
}

#[test]
fn a_text_is_a_name_an_interval_and_a_command() {
    for (text, name, millis, clustered, command) in [
        ("a=5:true", "a", 5_000, false, "true"),
        ("a=0.01:x=y:z", "a", 10, false, "x=y:z"),
        ("cron-1:clustered=604800:true", "cron-1", 604_800_000, true, "true"),
    ] {
        let CommandTask { spec, command: found } = parse(text).unwrap();
        let found = (spec.name(), spec.interval_ms(), spec.is_clustered(), &*found);
        assert_eq!(found, (name, millis, clustered, command), "{text}");
    }
}

#[test]
fn other_texts_are_refused() {
    for text in ["", "a", "a=", "a=5", "a=5:", "a=5: ", "a=true", "a=:true", "a=-1:x", "a=NaN:x"] {
        assert_eq!(parse(text), Err(InvalidCommandTask::Form), "{text}");
    }
    assert_eq!(parse("a:b=5:true"), Err(InvalidCommandTask::Kind("b".to_owned())));
    assert_eq!(parse("A=5:true"), Err(InvalidCommandTask::Task(InvalidTask::Name)));
    for text in ["a=0:true", "a=0.009:true", "a=604801:true"] {
        assert_eq!(parse(text), Err(InvalidCommandTask::Task(InvalidTask::Interval)), "{text}");
    }
}

#[test]
fn a_node_has_as_many_as_there_are_places_and_each_name_once() {
    let commands = |count: usize| (0..count).map(|n| parse(&format!("t{n}=1:x")).unwrap());
    let new = |count| CommandTasks::new(commands(count).collect());
    let most = spore_core::tasks::USER_TASKS_MAX;
    assert!(most < TASKS_MAX);
    assert_eq!(new(most).unwrap().tasks().specs().len(), most);
    assert_eq!(new(most + 1).unwrap_err(), InvalidTasks::TooMany);
    let twice = vec![parse("probe=1:x").unwrap()];
    assert_eq!(CommandTasks::new(twice).unwrap_err(), InvalidTasks::SameName("probe"));
}
