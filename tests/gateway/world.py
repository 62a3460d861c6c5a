"""A cluster, a broker, a gateway and avahi, for the checks; none of the last two is ours but the gateway."""

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
from browser import SLOW, until

FOLDER, SPORE = sys.argv[1:3]
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
    if done.returncode != code:
        raise subprocess.SubprocessError(f"spore {' '.join(arguments)}: {done.returncode}, {done.stderr}")
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
    return program.wait(SLOW)


def address(n):
    return f"10.44.0.{n}"


def get(n, path):
    with urllib.request.urlopen(f"http://{address(n)}:8080{path}", timeout=20) as answer:
        return json.load(answer)


def scrape():
    with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=20) as answer:
        return answer.read().decode()


def check_metrics(page):
    """Prometheus' own tool finds nothing wrong with them."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr and not checked.stdout, checked


class Broker:
    """A real Mosquitto. It forgets everything when it is killed."""

    def __init__(self):
        write("mosquitto.conf", f"listener 1883 {BROKER}\nallow_anonymous true\npersistence false\n")
        self.program = None

    def start(self):
        self.program = start("mosquitto", "mosquitto", "-c", f"{FOLDER}/mosquitto.conf")
        until(lambda: self.answers(), SLOW, "mosquitto")
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
            ["mosquitto_sub", "-h", BROKER, "-q", "1", "-R", "-F", "%t %p", "-t", "listening", *asked], stdout=self.file,
            # Not ours: who reads that would wait for it when a check has failed.
            stderr=open(f"{FOLDER}/listeners.log", "a"), start_new_session=True)
        until(lambda: Broker.publish("listening", "") or self.lines(all=True), SLOW, "a listener")

    def lines(self, all=False):
        with open(self.file.name) as file:
            lines = [line.rstrip("\n") for line in file]
        return lines if all else [line for line in lines if not line.startswith("listening")]

    def end(self):
        kill(self.program)
        return self.lines()


class Gateway:
    """With these options each time that it starts."""

    def __init__(self, *options):
        self.program, self.options = None, options

    def start(self, *options):
        self.program = start(
            "gateway", SPORE, "-v", "gateway", "--bind", address(9), "--hostname", "gate", "--state", "gate", "--broker", BROKER,
            "--metrics", METRICS, "--poll", "10", *self.options, *options)

    def kill(self, how=signal.SIGKILL):
        return kill(self.program, how)


class Nodes:
    """Nodes of these numbers, which can be updated, but for those that are `fixed`. Each is started behind the words of `way`, and asked by `ask`."""

    def __init__(self, numbers, fixed=(), way=lambda n: [], ask=get):
        self.programs, self.fixed, self.way = {}, fixed, way
        for kind in ["cluster", "release"]:
            spore("key", "new", kind)
        write("first", PROGRAM.format("first", SPORE))
        # The gateway knows the release key, too, so that it takes plans.
        for folder, name in [("gate", "gate"), *((f"node{n}", f"n{n}") for n in numbers)]:
            os.mkdir(f"{FOLDER}/{folder}")
            spore("claim", f"{folder}/settings.flash", "--no-wifi", "--hostname", name)
        for n in numbers:
            self.start(n)
        self.ids = {n: until(lambda: ask(n, "/api/node/status"), SLOW, f"node {n}")["id"] for n in numbers}

    def start(self, n):
        launch = ["launch", "--slots", f"slots{n}", "--program", "first", "--"] if n not in self.fixed else []
        self.programs[n] = start(
            f"node{n}", *self.way(n), SPORE, *launch, "node", "--bind", address(n), "--unclaimed", "--state", f"node{n}")

    def end(self, n, how):
        return kill(self.programs.pop(n), how)


class Avahi:
    """Somebody who looks around the network."""

    def __init__(self):
        write("bus.conf", BUS)
        write("avahi.conf", AVAHI)
        self.bus = start("bus", "dbus-daemon", "--nofork", "--nopidfile", "--config-file", f"{FOLDER}/bus.conf")
        until(lambda: os.path.exists("/run/bus"), SLOW, "a message bus")
        self.daemon = start("avahi", "avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", f"{FOLDER}/avahi.conf")
        until(lambda: self.run("avahi-browse", "-pt", "_none._tcp").returncode == 0, SLOW, "avahi")

    @staticmethod
    def run(*command):
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SLOW)

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


def members():
    return {it["id"]: it["status"] for it in get(1, "/api/cluster/members")["members"]}
