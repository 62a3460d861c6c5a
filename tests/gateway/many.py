"""Many nodes, of which three are away: the network is cut in two in the middle of a rollout, and healed. Then comes a bad image.

    many.py FOLDER SPORE NODES

Runs in network namespaces of its own; see `cargo xtask gateway --nodes`. Half of the nodes are in the one called `far`, at the other end of a cable. What the
command, the broker, the metrics and the page say of the rollout is held against each other, and against what each node runs.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor

from world import *
# It is found where `world` has looked.
from browser import Browser

COUNT = int(sys.argv[3])
GATE = 9
NUMBERS = range(11, 11 + COUNT)
NEAR, FAR = NUMBERS[:COUNT // 2], NUMBERS[COUNT // 2:]
AWAY = [NEAR[1], NEAR[-1], FAR[-1]]
HERE = [n for n in NUMBERS if n not in AWAY]
FAR_SIDE = "/run/netns/far"
# How long the cable is cut at least, in seconds.
CUT = 25
LIBC = ctypes.CDLL(None, use_errno=True)


def way(n):
    return ["nsenter", f"--net={FAR_SIDE}", "--"] if n in FAR else []


def ask(n, path):
    """What a node says, asked from its own side."""
    if n not in FAR:
        return get(n, path)

    def there():
        with open(FAR_SIDE) as namespace:
            assert LIBC.setns(namespace.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        return get(n, path)
    # A thread of its own moves there, and ends.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(there).result()


def image(n):
    """Which image a node runs, and whether for good."""
    running = ask(n, "/api/node/update")["image"]
    return running["sequence"], running["stage"]


def listed(n):
    """What a node says of the nodes that it lists."""
    return {it["hostname"]: it["status"] for it in ask(n, "/api/cluster/members")["members"]}


def names(numbers):
    return {f"n{n}" for n in numbers}


def cable(how):
    subprocess.run(["ip", "link", "set", "cable", *how.split()], check=True)


def heard():
    """From which nodes of the other half tshark sees datagrams within three seconds."""
    command = ["tshark", "-q", "-i", "home", "-f", "udp port 4210", "-a", "duration:3", "-T", "fields", "-e", "ip.src"]
    sources = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {n for n in FAR if address(n) in sources}


class Views:
    """Four ways to see the rollout, all of them by what the gateway's node knows."""

    def __init__(self, nodes):
        self.names = {id: f"n{n}" for n, id in nodes.ids.items()}
        self.browser = Browser(FOLDER)
        self.browser.width(1200)
        self.browser.open(f"http://{address(GATE)}:8080/#updates")

    @staticmethod
    def command(n=GATE):
        command = [*way(n), SPORE, "ota", "status", "--json", "--timeout", "10", "--node", f"{address(n)}:8080"]
        return json.loads(subprocess.run(command, cwd=FOLDER, env=environment(), capture_output=True, text=True, check=True).stdout)

    def table(self, view, column):
        """A column of the page's only table, by the node that it is about."""
        self.browser.run(f"location.hash = '{view}'")
        return until(lambda: self.browser.run(f"""
            const at = [...document.querySelectorAll('thead th')].findIndex(it => it.innerText === '{column}');
            return at < 0 ? null : Object.fromEntries([...document.querySelectorAll('tbody tr')].map(it =>
                [it.children[0].innerText.split('\\n')[0], it.children[at].innerText.trim()]))"""), SLOW, f"{column} of {view} on the page")

    def page(self):
        text = until(lambda: self.browser.run("return document.querySelector('.counts')?.innerText"), SLOW, "counts on the page")
        counts = [line.split(" ", 2)[1:] for line in text.splitlines()]
        return {name.replace("take no part", "out").replace(" ", "_"): int(count) for count, name in counts}

    @staticmethod
    def metrics():
        lines = [line.split('"') for line in scrape().splitlines() if line.startswith("spore_rollout_nodes{")]
        return {line[1]: int(line[2].split()[-1]) for line in lines}

    @staticmethod
    def broker():
        return json.loads(Broker.retained()[HOME + "rollout"])["counts"]

    def agree(self, when):
        """The counts that all four have, while they do not change."""
        seen = {}

        def same():
            for way in [self.command, self.broker, self.metrics, self.page]:
                seen[way.__name__] = way()
            seen["command"] = seen["command"]["counts"]
            now = self.command()["counts"]
            return all(it == now for it in seen.values()) and now
        counts = until(same, SLOW, lambda: f"equal counts {when}: {seen}")
        assert sum(counts.values()) == COUNT + 1, counts
        return counts

    def updated(self, sequence):
        """Whom each of them calls updated."""
        retained, page = Broker.retained(), scrape()
        version = lambda id: json.loads(retained.get(f"{HOME}member/{id}/update", "{}")).get("installed_version")
        state = self.table("updates", "State")
        return {
            "command": {row["hostname"] for row in self.command()["nodes"] if row["state"] == "updated"},
            "broker": {name for id, name in self.names.items() if version(id) == str(sequence)},
            "metrics": {name for id, name in self.names.items() if f'spore_node_image{{id="{id}",hostname="{name}"}} {sequence}\n' in page},
            "page": {name for name, it in state.items() if it.endswith("updated")},
        }

    def truth(self, sequence, *others):
        """Nobody is called updated, by these four or by other nodes, who does not run the image for good. How many claims were looked at."""
        claims = self.updated(sequence)
        claims |= {f"n{n}": {row["hostname"] for row in ask(n, "/api/cluster/update")["nodes"] if row["state"] == "updated"} for n in others}
        for n in HERE:
            by = [name for name, claimed in claims.items() if f"n{n}" in claimed]
            assert not by or image(n) == (sequence, "confirmed"), (n, by, image(n))
        assert not any(names(AWAY) & claimed for claimed in claims.values()), claims
        return sum(map(len, claims.values()))


