//! What the route table does not know of a route: its documents, and how it refuses.

use super::schemas;
use serde_json::{Map, Value, json};

/// What there is to know of a route besides its entry in the table.
#[derive(Debug)]
pub(super) struct Details {
    method: &'static str,
    path: &'static str,
    /// A name for programs that are made from the description.
    pub(super) id: &'static str,
    /// The schema of the body that it takes.
    pub(super) body: Option<&'static str>,
    /// The parameters of its query.
    pub(super) query: &'static [Parameter],
    /// What it answers when it does what it is asked for.
    pub(super) answers: &'static [Answer],
    /// Refusals of its own, besides those that all have.
    refusals: &'static [u16],
}

/// A value in the query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) kind: Kind,
}

/// What a parameter may be.
#[derive(Debug)]
pub(super) enum Kind {
    /// A whole number up to this one.
    Whole(u32),
    /// A text of this form.
    Text(&'static str),
}

impl Kind {
    /// Its schema.
    pub(super) fn schema(&self) -> Value {
        match self {
            Self::Whole(maximum) => {
                json!({ "type": "integer", "minimum": 0, "maximum": maximum })
            }
            Self::Text(pattern) => json!({ "type": "string", "pattern": pattern }),
        }
    }
}

/// An answer that is no refusal.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media: &'static str,
    /// None for a text.
    pub(super) schema: Option<&'static str>,
    pub(super) description: &'static str,
}

const fn json(status: u16, schema: &'static str, description: &'static str) -> Answer {
    Answer { status, media: "application/json", schema: Some(schema), description }
}

/// A route that answers a question with one document.
const fn get(path: &'static str, id: &'static str, answers: &'static [Answer]) -> Details {
    Details { method: "GET", path, id, body: None, query: &[], answers, refusals: &[] }
}

/// The schemas of bodies that are an image or a signed plan, and no JSON.
pub(super) const IMAGE: &str = "Image";
pub(super) const PLAN: &str = "RolloutPlan";

/// A part of an image.
const BYTES: Answer = Answer {
    status: 200,
    media: "application/octet-stream",
    schema: Some(IMAGE),
    description: "Bytes of the container, as they were signed",
};

/// Which slot it is in.
const SLOT: &[Parameter] = &[Parameter {
    name: "slot",
    description: "held: of the image in the slot that does not run",
    kind: Kind::Text("^(running|held)$"),
}];

