#!/usr/bin/env python3
"""Makes protocol-vectors.json: a second implementation of protocol.md, to hold the first one to it.

Needs the package `cryptography`. Usage: python3 docs/protocol_vectors.py > docs/protocol-vectors.json
"""

import hashlib
import hmac
import json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY = bytes(range(32))
RELEASE = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
KINDS = {"announce": 1, "ping": 2, "ack": 3, "ping-req": 4, "relay-ping": 5, "relay-ack": 6,
         "indirect-ack": 7, "events": 8, "window": 9, "window, asking": 10, "rollout": 11,
         "want": 12, "piece": 13}
STATES = {"idle": 0, "fetching 0": 1, "fetching 3": 4, "ready": 5, "on trial": 6, "updated": 7, "out": 8,
          "failed 0": 16, "failed 15": 31}
STATUSES = {"alive": 0, "suspect": 1, "dead": 2, "left": 3}


def u(value, size):
    return value.to_bytes(size, "big")


def record(r):
    out = u(STATUSES[r["status"]], 1) + bytes.fromhex(r["id"])
    out += u(r["incarnation"]["epoch"], 3) + u(r["incarnation"]["refutation"], 3)
    out += u(r["published"], 3)
    if r["status"] == "alive":
        name = r["hostname"].encode()
        out += bytes(map(int, r["address"].split("."))) + u(r["http_port"], 2)
        out += u(r["status_version"], 2)
        out += u(STATES[r["update"]["state"]], 1) + u(r["update"]["tag"], 2)
        out += u(len(name), 1) + name
        out += u(len(r["services"]), 1) + b"".join(map(bytes.fromhex, r["services"]))
    return out


def key(k):
    return u(k["clock"], 4) + bytes.fromhex(k["publisher"]) + u(k["epoch"], 3) + u(k["seq"], 3)


def event(e):
    topic, payload = e["topic"].encode(), bytes.fromhex(e["payload"])
    out = key(e) + u(int(e["retained"]), 1) + u(len(topic), 1) + topic
    return out + u(len(payload), 2) + payload


def fnv_murmur(data):
    """32-bit FNV-1a with the final mix of MurmurHash3."""
    h = 0x811C9DC5
    for byte in data:
        h = (h ^ byte) * 0x01000193 % 2**32
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    return h ^ h >> 16


def rollout_id(p):
    return u(p["id"][0], 4) + u(p["id"][1], 4)


def plan(p):
    out = u(1, 1) + rollout_id(p) + u(int(p["catches_up"]), 1) + u(p["max_failures"], 1)
    out += u(p["gate"], 2) + u(p["expiry"], 2) + u(len(p["images"]), 1)
    for image in p["images"]:
        out += image["board"].encode().ljust(16, b"\0") + u(image["sequence"], 4)
        out += bytes.fromhex(image["digest"])
    out += u(len(p["canaries"]), 1) + b"".join(map(bytes.fromhex, p["canaries"]))
    return out + u(len(p["waves"]), 1) + bytes(p["waves"])


def announcement(r):
    signature = RELEASE.sign(b"SPORE rollout 1" + plan(r["plan"]))
    return u(r["ended"], 1) + u(r["age"], 2) + plan(r["plan"]) + signature


def digest(r):
    return max(fnv_murmur(rollout_id(r["plan"]) + u(r["ended"], 1)), 1)


def turn(p, node):
    """When it is a node's turn: its rank, and 0 for a canary, else its wave."""
    rank = fnv_murmur(rollout_id(p) + bytes.fromhex(node))
    wave = 1 + sum(rank * 100 >= percent << 32 for percent in p["waves"])
    return {"node": node, "rank": rank, "wave": 0 if node in p["canaries"] else wave}


def message(m):
    out = u(KINDS[m["kind"]], 1)
    if "token" in m:
        out += bytes.fromhex(m["token"])
    for field in ["target", "origin"]:
        out += bytes.fromhex(m.get(field, ""))
    for field, size in [("image", 4), ("first", 2), ("number", 2), ("left", 2)]:
        out += u(m[field], size) if field in m else b""
    out += u(m["members"], 4) + u(m["window"], 4) + u(m["clock"], 4)
    out += u(m["rollout"], 4)
    out += b"".join(map(record, [m["own"], *m.get("records", [])]))
    out += b"".join(map(event, m.get("events", []))) + b"".join(map(key, m.get("keys", [])))
    out += bytes.fromhex(m.get("pieces", ""))
    return out + (announcement(m["told"]) if "told" in m else b"")


