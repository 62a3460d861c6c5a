//! The description of the HTTP API, made from the table that nodes route by.
//!
//! What the table knows (method, path, policy, summary) is taken from it; what it does not know, the
//! documents and their refusals, stands in [`routes`] and [`schemas`], once.

mod rollout;
mod routes;
pub(crate) mod schemas;

use self::routes::{Answer, Details};
use serde_json::{Map, Value, json};
use spore_core::Service;
use spore_core::api::{Method, Policy, ROUTES, Route};
use spore_core::services::IDENTIFY;

/// How requests are signed, for readers of the description.
const SIGNATURE: &str = "\
HMAC-SHA256 under a key made from the cluster key. \
`Authorization: SPORE-HMAC-SHA256 nonce=<28 digits>, mac=<64 digits>`, hexadecimal in lower case. \
The nonce is from GET /api/auth/nonce, and good for one request. \
The signing key is HMAC-SHA256(cluster key, \"SPORE HTTP request signing 1\"); what is signed is \
METHOD, TARGET, NONCE and HEX(SHA256(body)), with a line feed between them. TARGET is the path, with \
`?` and the query if that is not empty. Where the field cannot be set, the query may end in \
`auth-nonce=…&auth-mac=…`; what is signed then ends before them.";

/// The OpenAPI document (version 3.1.1).
pub(crate) fn document() -> Value {
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "SPORE node",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The HTTP API of a node of a SPORE cluster",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{
            "url": "http://{node}",
            "variables": { "node": { "default": crate::client::LOCAL_NODE } },
        }],
        "paths": paths(),
        "components": {
            "schemas": schemas::all(),
            "responses": routes::refusals(),
            "securitySchemes": {
                // OpenAPI knows the schemes that IANA lists; others it takes as a field.
                "clusterKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": SIGNATURE,
                },
            },
        },
    })
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for route in ROUTES {
        let details = routes::details(route.method_name(), route.path)
            .unwrap_or_else(|| panic!("{} {} is not described", route.method_name(), route.path));
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        for method in methods(route) {
            item[method.to_ascii_lowercase()] = operation(route, details, method);
        }
    }
    paths
}

/// The methods with which a route is described: OpenAPI knows no "any".
fn methods(route: &Route) -> Vec<&'static str> {
    match route.method {
        Method::Other => {
            let described = Method::NAMED.into_iter().filter(|method| *method != Method::Head);
            described.map(Method::name).collect()
        }
        method => vec![method.name()],
    }
}

/// How a request must be signed: not at all, always, or where the service wants it.
fn security(policy: Policy) -> Value {
    match policy {
        Policy::Open => json!([]),
        Policy::Signed => json!([{ "clusterKey": [] }]),
        Policy::Provisioning | Policy::Declared => json!([{}, { "clusterKey": [] }]),
    }
}

fn operation(route: &Route, details: &'static Details, method: &str) -> Value {
    let signed = route.policy != Policy::Open;
    let mut responses = Map::new();
    for answer in details.answers {
        responses.insert(answer.status.to_string(), response(answer));
    }
    for refusal in routes::refusals_of(details, signed) {
        let reference = format!("#/components/responses/{}", refusal.name);
        responses.insert(refusal.status.to_string(), json!({ "$ref": reference }));
    }
    let mut id = details.id.to_owned();
    if route.method == Method::Other {
        id.push_str(&method[..1]);
        id.push_str(&method[1..].to_ascii_lowercase());
    }
    let mut operation = json!({
        "operationId": id,
        "summary": route.summary,
        "responses": responses,
        "security": security(route.policy),
    });
    let mut parameters: Vec<_> = path_parameter(route).into_iter().collect();
    parameters.extend(details.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": false,
            "description": parameter.description,
            "schema": parameter.kind.schema(),
        })
    }));
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(schema) = details.body {
        let binary = [routes::IMAGE, routes::PLAN].contains(&schema);
        let media = if binary { "application/octet-stream" } else { "application/json" };
        operation["requestBody"] = json!({
            "required": true,
            "content": { media: { "schema": schemas::reference(schema) } },
        });
    }
    operation
}

