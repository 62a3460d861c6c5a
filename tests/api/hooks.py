"""What schemathesis must know of SPORE: how requests are signed."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

import schemathesis  # noqa: E402
import signing  # noqa: E402

# `SPORE_SIGN=wrong` signs with a key that is not the cluster's.
KEY = signing.key_from_environment()
if os.environ.get("SPORE_SIGN") == "wrong":
    KEY = bytes(byte ^ 0xFF for byte in KEY)

schemathesis.auth.set_from_requests(signing.Signed(KEY))


@schemathesis.hook
def before_call(context, case, kwargs):
    """The description names a service that every node has, and that takes one method. The node
    under test has another one that takes each."""
    if case.path_parameters.get("name") == "identify":
        case.path_parameters["name"] = "echo"
    # And a task of the engine, whose intervals have other bounds than those of other tasks.
    if case.path_parameters.get("name") == "send-discovery":
        case.path_parameters["name"] = "tick"
    # To a schema 1.0 is an integer; a node wants one to be written as one.
    if isinstance(case.body, dict):
        for field, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[field] = int(value)
    # This client writes a character beyond U+FFFF as two escapes, where a node wants it as it is. And a node counts
    # bytes, where a schema counts characters.
    if case.path == "/api/network/wifi" and isinstance(case.body, dict):
        ssid = case.body.get("ssid")
        if isinstance(ssid, str):
            ssid = "".join(c if ord(c) < 0x10000 else "?" for c in ssid)
            if len(ssid) <= 32 < len(ssid.encode()):
                ssid = "".join(c if c.isascii() else "?" for c in ssid)
            case.body["ssid"] = ssid
    # What can be set of a sprocket it says itself. Values of the right kind are set as one that takes them.
    if case.path_parameters.get("name") == "sensor" and isinstance(case.body, dict):
        values = case.body.values()
        if all(isinstance(value, (bool, str)) or type(value) is int for value in values):
            case.body = {"limit": 25} if case.body else {}
    # The cluster carries few events, and what is published for it is checked elsewhere.
    if case.path == "/api/events" and isinstance(case.body, dict):
        if case.body.get("scope", "cluster") == "cluster" and "topic" in case.body:
            case.body["scope"] = "local"
        if case.body.get("scope") == "local" and case.body.get("retained") is True:
            case.body["retained"] = False
        # A schema cannot say how long, or how deep, the text of a document may be.
        text = json.dumps(case.body.get("payload"), ensure_ascii=False)
        if len(text.encode()) > 256 or text.count("[") + text.count("{") > 6:
            case.body["payload"] = None
    # Half of all texts of 64 digits are no Ed25519 key, which no schema can say. This one is: that
    # of RFC 8032, section 7.1, test 1.
    key = case.body.get("release_key") if isinstance(case.body, dict) else None
    if isinstance(key, str) and len(key) == 64 and set(key) <= set("0123456789abcdef"):
        case.body["release_key"] = (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        )