def seal(header, plain):
    head = u(1, 1) + bytes.fromhex(header["sender"]) + u(header["epoch"], 3)
    head += u(header["counter"], 3)
    return head + ChaCha20Poly1305(KEY).encrypt(head[1:], plain, head)


def service(name):
    """The id of a service: 32-bit FNV-1a, the highest bit 0."""
    h = 0x811C9DC5
    for byte in name.encode():
        h = (h ^ byte) * 0x01000193 % 2**32
    return u(h & 0x7FFFFFFF, 4).hex()


def alive(id, epoch, refutation, address, port, version, hostname, services=(), published=0,
          update=("idle", 0)):
    return {"status": "alive", "id": id, "incarnation": {"epoch": epoch, "refutation": refutation},
            "published": published, "address": address, "http_port": port, "status_version": version,
            "update": dict(zip(["state", "tag"], update)), "hostname": hostname,
            "services": sorted(services)}


def news(status, id, epoch, refutation, published=0):
    return {"status": status, "id": id, "incarnation": {"epoch": epoch, "refutation": refutation},
            "published": published}


def published(clock, publisher, epoch, seq, retained, topic, payload):
    return {"clock": clock, "publisher": publisher, "epoch": epoch, "seq": seq,
            "retained": retained, "topic": topic, "payload": payload.hex()}


def keys(*ks):
    return [dict(zip(["clock", "publisher", "epoch", "seq"], k)) for k in ks]


A, B, C = "0123456789ab", "ffffffffffff", "000000000001"
OWN = alive(A, 1, 0, "192.168.1.20", 80, 1, "kitchen")
RELAY = alive(A, 1, 0, "192.168.1.20", 80, 2, "kitchen", [service("relay"), service("identify")])
SMALL = {"id": [1, 0], "catches_up": False, "max_failures": 1, "gate": 0, "expiry": 1,
         "images": [{"board": "h", "sequence": 1, "digest": "00" * 16}], "canaries": [C], "waves": [100]}
LARGE = {"id": [0xFFFFFFFF, 0x89ABCDEF], "catches_up": True, "max_failures": 255, "gate": 65535, "expiry": 1008,
         "images": [{"board": "esp-01", "sequence": 0xFFFFFFFF, "digest": "ff" * 16},
                    {"board": "host", "sequence": 2, "digest": bytes(range(16)).hex()},
                    {"board": "a-name-of-16-has", "sequence": 3, "digest": "5a" * 16}],
         "canaries": [B, C, "010203040506", "0a0b0c0d0e0f"], "waves": [1, 10, 50, 100]}