def begin(sequence, program):
    write(f"program-{sequence}", program)
    spore("image", "build", "--program", f"program-{sequence}", "--sequence", str(sequence), "--output", f"{sequence}.spore")
    spore("ota", "all", f"{sequence}.spore", "--node", f"{address(GATE)}:8080", "--canary", "1", "--waves", "50%,100%", "--gate", "5s", "--timeout", "10",
          "--no-wait")


def meet(nodes, avahi, begun):
    until(lambda: (it := listed(GATE)).keys() >= names(NUMBERS) and set(it.values()) == {"active"}, 120, "all nodes")
    until(lambda: json.loads(Broker.retained().get(HOME + "cluster", "{}")).get("active") == COUNT + 1, SLOW, "all nodes on the broker")
    until(lambda: avahi.browse("_spore._tcp").keys() == names(NUMBERS) | {"gate"}, SLOW, "all names")
    took = time.monotonic() - begun
    check_metrics(scrape())
    for n in AWAY:
        nodes.end(n, signal.SIGKILL)
    until(lambda: all(listed(GATE)[name] == "dead" for name in names(AWAY)), SLOW, "that three are dead")
    print(f"{COUNT} nodes are members, on the broker and in avahi's list {took:.0f} s after the first was started; three were killed")


def cut(nodes, views, avahi):
    """In the first wave the cable is cut. Each half tells the truth of what it sees."""
    begin(5, PROGRAM.format("good", SPORE))
    wanted = COUNT // 8
    counts = lambda: ask(GATE, "/api/cluster/update")["counts"]
    before = until(lambda: (it := counts())["updated"] >= wanted and it, 120, f"the first {wanted} updated nodes")
    assert before["pending"] > 0, before
    cable("nomaster")
    begun = time.monotonic()
    gone = names(FAR) | names(AWAY)
    until(lambda: all(listed(GATE)[name] == "dead" for name in gone), 60, "that the other half is dead")
    known = time.monotonic() - begun
    until(lambda: not any(listed(n).get(name) == "active" for n in HERE if n in FAR for name in names(NEAR)), 60, "that this half is dead for the other one")
    time.sleep(max(0, begun + CUT - time.monotonic()))
    assert not heard(), "the cable is not cut"
    now = as_it_is(lambda: views.agree("while the network is cut"), NEAR, {"absent": len(gone), "out": 1})
    page = lambda: views.table("members", "Status")
    right = {name: "dead" for name in gone} | {name: "active" for name in names(NEAR) - gone}
    until(lambda: (it := page()) and all(status in it[name] for name, status in right.items()), SLOW, lambda: f"who is dead, and who is not, on the page: {page()}")
    until(lambda: (it := Broker.retained()) and all(it[f"{HOME}member/{nodes.ids[n]}/availability"] == "offline" for n in FAR), SLOW, "the other half, offline")
    until(lambda: avahi.browse("_spore._tcp").keys() == names(NEAR) - gone | {"gate"}, SLOW, "the names of this half alone")
    check_metrics(scrape())
    # Who has not restarted there knows of all.
    there = next((n for n in HERE if n in FAR and image(n)[0] != 5), None)
    if there:
        there = as_it_is(lambda: views.command(there)["counts"], FAR, {"absent": len(NEAR) + 2, "out": 0})
    claims = views.truth(5, *HERE)
    cable("master bridge")
    print(f"cut after {before['updated']} of {len(HERE)} were updated, for {time.monotonic() - begun:.0f} s: the other half was dead for the gateway after {known:.0f} s; "
          f"command, broker, metrics and page: {now}; the other half: {there or 'all are updated'}; {claims} claims “updated”, all true")