/// What `{name}` in the path stands for.
fn path_parameter(route: &Route) -> Option<Value> {
    if !route.path.contains("{name}") {
        return None;
    }
    let named = || json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$", "maxLength": Service::NAME_MAX });
    let (description, schema, example) = match route.policy {
        Policy::Declared => {
            let what = "The service's name; paths below it are the service's own";
            (what, named(), json!(IDENTIFY.name()))
        }
        _ if route.path.starts_with("/api/sprockets/") => {
            ("The sprocket's name", named(), json!("sensor"))
        }
        _ if route.path.starts_with("/api/node/image/") => {
            let number = json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX });
            ("The number of the chunk, from 0", number, json!(0))
        }
        _ if route.path.starts_with("/api/cluster/members/") => {
            ("The member's id", schemas::id(), json!("0123456789ab"))
        }
        _ => ("The task's name", named(), json!("send-discovery")),
    };
    Some(json!({
        "name": "name",
        "in": "path",
        "required": true,
        "description": description,
        "schema": schema,
        "example": example,
    }))
}

fn response(answer: &Answer) -> Value {
    let schema = match answer.schema {
        Some(name) => schemas::reference(name),
        // Of any type, and so of any form.
        None if answer.media == "*/*" => json!({}),
        None => json!({ "type": "string" }),
    };
    json!({
        "description": answer.description,
        "content": { answer.media: { "schema": schema } },
    })
}

#[cfg(test)]
mod tests {
    use super::{document, methods};
    use serde_json::Value;
    use spore_core::api::{Policy, ROUTES};
    use std::collections::BTreeSet;

    /// Method and path of each operation.
    fn operations(document: &Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().unwrap().iter();
        let of_path = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
            methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }

    #[test]
    fn the_operations_are_the_routes() {
        let document = document();
        let routes: BTreeSet<_> = ROUTES
            .iter()
            .flat_map(|route| methods(route).into_iter().map(move |method| (method, route)))
            .map(|(method, route)| (method.to_owned(), route.path.to_owned()))
            .collect();
        assert_eq!(operations(&document), routes);
        for route in ROUTES {
            let method = methods(route)[0].to_lowercase();
            let operation = &document["paths"][route.path][&method];
            assert_eq!(operation["summary"], route.summary);
            let signed = operation["security"] != serde_json::json!([]);
            let open = route.policy == Policy::Open;
            assert_ne!(signed, open, "{}", route.path);
            assert_eq!(operation["responses"].get("401").is_some(), signed, "{}", route.path);
        }
    }

    /// All references in `value`.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(to) if name == "$ref" => drop(found.insert(to.clone())),
                        other => references(other, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => (),
        }
    }

    #[test]
    fn what_is_referred_to_is_there() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 5, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    /// Every object says which members it must have, and takes no others.
    fn check(schema: &Value, at: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            assert!(schema["required"].is_array(), "{at}");
            for name in schema["required"].as_array().unwrap() {
                assert!(properties.contains_key(name.as_str().unwrap()), "{at}: {name}");
            }
            for (name, property) in properties {
                check(property, &format!("{at}.{name}"));
            }
        }
        if schema["items"].is_object() {
            check(&schema["items"], &format!("{at}[]"));
        }
    }

    #[test]
    fn objects_are_closed() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.len() > 5);
        for (name, schema) in schemas {
            check(schema, name);
        }
    }

    #[test]
    fn ids_of_operations_are_unique() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (method, path) in operations(&document) {
            let id = document["paths"][&path][method.to_lowercase()]["operationId"].clone();
            assert!(ids.insert(id.as_str().unwrap().to_owned()), "{id}");
        }
    }
}