MESSAGES = [
    ("a node that knows nobody announces itself", 0,
     {"kind": "announce", "members": 0xDEADBEEF, "window": 0, "clock": 0, "rollout": 0, "own": OWN, "records": []}),
    ("a ping with news of a suspect", 1,
     {"kind": "ping", "token": "00112233445566778899aabbccdd", "members": 0, "window": 0, "clock": 0, "rollout": 0, "own": OWN,
      "records": [news("suspect", B, 7, 2)]}),
    ("a ping of a node with two services", 2,
     {"kind": "ping", "token": "00112233445566778899aabbccdd", "members": 1, "window": 0, "clock": 0, "rollout": 0, "own": RELAY,
      "records": [news("dead", B, 7, 2)]}),
    ("an ack with every kind of record, at the limits of every field", 0xFFFFFF,
     {"kind": "ack", "token": "ff" * 14, "members": 0xFFFFFFFF, "window": 0, "clock": 0, "rollout": 0,
      "own": alive(A, 0xFFFFFF, 0xFFFFFF, "255.255.255.255", 65535, 65535, "a" * 32,
                   ["00000000", "ffffffff", *(u(n, 4).hex() for n in range(1, 7))], 0,
                   ("failed 15", 0xFFFF)),
      "records": [*(alive(C, 0, 0, "0.0.0.0", 0, 0, "x", update=(state, 1)) for state in STATES if "15" not in state
                    and "3" not in state), news("suspect", B, 0xFFFFFF, 0),
                  news("dead", C, 0, 0xFFFFFF), news("left", C, 1, 1)]}),
    ("how far a node is with a rollout", 19,
     {"kind": "announce", "members": 0, "window": 0, "clock": 0, "rollout": 7,
      "own": alive(A, 1, 0, "192.168.1.20", 80, 1, "kitchen", update=("fetching 3", 0x1234)),
      "records": [alive(C, 0, 0, "0.0.0.0", 0, 0, "x"), news("suspect", B, 0xFFFFFF, 0),
                  news("dead", C, 0, 0xFFFFFF), news("left", C, 1, 1)]}),
    ("a request to ask another member", 2,
     {"kind": "ping-req", "token": "00112233445566778899aabbccdd", "target": B, "members": 1, "window": 0, "clock": 0, "rollout": 0,
      "own": OWN, "records": [news("suspect", C, 0, 0)]}),
    ("a ping for somebody else", 3,
     {"kind": "relay-ping", "token": "00112233445566778899aabbccdd", "origin": B, "members": 2, "window": 0, "clock": 0, "rollout": 0,
      "own": OWN, "records": []}),
    ("its answer, to be passed on", 4,
     {"kind": "relay-ack", "token": "ff" * 14, "origin": C, "members": 3, "window": 0, "clock": 0, "rollout": 0, "own": OWN,
      "records": []}),
    ("the answer, passed on", 5,
     {"kind": "indirect-ack", "token": "00" * 14, "target": C, "members": 0xFFFFFFFF, "window": 0, "clock": 0, "rollout": 0, "own": OWN,
      "records": [news("left", B, 1, 0)]}),
    ("two events", 7,
     {"kind": "events", "members": 1, "window": 2, "clock": 3, "rollout": 1, "own": OWN, "events": [
         published(3, A, 1, 2, False, "kitchen/lamp", b"on"),
         published(2, B, 7, 1, True, "alarm", b"")]}),
    ("an event at the limits of every field", 8,
     {"kind": "events", "members": 0, "window": 0, "clock": 0xFFFFFFFF, "rollout": 0xFFFFFFFF,
      "own": alive(A, 1, 0, "192.168.1.20", 80, 1, "kitchen", (), 0xFFFFFF), "events": [
         published(0xFFFFFFFF, B, 0xFFFFFF, 0xFFFFFF, True, "t" * 48, bytes(range(256)))]}),
    ("the keys of an empty window", 9,
     {"kind": "window", "members": 0, "window": 0, "clock": 0, "rollout": 0, "own": OWN,
      "keys": keys((0, "0" * 12, 0, 0))}),
    ("the keys of a full one, with a question", 10,
     {"kind": "window, asking", "members": 0, "window": 0xFFFFFFFF, "clock": 100, "rollout": 0, "own": RELAY,
      "keys": keys((83, B, 7, 1), *((100 - n, A, 1, 17 - n) for n in range(16)))}),
    ("a node tells its last events", 11,
     {"kind": "events", "members": 0, "window": 0, "clock": 9, "rollout": 0, "own": news("left", A, 1, 0, 4),
      "events": [published(9, A, 1, 4, False, "door", b"\xff")]}),
    ("a node tells of its crash", 12,
     {"kind": "events", "members": 0, "window": 0, "clock": 2, "rollout": 0, "own": OWN,
      "events": [published(2, A, 1, 1, False, "node/crashed", b'{"cause":"panic","pc":null}')]}),
    ("the first piece is lacked, and the tenth", 13,
     {"kind": "want", "image": 0x01234567, "first": 0, "members": 1, "window": 2, "clock": 3, "rollout": 4, "own": OWN, "pieces": "0102"}),
    ("all pieces of the largest image for a board, from a node with the longest record", 14,
     {"kind": "want", "image": 0xFFFFFFFF, "first": 0xFFF8, "members": 0, "window": 0, "clock": 0, "rollout": 0,
      "own": alive(A, 0xFFFFFF, 0xFFFFFF, "255.255.255.255", 65535, 65535, "h" * 32, [f"{n:08x}" for n in range(8)], 0xFFFFFF),
      "pieces": "ff" * 240}),
    ("a piece, of which 1,700 are to follow", 15,
     {"kind": "piece", "image": 0x01234567, "number": 9, "left": 1700, "members": 1, "window": 2, "clock": 3, "rollout": 0,
      "own": OWN, "pieces": bytes(range(256)).hex()}),
    ("the last piece, which is short", 16,
     {"kind": "piece", "image": 0x01234567, "number": 1918, "left": 0, "members": 1, "window": 2, "clock": 3, "rollout": 0,
      "own": OWN, "pieces": "00ff"}),
    ("the smallest plan", 17,
     {"kind": "rollout", "members": 0, "window": 0, "clock": 0, "own": OWN,
      "told": {"ended": 0, "age": 0, "plan": SMALL}}),
    ("the largest plan, halted", 18,
     {"kind": "rollout", "members": 0, "window": 0, "clock": 0,
      "own": alive(A, 1, 0, "192.168.1.20", 80, 1, "a" * 32, [u(n, 4).hex() for n in range(8)]),
      "told": {"ended": 2, "age": 65535, "plan": LARGE}}),
    ("a node says that it goes", 6,
     {"kind": "announce", "members": 0, "window": 0, "clock": 0, "rollout": 0, "own": news("left", A, 1, 0), "records": []}),
]