def as_it_is(counts, half, others):
    """The counts of a half, when they are what its nodes run, and these."""
    def same():
        mine = [image(n) == (5, "confirmed") for n in HERE if n in half]
        true = {"updated": sum(mine), "pending": len(mine) - sum(mine), "failed": 0, "rolled_back": 0, **others}
        seen = counts()
        return seen == true and seen
    return until(same, SLOW, "counts that are what nodes run")


def heal(views):
    begun = time.monotonic()

    def is_whole(n):
        return all(it == "active" for name, it in listed(n).items() if name not in names(AWAY)) and listed(n).keys() >= names(HERE)
    for n in [GATE, *HERE]:
        until(lambda: is_whole(n), begun + 60 - time.monotonic(), f"one cluster again, for node {n}")
    met = time.monotonic() - begun
    assert heard(), "nothing comes through the cable"
    until(lambda: views.command()["counts"]["updated"] == len(HERE), 120, "the end of the rollout")
    took = time.monotonic() - begun
    counts = views.agree("at the end")
    assert counts == {"updated": len(HERE), "pending": 0, "failed": 0, "rolled_back": 0, "absent": len(AWAY), "out": 1}, counts
    behind = lambda: {name: names(HERE) ^ it for name, it in views.updated(5).items() if it != names(HERE)}
    until(lambda: not behind(), SLOW, lambda: f"that all call the same nodes updated: {behind()}")
    everywhere(counts)
    looked = views.truth(5, *HERE)
    views.browser.picture("updated")
    print(f"healed: one cluster after {met:.1f} s, all updated after {took:.0f} s; all four and each node: {counts}; {looked} claims “updated”, all true")


def everywhere(counts):
    """These are the counts of each node, too: who has restarted remembers those who were dead before."""
    wrong = lambda: {n: it for n in HERE if (it := ask(n, "/api/cluster/update")["counts"]) != counts}
    until(lambda: not wrong(), SLOW, lambda: f"each node's own counts: {wrong()}, not {counts}")


def halt(views):
    """An image that does not start: the canary goes back, and nobody else tries it."""
    begin(6, "#!/bin/sh\nexit 3\n")
    until(lambda: (it := views.command())["rollout"]["state"] == "halted" and it["counts"]["pending"] == 0, 120, "a halted rollout")
    counts = views.agree("when it is halted")
    assert counts == {"updated": 0, "pending": 0, "failed": 0, "rolled_back": 1, "absent": len(AWAY), "out": len(HERE)}, counts
    assert not any(views.updated(6).values()), views.updated(6)
    assert all(image(n) == (5, "confirmed") for n in HERE)
    everywhere(counts)
    check_metrics(scrape())
    views.browser.picture("halted")
    print(f"a bad image was halted at its canary; all four and each node: {counts}; nobody runs it")


def main():
    begun = time.monotonic()
    broker, gateway = Broker(), Gateway()
    broker.start()
    nodes = Nodes(NUMBERS, way=way, ask=ask)
    gateway.start()
    until(lambda: get(GATE, "/api/node/status"), SLOW, "the gateway")
    avahi = Avahi()
    meet(nodes, avahi, begun)
    views = Views(nodes)
    try:
        cut(nodes, views, avahi)
        heal(views)
        halt(views)
    except BaseException:
        views.browser.picture("failed")
        raise
    finally:
        views.browser.close()
    print(f"{COUNT} nodes, three of them away: {time.monotonic() - begun:.0f} s")


main()
