"""What schemathesis does not try: credentials of all kinds, and /metrics by Prometheus' own parser.

Usage: check.py DESCRIPTION NODE OTHER, with SPORE_KEY_FILE in the environment. OTHER is a second node
with the same key; it is restarted in the end. Exit code 1: it failed.
"""

import json
import sys
import time

import jsonschema
import openapi_spec_validator
import requests
import signing
from prometheus_client.parser import text_string_to_metric_families

description_file, node, other = sys.argv[1:]
key = signing.key_from_environment()
with open(description_file, encoding="utf-8") as file:
    description = json.load(file)

openapi_spec_validator.validate(description)


def schema(name):
    return {**description, "$ref": f"#/components/schemas/{name}"}


def send(method, path, body=b"", query="", to=node, **headers):
    """One request exactly as given: no library signs it, or changes its target."""
    url = f"{to}{path}" + (f"?{query}" if query else "")
    return requests.request(method, url, data=body, headers=headers, timeout=20)


def field(nonce, mac):
    return f"{signing.SCHEME} nonce={nonce}, mac={mac}"


def config():
    answer = requests.get(f"{node}/api/node/config", auth=signing.Signed(key), timeout=20)
    assert answer.status_code == 200, answer.text
    tasks = requests.get(f"{node}/api/tasks", timeout=20).json()["tasks"]
    return answer.json(), [(task["name"], task["enabled"]) for task in tasks]


# What each signed route is asked for. One that is added to the table must be added here.
BODIES = {
    ("GET", "/api/node/config"): b"",
    ("PUT", "/api/node/config"): b'{"hostname":"intruder"}',
    ("POST", "/api/node/restart"): b"",
    ("GET", "/api/node/crash"): b"",
    ("PATCH", "/api/tasks/{name}"): b'{"enabled":false}',
    ("GET", "/api/sprockets/{name}/config"): b"",
    ("PUT", "/api/sprockets/{name}/config"): b'{"limit":99}',
    ("POST", "/api/events"): b'{"topic":"intruder","payload":1}',
    ("GET", "/api/events"): b"",
    ("POST", "/api/node/update"): b"",
    ("POST", "/api/cluster/update"): b"intruder",
    ("DELETE", "/api/cluster/update"): b"",
    ("GET", "/api/cluster/key"): b"",
    ("PUT", "/api/cluster/key"): b'{"sealed":"' + b"00" * 64 + b'"}',
}
signed = {
    (method.upper(), path)
    for path, item in description["paths"].items()
    for method, operation in item.items()
    # Where it may be empty, each service declares it.
    if operation["security"] and {} not in operation["security"]
}
assert signed == set(BODIES), f"signed routes are {signed}"
BODIES["POST", "/api/services/identify"] = b""
BODIES["PATCH", "/api/tasks/send-discovery"] = BODIES.pop(("PATCH", "/api/tasks/{name}"))
for method in "GET", "PUT":
    body = BODIES.pop((method, "/api/sprockets/{name}/config"))
    BODIES[method, "/api/sprockets/sensor/config"] = body


def wrong_credentials(method, path, body):
    """Credentials that must not be taken: name, body that is sent, query, field."""

    def pair(key=key, method=method, target=path, nonce=None, body=body):
        nonce = nonce or signing.nonce(node)
        return nonce, signing.mac(key, method, target, nonce, body)

    good = pair
    yield "absent", body, "", None
    yield "empty", body, "", ""
    yield "scheme alone", body, "", signing.SCHEME
    yield "other scheme", body, "", "Bearer " + good()[1]
    for digits in (0, 1, 32, 63):
        nonce, mac = good()
        yield f"first {digits} digits", body, "", field(nonce, mac[:digits])
    nonce, mac = good()
    yield "longer", body, "", field(nonce, mac + "0")
    for at in (0, 31, 63):
        nonce, mac = good()
        flipped = mac[:at] + format(int(mac[at], 16) ^ 1, "x") + mac[at + 1:]
        yield f"flipped at {at}", body, "", field(nonce, flipped)
    yield "zeros", body, "", field(signing.nonce(node), "0" * 64)
    yield "other key", body, "", field(*good(key=bytes(32)))
    other_method = "PUT" if method == "DELETE" else "DELETE"
    yield "other method", body, "", field(*good(method=other_method))
    yield "other path", body, "", field(*good(target="/api/node/status"))
    yield "other query", body, "a=b", field(*good())
    yield "other body", body, "", field(*good(body=body + b" "))
    yield "nonce of another node", body, "", field(*good(nonce=signing.nonce(other)))
    yield "own nonce", body, "", field(*good(nonce="0" * 28))
    nonce, mac = good()
    yield "twice", body, "", field(nonce, mac) + f", mac={mac}"
    nonce, mac = good()
    yield "both ways", body, f"auth-nonce={nonce}&auth-mac={mac}", field(nonce, mac)
    nonce, mac = good()
    yield "query in the wrong order", body, f"auth-mac={mac}&auth-nonce={nonce}", None