for _, _, with_plan in MESSAGES:
    if "told" in with_plan:
        with_plan["rollout"] = digest(with_plan["told"])


def valid():
    for name, counter, m in MESSAGES:
        header = {"sender": A, "epoch": 1, "counter": counter}
        plain = message(m)
        yield {"name": name, "header": header, "message": m, "plaintext": plain.hex(),
               "datagram": seal(header, plain).hex()}


def malformed():
    base = message(MESSAGES[1][2])
    def head(own_record, tail=b""):
        return base[:31] + own_record + tail
    yield "empty", b"", "Truncated"
    yield "kind 0", b"\0" + base[1:], "Kind"
    yield "kind 14", b"\x0e" + base[1:], "Kind"
    yield "cut within the target", message(MESSAGES[4][2])[:20], "Truncated"
    yield "a ping whose sender has left", head(record(news("left", A, 1, 0))), "Sender"
    yield "an announcement whose sender is suspect", b"\x01" + bytes(16) + record(
        news("suspect", A, 1, 0)), "Sender"
    yield "cut within the token", base[:10], "Truncated"
    yield "cut within the last record", base[:-1], "Truncated"
    yield "no record", base[:31], "Truncated"
    yield "first record of another node", head(record({**OWN, "id": B})), "Sender"
    yield "first record not alive", head(record(news("dead", A, 1, 0))), "Sender"
    yield "status 4", base + b"\x04" + bytes(15), "Status"
    for what, name in [("empty", b""), ("of 33 bytes", b"a" * 33), ("with a dot", b"a.b"),
                       ("that begins with a hyphen", b"-a"), ("that ends with one", b"a-"),
                       ("that is not UTF-8", b"\xff")]:
        bad = record({**OWN, "hostname": "x"})[:-3] + u(len(name), 1) + name + b"\0"
        yield f"a hostname {what}", head(bad), "Hostname"
    for what, ids in [("nine services", range(9)), ("services not in order", [2, 1]),
                      ("a service twice", [1, 1])]:
        bad = record(OWN)[:-1] + u(len(ids), 1) + b"".join(u(n, 4) for n in ids)
        yield what, head(bad), "Services"
    bare = message({**MESSAGES[0][2], "kind": "events"})
    good = published(3, A, 1, 2, False, "kitchen/lamp", b"on")
    for what, bad in [("of number 0", {"seq": 0}), ("without a topic", {"topic": ""}),
                      ("with a wildcard in its topic", {"topic": "a/+"}),
                      ("with a topic of the system's", {"topic": "cluster/member/died"}),
                      ("with a topic of 49 bytes", {"topic": "t" * 49}),
                      ("with a payload of 257 bytes", {"payload": "00" * 257}),
                      ("with a flag that is not known", {"retained": 2})]:
        yield f"an event {what}", bare + event({**good, **bad}), "Event"
    yield "an event with a topic that is not UTF-8", bare + event(
        {**good, "topic": "a"}).replace(b"\1a", b"\1\xff"), "Event"
    yield "an event cut within its payload", bare + event(good)[:-1], "Truncated"
    yield "an event cut within its key", bare + event(good)[:15], "Truncated"
    bare = message({**MESSAGES[0][2], "kind": "window"})
    yield "a window without a horizon", bare, "Window"
    yield "a window of 17 keys", bare + bytes(18 * 16), "Window"
    yield "a window cut within a key", bare + bytes(31), "Truncated"
    yield "a window of a sender that has left", message(
        {**MESSAGES[0][2], "kind": "window", "own": news("left", A, 1, 0)}) + bytes(16), "Sender"
    for kind, most in [({"kind": "want", "image": 1, "first": 0}, 240), ({"kind": "piece", "image": 1, "number": 1, "left": 0}, 256)]:
        bare = message({**MESSAGES[0][2], **kind})
        yield f"a {kind['kind']} without bytes", bare, "Piece"
        yield f"a {kind['kind']} of {most + 1} bytes", bare + bytes(most + 1), "Piece"
        yield f"a {kind['kind']} cut within its numbers", bare[:5], "Truncated"
    for code in [9, 15, 32, 255]:
        bad = record(OWN).replace(b"\0\0\0\x07kitchen", u(code, 1) + b"\0\0\x07kitchen")
        yield f"state {code} of an update", head(bad), "Update"
    bare = message({**MESSAGES[0][2], "kind": "rollout"})
    told = {"ended": 0, "age": 0, "plan": LARGE}
    good = announcement(told)
    yield "a rollout without a plan", bare, "Rollout"
    yield "a rollout that has ended in no known way", bare + announcement({**told, "ended": 3}), "Rollout"
    yield "a plan cut within its signature", bare + good[:-1], "Rollout"
    yield "a plan with something behind it", bare + good + b"\0", "Rollout"
    for what, bad in [("without an image", {"images": []}), ("of four images", {"images": [
                          {**LARGE["images"][0], "board": board} for board in "abcd"]}),
                      ("with a board twice", {"images": LARGE["images"][:1] * 2}),
                      ("without a canary", {"canaries": []}), ("with a canary twice", {"canaries": [B, B]}),
                      ("of five canaries", {"canaries": [u(n, 6).hex() for n in range(5)]}),
                      ("without a wave", {"waves": []}), ("whose waves leave some out", {"waves": [10, 99]}),
                      ("with a wave of nobody", {"waves": [50, 50, 100]}), ("that never stops", {"max_failures": 0}),
                      ("that expires at once", {"expiry": 0}), ("that expires too late", {"expiry": 1009})]:
        yield f"a plan {what}", bare + announcement({**told, "plan": {**LARGE, **bad}}), "Rollout"
    yield "a rollout of a sender that has left", message(
        {**MESSAGES[0][2], "kind": "rollout", "own": news("left", A, 1, 0)}) + good, "Sender"
    yield "a service cut short", head(record(OWN)[:-1] + b"\x01abc"), "Truncated"


