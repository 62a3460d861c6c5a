"""Uses the dashboard of a cluster as its owner does, in a headless Chromium.

    check.py FOLDER SPORE

Runs in a network namespace of its own; see `cargo xtask dashboard`. The nodes are started by `spore launch`, and updated through the page.
What is to be seen there is checked against what the nodes' API and the command say.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from browser import Browser, until

FOLDER, SPORE = sys.argv[1:]
AXE = os.path.join(HERE, "../../web/dashboard/node_modules/axe-core/axe.min.js")
VIEWS = ["members", "node", "services", "events", "tasks", "network", "updates"]
HOSTILE = "<img src=x onerror=alert(1)>"
# What the promise is held to.
FIGURES = {"rollouts": 0, "serious": 0, "views": len(VIEWS)}
PROGRAM = "#!/bin/sh\n# {}\nexec {} \"$@\"\n"


class Cluster:
    """Nodes that take updates, at 127.43.0.1 and so on."""

    def __init__(self, nodes):
        self.nodes = {}
        for kind in ["cluster", "release"]:
            self.spore("key", "new", kind)
        self.key = self.spore("key", "show").strip()
        self.write("first", PROGRAM.format("first", SPORE))
        for n in range(1, nodes + 1):
            os.mkdir(f"{FOLDER}/node{n}")
            self.spore("claim", f"node{n}/settings.flash", "--no-wifi", "--hostname", f"n{n}")
            self.start(n)

    def environment(self):
        mine = {name: value for name, value in os.environ.items() if not name.startswith("SPORE_")}
        return {**mine, "XDG_STATE_HOME": FOLDER}

    def spore(self, *arguments):
        done = subprocess.run([SPORE, *arguments], cwd=FOLDER, env=self.environment(), capture_output=True, text=True)
        assert done.returncode == 0, f"spore {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def write(self, name, text):
        with open(f"{FOLDER}/{name}", "w") as file:
            file.write(text)

    def start(self, n):
        """Starts node `n`, in a process group of its own."""
        log = open(f"{FOLDER}/node{n}.log", "a")
        self.nodes[n] = subprocess.Popen(
            [SPORE, "launch", "--slots", f"slots{n}", "--program", "first", "--", "node", "--bind", f"127.43.0.{n}",
             "--http-port", "80", "--unclaimed", "--state", f"node{n}"],
            cwd=FOLDER, env=self.environment(), stdout=log, stderr=log, start_new_session=True,
        )

    def kill(self, n):
        """As a power cut does."""
        node = self.nodes.pop(n)
        os.killpg(node.pid, 9)
        node.wait()

    def end(self):
        for n in list(self.nodes):
            self.kill(n)

    def image(self, sequence, text):
        self.write(f"program-{sequence}", text)
        self.spore("image", "build", "--program", f"program-{sequence}", "--sequence", str(sequence), "--output", f"{sequence}.spore")
        return f"{FOLDER}/{sequence}.spore"

    def get(self, path, n=1):
        with urllib.request.urlopen(f"http://127.43.0.{n}{path}", timeout=5) as answer:
            return json.load(answer)


class Page:
    """The page in the browser."""

    def __init__(self, browser):
        self.browser = browser
        self.run = browser.run

    def go(self, view):
        self.run(f"location.hash = '{view}'")
        until(lambda: self.run("return !document.querySelector('main').textContent.includes('Asking…')"), 10, view)

    def text(self, selector="main"):
        return self.run(f"return document.querySelector('{selector}')?.innerText ?? ''")

    def says(self, text, seconds=10, selector="main"):
        until(lambda: text in self.text(selector), seconds, f"“{text}” on the page")

    def said(self, text, seconds=10):
        try:
            self.says(text, seconds, "#said")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says “{self.text('#said')}”") from None

    def click(self, name):
        """Clicks the only button that is called so."""
        until(lambda: self.press(name), 5, f"a button “{name}”")

    def press(self, name):
        found = self.run(f"""const all = [...document.querySelectorAll('button, summary')].filter(it =>
            (it.getAttribute('aria-label') ?? it.textContent) === {json.dumps(name)});
            if (all.length === 1) all[0].click(); return all.length""")
        assert found < 2, f"{found} buttons are called {name}"
        return found

    def fill(self, name, text):
        assert self.run(f"const it = document.querySelector('[name={name}]'); it?.focus(); it?.select?.(); return Boolean(it)"), name
        self.browser.press(text)

    def accessible(self, view):
        """Fails on what axe-core finds to be serious."""
        self.run(open(AXE).read() + "; window.found = null; axe.run().then(done => window.found = done.violations)")
        until(lambda: self.run("return window.found !== null"), 20, "axe")
        found = self.run("return window.found.map(it => [it.impact, it.id, it.nodes[0].html.slice(0, 200)])")
        serious = [it for it in found if it[0] in ("serious", "critical")]
        assert not serious, f"{view}: {serious}"
        return len(found)


def counts(text):
    """The numbers of a rollout, from what the page or the command says."""
    names = ["updated", "pending", "failed", "rolled back", "absent"]
    return {name: int(re.search(rf"(\d+) {name}", text)[1]) for name in names}


def look_around(page):
    """Each view: by keyboard alone, in both schemes, on a narrow screen, and as a program for the blind sees it."""
    browser, minor = page.browser, 0
    links = "return [...document.querySelectorAll('nav a')].map(it => it.textContent.toLowerCase())"
    assert page.run(links) == VIEWS
    for view in VIEWS:
        # The focus stays on the link that was followed last, whatever was drawn meanwhile.
        browser.press("tab", "enter")
        until(lambda: page.run("return location.hash") == f"#{view}", 5, view)
        page.go(view)
        for scheme in ["dark", "light"]:
            browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            minor += page.accessible(f"{view}, {scheme}")
            browser.picture(f"{view}-{scheme}")
        browser.width(320)
        wide = page.run("return document.documentElement.scrollWidth")
        assert wide <= 320, f"{view} is {wide} pixels wide"
        browser.picture(f"{view}-narrow")
        browser.width(1200)
    entries = page.run("return performance.getEntriesByType('resource').map(it => it.name)")
    foreign = [it for it in entries if not it.startswith("http://127.43.0.1/api/") and not it.startswith("data:")]
    assert not foreign, foreign
    print(f"views: {len(VIEWS)} by keyboard, dark, light and at 320 pixels; axe: 0 serious, {minor} others")


def unlock(page, key):
    page.fill("key", "ab" * 32)
    page.browser.press("enter")
    page.said("the key of another cluster")
    page.fill("key", key)
    page.browser.press("enter")
    page.said("The key fits")
    kept = page.run("return JSON.stringify(sessionStorage) + JSON.stringify(localStorage) + document.documentElement.innerHTML")
    assert key not in kept, "the key is kept"


def order(page, cluster):
    page.go("tasks")
    task = lambda: next(it for it in cluster.get("/api/tasks")["tasks"] if it["name"] == "send-discovery")
    page.click("Pause send-discovery")
    page.said("send-discovery is paused")
    assert task()["enabled"] is False
    page.says("paused")
    page.click("Resume send-discovery")
    page.said("send-discovery goes on")
    assert task()["enabled"] is True

    page.go("services")
    page.click("Call")
    page.says('"identified":true')

    page.go("events")
    page.says("live", selector=".note")
    page.click("Publish an event")
    page.fill("topic", "kitchen/lamp")
    page.fill("payload", HOSTILE)
    page.click("Publish")
    page.said("kitchen/lamp is published")
    page.says(HOSTILE)
    page.browser.picture("hostile")
    page.fill("contains", "nothing like it")
    page.click("Show")
    page.says("0 events")
    print("orders: a task paused and resumed, a service called, an event published and shown as text")


def lie(page):
    """What if a node were to tell markup where it tells names? None does, but the page must not rely on that."""
    page.run(f"""window.honest = window.fetch;
        window.fetch = async (...asked) => {{
            const answer = await honest(...asked);
            const text = (await answer.text()).replace(/"(n\\d|host|send-discovery|identify)"/g, {json.dumps(json.dumps(HOSTILE + "$1").replace("$1", "</td>$1"))});
            return new Response(text, answer);
        }}""")
    for view in VIEWS:
        page.go(view)
        if view not in ["events", "network"]:
            page.says(HOSTILE)
        assert page.run("return document.images.length + document.querySelectorAll('#page script').length") == 0, view
    page.run("window.fetch = honest")
    page.go("members")
    until(lambda: HOSTILE not in page.text(), 10, "honest names")
    print(f"lies: names that are markup are shown as text in {len(VIEWS)} views")


def update(page, cluster):
    good, bad = cluster.image(5, PROGRAM.format("good", SPORE)), cluster.image(6, "#!/bin/sh\nexit 3\n")
    care = ["--waves", "50%,100%", "--gate", "1s"]
    for image, end in [(good, "running"), (bad, "halted")]:
        plan = image + ".plan"
        cluster.spore("ota", "all", image, "--plan", plan, "--node", "127.43.0.1", *care)
        page.go("updates")
        page.browser.choose("[name=file]", image)
        page.click("Hold it for a rollout")
        page.said("holds it for the others", 30)
        page.browser.choose("[name=file]", plan)
        page.click("Begin the rollout of this plan")
        page.said("The rollout has begun")

        def settled():
            there = page.text(".counts")
            now = there and counts(there)
            return now and now["pending"] == 0 and end in page.text() and now
        shown = until(settled, 90, f"the end of {os.path.basename(image)}; it says {page.text('.counts')}")
        page.browser.picture(f"updates-{end}")
        if end == "halted":
            assert shown["rolled back"] == 1 and shown["failed"] == 0, shown
            page.says("not started")
            row = page.run("return [...document.querySelectorAll('tbody tr')].find(it => it.innerText.includes('canary')).innerText")
            assert "rolled back" in row and "failed" not in row, row
        else:
            assert shown == {"updated": 3, "pending": 0, "failed": 0, "rolled back": 0, "absent": 0}, shown
        told = cluster.spore("ota", "status", "--node", "127.43.0.1").splitlines()[-1]
        assert counts(told) == shown, (told, shown)
        FIGURES["rollouts"] += 1
        print(f"updates: image {os.path.basename(image)[0]}: {told}")


def cell(page, name, column):
    """What the members' table shows of a member."""
    return page.run(f"""const at = [...document.querySelectorAll('thead th')].findIndex(it => it.innerText === '{column}');
        return [...document.querySelectorAll('tbody tr')].find(it => it.innerText.startsWith('{name}'))?.children[at]?.innerText ?? ''""")


