//! What commands print, held to the schemas that `spore schema` prints.
//!
//! Of JSON Schema (draft 2020-12) this knows what those schemas use, and panics at anything else. A library that knows all of
//! it brings Unicode's tables for host names, and takes longer to compile than the command.

use crate::support::Corner;
use regex_lite::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The schemas of all commands.
pub(crate) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    pub(crate) fn new(corner: &Corner) -> Self {
        let listed = corner.json(&["schema", "--json"]);
        let commands = listed["commands"].as_array().unwrap().iter();
        let schema = |command: &str| {
            let words: Vec<_> = ["schema"].into_iter().chain(command.split_whitespace()).collect();
            (command.to_owned(), corner.json(&words))
        };
        Self(commands.map(|command| schema(command.as_str().unwrap())).collect())
    }

    /// All commands.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// `text` is a document as `command` prints one.
    pub(crate) fn check(&self, command: &str, text: &str) {
        let document: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("spore {command} --json: {error}: {text}"));
        if let Err(what) = check(&self.0[command], &document) {
            panic!("spore {command} --json: {what}\n{text}");
        }
    }
}

/// Whether `value` is as `schema` says; else where it is not, and why.
fn check(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let good = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
                kind => is_of(kind, value),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "anyOf" | "oneOf" => {
                let tried = wanted.as_array().unwrap().iter().map(|schema| check(schema, value));
                let (good, wrong): (Vec<_>, Vec<_>) = tried.partition(Result::is_ok);
                if good.is_empty() {
                    return Err(format!("none of these: {wrong:?}"));
                }
                keyword == "anyOf" || good.len() == 1
            }
            "required" => value.as_object().is_none_or(|members| {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|it| members.contains_key(it.as_str().unwrap()))
            }),
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        check(schema, member).map_err(|what| format!("{name}: {what}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                let known = |name: &str| known.is_some_and(|known| known.get(name).is_some());
                let members = value.as_object().into_iter().flatten();
                for (name, member) in members.filter(|(name, _)| !known(name)) {
                    if *wanted == false {
                        return Err(format!("there is {name}"));
                    }
                    check(wanted, member).map_err(|what| format!("{name}: {what}"))?;
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(wanted, item).map_err(|what| format!("{index}: {what}"))?;
                }
                true
            }
            "maxItems" => value.as_array().is_none_or(|it| it.len() as u64 <= number(wanted)),
            "minLength" => {
                value.as_str().is_none_or(|it| it.chars().count() as u64 >= number(wanted))
            }
            "maxLength" => {
                value.as_str().is_none_or(|it| it.chars().count() as u64 <= number(wanted))
            }
            "minimum" => value.as_f64().is_none_or(|it| it >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= wanted.as_f64().unwrap()),
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "format" if wanted == "ipv4" => {
                value.as_str().is_none_or(|text| text.parse::<Ipv4Addr>().is_ok())
            }
            _ => panic!("{keyword}: {wanted} is not known here"),
        };
        if !good {
            return Err(format!("{value} is not {keyword} {wanted}"));
        }
    }
    Ok(())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("{other} is not known here"),
    }
}

#[test]
fn what_is_not_as_a_schema_says_is_found() {
    let schema: Value = serde_json::from_str(
        r#"{"type":"object","required":["a"],"additionalProperties":false,"properties":{
            "a":{"type":["integer","null"],"minimum":1,"maximum":9},
            "b":{"type":"string","pattern":"^[0-9a-f]{2}$"},
            "c":{"type":"array","maxItems":1,"items":{"enum":["x","y"]}},
            "d":{"anyOf":[{"const":true},{"type":"string","format":"ipv4"}]},
            "e":{"type":"object","additionalProperties":{"type":"string","minLength":1,"maxLength":2}}}}"#,
    )
    .unwrap();
    let check = |text: &str| check(&schema, &serde_json::from_str(text).unwrap());
    for good in [
        r#"{"a":1}"#,
        r#"{"a":null,"b":"0f","c":["y"],"d":true,"e":{"any":"ab"}}"#,
        r#"{"a":9,"c":[],"d":"10.0.0.1","e":{}}"#,
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for wrong in [
        "[]",
        "{}",
        r#"{"a":0}"#,
        r#"{"a":10}"#,
        r#"{"a":1.5}"#,
        r#"{"a":"1"}"#,
        r#"{"a":1,"f":1}"#,
        r#"{"a":1,"b":"0F"}"#,
        r#"{"a":1,"c":["z"]}"#,
        r#"{"a":1,"c":["x","y"]}"#,
        r#"{"a":1,"d":false}"#,
        r#"{"a":1,"d":"10.0.0"}"#,
        r#"{"a":1,"e":{"any":""}}"#,
        r#"{"a":1,"e":{"any":"abc"}}"#,
        r#"{"a":1,"e":{"any":1}}"#,
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