static DETAILS: &[Details] = &[
    get(
        "/api/node/status",
        "getNodeStatus",
        &[json(200, "NodeStatus", "What this node is and has")],
    ),
    Details {
        method: "POST",
        ..get(
            "/api/node/restart",
            "restartNode",
            &[json(202, "Restarting", "The node restarts half a second after this answer")],
        )
    },
    get("/api/node/config", "getNodeConfig", &[json(200, "Config", "The settings")]),
    Details {
        method: "PUT",
        body: Some("ConfigChange"),
        refusals: &[409, 500],
        ..get(
            "/api/node/config",
            "changeNodeConfig",
            &[json(200, "Config", "The settings after the change, which is durable")],
        )
    },
    Details {
        query: &[Parameter {
            name: "after",
            description: "Leave out events with this number and those before it",
            kind: Kind::Whole(u32::MAX),
        }],
        ..get("/api/node/log", "getNodeLog", &[json(200, "Log", "The last events, oldest first")])
    },
    Details {
        refusals: &[404],
        ..get("/api/node/crash", "getNodeCrash", &[json(200, "Crash", "The last crash")])
    },
    get(
        "/api/node/update",
        "getNodeUpdate",
        &[json(200, "Update", "The image that runs, and what became of the last update")],
    ),
    Details {
        method: "POST",
        body: Some(IMAGE),
        query: &[Parameter {
            name: "start",
            description: "no: the image is held for other nodes",
            kind: Kind::Text("^(yes|no)$"),
        }],
        refusals: &[409, 422, 500],
        ..get(
            "/api/node/update",
            "updateNode",
            &[json(200, "Installed", "The image is in flash; the node restarts into it")],
        )
    },
    Details {
        refusals: &[409],
        ..get(
            "/api/node/image",
            "getImages",
            &[json(200, "Images", "The images in the slots of this node")],
        )
    },
    Details {
        query: SLOT,
        refusals: &[404, 409],
        ..get("/api/node/image/manifest", "getImageManifest", &[BYTES])
    },
    Details {
        query: SLOT,
        refusals: &[404, 409],
        ..get("/api/node/image/chunks/{name}", "getImageChunk", &[BYTES])
    },
    Details {
        method: "POST",
        body: Some("Publication"),
        refusals: &[429],
        ..get(
            "/api/events",
            "publishEvent",
            &[json(202, "Published", "It is delivered on this node, and on its way to the others")],
        )
    },
    Details {
        query: &[
            Parameter {
                name: "topic",
                description: "A filter of topics, as MQTT has them; # by default",
                kind: Kind::Text(schemas::FILTER),
            },
            Parameter {
                name: "after",
                description: "Begin behind the event with this id; 0 for all that is still there",
                kind: Kind::Text("^(0|[0-9a-f]{12}-[0-9]{1,8}-[0-9]{1,10})$"),
            },
        ],
        ..get(
            "/api/events",
            "followEvents",
            &[Answer {
                status: 200,
                media: "text/event-stream",
                schema: None,
                description: "Server-sent events without end, whose data are each an Event, or \
                              a LostEvents where some are missing",
            }],
        )
    },
    get(
        "/api/cluster/members",
        "getMembers",
        &[json(200, "Members", "The members, this node among them, by id")],
    ),
    Details {
        refusals: &[404, 503],
        ..get(
            "/api/cluster/members/{name}",
            "askMember",
            &[json(200, "Member", "The member, with what it says of itself when it is asked now")],
        )
    },
    get(
        "/api/cluster/services",
        "getServices",
        &[json(200, "Services", "The services, by id, with those who offer them")],
    ),
    get(
        "/api/cluster/update",
        "getRollout",
        &[json(200, "Rollout", "The rollout, and how far each node is")],
    ),
    Details {
        method: "POST",
        body: Some(PLAN),
        refusals: &[403, 409, 500],
        ..get(
            "/api/cluster/update",
            "beginRollout",
            &[json(200, "Rollout", "The rollout, whose plan is durable")],
        )
    },
    Details {
        method: "DELETE",
        refusals: &[404, 500],
        ..get(
            "/api/cluster/update",
            "haltRollout",
            &[json(200, "Rollout", "The rollout, which is halted")],
        )
    },
    get("/api/cluster/key", "getClusterKey", &[json(200, "Keys", "How far this node is")]),
    Details {
        method: "PUT",
        body: Some("KeyChange"),
        refusals: &[500],
        ..get(
            "/api/cluster/key",
            "changeClusterKey",
            &[json(200, "Keys", "How far this node is then, which is durable")],
        )
    },
    get("/api/tasks", "getTasks", &[json(200, "Tasks", "The tasks, those of the engine first")]),
    Details {
        method: "PATCH",
        body: Some("TaskChange"),
        refusals: &[404, 409, 500],
        ..get(
            "/api/tasks/{name}",
            "changeTask",
            &[json(200, "Task", "The task after the change, which is durable")],
        )
    },
    Details {
        refusals: &[404],
        ..get(
            "/api/sprockets/{name}/config",
            "getSprocketConfig",
            &[json(200, "SprocketConfig", "What can be set, and what is set")],
        )
    },
    Details {
        method: "PUT",
        body: Some("SprocketChange"),
        refusals: &[404, 409, 500],
        ..get(
            "/api/sprockets/{name}/config",
            "changeSprocketConfig",
            &[json(200, "SprocketConfig", "The settings after the change, which is durable")],
        )
    },
    Details {
        method: "ANY",
        refusals: &[404, 500, 502, 504],
        ..get(
            "/api/services/{name}",
            "callService",
            &[Answer {
                status: 200,
                media: "*/*",
                schema: None,
                description: "What the service says, which may be anything",
            }],
        )
    },
    get(
        "/api/network/status",
        "getNetworkStatus",
        &[json(200, "NetworkStatus", "The WiFi, or that there is none")],
    ),
    Details {
        refusals: &[409],
        ..get(
            "/api/network/scan",
            "scanNetworks",
            &[json(200, "NetworkScan", "What the last scan has found so far")],
        )
    },
    Details {
        method: "PUT",
        body: Some("WifiChange"),
        refusals: &[409],
        ..get(
            "/api/network/wifi",
            "changeWifi",
            &[json(202, "NetworkStatus", "The node tries them half a second after this answer")],
        )
    },
    get("/api/auth/nonce", "getNonce", &[json(200, "Nonce", "A nonce that nobody else was given")]),
    get(
        "/metrics",
        "getMetrics",
        &[Answer {
            status: 200,
            media: "text/plain; version=0.0.4; charset=utf-8",
            schema: None,
            description: "Figures, as Prometheus reads them",
        }],
    ),
];

