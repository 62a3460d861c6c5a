#!/usr/bin/env python3
"""Holds wireshark/spore.lua to the protocol's test vectors, and to what a simulated cluster has sent.

Usage: python3 tests/wireshark/check.py SPORE FOLDER, at the root of the repository; needs tshark.
"""

import collections
import json
import pathlib
import re
import struct
import subprocess
import sys

SPORE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
# Events, losses, a rollout: all kinds of messages but those of images, which the vectors have.
WORLD = ["--nodes", "8", "--seed", "7", "--loss", "0.2", "--duration", "30s", "--events", "2", "--kills", "6",
         "--set", "rollout.at=2s", "--set", "rollout.gate=1s"]
KINDS = ["announce", "ping", "ack", "ping-req", "relay-ping", "relay-ack", "indirect-ack", "events", "window",
         "window, asking", "rollout", "want", "piece"]
STATUSES = ["alive", "suspect", "dead", "left"]
STATES = {"idle": 0, "fetching 0": 1, "fetching 3": 4, "ready": 5, "on trial": 6, "updated": 7, "out": 8,
          "failed 0": 16, "failed 15": 31}
FIELDS = """version sender epoch counter kind token target origin image piece left members window clock rollout wanted content
record.status record.id record.epoch record.refutation record.published record.address record.http_port
record.status_version record.update record.update_tag record.hostname record.service
key.clock key.publisher key.epoch key.number event.retained event.topic event.payload event.payload_hex
rollout.ended rollout.age plan.format plan.number plan.random plan.catches_up plan.failures plan.gate plan.expiry
plan.board plan.sequence plan.digest plan.canary plan.wave plan.signature
unopened keyless malformed""".split()


def fail(why):
    sys.exit(f"wireshark: {why}")


