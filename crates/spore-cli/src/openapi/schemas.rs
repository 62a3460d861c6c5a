//! The documents, as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it).

use super::rollout;
use serde_json::{Map, Value, json};

/// The form of a filter of topics: levels, of which any may be `+`, and the last one `#`.
pub(crate) const FILTER: &str =
    concat!(r"^(#|(\+|[!%-*,-.0-\[\]-~][!$-*,-.0-\[\]-~]*)", r"(/(\+|[!$-*,-.0-\[\]-~]+))*(/#)?)$");
/// That of a topic.
const TOPIC: &str = r"^[!%-*,-.0-\[\]-~][!$-*,-.0-\[\]-~]*(/[!$-*,-.0-\[\]-~]+)*$";

/// Where references look for schemas.
pub(crate) const PLACE: &str = "#/components/schemas/";

/// A reference to the schema `name`.
pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{PLACE}{name}") })
}

/// All of them, by name.
pub(crate) fn all() -> Map<String, Value> {
    let schemas = [
        ("Error", error()),
        ("NodeStatus", node_status()),
        ("Members", object(json!({ "members": list(object(member())) }))),
        ("Member", member_with_figures()),
        ("Rollout", rollout::state()),
        ("RolloutPlan", json!({ "type": "string", "format": "binary" })),
        ("Services", services()),
        ("Config", config()),
        ("ConfigChange", config_change()),
        ("Keys", keys()),
        ("KeyChange", object(json!({ "sealed": digits(128) }))),
        ("Log", log()),
        ("Crash", crash()),
        ("Update", update()),
        ("Images", images()),
        ("Installed", installed()),
        ("Image", json!({ "type": "string", "format": "binary" })),
        ("NetworkStatus", network_status()),
        ("NetworkScan", network_scan()),
        ("WifiChange", wifi_change()),
        ("Task", task()),
        ("Tasks", object(json!({ "tasks": list(reference("Task")) }))),
        ("TaskChange", task_change()),
        ("Publication", publication()),
        ("Published", published()),
        ("Event", event()),
        ("LostEvents", object(json!({ "count": whole(32) }))),
        ("Nonce", nonce()),
        ("SprocketConfig", sprocket_config()),
        ("SprocketChange", sprocket_change()),
        ("Restarting", object(json!({ "restarting": { "const": true } }))),
    ];
    schemas.map(|(name, schema)| (name.to_owned(), schema)).into_iter().collect()
}

/// An object that has all these members, and no others.
pub(crate) fn object(properties: Value) -> Value {
    let required: Vec<_> = properties.as_object().into_iter().flatten().map(|(k, _)| k).collect();
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// An object whose members may all be absent.
fn changes(properties: Value) -> Value {
    let mut schema = object(properties);
    schema["required"] = json!([]);
    schema
}

pub(crate) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

pub(crate) fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub(crate) fn whole(bits: u32) -> Value {
    // Beyond 2^53 numbers are no longer exact for many readers.
    let maximum = (1_u64 << bits.min(53)) - 1;
    json!({ "type": "integer", "minimum": 0, "maximum": maximum })
}

pub(crate) fn digits(count: u32) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{count}}}$") })
}

pub(crate) fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

/// A member's id: 48 bits.
pub(crate) fn id() -> Value {
    digits(12)
}

pub(crate) fn hostname() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 32,
        "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$",
        "description": "One label (RFC 952, RFC 1123)",
    })
}

fn address() -> Value {
    json!({ "type": "string", "format": "ipv4" })
}

pub(crate) fn port() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 65_535 })
}

fn policy() -> Value {
    one_of(&["open", "signed"])
}

pub(crate) fn status() -> Value {
    one_of(&["active", "suspect", "dead", "left"])
}

fn error() -> Value {
    let mut error = object(json!({
        "code": { "type": "string", "pattern": "^[a-z_]+$", "description": "For programs" },
        "message": { "type": "string", "minLength": 1, "description": "For people" },
        "field": { "type": "string", "description": "The field or parameter that is to blame" },
    }));
    error["required"] = json!(["code", "message"]);
    object(json!({ "error": error }))
}