def ask_members(page):
    """What only a member itself knows is asked of it, and shown."""
    page.go("members")
    for name in ["n2", "n3"]:
        until(lambda: cell(page, name, "Started after") == "start", 15, f"why {name} has started")
        assert re.match(r"\d", cell(page, name, "Up for")) and "B" in cell(page, name, "Free memory"), name
    print("members: two others say how they are")


def die_and_return(page, cluster):
    page.go("members")
    state = lambda name: cell(page, name, "Status")
    cluster.kill(2)
    until(lambda: "dead" in state("n2"), 40, "a dead n2")
    assert cell(page, "n2", "Free memory") == "–", "what the dead have said is not shown"
    page.browser.picture("dead")
    cluster.start(2)
    until(lambda: "active" in (state("n2") or ""), 30, "n2 is back")

    cluster.kill(1)
    begun = time.monotonic()
    page.says("does not answer", 6, ".banner")
    took = time.monotonic() - begun
    FIGURES["banner"] = round(took, 1)
    assert took <= 5, f"the banner came after {took:.1f} s"
    page.accessible("banner")
    page.browser.picture("gone")
    others = page.run("return [...document.querySelectorAll('.banner a')].map(it => it.href)")
    assert any(it.startswith("http://127.43.0.3/") for it in others), others
    assert page.run("return document.querySelector('main').classList.contains('stale')")
    cluster.start(1)
    until(lambda: not page.text(".banner"), 30, "the page goes on")
    print(f"death: the banner came after {took:.1f} s, with links to {len(others)} others, and went by itself")


