"""Two clusters, of two keys, meet on a broker; and NATS in a broker's place."""

import socket

from world import *

AWAY = "spore/away/"
KEY = ["--key-file", f"{FOLDER}/away.key"]
NODE, GATEWAY = 5, 8
NATS, NATS_MQTT = 4222, 1884


class Away:
    """Another cluster: a node, and a gateway."""

    def __init__(self):
        spore("key", "new", *KEY)
        self.node = start("node-away", SPORE, "node", "--bind", address(NODE), "--hostname", "far", "--state", "node-away", *KEY)
        until(lambda: get(NODE, "/api/node/status"), SLOW, "a node of the other cluster")
        self.gateway = None

    def start(self, *options):
        self.gateway = start(
            "gateway-away", SPORE, "-v", "gateway", "--bind", address(GATEWAY), "--hostname", "far-gate", "--state", "gate-away", "--no-mdns",
            "--cluster", "away", *KEY, *options)

    def publish(self, topic, payload):
        publish(NODE, topic, payload, *KEY)

    def kill(self, how=signal.SIGKILL):
        return kill(self.gateway, how)

    def end(self):
        kill(self.node, signal.SIGINT)


def is_news(line):
    """What a gateway's node tells of its members, at whatever moment."""
    return "/event/cluster/" in line


def follow(n, topic, count, *options):
    """Reads events. Those that come before it has begun to are read, too."""
    return subprocess.Popen(
        [SPORE, "sub", topic, "-n", str(count), "--all", "--json", "--node", f"{address(n)}:8080", *options], cwd=FOLDER, env=environment(), stdout=subprocess.PIPE,
        text=True)


def told(program):
    try:
        lines = program.communicate(timeout=SLOW)[0].splitlines()
    finally:
        # Else it keeps whoever reads our words waiting.
        program.kill()
    # That a node has no more of what was before is told, too.
    return [(it["topic"], it["payload"]) for it in map(json.loads, lines) if it["topic"] != "events/lost"]


def meet(nodes, away):
    """Each has what is its own, and gets of the other what it asks for, once."""
    away.start("--broker", BROKER, "--from", "home/site/#")
    far = get(NODE, "/api/node/status")["id"]
    retained = until(lambda: (it := Broker.retained()).get(f"{AWAY}member/{far}/availability") == "online" and it, SLOW, "the other cluster on the broker")
    assert retained[HOME + "gateway"] == retained[AWAY + "gateway"] == "online"
    assert all(topic.startswith((AWAY, "homeassistant/device/spore-away/")) for topic in about(retained, far)), about(retained, far)
    assert not [topic for id in nodes.ids.values() for topic in about(retained, id) if "away" in topic]
    listener = Listener(HOME + "event/#", AWAY + "event/#")
    here, there = follow(2, "away/door/#", 2), follow(NODE, "home/#", 2, *KEY)
    publish(1, "site/alarm", '{"n": 1}')
    publish(1, "not/asked/for", "0")
    away.publish("door/open", "1")
    publish(1, "site/alarm", '{"n": 2}')
    away.publish("door/open", "2")
    for program, wanted in [(there, [("home/site/alarm", {"n": 1}), ("home/site/alarm", {"n": 2})]), (here, [("away/door/open", 1), ("away/door/open", 2)])]:
        said = told(program)
        assert said == wanted, said
    # The next gateway finds them in the window, and knows that they came from the broker: that is written every second.
    time.sleep(2)
    away.kill()
    away.start("--broker", BROKER, "--from", "home/site/#")
    away.publish("door/open", "3")
    until(lambda: f"{AWAY}event/door/open 3" in listener.lines(), SLOW, "the next gateway")
    time.sleep(2)
    said = sorted(it for it in listener.end() if not is_news(it))
    wanted = [AWAY + "event/door/open 1", AWAY + "event/door/open 2", AWAY + "event/door/open 3", HOME + "event/not/asked/for 0",
              HOME + 'event/site/alarm {"n":1}', HOME + 'event/site/alarm {"n":2}']
    assert said == wanted, said
    away.kill(signal.SIGINT)
    assert Broker.retained()[HOME + "gateway"] == "online"
    print("two clusters on one broker: what each asks for of the other comes once, and does not go back")


