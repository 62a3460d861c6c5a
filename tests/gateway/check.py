"""Uses the gateway as the owner of a broker does, with programs that are not ours: mosquitto and its clients, promtool, avahi.

    check.py FOLDER SPORE

Runs in a network namespace of its own; see `cargo xtask gateway`. The nodes are started by `spore launch`, so that they can be updated.
"""

import json
import os
import shutil
import signal
import time
import urllib.request

import history
import sites
import tls
from world import *


def appear(nodes):
    """Everybody is there, with what is known of them, and Home Assistant has a device for each."""
    ids = set(nodes.ids.values())

    def all_known():
        retained = Broker.retained()
        here = [retained.get(f"{HOME}member/{id}/availability") for id in ids]
        known = all(state(retained, id).get("uptime_s") is not None for id in ids)
        # One topic comes after the other, and what a node says of its image after what it says of itself.
        active = json.loads(retained[HOME + "cluster"])["active"]
        offered = {it["id"] for it in json.loads(retained[HOME + "service/identify"])["providers"]}
        images = all(f"{HOME}member/{id}/update" in retained for id in ids - {nodes.ids[LAST]})
        return here == ["online"] * len(NODES) and known and active == len(NODES) + 1 and offered >= ids and images and retained
    retained = until(all_known, SLOW, "all members on the broker")
    assert retained[HOME + "gateway"] == "online", retained
    for id in nodes.ids.values():
        device = json.loads(retained[f"homeassistant/device/spore-home/{id}/config"])
        assert {"status", "uptime", "free_memory", "version", "service_identify"} <= set(device["cmps"]), device
        assert ("update" in device["cmps"]) == (id != nodes.ids[LAST]), device
        for it in device["cmps"].values():
            assert "state_topic" not in it or it["state_topic"] in retained, it
    print(f"state: {len(retained)} retained messages of {len(NODES) + 1} members; {len(about(retained, nodes.ids[1]))} of each")


