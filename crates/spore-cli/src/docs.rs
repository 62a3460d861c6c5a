//! What the documents show: commands that this program understands, links that lead somewhere.

use crate::command;
use clap::error::ErrorKind;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A document of the repository.
struct Document {
    path: PathBuf,
    /// Lines outside of code, and those within, with the language of their block.
    prose: Vec<String>,
    code: Vec<(String, String)>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn documents() -> Vec<Document> {
    let mut files = Vec::new();
    for folder in ["", "docs", "docs/decisions", "web/dashboard", "fuzz", "bench", "examples"] {
        let folder = root().join(folder);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        files.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|it| it == "md")),
        );
    }
    files.into_iter().map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Document {
    let (mut prose, mut code, mut block) = (Vec::new(), Vec::new(), None::<String>);
    for line in fs::read_to_string(path).unwrap().lines() {
        match (line.trim_start().strip_prefix("```"), &block) {
            (Some(language), None) => block = Some(language.trim().to_owned()),
            (Some(_), Some(_)) => block = None,
            (None, Some(language)) => code.push((language.clone(), line.to_owned())),
            // Indented by four: code as well.
            (None, None) if line.starts_with("    ") => code.push((String::new(), line.to_owned())),
            (None, None) => prose.push(line.to_owned()),
        }
    }
    Document { path: path.to_owned(), prose, code }
}

/// What a heading is called in links, as GitHub does it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(document: &Document) -> BTreeSet<String> {
    document.prose.iter().filter(|line| line.starts_with('#')).map(|line| anchor(line)).collect()
}

/// The parts of `line` between backticks.
fn inline(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Where the links of `line` lead to.
fn links(line: &str) -> Vec<&str> {
    let bare: Vec<_> = line.split("](").skip(1).collect();
    bare.into_iter().filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn links_lead_somewhere() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in documents() {
        let shown = document.path.display();
        for link in document.prose.iter().flat_map(|line| links(line)) {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            count += 1;
            let (file, at) = link.split_once('#').unwrap_or((link, ""));
            let path = match file {
                "" => document.path.clone(),
                file => document.path.parent().unwrap().join(file),
            };
            if !path.exists() {
                wrong.push(format!("{shown}: {link}: there is no such file"));
            } else if !at.is_empty() && !anchors(&read(&path)).contains(at) {
                wrong.push(format!("{shown}: {link}: there is no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 100, "{count}");
}

/// The words of a command as a shell takes them; what is behind a pipe or the like is another command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut depth) = (Vec::new(), String::new(), None, 0);
    let mut begun = false;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => (quote, begun) = (Some(c), true),
            ('(' | ')', None) => {
                depth += if c == '(' { 1 } else { -1 };
                word.push(c);
            }
            ('|' | '>' | '<' | '&' | ';', None) if depth == 0 => break,
            ('#', None) if word.is_empty() && !begun => break,
            (' ', None) if depth == 0 => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (c, None) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// The words behind `spore` of a command that is one of this program's.
fn ours(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    let starts = ["spore ", "cargo run --release -- ", "target/release/spore "];
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    Some(words(rest))
}

fn error(words: &[String]) -> Option<clap::Error> {
    command()
        .try_get_matches_from(["spore"].into_iter().chain(words.iter().map(String::as_str)))
        .err()
}

#[test]
fn commands_that_are_shown_are_understood() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in documents() {
        // It tells of what was, too.
        if document.path.ends_with("CHANGELOG.md") {
            continue;
        }
        let shown = document.path.display();
        let lines = document
            .code
            .iter()
            .filter(|(language, _)| language == "console" || language.is_empty());
        for words in lines.filter_map(|(_, line)| ours(line)) {
            count += 1;
            let shows = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
            if let Some(error) = error(&words).filter(|error| !shows.contains(&error.kind())) {
                wrong.push(format!("{shown}: spore {}: {error}", words.join(" ")));
            }
        }
        // In a sentence names stand for values, and what is clear may be left out.
        for words in document.prose.iter().flat_map(|line| inline(line)).filter_map(ours) {
            count += 1;
            let unknown = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument];
            if let Some(error) = error(&words).filter(|error| unknown.contains(&error.kind())) {
                wrong.push(format!("{shown}: `spore {}`: {error}", words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 100, "{count}");
}

#[test]
fn commands_of_units_are_understood() {
    let folder = root().join("packaging/debian");
    let files = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let units = files.filter(|path| path.extension().is_some_and(|it| it == "service"));
    let mut count = 0;
    for path in units {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("ExecStart=/usr/bin/spore ")) {
            let line = line.replace("%i", "192.168.1.20").replace("$OPTIONS", "");
            let line = line.replace("%S", "/var/lib").replace("%d", "/run/credentials");
            let wrong = error(&words(&line));
            assert!(wrong.is_none(), "{}: {line}: {}", path.display(), wrong.unwrap());
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn a_line_is_taken_apart_as_a_shell_does() {
    let split = |line: &str| ours(line).unwrap();
    assert_eq!(split("$ spore sub 'kitchen/#'   # all of it"), ["sub", "kitchen/#"]);
    assert_eq!(
        split("spore node --service 'a=tr a-z A-Z' &"),
        ["node", "--service", "a=tr a-z A-Z"]
    );
    assert_eq!(
        split("$ cargo run --release -- config set k=$(spore key show) | cat"),
        ["config", "set", "k=$(spore key show)"]
    );
    assert!(ours("$ cargo xtask api").is_none() && ours("sporeless").is_none());
    assert_eq!(anchor("## Trying it: `on` Linux"), "trying-it-on-linux");
}
