"""Uses the gateway as the owner of a broker does, with programs that are not ours: mosquitto and its clients, promtool, avahi.

    check.py FOLDER SPORE

Runs in a network namespace of its own; see `cargo xtask gateway`. The nodes are started by `spore launch`, so that they can be updated.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from browser import until

FOLDER, SPORE = sys.argv[1:]
# The last one takes no updates, and dies.
NODES = [1, 2, 3, 4]
LAST = 4
PROGRAM = "#!/bin/sh\n# {}\nexec {} \"$@\"\n"
BROKER = "127.0.0.1"
HOME = "spore/home/"
METRICS = "10.44.0.9:9464"
# A message bus without users, for avahi's programs.
BUS = """<busconfig><listen>unix:path=/run/bus</listen><policy context="default">
<allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"""
AVAHI = "[server]\nuse-ipv6=no\nallow-interfaces=home\n[publish]\ndisable-publishing=yes\n"


def environment():
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SPORE_")}
    return {**mine, "XDG_STATE_HOME": FOLDER, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/bus"}


def spore(*arguments, code=0):
    done = subprocess.run([SPORE, *arguments], cwd=FOLDER, env=environment(), capture_output=True, text=True)
    assert done.returncode == code, f"spore {' '.join(arguments)}: {done.returncode}, {done.stderr}"
    return done.stdout


def write(name, text):
    with open(f"{FOLDER}/{name}", "w") as file:
        file.write(text)


def start(name, *command):
    """Starts a program in a process group of its own, whose words go to a log."""
    log = open(f"{FOLDER}/{name}.log", "a")
    return subprocess.Popen(command, cwd=FOLDER, env=environment(), stdout=log, stderr=log, start_new_session=True)


def kill(program, how=signal.SIGKILL):
    """Ends a program with all that it has started."""
    os.killpg(program.pid, how)
    return program.wait(10)


def address(n):
    return f"10.44.0.{n}"


def get(n, path):
    with urllib.request.urlopen(f"http://{address(n)}:8080{path}", timeout=5) as answer:
        return json.load(answer)


class Broker:
    """A real Mosquitto. It forgets everything when it is killed."""

    def __init__(self):
        write("mosquitto.conf", f"listener 1883 {BROKER}\nallow_anonymous true\npersistence false\n")
        self.program = None

    def start(self):
        self.program = start("mosquitto", "mosquitto", "-c", f"{FOLDER}/mosquitto.conf")
        until(lambda: self.answers(), 10, "mosquitto")
        self.publish("end", "here", "-r")

    def answers(self):
        return subprocess.run(["mosquitto_pub", "-h", BROKER, "-t", "probe", "-n"], capture_output=True).returncode == 0

    def kill(self):
        kill(self.program)

    @staticmethod
    def publish(topic, payload, *options):
        subprocess.run(["mosquitto_pub", "-h", BROKER, "-q", "1", "-t", topic, "-m", payload, *options], check=True)

    @staticmethod
    def retained():
        """All that is retained, by its topic."""
        # They come in the order of the filters, so the last one ends them.
        command = ["mosquitto_sub", "-h", BROKER, "-t", "spore/#", "-t", "homeassistant/#", "-t", "end", "-F", "%r %t %p"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            lines = list(itertools.takewhile(lambda line: not line.startswith("1 end "), program.stdout))
            assert program.poll() is None, "mosquitto_sub has ended"
            program.kill()
        # What is said meanwhile comes with a 0.
        return dict(line.rstrip("\n").split(" ", 2)[1:] for line in lines if line.startswith("1 "))


class Listener:
    """What is said on the broker from now on."""

    def __init__(self, *filters):
        asked = [word for it in filters for word in ("-t", it)]
        self.file = open(f"{FOLDER}/listener-{time.monotonic_ns()}.log", "w+")
        # So that what comes now is told from what was there: of that, there is nothing here. `probe` tells when it listens.
        self.program = subprocess.Popen(
            ["mosquitto_sub", "-h", BROKER, "-q", "1", "-R", "-F", "%t %p", "-t", "listening", *asked], stdout=self.file, start_new_session=True)
        until(lambda: Broker.publish("listening", "") or self.lines(all=True), 10, "a listener")

    def lines(self, all=False):
        with open(self.file.name) as file:
            lines = [line.rstrip("\n") for line in file]
        return lines if all else [line for line in lines if not line.startswith("listening")]

    def end(self):
        kill(self.program)
        return self.lines()


class Gateway:
    def __init__(self):
        self.program = None

    def start(self, *options):
        self.program = start(
            "gateway", SPORE, "-v", "gateway", "--bind", address(9), "--hostname", "gate", "--state", "gate", "--broker", BROKER,
            "--metrics", METRICS, "--poll", "10", *options)

    def kill(self, how=signal.SIGKILL):
        return kill(self.program, how)


class Nodes:
    def __init__(self):
        self.programs, self.ids = {}, {}
        for kind in ["cluster", "release"]:
            spore("key", "new", kind)
        write("first", PROGRAM.format("first", SPORE))
        # The gateway knows the release key, too, so that it takes plans.
        for folder, name in [("gate", "gate"), *((f"node{n}", f"n{n}") for n in NODES)]:
            os.mkdir(f"{FOLDER}/{folder}")
            spore("claim", f"{folder}/settings.flash", "--no-wifi", "--hostname", name)
        for n in NODES:
            self.start(n)
        for n in NODES:
            self.ids[n] = until(lambda: get(n, "/api/node/status"), 20, f"node {n}")["id"]

    def start(self, n):
        launch = ["launch", "--slots", f"slots{n}", "--program", "first", "--"] if n != LAST else []
        self.programs[n] = start(
            f"node{n}", SPORE, *launch, "node", "--bind", address(n), "--unclaimed", "--state", f"node{n}")

    def end(self, n, how):
        return kill(self.programs.pop(n), how)


class Avahi:
    """Somebody who looks around the network."""

    def __init__(self):
        write("bus.conf", BUS)
        write("avahi.conf", AVAHI)
        self.bus = start("bus", "dbus-daemon", "--nofork", "--nopidfile", "--config-file", f"{FOLDER}/bus.conf")
        until(lambda: os.path.exists("/run/bus"), 10, "a message bus")
        self.daemon = start("avahi", "avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", f"{FOLDER}/avahi.conf")
        until(lambda: self.run("avahi-browse", "-pt", "_none._tcp").returncode == 0, 10, "avahi")

    @staticmethod
    def run(*command):
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=20)

    def browse(self, kind):
        """Who is there: names, with address, port and what else is said."""
        done = self.run("avahi-browse", "-rpt", kind)
        assert done.returncode == 0, done.stderr
        lines = [line.split(";", 9) for line in done.stdout.splitlines() if line.startswith("=")]
        return {it[3]: (it[6], it[7], int(it[8]), it[9]) for it in lines}


def publish(n, topic, payload, *options):
    spore("pub", topic, payload, "--node", f"{address(n)}:8080", *options)


def about(retained, id):
    return sorted(topic for topic in retained if f"/{id}/" in topic)


def state(retained, id):
    return json.loads(retained.get(f"{HOME}member/{id}/state", "{}"))


def appear(nodes):
    """Everybody is there, with what is known of them, and Home Assistant has a device for each."""
    def all_known():
        retained = Broker.retained()
        here = [retained.get(f"{HOME}member/{id}/availability") for id in nodes.ids.values()]
        known = all(state(retained, id).get("uptime_s") is not None for id in nodes.ids.values())
        return here == ["online"] * len(NODES) and known and retained
    retained = until(all_known, 20, "all members on the broker")
    assert retained[HOME + "gateway"] == "online", retained
    assert json.loads(retained[HOME + "cluster"])["active"] == len(NODES) + 1, retained
    offered = {it["id"] for it in json.loads(retained[HOME + "service/identify"])["providers"]}
    assert offered >= set(nodes.ids.values()), offered
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
        with urllib.request.urlopen(f"http://{address(1)}:8080/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("spore_http_requests_total"))

    def scrape():
        with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5) as answer:
            return answer.read().decode()
    before = asked()
    pages = [scrape() for _ in range(50)]
    # The gateway asks at its own pace meanwhile, and so do the other nodes.
    asked_by_us = asked() - before
    assert before > 0 and asked_by_us < 15, (before, asked_by_us)
    checked = subprocess.run(["promtool", "check", "metrics"], input=pages[-1], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr and not checked.stdout, checked
    for n, id in nodes.ids.items():
        up = f'spore_node_up{{id="{id}",hostname="n{n}"}} {0 if n in down else 1}'
        assert up in pages[-1].splitlines(), (up, pages[-1])
        series = pages[-1].count(f'{{id="{id}"')
        assert 0 < series <= 40, series
    print(f"metrics: {pages[-1].count(chr(10))} lines, which promtool takes; {len(down)} down; 50 scrapes, {asked_by_us:.0f} requests of others to a node meanwhile")


def look_around(nodes, avahi):
    """Members are found by name."""
    names = {"gate", *(f"n{n}" for n in NODES)}
    found = until(lambda: (it := avahi.browse("_spore._tcp")).keys() >= names and it, 20, "members in the network")
    assert set(found) == names, found
    for n, id in nodes.ids.items():
        host, at, port, text = found[f"n{n}"]
        assert (host, at, port) == (f"n{n}.local", address(n), 8080), found
        assert f'"id={id}"' in text and '"cluster=home"' in text, text
    pages = until(lambda: (it := avahi.browse("_http._tcp")).keys() >= names and it, 20, "pages in the network")
    assert '"path=/"' in pages["n1"][3], pages
    resolved = avahi.run("avahi-resolve", "-4", "-n", "n1.local").stdout.split()
    assert resolved == ["n1.local", address(1)], resolved
    print(f"names: avahi finds {len(found)} members, their pages and their addresses")


def pass_on(nodes):
    """Events, both ways, and calls."""
    listener = Listener(HOME + "event/#", HOME + "answer/#")
    follower = subprocess.Popen(
        [SPORE, "sub", "from/#", "-n", "2", "--json", "--node", f"{address(2)}:8080"], cwd=FOLDER, env=environment(), stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    publish(1, "to/broker", '{"a": 1}')
    publish(1, "to/keep", '"kept"', "--retained")
    Broker.publish(HOME + "publish/from/broker", "on")
    Broker.publish(HOME + "publish/from/broker", '{"b": [2]}')
    Broker.publish(HOME + "publish/node/x", "the system's own")
    Broker.publish(f"{HOME}call/{nodes.ids[2]}/identify", "")
    told = [json.loads(line) for line in follower.communicate(timeout=15)[0].splitlines()]
    assert [it["payload"] for it in told] == ["on", {"b": [2]}], told
    assert told[0]["topic"] == "from/broker", told
    wanted = [f'{HOME}event/to/broker {{"a":1}}', f'{HOME}event/to/keep "kept"']
    until(lambda: len(listener.lines()) >= 3, 10, "events and an answer")
    # What comes back comes late.
    time.sleep(1)
    lines = listener.end()
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
    until(lambda: len(listener.lines()) == devices, 10, "all devices again")
    listener.end()
    print(f"Home Assistant: {devices} devices again after its birth message")


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
    until(lambda: len(listener.lines()) >= 3, 30, "events from before")
    until(lambda: set(Broker.retained()) >= before, 20, "all that was retained")
    lines = sorted(listener.end())
    assert lines == [f"{HOME}event/while/away {number}" for number in range(1, 4)], lines
    print(f"broker killed: 3 of 3 events came through, each once, and {len(before)} retained messages are back")


def lose_the_gateway(nodes, gateway):
    gateway.kill()
    until(lambda: Broker.retained().get(HOME + "gateway") == "offline", 10, "the last will")
    until(lambda: members()[nodes.ids[3]] == "active", 20, "n3, which has restarted")
    nodes.end(3, signal.SIGINT)
    publish(1, "while/gone", "1")
    listener = Listener(HOME + "event/while/#")
    until(lambda: members()[nodes.ids[3]] == "left", 10, "that n3 has left")
    gateway.start("--mqtt", "3")

    def as_it_is():
        retained = Broker.retained()
        return retained.get(HOME + "gateway") == "online" and not about(retained, nodes.ids[3]) and is_lost(retained, nodes)
    until(as_it_is, 30, "a broker without who has left")
    lines = listener.end()
    assert lines == [f"{HOME}event/while/gone 1"], lines
    print("gateway killed: its last will was told; who left meanwhile has nothing retained, who died is still offline, 1 of 1 events came once")


def leave(nodes, gateway, avahi):
    """A member leaves while the gateway looks on; then the gateway goes."""
    nodes.end(1, signal.SIGINT)
    until(lambda: not about(Broker.retained(), nodes.ids[1]), 10, "a broker without n1")
    until(lambda: "n1" not in avahi.browse("_spore._tcp"), 20, "a network without n1")
    assert gateway.kill(signal.SIGINT) == 0
    until(lambda: "gate" not in avahi.browse("_spore._tcp"), 20, "a network without the gateway")
    assert Broker.retained()[HOME + "gateway"] == "offline"
    print("members leave, and nothing of them is retained; the gateway leaves and says so")


def members():
    return {it["id"]: it["status"] for it in get(1, "/api/cluster/members")["members"]}


def is_lost(retained, nodes):
    """Whether the broker tells of the last node that it is dead."""
    id = nodes.ids[LAST]
    offline = retained.get(f"{HOME}member/{id}/availability") == "offline"
    return offline and state(retained, id).get("status") == "dead" and len(about(retained, id)) == 3


def update(nodes):
    """A rollout that succeeds and one that fails, as the broker tells of them; the command counts the same. A node is not there."""
    nodes.end(LAST, signal.SIGKILL)
    for sequence, program, canaries, end in [(5, PROGRAM.format("good", SPORE), "3", "running"), (6, "#!/bin/sh\nexit 3\n", "1", "halted")]:
        write(f"program-{sequence}", program)
        spore("image", "build", "--program", f"program-{sequence}", "--sequence", str(sequence), "--output", f"{sequence}.spore")
        topics = [f"{HOME}member/{id}/update" for id in list(nodes.ids.values())[:-1]]
        listener = Listener(*topics, HOME + "rollout")
        spore("ota", "all", f"{sequence}.spore", "--node", f"{address(1)}:8080", "--canary", canaries, "--waves", "100%", "--gate", "1s", "--no-wait")

        def settled():
            rollout = json.loads(Broker.retained()[HOME + "rollout"])
            return rollout["state"] == end and rollout["counts"]["pending"] == 0 and is_lost(Broker.retained(), nodes) and rollout["counts"]
        try:
            counts = until(settled, 60, f"the end of image {sequence}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {Broker.retained()[HOME + 'rollout']}") from None
        # Of the same node: one that has restarted has not heard of who died before.
        engine = json.loads(spore("ota", "status", "--json", "--node", f"{address(9)}:8080"))["counts"]
        assert counts == engine and sum(counts.values()) == len(NODES) + 1, (counts, engine)
        time.sleep(1)
        said = [line.split(" ", 1) for line in listener.end()]
        for topic in topics:
            states = [json.loads(payload) for it, payload in said if it == topic]
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
    broker, gateway = Broker(), Gateway()
    broker.start()
    nodes = Nodes()
    gateway.start("--mqtt", "5")
    avahi = Avahi()
    appear(nodes)
    measure(nodes, [])
    look_around(nodes, avahi)
    pass_on(nodes)
    greet()
    lose_the_broker(broker, gateway)
    update(nodes)
    measure(nodes, [LAST])
    lose_the_gateway(nodes, gateway)
    leave(nodes, gateway, avahi)
    refused = spore("gateway", "--bind", address(8), "--broker", "mqtt://x", code=2)
    assert not refused, refused


main()