def measure(nodes, down):
    """Prometheus' own tool finds nothing wrong with the metrics, and no node is asked for them."""
    def asked():
        with urllib.request.urlopen(f"http://{address(1)}:8080/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("spore_http_requests_total"))

    ups = {f'spore_node_up{{id="{id}",hostname="n{n}"}} {0 if n in down else 1}' for n, id in nodes.ids.items()}
    until(lambda: ups <= set(scrape().splitlines()), SLOW, lambda: f"{ups} among {scrape()}")
    before, begun = asked(), time.monotonic()
    pages = [scrape() for _ in range(50)]
    took = time.monotonic() - begun
    # The gateway asks at its own pace meanwhile, and so do the other nodes.
    asked_by_us = asked() - before
    assert before > 0 and asked_by_us < 15 + took, (before, asked_by_us, took)
    check_metrics(pages[-1])
    for n, id in nodes.ids.items():
        series = pages[-1].count(f'{{id="{id}"')
        assert 0 < series <= 40, series
    print(f"metrics: {pages[-1].count(chr(10))} lines, which promtool takes; {len(down)} down; 50 scrapes, {asked_by_us:.0f} requests of others to a node meanwhile")


def look_around(nodes, avahi):
    """Members are found by name."""
    names = {"gate", *(f"n{n}" for n in NODES)}
    found = until(lambda: (it := avahi.browse("_spore._tcp")).keys() >= names and it, SLOW, "members in the network")
    assert set(found) == names, found
    for n, id in nodes.ids.items():
        host, at, port, text = found[f"n{n}"]
        assert (host, at, port) == (f"n{n}.local", address(n), 8080), found
        assert f'"id={id}"' in text and '"cluster=home"' in text, text
    pages = until(lambda: (it := avahi.browse("_http._tcp")).keys() >= names and it, SLOW, "pages in the network")
    assert '"path=/"' in pages["n1"][3], pages
    resolved = until(lambda: avahi.run("avahi-resolve", "-4", "-n", "n1.local").stdout.split(), SLOW, "the address of n1.local")
    assert resolved == ["n1.local", address(1)], resolved
    print(f"names: avahi finds {len(found)} members, their pages and their addresses")


def pass_on(nodes):
    """Events, both ways, and calls."""
    listener = Listener(HOME + "event/#", HOME + "answer/#")
    there = sites.follow(2, "from/#", 2)
    publish(1, "to/broker", '{"a": 1}')
    publish(1, "to/keep", '"kept"', "--retained")
    Broker.publish(HOME + "publish/from/broker", "on")
    Broker.publish(HOME + "publish/from/broker", '{"b": [2]}')
    Broker.publish(HOME + "publish/node/x", "the system's own")
    Broker.publish(f"{HOME}call/{nodes.ids[2]}/identify", "")
    assert sites.told(there) == [("from/broker", "on"), ("from/broker", {"b": [2]})]
    wanted = [f'{HOME}event/to/broker {{"a":1}}', f'{HOME}event/to/keep "kept"']
    lines = lambda: [it for it in listener.lines() if not sites.is_news(it)]
    until(lambda: len(lines()) >= 3, SLOW, "events and an answer")
    # What comes back comes late.
    time.sleep(1)
    listener.end()
    lines = lines()
    assert [it for it in lines if "event/" in it] == wanted, lines
    answer, = [json.loads(it.split(" ", 1)[1]) for it in lines if "answer/" in it]
    assert answer == {"status": 200, "body": {"hostname": "n2", "identified": True}}, answer
    assert Broker.retained()[HOME + "event/to/keep"] == '"kept"'
    print("events: 2 to the broker and 2 from it, each once; a service called, a bad topic refused")


def greet():
    """Home Assistant starts."""
    listener = Listener("homeassistant/device/#")
    Broker.publish("homeassistant/status", "online")
    devices = len(NODES) + 2
    until(lambda: len({it.split(" ")[0] for it in listener.lines()}) == devices, SLOW, "all devices again")
    listener.end()
    print(f"Home Assistant: {devices} devices again after its birth message")


def rotate(nodes):
    """The cluster gets another key. From now on the gateway's file has the old one."""
    for what in ["enroll", "rotate"]:
        spore("key", what, "--node", f"{address(1)}:8080")
    listener = Listener(HOME + "event/rotated/#", HOME + "answer/#")
    there = sites.follow(2, "rotated/#", 2)
    Broker.publish(HOME + "publish/rotated/from", "1")
    publish(1, "rotated/to", "2")
    Broker.publish(f"{HOME}call/{nodes.ids[2]}/identify", "")
    assert sorted(sites.told(there)) == [("rotated/from", 1), ("rotated/to", 2)]
    until(lambda: len(listener.lines()) >= 2, SLOW, "an event and an answer")
    event, answer = sorted(listener.end(), reverse=True)
    assert event == HOME + "event/rotated/to 2" and '"status":200' in answer, (event, answer)
    print("another cluster key: the gateway takes it from its node, and goes on both ways")


def lose_the_broker(broker, gateway):
    before = set(Broker.retained()) - {HOME + "event/to/keep"}
    broker.kill()
    for number in range(1, 4):
        publish(number, "while/away", str(number))
    time.sleep(1)
    # It does not see the broker before the listener does.
    os.killpg(gateway.program.pid, signal.SIGSTOP)
    broker.start()
    listener = Listener(HOME + "event/while/#")
    os.killpg(gateway.program.pid, signal.SIGCONT)
    until(lambda: len(listener.lines()) >= 3, SLOW, "events from before")
    until(lambda: set(Broker.retained()) >= before, SLOW, "all that was retained")
    lines = sorted(listener.end())
    assert lines == [f"{HOME}event/while/away {number}" for number in range(1, 4)], lines
    print(f"broker killed: 3 of 3 events came through, each once, and {len(before)} retained messages are back")


def lose_the_gateway(nodes, gateway):
    gateway.kill()
    until(lambda: Broker.retained().get(HOME + "gateway") == "offline", SLOW, "the last will")
    until(lambda: members()[nodes.ids[3]] == "active", SLOW, "n3, which has restarted")
    nodes.end(3, signal.SIGINT)
    publish(1, "while/gone", "1")
    listener = Listener(HOME + "event/while/#")
    until(lambda: members()[nodes.ids[3]] == "left", SLOW, "that n3 has left")
    gateway.start("--mqtt", "3")

    def as_it_is():
        retained = Broker.retained()
        return retained.get(HOME + "gateway") == "online" and not about(retained, nodes.ids[3]) and is_lost(retained, nodes)
    until(as_it_is, SLOW, "a broker without who has left")
    until(listener.lines, SLOW, "the event from before")
    lines = listener.end()
    assert lines == [f"{HOME}event/while/gone 1"], lines
    print("gateway killed: its last will was told; who left meanwhile has nothing retained, who died is still offline, 1 of 1 events came once")


def leave(nodes, gateway, avahi):
    """A member leaves while the gateway looks on; then the gateway goes."""
    nodes.end(1, signal.SIGINT)
    until(lambda: not about(Broker.retained(), nodes.ids[1]), SLOW, "a broker without n1")
    until(lambda: "n1" not in avahi.browse("_spore._tcp"), SLOW, "a network without n1")
    assert gateway.kill(signal.SIGINT) == 0
    until(lambda: "gate" not in avahi.browse("_spore._tcp"), SLOW, "a network without the gateway")
    assert Broker.retained()[HOME + "gateway"] == "offline"
    print("members leave, and nothing of them is retained; the gateway leaves and says so")


def is_lost(retained, nodes):
    """Whether the broker tells of the last node that it is dead."""
    id = nodes.ids[LAST]
    offline = retained.get(f"{HOME}member/{id}/availability") == "offline"
    return offline and state(retained, id).get("status") == "dead" and len(about(retained, id)) == 3


def update(nodes):
    """A rollout that succeeds and one that fails, as the broker tells of them; the command counts the same. A node is not there."""
    nodes.end(LAST, signal.SIGKILL)
    # Of the same node that tells the gateway.
    engine = lambda: json.loads(spore("ota", "status", "--json", "--node", f"{address(9)}:8080"))["counts"]
    for sequence, program, canaries, end, wanted in [(5, PROGRAM.format("good", SPORE), "3", "running", {"updated": 3, "absent": 1}),
                                                     (6, "#!/bin/sh\nexit 3\n", "1", "halted", {"updated": 0, "rolled_back": 1})]:
        write(f"program-{sequence}", program)
        spore("image", "build", "--program", f"program-{sequence}", "--sequence", str(sequence), "--output", f"{sequence}.spore")
        topics = [f"{HOME}member/{id}/update" for id in list(nodes.ids.values())[:-1]]
        listener = Listener(*topics, HOME + "rollout")
        spore("ota", "all", f"{sequence}.spore", "--node", f"{address(1)}:8080", "--canary", canaries, "--waves", "100%", "--gate", "1s", "--no-wait")

        def settled():
            retained = Broker.retained()
            rollout = json.loads(retained[HOME + "rollout"])
            counts = rollout["counts"]
            # Who restarts, or was just now suspected, is neither updated nor pending for a moment.
            is_done = rollout["state"] == end and counts == {**counts, **wanted, "pending": 0}
            at_rest = [json.loads(retained[it]) for it in topics]
            is_told = all(it["installed_version"] == "5" and not it["in_progress"] for it in at_rest)
            return is_done and is_told and is_lost(retained, nodes) and counts == engine() and counts
        counts = until(settled, 120, lambda: f"the end of image {sequence}: {Broker.retained().get(HOME + 'rollout')}, {engine()}")
        assert sum(counts.values()) == len(NODES) + 1, counts
        time.sleep(1)
        said = [line.split(" ", 1) for line in listener.end()]
        for topic in topics:
            states = [json.loads(payload) for it, payload in said if it == topic]
            assert all(it["update_percentage"] is None or it["in_progress"] and 0 <= it["update_percentage"] <= 100 for it in states), states
            installed = [it["installed_version"] for it in states if "installed_version" in it]
            now = json.loads(Broker.retained()[topic])
            if sequence == 5:
                # Image 5 is there at the end, and from then on; before, it was on its way.
                assert now["installed_version"] == now["latest_version"] == "5" and not now["in_progress"], now
                first = next(n for n, it in enumerate(states) if it.get("installed_version") == "5")
                assert any(it["in_progress"] for it in states[:first]), states
            else:
                assert now["installed_version"] == "5" and not now["in_progress"], now
                assert "6" not in installed, states
        print(f"image {sequence}: {counts}, as the command counts")


def main():
    broker, gateway = Broker(), Gateway("--history", history.FILE, "--from", "away", "--key-file", f"{FOLDER}/gate.key")
    history.prepare()
    broker.start()
    nodes = Nodes(NODES, fixed=[LAST])
    shutil.copy(f"{FOLDER}/spore/cluster.key", f"{FOLDER}/gate.key")
    gateway.start("--mqtt", "5")
    avahi = Avahi()
    appear(nodes)
    measure(nodes, [])
    look_around(nodes, avahi)
    pass_on(nodes)
    history.first(nodes)
    greet()
    rotate(nodes)
    lose_the_broker(broker, gateway)
    update(nodes)
    history.updated(nodes)
    measure(nodes, [LAST])
    lose_the_gateway(nodes, gateway)
    history.gone_on()
    history.full(broker)
    history.damaged(gateway)
    tls.check()
    away = sites.Away()
    sites.meet(nodes, away)
    sites.carry(away)
    away.end()
    sites.stand_by(gateway)
    leave(nodes, gateway, avahi)
    refused = spore("gateway", "--bind", address(8), "--broker", "http://x", code=2)
    assert not refused, refused


main()
