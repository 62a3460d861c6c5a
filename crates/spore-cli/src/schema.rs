//! What commands print with `--json`, as JSON Schema (draft 2020-12).

use crate::openapi::schemas::{
    self, digits, hostname, id, list, object, one_of, or_null, port, reference, text, whole,
};
use serde_json::{Map, Value, json};

/// The schema of what the command with these words prints, such as `ota update`; `None` if that is written down nowhere.
///
/// With `--watch`, and where the schema says so, there is one such document a line.
pub(crate) fn of(command: &str) -> Option<Value> {
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!(format!("spore {command} --json")));
    schema.extend(whole_of(printed(command)?).as_object().cloned()?);
    Some(schema.into())
}

fn printed(command: &str) -> Option<Value> {
    Some(match command {
        "up" => object(json!({
            "nodes": list(object(json!({ "hostname": hostname(), "api": text() }))),
            "port": port(),
            "key_file": text(),
            "flasher": or_null(text()),
        })),
        "node" => said(object(json!({ "hostname": hostname(), "api": text() })), "The first line"),
        "gateway" => said(
            object(json!({
                "hostname": hostname(), "api": text(), "cluster": text(), "broker": or_null(text()),
                "history": or_null(text()), "metrics": or_null(text()),
                "flasher": or_null(text()),
            })),
            "The first line",
        ),
        "history" => object(json!({ "history": list(object(json!({
            "at": text(), "at_ms": whole(53), "kind": one_of(&["member", "event", "update"]), "node": or_null(id()),
            "hostname": or_null(hostname()), "what": text(),
            "detail": { "type": "object", "description": "By what happened; docs/gateway.md lists it" },
        }))) })),
        "launch" => said(
            object(json!({
                "starting": whole(32), "slot": one_of(&["a", "b"]), "on_trial": flag(),
            })),
            "A line for each start, between what the programs print",
        ),
        "members" => reference("Members"),
        "status" => reference("NodeStatus"),
        "services" => reference("Services"),
        "sprockets" => either([
            object(json!({ "sprockets": part("NodeStatus", "/properties/sprockets") })),
            said(reference("SprocketConfig"), "With the name of one"),
        ]),
        "new-sprocket" => object(json!({ "sprocket": text(), "folder": text() })),
        "call" => call(),
        "config get" => either([
            reference("Config"),
            said(
                json!({ "type": ["string", "integer", "boolean", "null"] }),
                "With the name of one",
            ),
        ]),
        "config set" => reference("Config"),
        "logs" => either([
            reference("Log"),
            said(part("Log", "/properties/log/items"), "With --follow, a line for each event"),
            said(reference("Crash"), "With --crash"),
        ]),
        "pub" => reference("Published"),
        "sub" => either([
            said(reference("Event"), "A line for each event"),
            said(
                object(json!({
                    "topic": { "const": "events/lost" }, "payload": reference("LostEvents"),
                })),
                "So many events were gone before they could be read",
            ),
        ]),
        "tasks" => reference("Tasks"),
        "tasks pause" | "tasks resume" | "tasks run" | "tasks interval" => reference("Task"),
        "restart" => object(json!({ "nodes": list(object(json!({
            "node": text(), "restarting": flag(), "error": or_null(text()),
        }))) })),
        "ota update" => either([
            object(json!({
                "node": text(), "image": whole(32), "version": text(),
                "result": one_of(&["updated", "rolled_back"]), "reason": or_null(text()),
            })),
            said(
                object(json!({
                    "node": text(), "image": whole(32),
                    "result": { "const": "installed" }, "restarting": flag(),
                })),
                "With --hold or --no-wait",
            ),
        ]),
        "ota all" => either([
            reference("Rollout"),
            said(object(json!({ "rollout": text(), "file": text() })), "With --plan"),
        ]),
        "ota status" | "ota halt" => reference("Rollout"),
        "network" | "network status" | "network wifi" => reference("NetworkStatus"),
        "network scan" => reference("NetworkScan"),
        "claim" => object(json!({
            "file": text(), "claimed": flag(), "hostname": or_null(hostname()),
            "wifi": or_null(text()), "release_key": or_null(digits(64)),
            "access_point_password": text(),
        })),
        "repair" => object(json!({ "repaired": flag() })),
        "doctor" => object(json!({ "ok": flag(), "checks": list(object(json!({
            "check": text(), "state": one_of(&["ok", "absent", "warning", "wrong"]),
            "found": text(), "advice": or_null(text()),
        }))) })),
        "key new" => either([
            object(json!({ "file": text() })),
            said(object(json!({ "file": text(), "public": digits(64) })), "Of a release key"),
        ]),
        "key show" => either([
            object(json!({ "file": text(), "key": digits(64) })),
            said(object(json!({ "file": text(), "public": digits(64) })), "Of a release key"),
        ]),
        "key export" => either([
            object(json!({ "file": text() })),
            said(object(json!({ "text": text() })), "With --stdout"),
        ]),
        "key import" => object(json!({ "kind": one_of(&["cluster", "release"]), "file": text() })),
        "key enroll" => object(json!({
            "file": text(), "nodes": list(keyed(&["enrolled", "known", "failed"])),
        })),
        "key rotate" => object(json!({
            "number": whole(32),
            "nodes": list(keyed(&["new key", "staged", "old key", "left out", "never seen", "not enrolled"])),
        })),
        "key sign-release" => object(json!({ "signature": digits(128) })),
        "image build" | "image inspect" | "image sign" | "image fetch" => object(image()),
        "image verify" => {
            let mut signed = image();
            signed["signed_by"] = digits(64);
            object(signed)
        }
        "sign" => either([
            object(json!({ "authorization": text() })),
            said(object(json!({ "url": text() })), "With --query"),
        ]),
        "sim" => {
            either([run(), said(list(group()), "Of many runs: one for each value swept over")])
        }
        "openapi" => either([
            said(
                json!({ "type": "object", "required": ["openapi", "paths"] }),
                "An OpenAPI document, version 3.1",
            ),
            said(object(json!({ "file": text() })), "With --output"),
        ]),
        "schema" => either([
            said(
                json!({ "type": "object", "required": ["$schema", "title"] }),
                "A JSON Schema, draft 2020-12",
            ),
            said(object(json!({ "commands": list(text()) })), "Without a command"),
        ]),
        "completions" => object(json!({ "shell": text(), "script": text() })),
        "man" => either([
            object(json!({ "page": text() })),
            said(object(json!({ "folder": text() })), "With --output"),
        ]),
        _ => return None,
    })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn number() -> Value {
    json!({ "type": "number" })
}

/// `schema`, and when that is what is printed.
fn said(schema: Value, when: &str) -> Value {
    let mut said = whole_of(schema);
    said["description"] = json!(when);
    said
}

fn either<const N: usize>(schemas: [Value; N]) -> Value {
    json!({ "anyOf": schemas.to_vec() })
}

/// A part of what the API's description says of a document.
fn part(document: &str, at: &str) -> Value {
    schemas::all()[document].pointer(at).cloned().unwrap_or_default()
}

/// `schema` with what it refers to in place of the references.
fn whole_of(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let to = members.get("$ref").and_then(Value::as_str);
            match to.and_then(|to| to.strip_prefix(schemas::PLACE)) {
                Some(name) => whole_of(schemas::all()[name].clone()),
                None => members.into_iter().map(|(name, it)| (name, whole_of(it))).collect(),
            }
        }
        Value::Array(items) => items.into_iter().map(whole_of).collect(),
        other => other,
    }
}