def refused():
    good = bytes.fromhex(next(valid())["datagram"])
    yield "empty", b"", "Truncated"
    yield "28 bytes", good[:28], "Truncated"
    yield "version 0", b"\0" + good[1:], "Version"
    yield "version 2", b"\x02" + good[1:], "Version"
    for what, at in [("sender", 1), ("epoch", 7), ("counter", 10), ("message", 13), ("tag", -1)]:
        changed = bytearray(good)
        changed[at] ^= 1
        yield f"one bit of the {what} flipped", bytes(changed), "Unauthentic"
    yield "one byte short", good[:-1], "Unauthentic"
    yield "one byte more", good + b"\0", "Unauthentic"


def mac(secret, *parts):
    return hmac.new(secret, b"".join(parts), hashlib.sha256).digest()


def sealed(purpose, secret, content):
    """What is sealed for a node while the cluster key is replaced."""
    number, nonce = 0x01020304, bytes(range(12))
    box = ChaCha20Poly1305(mac(secret, purpose)).encrypt(nonce, content, u(number, 4))
    return {"number": number, "nonce": nonce.hex(), "content": content.hex(), "sealed": (u(number, 4) + nonce + box).hex()}


def rotation():
    secret, following = bytes(range(16, 32)), bytes(range(32, 64))
    return {
        "secret": secret.hex(),
        "enrolment": sealed(b"SPORE enrolment 1", KEY, secret + bytes(16)),
        "key": sealed(b"SPORE key rotation 1", secret, following),
        "node": A,
        "proof": mac(secret, b"SPORE key proof 1", bytes.fromhex(A), u(0x01020304, 4), following).hex(),
    }


print(json.dumps({
    "key": KEY.hex(),
    "rotation": rotation(),
    "release_key": RELEASE.public_key().public_bytes_raw().hex(),
    "turns": [turn(LARGE, node) for node in [A, B, *(u(n, 6).hex() for n in range(100))]],
    "valid": list(valid()),
    "malformed": [{"name": n, "sender": A, "plaintext": p.hex(), "error": e}
                  for n, p, e in malformed()],
    "refused": [{"name": n, "datagram": d.hex(), "error": e} for n, d, e in refused()],
}, indent=1))