def head_of(*arguments):
    done = subprocess.run(["curl", "-s", "-i", "--max-time", "5", *arguments], capture_output=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return head.decode(), body, len(done.stdout)


def fetch():
    url = "http://127.43.0.1/"
    head, body, whole = head_of(url)
    for field in ["Content-Encoding: gzip", "X-Content-Type-Options: nosniff", "Content-Security-Policy: frame-ancestors 'none'"]:
        assert field in head, (field, head)
    assert "Access-Control" not in head
    tag = re.search(r'ETag: ("\w+")', head)[1]
    again, nothing, reload = head_of("-H", f"If-None-Match: {tag}", url)
    assert " 304 " in again.split("\r\n")[0] and not nothing and reload < 1024, again
    for field in ["Host: evil.example", "Host: n1.evil.example", "Origin: http://evil.example", "Origin: null"]:
        for path in ["", "api/cluster/members"]:
            assert " 421 " in head_of("-H", field, url + path)[0].split("\r\n")[0], field
    for field in ["Host: n1.local", "Host: N1", "Host: localhost:80"]:
        assert " 200 " in head_of("-H", field, url)[0].split("\r\n")[0], field
    FIGURES.update(bytes=len(body), reload=reload)
    print(f"page: {len(body)} bytes in one request, {reload} when it is there already; other names and origins get 421")


def main():
    cluster = Cluster(3)
    browser = None
    try:
        until(lambda: len([it for it in cluster.get("/api/cluster/members")["members"] if it["status"] == "active" and it["version"]]) == 3, 30, "three members")
        browser = Browser(FOLDER)
        browser.width(1200)
        fetch()
        browser.open("http://127.43.0.1/")
        page = Page(browser)
        page.says("3 members")
        ask_members(page)
        look_around(page)
        unlock(page, cluster.key)
        order(page, cluster)
        update(page, cluster)
        lie(page)
        die_and_return(page, cluster)
        assert page.run("return document.images.length") == 0
        # What a page was refused because a node was gone is a complaint about the node; what Chromium says of its own pages is none.
        wrong = [it["message"] for it in browser.complaints()
                 if not re.search(r"Failed to load resource|net::ERR_|^chrome://", it["message"])]
        assert not wrong, wrong
        print("promise D1", *(f"{name}={value}" for name, value in FIGURES.items()))
    except BaseException:
        if browser:
            browser.picture("failed")
        raise
    finally:
        if browser:
            browser.close()
        cluster.end()


main()