class Nats:
    """A client of NATS itself, by its text protocol."""

    def __init__(self, subject):
        self.socket = socket.create_connection((BROKER, NATS), timeout=SLOW)
        self.lines = self.socket.makefile("rb")
        self.say(f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {subject} 1\r\nPING\r\n')
        while (line := self.lines.readline()) != b"PONG\r\n":
            if not line:
                raise ConnectionError("NATS has ended the connection")

    def say(self, text):
        self.socket.sendall(text.encode())

    def publish(self, subject, payload):
        self.say(f"PUB {subject} {len(payload)}\r\n{payload}\r\n")

    def next(self):
        """The next message that is no news of members."""
        while True:
            words = self.lines.readline().decode().split()
            if words[0] == "MSG":
                payload = self.lines.read(int(words[-1]) + 2)
                if not words[1].startswith("spore.away.event.cluster."):
                    return words[1], payload[:-2].decode()
                continue
            assert words[0] in ("INFO", "PING"), words


def carry(away):
    """NATS carries what a gateway says by MQTT, and its own clients see the same subjects."""
    write("nats.conf", f'listen: "{BROKER}:{NATS}"\nserver_name: one\njetstream {{ store_dir: "{FOLDER}/nats" }}\nmqtt {{ listen: "{BROKER}:{NATS_MQTT}" }}\n')

    def serve():
        server = start("nats", "nats-server", "-c", f"{FOLDER}/nats.conf")
        until(lambda: Nats("nothing"), SLOW, "NATS")
        return server

    def retained(topic):
        command = ["mosquitto_sub", "-h", BROKER, "-p", str(NATS_MQTT), "-i", "looks", "-t", topic, "-C", "1", "-W", "2"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    server = serve()
    away.start("--broker", f"{BROKER}:{NATS_MQTT}")
    until(lambda: retained(AWAY + "gateway") == "online", SLOW, "a gateway on NATS")
    far = get(NODE, "/api/node/status")["id"]
    until(lambda: retained(f"{AWAY}member/{far}/availability") == "online", SLOW, "a member on NATS")
    client = Nats("spore.away.event.>")
    away.publish("kitchen/lamp", '{"on": true}')
    assert client.next() == ("spore.away.event.kitchen.lamp", '{"on":true}')
    # NATS 2.9 ends the connection for a topic with a dot in it: that one is left out, and said to be.
    away.publish("dotted.topic", "1")
    away.publish("behind/it", "2")
    said = [client.next() for _ in range(2)]
    assert said == [("spore.away.event.events.lost", '{"count":1}'), ("spore.away.event.behind.it", "2")], said
    there = follow(NODE, "from/#", 1, *KEY)
    client.publish("spore.away.publish.from.nats", "7")
    assert told(there) == [("from/nats", 7)]
    # It is killed, and comes back.
    kill(server)
    away.publish("while/away", "1")
    time.sleep(1)
    # It does not see the server before the client does.
    os.killpg(away.gateway.pid, signal.SIGSTOP)
    server = serve()
    client = Nats("spore.away.event.>")
    os.killpg(away.gateway.pid, signal.SIGCONT)
    assert client.next() == ("spore.away.event.while.away", "1")
    away.kill()
    until(lambda: retained(AWAY + "gateway") == "offline", SLOW, "the last will")
    kill(server)
    print("NATS: its own clients see events, publish them, and lose none while it is away")


def stand_by(gateway):
    """A second gateway of the same cluster waits, and takes over."""
    first = Broker.retained()[HOME + "speaker"]
    second = start(
        "gateway-second", SPORE, "gateway", "--bind", address(GATEWAY), "--hostname", "gate-2", "--state", "gate-2", "--no-mdns", "--broker", BROKER,
        "--mqtt", "5")

    def log():
        with open(f"{FOLDER}/gateway-second.log") as file:
            return file.read()
    until(lambda: "stands by" in log(), SLOW, "a gateway that stands by")
    listener = Listener(HOME + "event/two/#")
    there = follow(2, "once/#", 2)
    for n in range(2):
        Broker.publish(HOME + "publish/once", str(n))
        publish(1, "two/gateways", str(n))
    assert told(there) == [("once", 0), ("once", 1)]
    until(lambda: len(listener.lines()) == 2, SLOW, "both events")
    gateway.kill()
    publish(1, "two/gateways", "2")
    until(lambda: Broker.retained()[HOME + "speaker"] != first, SLOW, "the second gateway")
    until(lambda: Broker.retained()[HOME + "gateway"] == "online", SLOW, "a gateway")
    until(lambda: f"{HOME}event/two/gateways 2" in listener.lines(), SLOW, "the event meanwhile")
    gateway.start("--mqtt", "3")
    time.sleep(8)
    publish(1, "two/gateways", "3")
    until(lambda: f"{HOME}event/two/gateways 3" in listener.lines(), SLOW, "an event of the second one")
    assert Broker.retained()[HOME + "speaker"] != first
    kill(second, signal.SIGINT)
    until(lambda: Broker.retained()[HOME + "speaker"] == first, SLOW, "the first gateway again")
    publish(1, "two/gateways", "4")
    until(lambda: f"{HOME}event/two/gateways 4" in listener.lines(), SLOW, "an event of the first one")
    said = [it.split(" ")[1] for it in listener.end()]
    # Those of the last 30 s before it took over come once more.
    assert sorted(set(said)) == ["0", "1", "2", "3", "4"], said
    print(f"two gateways of one cluster: one speaks, the other takes over and gives back; {len(said)} messages of 5 events")