def status():
    answer = requests.get(f"{node}/api/node/status", timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


tried = 0
before, ran, began = config(), status(), time.monotonic()
for (method, path), body in BODIES.items():
    for name, sent, query, value in wrong_credentials(method, path, body):
        headers = {} if value is None else {"Authorization": value}
        answer = send(method, path, sent, query, **headers)
        assert answer.status_code == 401, f"{method} {path}, {name}: {answer.status_code}"
        assert answer.headers["WWW-Authenticate"] == signing.SCHEME, name
        error = answer.json()
        jsonschema.validate(error, schema("Error"))
        code = error["error"]["code"]
        assert code.startswith("credentials_") or code == "nonce_stale", f"{name}: {code}"
        tried += 1
assert config() == before, "a refused request changed the settings"
# Who is told to restart does so half a second later.
time.sleep(1)
runs, took = status(), time.monotonic() - began
assert runs["reset_reason"] == ran["reset_reason"], f"restarted: {runs['reset_reason']}"
uptime = runs["uptime_ms"] - ran["uptime_ms"]
assert uptime > 900 * took - 500, f"restarted: {uptime} ms older after {took:.1f} s"

# Events: published through one node, followed through the other, whole and in the described form.
def follow(query, to, **headers):
    """The frames of a stream, as they come."""
    fresh = signing.nonce(to)
    proof = signing.mac(key, "GET", f"/api/events?{query}", fresh, b"")
    headers["Authorization"] = field(fresh, proof)
    answer = requests.get(f"{to}/api/events?{query}", headers=headers, stream=True, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/event-stream", answer.headers
    assert answer.headers["Cache-Control"] == "no-store", answer.headers
    frame = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        name, _, value = line.partition(": ")
        if name and not line.startswith(":"):
            assert name in ("id", "event", "data") and name not in frame, line
            frame[name] = value
        elif "data" in frame:
            frame["data"] = json.loads(frame["data"])
            yield frame
            frame = {}


def publish(document, to):
    body = json.dumps(document).encode()
    auth = signing.Signed(key)
    answer = requests.post(f"{to}/api/events", data=body, auth=auth, timeout=20)
    assert answer.status_code == 202, answer.text
    jsonschema.validate(answer.json(), schema("Published"))
    return answer.json()


payloads = [1, "text", None, {"a b": ["\u00e4", -1.5e3]}]
sent = [publish({"topic": f"check/{n}", "payload": p}, other) for n, p in enumerate(payloads)]
came, watch = [], time.monotonic()
for frame in follow("topic=check%2F%2B&after=0", node):
    jsonschema.validate(frame["data"], schema("Event"))
    assert frame["event"] == frame["data"]["topic"], frame
    came.append(frame)
    if len(came) == len(sent):
        break
assert time.monotonic() - watch < 15, "events come when they are there"
assert [frame["data"]["payload"] for frame in came] == payloads, came
for frame, answer in zip(came, sent, strict=True):
    same = ("publisher", "epoch", "number")
    assert [frame["data"][name] for name in same] == [answer[name] for name in same], frame
rest = follow("topic=check%2F%2B", node, **{"Last-Event-ID": came[1]["id"]})
assert [next(rest)["id"], next(rest)["id"]] == [frame["id"] for frame in came[2:]]
rest.close()

# A request that was carried out is not carried out again, whatever it asks for. The other node is
# asked, which restarts, and is asked again before it does; or after that, when the nonce is of another boot.
def send_again(*request, **headers):
    end = time.monotonic() + 60
    while True:
        try:
            return send(*request, to=other, **headers)
        except requests.ConnectionError:
            assert time.monotonic() < end, "the other node has not come back"
            time.sleep(0.1)


hostname = json.dumps({"hostname": before[0]["hostname"]}).encode()
for method, path, body, code in (
    ("GET", "/api/node/config", b"", 200),
    ("PUT", "/api/node/config", hostname, 200),
    ("PATCH", "/api/tasks/send-discovery", b'{"run":true}', 200),
    ("POST", "/api/node/restart", b"", 202),
):
    fresh = signing.nonce(other)
    value = field(fresh, signing.mac(key, method, path, fresh, body))
    first = send(method, path, body, to=other, Authorization=value)
    assert first.status_code == code, first.text
    again = send_again(method, path, body, Authorization=value)
    assert (again.status_code, again.json()["error"]["code"]) == (401, "nonce_stale"), again.text
    tried += 1

# The query does as well as the field, and forms that RFC 9110 allows are taken.
fresh = signing.nonce(node)
proof = signing.mac(key, "GET", "/api/node/config?a=b", fresh, b"")
answer = send("GET", "/api/node/config", query=f"a=b&auth-nonce={fresh}&auth-mac={proof}")
assert answer.status_code == 200, answer.text
fresh = signing.nonce(node)
proof = signing.mac(key, "GET", "/api/node/config", fresh, b"")
value = f'{signing.SCHEME.lower()} MAC="{proof}" , Nonce="{fresh}"'
answer = send("GET", "/api/node/config", Authorization=value)
assert answer.status_code == 200, answer.text

# /metrics, as Prometheus reads it, and by its own rules for names.
answer = send("GET", "/metrics")
assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
assert answer.text.endswith("\n"), "the last line must end"
families = list(text_string_to_metric_families(answer.text))
assert len(families) > 5, families
samples = set()
for family in families:
    assert family.name.startswith("spore_"), family.name
    assert family.documentation, f"{family.name} has no HELP"
    assert family.type in ("counter", "gauge", "histogram"), f"{family.name}: {family.type}"
    assert family.samples, f"{family.name} has no samples"
    for sample in family.samples:
        one = (sample.name, tuple(sorted(sample.labels.items())))
        assert one not in samples, f"{one} is there twice"
        samples.add(one)
        if family.type == "counter":
            assert sample.name.endswith("_total") and sample.value >= 0, sample
runs = {s.labels["sprocket"]: s.value for f in families for s in f.samples if "sprocket" in s.labels}
assert runs == {"sensor": 1}, runs
print(f"api check: {tried} of {tried} wrong credentials refused, {len(samples)} metrics read")