/// A node, and how it stands with the replacing of the key.
fn keyed(states: &[&str]) -> Value {
    object(json!({
        "id": or_null(id()), "hostname": or_null(hostname()), "state": one_of(states),
        "error": or_null(text()),
    }))
}

fn call() -> Value {
    let node = || object(json!({ "id": id(), "hostname": hostname(), "api": text() }));
    let answer = || {
        let mut answer = object(json!({
            "node": node(),
            "status": whole(16),
            "content_type": or_null(text()),
            "body": { "description": "What it says, if that is JSON, or a text" },
            "body_hex": {
                "type": "string",
                "pattern": "^([0-9a-f]{2})+$",
                "description": "What it says, if that is neither",
            },
        }));
        answer["required"] = json!(["node", "status", "content_type"]);
        answer
    };
    let failed = object(json!({ "node": node(), "error": text() }));
    let all = object(json!({ "answers": list(either([answer(), failed])) }));
    either([answer(), said(all, "With --all")])
}

/// The members of what is said of an image.
fn image() -> Value {
    json!({
        "file": text(),
        "board": text(),
        "version": text(),
        "sequence": whole(32),
        "signed": flag(),
        "program": flag(),
        "bytes": whole(32),
        "manifest": whole(32),
        "payload": whole(32),
        "in_place": whole(32),
        "chunks": whole(32),
        "words_that_move": whole(32),
        "digests": object(json!({ "a": digits(64), "b": digits(64) })),
    })
}

/// A run of the simulator. Times are in milliseconds of virtual time.
fn run() -> Value {
    let at = || or_null(number());
    let life = object(json!({
        "node": whole(32), "id": id(), "started_ms": at(), "known_ms": at(), "complete_ms": at(),
        "ended_ms": at(), "dead_ms": at(),
    }));
    let done = ["kills", "stalls", "cuts", "steps", "junk"];
    let done: Map<_, _> = done.iter().map(|&name| (name.to_owned(), whole(53))).collect();
    object(json!({
        "seed": whole(64),
        "failures": list(text()),
        "complete_ms": at(), "healed_ms": at(), "core_ms": at(), "rollout_ms": at(), "now_ms": at(),
        "lives": list(life),
        "datagrams_per_node_second": number(),
        "bytes_per_node_second": number(),
        "false_deaths": whole(53),
        "false_suspicions": whole(53),
        "events": object(json!({
            "published": whole(53), "delivered": whole(53), "missed": whole(53), "open": whole(53),
            "p99_ms": at(),
        })),
        "done": object(done.into()),
        "log_hash": digits(16),
    }))
}

/// Runs of the simulator that have something in common.
fn group() -> Value {
    let spread = object(json!({
        "p50_ms": number(), "p99_ms": number(), "max_ms": number(), "count": whole(53),
    }));
    object(json!({
        "value": text(),
        "runs": whole(53),
        "failures": list(object(json!({ "seed": whole(64), "what": text() }))),
        "spans": {
            "type": "object",
            "additionalProperties": spread,
            "description": "By name: whole_after, death_known_after, …",
        },
        "datagrams_per_node_second": number(),
        "bytes_per_node_second": number(),
        "false_deaths": whole(53),
        "false_suspicions": whole(53),
    }))
}