/// What is known of the route with this method and path.
pub(super) fn details(method: &str, path: &str) -> Option<&'static Details> {
    DETAILS.iter().find(|details| details.method == method && details.path == path)
}

/// A way to refuse.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Its name in the description.
    pub(super) name: &'static str,
    description: &'static str,
    /// A field of the head that comes with it.
    field: Option<&'static str>,
}

const fn refusal(status: u16, name: &'static str, description: &'static str) -> Refusal {
    Refusal { status, name, description, field: None }
}

const fn refusal_with(
    status: u16,
    name: &'static str,
    description: &'static str,
    field: &'static str,
) -> Refusal {
    Refusal { status, name, description, field: Some(field) }
}

static REFUSALS: &[Refusal] = &[
    refusal(400, "BadRequest", "Not valid HTTP, or a field or parameter that is not as it must be"),
    refusal_with(401, "Unauthorized", "Not signed, or not as it must be", "WWW-Authenticate"),
    refusal(
        403,
        "Forbidden",
        "The node has no cluster key, or what is to be taken was not signed or sealed for it",
    ),
    refusal(404, "NotFound", "There is nothing at this path, or no crash on record"),
    refusal_with(405, "MethodNotAllowed", "The path has other methods", "Allow"),
    refusal(408, "RequestTimeout", "The request did not arrive in time"),
    refusal(
        409,
        "Conflict",
        "Not in the present state: another change is under way, or what it takes is not there",
    ),
    refusal(413, "PayloadTooLarge", "The body is too large"),
    refusal(414, "UriTooLong", "The request line is too long"),
    refusal(
        421,
        "Misdirected",
        "The node does not answer to this name, or not to pages from elsewhere",
    ),
    refusal(422, "Unfit", "The image is not for this node, or is not what was signed"),
    refusal_with(429, "TooManyEvents", "More than the cluster can carry", "Retry-After"),
    refusal(431, "HeadTooLarge", "The head is too large, or has too many fields"),
    refusal(
        500,
        "Failed",
        "A change could not be stored, so the old settings hold; or a service is broken",
    ),
    refusal(501, "NotImplemented", "The method or the transfer coding is unknown"),
    refusal(502, "ServiceFailed", "The service has failed"),
    refusal_with(503, "Busy", "No time now; try again", "Retry-After"),
    refusal(504, "ServiceTimeout", "The service has not answered in time"),
    refusal(505, "VersionNotSupported", "Neither HTTP/1.0 nor HTTP/1.1"),
];

/// What each route may refuse with, whatever it does. (405 is what other methods at its path get.)
const COMMON: &[u16] = &[400, 405, 408, 413, 414, 421, 431, 501, 503, 505];
/// What only those that are for holders of the key refuse with.
const SIGNED: &[u16] = &[401, 403];

/// All ways in which a route may refuse.
pub(super) fn refusals_of(
    details: &'static Details,
    signed: bool,
) -> impl Iterator<Item = &'static Refusal> {
    REFUSALS.iter().filter(move |refusal| {
        let status = refusal.status;
        let of_signed = signed && SIGNED.contains(&status);
        COMMON.contains(&status) || of_signed || details.refusals.contains(&status)
    })
}

/// All ways to refuse, as the description has them.
pub(super) fn refusals() -> Map<String, Value> {
    let describe = |refusal: &Refusal| {
        let mut response = json!({
            "description": refusal.description,
            "content": { "application/json": { "schema": schemas::reference("Error") } },
        });
        if let Some(field) = refusal.field {
            let schema = json!({ "type": "string" });
            response["headers"] = json!({ field: { "required": true, "schema": schema } });
        }
        (refusal.name.to_owned(), response)
    };
    REFUSALS.iter().map(describe).collect()
}
