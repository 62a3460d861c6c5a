"""The history that a gateway writes: read by `spore history` and by sqlite3, which is not ours; with a full disk, and with a file that is damaged."""

import glob
import json
import os
import subprocess

from world import *

# A disk of its own, of 2 MB.
DISK = f"{FOLDER}/disk"
FILE = f"{DISK}/history.db"


def prepare():
    os.mkdir(DISK)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", DISK], check=True)


def past(*options):
    return json.loads(spore("history", *options, "--file", FILE, "--json", "--limit", "10000"))["history"]


def words(kind, node=None):
    return [it["what"] for it in past(kind, *(["--of", node] if node else []))]


def integrity():
    return subprocess.run(["sqlite3", "-readonly", "-cmd", ".timeout 20000", FILE, "PRAGMA integrity_check; SELECT count(*) FROM history;"], capture_output=True, text=True).stdout.split()


def first(nodes):
    """Who is there is on record, and each event once."""
    until(lambda: all("joined" in words("members", f"n{n}") for n in NODES), SLOW, "members in the history")
    for topic, payload in [("to/broker", {"a": 1}), ("to/keep", "kept"), ("from/broker", "on"), ("from/broker", {"b": [2]})]:
        until(lambda: count(topic, payload) == 1, SLOW, f"{topic} in the history")
    fine, rows = integrity()
    assert fine == "ok" and int(rows) >= len(NODES) + 5, (fine, rows)
    member = past("members", "--of", nodes.ids[1])[0]
    assert (member["hostname"], member["what"], member["detail"]) == ("n1", "joined", {"address": f"{address(1)}:8080"}), member
    print(f"history: {rows} entries, while it is written; each event once")


def count(topic, payload):
    return sum(it["what"] == topic and it["detail"]["payload"] == payload for it in past("events"))


def updated(nodes):
    """The rollouts that `update` has made, and who died before."""
    def rollouts():
        return [it["what"] for it in past("updates") if it["node"] is None]
    until(lambda: rollouts() == ["running", "done", "running", "halted"], SLOW, "both rollouts in the history")
    until(lambda: "rolled_back" in words("updates"), SLOW, "the end of the second one")
    for n in NODES[:-1]:
        told = words("updates", f"n{n}")
        assert "updated" in told and words("members", f"n{n}").count("updated") == 1, told
    failed = [it["hostname"] for it in past("updates") if it["what"] == "rolled_back"]
    assert len(failed) == 1, failed
    # It may have been suspected before, and have recovered.
    until(lambda: (it := words("members", f"n{LAST}"))[0] == "joined" and it[-2:] == ["suspect", "died"], SLOW, f"the death of n{LAST}")
    restarted = [it for it in past("members", "--of", "n1") if it["what"] == "restarted"]
    assert restarted and all(it["detail"]["reset_reason"] for it in restarted), restarted
    print(f"history: 2 rollouts and each node's part in them, {len(restarted)} restarts of n1, the death of n{LAST}")


def gone_on():
    """After a gateway was killed and another one has come."""
    assert integrity()[0] == "ok"
    # Whom only an earlier gateway has met is looked for in the first 30 s.
    until(lambda: words("members", "n3")[-1] == "left", 30 + SLOW, "that n3 has left")
    # It says so of itself, too, when it has started long after the one before.
    assert [it for it in words("members", "gate") if it != "restarted"] == ["joined"], past("members")
    assert words("members", "n2").count("joined") == 1, past("members")
    until(lambda: count("while/gone", 1) == 1, SLOW, "the event that was published meanwhile")
    assert count("to/broker", {"a": 1}) == 1
    print("history: the next gateway goes on where the killed one was")


def full(broker):
    """A disk without room: the broker gets all, and the history what waited, when there is room."""
    with open(f"{DISK}/filler", "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    until(lambda: os.statvfs(DISK).f_bfree == 0, SLOW, "a full disk")
    listener = Listener(HOME + "event/full/#")
    for number in range(3):
        publish(1, "full/disk", json.dumps({"number": number, "much": "x" * 200}))
        time.sleep(1)
    until(lambda: len(listener.lines()) == 3, SLOW, "events while the disk is full")
    listener.end()
    until(lambda: "cannot be written" in log(), SLOW, "a warning")
    os.remove(f"{DISK}/filler")
    until(lambda: words("events").count("full/disk") == 3, SLOW, "what waited")
    until(lambda: "is written again; " in log(), SLOW, "another warning")
    assert "is written again; 0 entries are lost" in log(), log()
    print("history: the disk was full, which the broker did not notice; 3 of 3 entries are there with the room")


def log():
    with open(f"{FOLDER}/gateway.log") as file:
        return file.read()


def damaged(gateway, *options):
    """Somebody writes into the file: it is put aside, and another one begun."""
    gateway.kill()
    with open(FILE, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(16384))
    for end in ["-wal", "-shm"]:
        if os.path.exists(FILE + end):
            os.remove(FILE + end)
    gateway.start(*options)
    until(lambda: Broker.retained().get(HOME + "gateway") == "online", SLOW, "a gateway")
    until(lambda: glob.glob(FILE + ".damaged-*"), SLOW, "a file that was put aside")
    until(lambda: len(integrity()) == 2, SLOW, "a new history")
    publish(1, "after/damage", "1")
    until(lambda: count("after/damage", 1) == 1, SLOW, "an event in the new history")
    assert "is damaged" in log() and integrity()[0] == "ok"
    # Of another program: nothing is done to it, and the gateway does not begin.
    subprocess.run(["sqlite3", f"{FOLDER}/other.db", "CREATE TABLE mine (x)"], check=True)
    spore("gateway", "--bind", address(8), "--forget", "--history", f"{FOLDER}/other.db", code=1)
    print("history: a damaged one is put aside; that of another program is refused")
