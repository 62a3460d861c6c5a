//! `docs/api.md` says what is so.

use crate::ClusterKey;
use crate::api::{Policy, ROUTES};
use crate::security::request::{Signed, SigningKey};
use std::collections::BTreeSet;
use std::format;
use std::string::ToString as _;
use std::vec::Vec;

static DOCUMENT: &str = include_str!("../../../../docs/api.md");

#[test]
fn the_table_has_every_route_with_its_policy_and_no_other() {
    let rows: Vec<_> = DOCUMENT
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let route = cells.next()?.strip_suffix('`')?;
            route.contains(" /").then_some((route, cells.next()?))
        })
        .collect();
    for route in ROUTES {
        let policy = match route.policy {
            Policy::Open => "open",
            Policy::Signed => "signed",
            Policy::Provisioning => "provisioning",
            Policy::Declared => "declared",
        };
        let wanted = format!("{} {}", route.method_name(), route.path);
        assert!(rows.contains(&(&*wanted, policy)), "{wanted} {policy} is not in docs/api.md");
    }
    assert_eq!(rows.len(), ROUTES.len(), "{rows:?}");
}

#[test]
fn the_worked_example_is_right() {
    let value = |name: &str| {
        let row = DOCUMENT.lines().find_map(|line| line.strip_prefix(&format!("| {name} | `")));
        row.unwrap().strip_suffix("` |").unwrap()
    };
    let key: ClusterKey = value("cluster key").parse().unwrap();
    let nonce = value("nonce").parse().unwrap();
    let request =
        Signed { method: "PUT", path: "/api/node/config", query: "a=b", nonce, body: b"{}" };
    assert!(DOCUMENT.contains("| request | `PUT /api/node/config?a=b` with the body `{}` |"));
    assert_eq!(SigningKey::derive(&key).sign(&request).to_string(), value("mac"));
}

#[test]
fn every_code_of_an_error_is_in_the_table_of_errors() {
    let sources = [include_str!("../api/error.rs"), include_str!("../api/updates.rs")];
    let codes = sources.iter().flat_map(|source| {
        let (_, codes) = source.split_once("const fn code").unwrap();
        let (codes, _) = codes.split_once("const fn message").unwrap();
        codes.split('"').skip(1).step_by(2)
    });
    let codes: BTreeSet<_> = codes.collect();
    let (_, table) = DOCUMENT.split_once("## Errors").unwrap();
    let rows = table.lines().filter_map(|line| line.split('`').nth(1));
    // The code of a command that fails is the body's own.
    let rows: BTreeSet<_> = rows.filter(|code| *code != "service_failed").collect();
    assert!(codes.len() > 20, "{codes:?}");
    assert_eq!(rows, codes);
}
