//! What the nodes say of each other, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One node's list: status by id. A node that has lost its memory is in it twice, as the one that
/// it is and as the one that it was.
pub(super) type View = BTreeMap<String, String>;

/// Reads an answer to `GET /api/cluster/members`.
///
/// # Errors
/// When it is none.
pub(super) fn parse(document: &Value) -> Result<View> {
    let rows = document["members"].as_array().context("no list of members")?;
    let mut view = View::new();
    for row in rows {
        let text = |field: &str| {
            let value = row[field].as_str();
            value.map(str::to_owned).with_context(|| format!("a member without {field}"))
        };
        let id = text("id")?;
        ensure!(view.insert(id.clone(), text("status")?).is_none(), "{id} is listed twice");
    }
    Ok(view)
}

/// Whether a list shows who is there: each of `truth` as active, and nobody else as live.
///
/// # Errors
/// What it shows instead.
pub(super) fn check_active(view: &View, truth: &BTreeSet<String>) -> Result<()> {
    check_live(view, truth)?;
    let suspects: Vec<&str> = with_status(view, |status| status == "suspect").collect();
    ensure!(suspects.is_empty(), "suspects {suspects:?}");
    Ok(())
}

/// Whether the members that a list has as active or suspect are those of `truth`.
///
/// # Errors
/// Who is missing, and who is too many.
pub(super) fn check_live(view: &View, truth: &BTreeSet<String>) -> Result<()> {
    let live: BTreeSet<&str> =
        with_status(view, |status| matches!(status, "active" | "suspect")).collect();
    let truth: BTreeSet<&str> = truth.iter().map(String::as_str).collect();
    let missing: Vec<String> = truth
        .difference(&live)
        .map(|id| format!("{id} ({})", view.get(*id).map_or("not listed", String::as_str)))
        .collect();
    ensure!(missing.is_empty(), "does not show as live: {}", missing.join(", "));
    let extra: Vec<&str> = live.difference(&truth).copied().collect();
    ensure!(extra.is_empty(), "still shows as live, though they do not run: {}", extra.join(", "));
    Ok(())
}

/// Whether a list says that the member is gone.
pub(super) fn is_gone(view: &View, id: &str) -> bool {
    view.get(id).is_some_and(|status| matches!(status.as_str(), "dead" | "left"))
}

fn with_status(view: &View, is: fn(&str) -> bool) -> impl Iterator<Item = &str> {
    view.iter().filter(move |(_, status)| is(status)).map(|(id, _)| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(rows: &[(&str, &str)]) -> View {
        let rows = rows.iter().map(|(id, status)| json!({ "id": id, "status": status }));
        parse(&json!({ "members": rows.collect::<Vec<_>>() })).unwrap()
    }

    fn truth(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn who_is_gone_may_be_listed_as_such_or_not_at_all() {
        let truth = truth(&["a", "b"]);
        check_active(&view(&[("a", "active"), ("b", "active")]), &truth).unwrap();
        let all = view(&[("a", "active"), ("b", "active"), ("c", "dead"), ("d", "left")]);
        check_active(&all, &truth).unwrap();
        assert!(is_gone(&all, "c") && is_gone(&all, "d"));
        assert!(!is_gone(&all, "a") && !is_gone(&all, "e"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let truth = truth(&["a", "b"]);
        let wrong = |rows: &[(&str, &str)]| {
            check_active(&view(rows), &truth).map_err(|error| error.to_string()).unwrap_err()
        };
        assert!(wrong(&[("a", "active")]).contains("b (not listed)"));
        assert!(wrong(&[("a", "active"), ("b", "dead")]).contains("b (dead)"));
        assert!(wrong(&[("a", "active"), ("b", "suspect")]).contains("suspects [\"b\"]"));
        let extra = wrong(&[("a", "active"), ("b", "active"), ("c", "suspect")]);
        assert!(extra.contains("do not run: c"), "{extra}");
    }

    #[test]
    fn a_suspect_is_live() {
        let truth = truth(&["a"]);
        check_live(&view(&[("a", "suspect")]), &truth).unwrap();
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        assert!(parse(&json!({})).is_err());
        assert!(parse(&json!({ "members": [{ "id": "a" }] })).is_err());
        let twice = json!({ "id": "a", "status": "dead" });
        assert!(parse(&json!({ "members": [twice, twice] })).is_err());
    }
}
