//! The documents about rollouts.

use super::schemas::{digits, hostname, id, list, object, one_of, or_null, status, text, whole};
use serde_json::{Value, json};

/// How a rollout stands.
pub(super) fn state() -> Value {
    let image = object(json!({ "board": text(), "sequence": whole(32), "digest": digits(32) }));
    let rollout = object(json!({
        "id": { "type": "string", "pattern": "^[0-9]+-[0-9a-f]{8}$" },
        "state": one_of(&["running", "halted", "expired"]),
        "age_min": whole(16),
        "expiry_h": whole(16),
        "gate_s": whole(16),
        "max_failures": whole(8),
        "catches_up": { "type": "boolean" },
        "waves": list(json!({ "type": "integer", "minimum": 1, "maximum": 100 })),
        "images": list(image),
        "canaries": list(id()),
    }));
    let states = [
        "idle",
        "fetching",
        "ready",
        "on_trial",
        "updated",
        "failed",
        "rolled_back",
        "out",
        "unheard",
        "away",
    ];
    let counts = ["updated", "pending", "failed", "rolled_back", "absent", "out"];
    let counts = counts.map(|count| (count.to_owned(), whole(16))).into_iter().collect();
    let reasons = ["not_started", "no_network", "no_peer", "refused", "flash", "unknown"];
    let mut percent = whole(8);
    percent["maximum"] = json!(100);
    let node = object(json!({
        "id": id(),
        "hostname": hostname(),
        "status": status(),
        "board": or_null(text()),
        "wave": or_null(whole(8)),
        "state": one_of(&states),
        "percent": or_null(percent),
        "reason": or_null_word(&reasons),
    }));
    object(json!({
        "rollout": or_null(rollout),
        "counts": object(Value::Object(counts)),
        "nodes": list(node),
    }))
}

/// One of some words, or null.
fn or_null_word(words: &[&str]) -> Value {
    let words: Vec<_> = words.iter().map(|word| json!(word)).chain([Value::Null]).collect();
    json!({ "type": ["string", "null"], "enum": words })
}