fn node_status() -> Value {
    let service = object(json!({ "name": text(), "policy": policy(), "summary": text() }));
    let endpoint = object(json!({
        "method": one_of(&["GET", "POST", "PUT", "PATCH", "DELETE", "ANY"]),
        "path": { "type": "string", "pattern": "^/" },
        "policy": one_of(&["open", "signed", "provisioning", "declared"]),
    }));
    object(json!({
        "id": id(),
        "hostname": hostname(),
        "address": address(),
        "http_port": port(),
        "board": text(),
        "version": text(),
        "chip_id": whole(32),
        "reset_reason": text(),
        "rssi": or_null(dbm()),
        "safe_mode": {
            "type": "boolean",
            "description": "It has crashed too often in a row: sprockets, services and tasks were not started",
        },
        "uptime_ms": whole(64),
        "free_memory": { "type": "integer", "minimum": 0, "description": "Bytes; 0: not known" },
        "flash_size": { "type": "integer", "minimum": 0, "description": "Bytes; 0: no flash" },
        "image": or_null(whole(32)),
        "status_version": whole(16),
        "claimed": { "type": "boolean", "description": "Whether it has a cluster key" },
        "claim_damaged": {
            "type": "boolean",
            "description": "Whose it is was lost: it joins nobody, and takes no orders",
        },
        "services": list(service),
        "datagrams": object(json!({
            "sent": whole(32),
            "accepted": whole(32),
            "unauthentic": whole(32),
            "malformed": whole(32),
            "replayed": whole(32),
            "unverified": whole(32),
            "overflowed": whole(32),
        })),
        "sprockets": list(sprocket()),
        "endpoints": list(endpoint),
    }))
}

fn sprocket() -> Value {
    object(json!({
        "name": text(),
        "state": one_of(&["running", "failed", "quarantined", "suspended"]),
        "message": or_null(text()),
        "runs": whole(32),
        "slow": whole(16),
        "longest_us": whole(32),
        "refused": whole(16),
        "restarts": { "type": "integer", "minimum": 0, "description": "In a row, because of it" },
    }))
}

