//! What commands print, held to the schemas that `spore schema` prints.

use crate::support::Corner;
use boon::{Compiler, SchemaIndex};
use serde_json::Value;
use std::collections::BTreeMap;

/// The schemas of all commands.
pub(crate) struct Schemas {
    all: boon::Schemas,
    places: BTreeMap<String, SchemaIndex>,
}

impl Schemas {
    pub(crate) fn new(corner: &Corner) -> Self {
        let (mut all, mut places) = (boon::Schemas::new(), BTreeMap::new());
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let listed = corner.json(&["schema", "--json"]);
        for command in listed["commands"].as_array().unwrap() {
            let command = command.as_str().unwrap();
            let mut words = vec!["schema"];
            words.extend(command.split_whitespace());
            let place = format!("http://schemas/{}", words[1..].join("/"));
            compiler.add_resource(&place, corner.json(&words)).unwrap();
            let index = compiler.compile(&place, &mut all);
            let index = index.unwrap_or_else(|error| panic!("{command}: {error:#}"));
            places.insert(command.to_owned(), index);
        }
        Self { all, places }
    }

    /// All commands.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    /// `text` is a document as `command` prints one.
    pub(crate) fn check(&self, command: &str, text: &str) {
        let document: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("spore {command} --json: {error}: {text}"));
        let checked = self.all.validate(&document, self.places[command]);
        checked.unwrap_or_else(|error| panic!("spore {command} --json: {error:#}\n{text}"));
    }
}