def tshark(capture, key, preference="key"):
    """What the dissector says: of each frame the values of each field."""
    command = ["tshark", "-n", "-X", "lua_script:wireshark/spore.lua", "-o", f"spore.{preference}:{key}", "-r", capture, "-T", "fields",
               "-E", "occurrence=a", "-E", "aggregator=\x1f", "-E", "separator=\x1e", "-e", "frame.protocols", "-e", "_ws.col.Info"]
    for field in FIELDS:
        command += ["-e", f"spore.{field}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120)
    except FileNotFoundError:
        fail("there is no tshark. Repair: apt-get install tshark")
    if done.returncode or "Lua" in done.stderr:
        fail(f"tshark says {done.stderr}")
    frames = []
    for line in filter(None, done.stdout.split("\n")):
        protocols, info, *values = line.split("\x1e")
        known = {field: value.split("\x1f") for field, value in zip(FIELDS, values) if value}
        frames.append((protocols, info, known))
    return frames


def pcap(path, datagrams):
    """A capture of datagrams from one node to another."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for second, datagram in enumerate(datagrams):
            udp = struct.pack(">HHHH", 4210, 4210, 8 + len(datagram), 0) + datagram
            ip = struct.pack(">BBHHHBBH8B", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0, 10, 0, 0, 1, 10, 0, 0, 2)
            frame = bytes(12) + b"\x08\x00" + ip + udp
            out.write(struct.pack("<IIII", second, 0, len(frame), len(frame)) + frame)


def expected(vector):
    """What the dissector must say of a test vector."""
    header, message = vector["header"], vector["message"]
    fields = collections.defaultdict(list)

    def say(**values):
        for name, value in values.items():
            fields[name.replace("__", ".")].append(str(value))

    say(version=1, **header, kind=1 + KINDS.index(message["kind"]))
    for name in ["token", "target", "origin", "left", "members", "window", "clock", "rollout", "image"]:
        if name in message:
            say(**{name: message[name]})
    for name in ["first", "number"]:
        if name in message:
            say(piece=message[name])
    if "pieces" in message:
        say(**{"wanted" if message["kind"] == "want" else "content": message["pieces"]})
    for record in [message["own"], *message.get("records", [])]:
        say(record__status=STATUSES.index(record["status"]), record__id=record["id"],
            record__epoch=record["incarnation"]["epoch"], record__refutation=record["incarnation"]["refutation"],
            record__published=record["published"])
        if record["status"] == "alive":
            say(record__address=record["address"], record__http_port=record["http_port"],
                record__status_version=record["status_version"], record__update=STATES[record["update"]["state"]],
                record__update_tag=record["update"]["tag"], record__hostname=record["hostname"])
            for service in record["services"]:
                say(record__service=int(service, 16))
    for key in [*message.get("keys", []), *message.get("events", [])]:
        say(key__clock=key["clock"], key__publisher=key["publisher"], key__epoch=key["epoch"], key__number=key["seq"])
    for event in message.get("events", []):
        say(event__retained=int(event["retained"]), event__topic=event["topic"])
        payload = bytes.fromhex(event["payload"])
        if not payload:
            continue
        if payload.isascii() and payload.decode().isprintable():
            say(event__payload=payload.decode())
        else:
            say(event__payload_hex=payload.hex())
    if "told" in message:
        plan = message["told"]["plan"]
        say(rollout__ended=message["told"]["ended"], rollout__age=message["told"]["age"], plan__format=1,
            plan__number=plan["id"][0], plan__random=plan["id"][1], plan__catches_up=int(plan["catches_up"]),
            plan__failures=plan["max_failures"], plan__gate=plan["gate"], plan__expiry=plan["expiry"])
        for image in plan["images"]:
            say(plan__board=image["board"], plan__sequence=image["sequence"], plan__digest=image["digest"])
        for canary in plan["canaries"]:
            say(plan__canary=canary)
        for wave in plan["waves"]:
            say(plan__wave=wave)
    return fields


def number(text):
    """A value as it stands, hexadecimal numbers in decimal."""
    return str(int(text, 16)) if text.startswith("0x") else text


def vectors():
    data = json.loads(pathlib.Path("docs/protocol-vectors.json").read_text())
    datagrams = [bytes.fromhex(vector["datagram"]) for vector in data["valid"] + data["refused"]]
    pcap(FOLDER / "vectors.pcap", datagrams)
    frames = tshark(FOLDER / "vectors.pcap", data["key"])
    if len(frames) != len(datagrams):
        fail(f"{len(frames)} frames of {len(datagrams)}")
    compared = 0
    for vector, (_, info, known) in zip(data["valid"], frames):
        message = vector["message"]
        want = expected(vector)
        for field in set(want) | set(known) - {"plan.signature"} - ({"rollout"} - set(message)):
            got = [number(value) for value in known.get(field, [])]
            if got != want[field]:
                fail(f"{vector['name']!r}: {field} is {got}, not {want[field]}")
            compared += len(got)
        if not info.startswith(message["kind"]):
            fail(f"{vector['name']!r} is summed up as {info!r}")
    for vector, (_, info, known) in zip(data["refused"], frames[len(data["valid"]):]):
        if "kind" in known or ("unopened" not in known and "version" in known):
            fail(f"refused: {vector['name']!r} is shown as {info!r}")
    for text in [data["key"] + "\n", f"SPORE key 1\nkind: cluster\nkey: {data['key']}\nchecksum: 00000000\n"]:
        (FOLDER / "cluster.key").write_text(text)
        if tshark(FOLDER / "vectors.pcap", FOLDER / "cluster.key", "key_file") != frames:
            fail(f"another result with the key from a file: {text!r}")
    for key in ["", "00" * 32]:
        if any("kind" in known for _, _, known in tshark(FOLDER / "vectors.pcap", key)):
            fail(f"something is opened with the key {key!r}")
    print(f"vectors: {compared} values of {len(data['valid'])} datagrams; {len(data['refused'])} others are not opened")


def world():
    """The same run twice: what each datagram is for the engine that has sent it, and for the dissector."""
    sent, key = [], None
    for name in ["world.txt", "world.pcap"]:
        done = subprocess.run([SPORE, "sim", *WORLD, "--trace", FOLDER / name], capture_output=True, text=True, timeout=120)
        if done.returncode:
            fail(f"spore sim says {done.stderr}")
        key = re.search(r"cluster key ([0-9a-f]{64})", done.stderr) or key
    for line in open(FOLDER / "world.txt"):
        if match := re.search(r"^ *\S+ (\S+) sends (.+) \((\d+) bytes\) to", line):
            sent.append(match[2])
    frames = tshark(FOLDER / "world.pcap", key[1])
    if len(frames) != len(sent):
        fail(f"{len(frames)} frames of {len(sent)} datagrams sent")
    for kind, (_, info, known) in zip(sent, frames):
        shown = KINDS[int(known["kind"][0]) - 1].removesuffix(", asking") if "kind" in known else None
        if shown == "announce" and known["record.status"][0] == "3":
            shown = "left"
        if "malformed" in known or shown != kind:
            fail(f"a datagram that the engine calls {kind!r} is shown as {info!r}")
    kinds = collections.Counter(sent)
    if len(kinds) < 10:
        fail(f"the world has {len(kinds)} kinds of messages only: {dict(kinds)}")
    print(f"world: {len(frames)} datagrams of {len(kinds)} kinds, each as the engine calls it")


vectors()
world()