/// The value of a setting: none of them nests.
fn setting_value() -> Value {
    json!({ "oneOf": [
        { "type": "boolean" },
        { "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX },
        { "type": "string", "maxLength": 32, "pattern": "^[ !#-\\[\\]-~]*$" },
    ] })
}

fn sprocket_config() -> Value {
    let bound = || json!({ "type": "integer", "description": "Of a number" });
    let mut setting = object(json!({
        "name": text(),
        "value": setting_value(),
        "default": setting_value(),
        "least": bound(),
        "most": bound(),
        "summary": text(),
    }));
    setting["required"] = json!(["name", "value", "default", "summary"]);
    object(json!({ "sprocket": text(), "settings": list(setting) }))
}

fn sprocket_change() -> Value {
    json!({
        "type": "object",
        "description": "Settings by name; what is absent stays",
        "additionalProperties": setting_value(),
    })
}

fn member() -> Value {
    json!({
        "id": id(),
        "hostname": hostname(),
        "address": address(),
        "http_port": port(),
        "status": status(),
        "status_version": whole(16),
        "board": or_null(text()),
        "version": or_null(text()),
        "last_seen_ms": or_null(whole(64)),
        "rtt_us": or_null(whole(64)),
        "self": { "type": "boolean", "description": "Whether this is the node that was asked" },
    })
}

fn member_with_figures() -> Value {
    let figures = object(json!({
        "uptime_ms": or_null(whole(64)),
        "free_memory": or_null(whole(64)),
        "rssi": or_null(dbm()),
        "reset_reason": or_null(text()),
    }));
    let mut member = member();
    member["figures"] = or_null(figures);
    object(member)
}

fn services() -> Value {
    let provider = object(json!({
        "id": id(),
        "hostname": hostname(),
        "address": address(),
        "http_port": port(),
        "status": status(),
    }));
    let service = object(json!({
        "id": digits(8),
        "name": or_null(text()),
        "providers": list(provider),
    }));
    object(json!({ "services": list(service) }))
}

/// The name of a network. The length is in characters here, and in bytes for a node.
fn ssid() -> Value {
    json!({ "type": "string", "pattern": r"^[^\u0000-\u001f\u007f-\u009f]{1,32}$" })
}

fn dbm() -> Value {
    json!({ "type": "integer", "minimum": -128, "maximum": 127, "description": "dBm" })
}

fn network_status() -> Value {
    let reasons =
        ["not_found", "wrong_password", "lost", "address_conflict", "other", "timeout", "changed"];
    let or_none = |words: &[&str]| {
        let nothing = [Value::Null];
        let words: Vec<_> = words.iter().map(|word| json!(word)).chain(nothing).collect();
        json!({ "enum": words })
    };
    let prefix_len = json!({ "type": "integer", "minimum": 0, "maximum": 32 });
    let access_point = object(json!({
        "open": { "type": "boolean" },
        "ssid": ssid(),
        "clients": whole(8),
    }));
    let states = ["connected", "connecting", "waiting", "changing", "unconfigured", "wired"];
    object(json!({
        "radio": or_none(&["modelled", "esp8266"]),
        "state": one_of(&states),
        "ssid": or_null(ssid()),
        "rssi": or_null(dbm()),
        "address": or_null(address()),
        "prefix_len": or_null(prefix_len),
        "gateway": or_null(address()),
        "since_ms": whole(64),
        "attempts": whole(16),
        "reason": or_none(&reasons),
        "credentials": or_none(&["kept", "trial", "returned"]),
        "access_point": or_null(access_point),
    }))
}

fn network_scan() -> Value {
    let network = object(json!({
        "ssid": ssid(),
        "rssi": dbm(),
        "channel": { "type": "integer", "minimum": 0, "maximum": 255 },
        "secure": { "type": "boolean", "description": "Whether it wants a password" },
    }));
    object(json!({
        "scanning": { "type": "boolean" },
        "age_ms": or_null(whole(64)),
        "networks": list(network),
    }))
}

fn wifi_change() -> Value {
    let password = json!({ "type": "string", "pattern": "^([ -~]{8,63})?$" });
    object(json!({ "ssid": ssid(), "password": password }))
}

fn config() -> Value {
    object(json!({
        "version": whole(32),
        "hostname": hostname(),
        "release_key": or_null(digits(64)),
        "claimed": { "type": "boolean" },
        "damaged": {
            "type": "boolean",
            "description": "Earlier settings were lost; no release key is taken",
        },
    }))
}

fn config_change() -> Value {
    let mut key = digits(64);
    key["description"] = json!("An Ed25519 public key");
    let mut signature = digits(128);
    signature["description"] =
        json!("By the present release key, over \"SPORE release key 1\" and the new key");
    let mut version = whole(32);
    version["description"] = json!("Change these settings only, and no others");
    changes(json!({
        "version": version,
        "hostname": hostname(),
        "release_key": key,
        "release_key_signature": signature,
    }))
}

fn keys() -> Value {
    let mut proof = or_null(digits(64));
    proof["description"] = json!(
        "HMAC-SHA256 under the node's secret: it has the secret, and this key as its newest; null without a secret"
    );
    object(json!({
        "number": whole(32),
        "staged": { "type": "boolean", "description": "Whether it has the next key and awaits its use" },
        "proof": proof,
    }))
}

fn log() -> Value {
    let mut entry = object(json!({
        "seq": whole(32),
        "uptime_ms": whole(64),
        "event": { "type": "string", "pattern": "^[a-z/-]+$" },
        "member": or_null(id()),
        "count": { "type": "integer", "minimum": 1, "description": "How often, if that is counted" },
    }));
    entry["required"] = json!(["seq", "uptime_ms", "event", "member"]);
    object(json!({ "log": list(entry) }))
}

fn crash() -> Value {
    let place = || json!({ "type": "string", "pattern": "^0x[0-9a-f]{8}$" });
    object(json!({
        "cause": one_of(&["panic", "exception", "watchdog"]),
        "exception": or_null(whole(8)),
        "pc": or_null(place()),
        "address": or_null(place()),
        "uptime_ms": or_null(whole(64)),
        "version": text(),
        "message": or_null(text()),
        "stack": { "type": "array", "items": place(), "maxItems": 12 },
    }))
}

fn update() -> Value {
    let image = object(json!({
        "sequence": whole(32),
        "stage": one_of(&["confirmed", "trial", "fallback"]),
    }));
    let upload = object(json!({ "received": whole(32), "length": whole(32) }));
    let last = object(json!({
        "image": whole(32),
        "result": one_of(&["confirmed", "rolled_back"]),
        "reason": or_null(one_of(&["not_started", "no_network", "no_peer"])),
    }));
    object(json!({
        "image": or_null(image),
        "floor": whole(32),
        "quarantined": or_null(whole(32)),
        "upload": or_null(upload),
        "last": or_null(last),
    }))
}

fn images() -> Value {
    let image = || {
        or_null(object(json!({
            "id": { "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "SHA-256 of its head, the first half" },
            "board": text(),
            "version": text(),
            "sequence": whole(32),
            "manifest": { "type": "integer", "minimum": 0, "description": "Bytes of the manifest" },
            "length": { "type": "integer", "minimum": 0, "description": "Bytes of the container" },
            "chunks": { "type": "integer", "minimum": 0, "description": "How many follow the manifest" },
        })))
    };
    object(json!({ "running": image(), "held": image() }))
}

fn installed() -> Value {
    object(json!({ "installed": whole(32), "restarting": { "type": "boolean" } }))
}

fn task() -> Value {
    let flag = || json!({ "type": "boolean" });
    object(json!({
        "name": text(),
        "kind": one_of(&["system", "user"]),
        "schedule": one_of(&["periodic", "once", "event"]),
        "summary": text(),
        "enabled": flag(),
        "interval_ms": or_null(whole(32)),
        "clustered": { "type": "boolean", "description": "Whether one member runs it for all" },
        "owner": or_null(id()),
        "running": flag(),
        "runs": whole(32),
        "missed": whole(32),
        "last_us": whole(32),
        "longest_us": whole(32),
        "last_started_ms": or_null(whole(64)),
        "next_ms": or_null(whole(64)),
    }))
}

fn task_change() -> Value {
    changes(json!({
        "enabled": { "type": "boolean" },
        "interval_ms": {
            "type": ["integer", "null"],
            "minimum": 10,
            "maximum": 604_800_000,
            "description": "Of a task of the engine 1000 to 3600000; null: what the program says",
        },
        "run": { "type": "boolean", "description": "Run it now" },
    }))
}

fn scope() -> Value {
    one_of(&["cluster", "local"])
}

fn publication() -> Value {
    let payload = json!({ "description": "Any JSON, of at most 256 bytes, nested 7 levels deep" });
    let mut publication = changes(json!({
        "topic": {
            "type": "string",
            "pattern": TOPIC,
            "maxLength": 48,
            "description": "Not below one of those that are the system's own",
        },
        "payload": payload,
        "scope": scope(),
        "retained": { "type": "boolean", "description": "Not if the scope is local" },
    }));
    publication["required"] = json!(["topic"]);
    publication
}

fn published() -> Value {
    object(json!({
        "seq": whole(32),
        "publisher": id(),
        "epoch": or_null(whole(24)),
        "number": or_null(whole(24)),
    }))
}

fn event() -> Value {
    let mut event = object(json!({
        "topic": { "type": "string", "maxLength": 48 },
        "publisher": id(),
        "scope": scope(),
        "retained": { "type": "boolean" },
        "epoch": or_null(whole(24)),
        "number": or_null(whole(24)),
        "seq": whole(32),
        "uptime_ms": whole(64),
        "payload": { "description": "What it says, if that is JSON, or a text" },
        "payload_hex": {
            "type": "string",
            "pattern": "^([0-9a-f]{2})+$",
            "description": "What it says, if that is neither",
        },
    }));
    if let Some(required) = event["required"].as_array_mut() {
        required.retain(|name| name != "payload" && name != "payload_hex");
    }
    event
}

fn nonce() -> Value {
    object(json!({ "nonce": digits(28), "expires_ms": { "const": 60_000 } }))
}
