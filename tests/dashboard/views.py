"""The views of the page, and the orders that are given in them."""

import re

from browser import SLOW, until

VIEWS = ["members", "node", "services", "events", "tasks", "network", "updates"]
HOSTILE = "<img src=x onerror=alert(1)>"


def look_around(page, when):
    """Each view: by keyboard alone, in both schemes, on a narrow screen, and as a program for the blind sees it."""
    browser, minor = page.browser, 0
    links = "return [...document.querySelectorAll('nav a')].map(it => it.textContent.toLowerCase())"
    assert page.run(links) == VIEWS
    for view in VIEWS:
        # The focus stays on the link that was followed last, whatever was drawn meanwhile.
        steps = page.reach(view, f"it.tagName === 'A' && it.textContent.toLowerCase() === '{view}'")
        assert steps == 1 or view == VIEWS[0], f"{steps} steps from one view to {view}"
        browser.press("enter")
        until(lambda: page.run("return location.hash") == f"#{view}", SLOW, view)
        page.go(view)
        for scheme in ["dark", "light"]:
            browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            minor += page.accessible(f"{view}, {scheme}")
            browser.picture(f"{view}-{scheme}-{when}")
        browser.width(320)
        wide = page.run("return document.documentElement.scrollWidth")
        assert wide <= 320, f"{view} is {wide} pixels wide"
        minor += page.accessible(f"{view}, narrow")
        browser.picture(f"{view}-narrow-{when}")
        browser.width(1200)
    entries = page.run("return performance.getEntriesByType('resource').map(it => it.name)")
    foreign = [it for it in entries if not it.startswith("http://127.43.0.1/api/") and not it.startswith("data:")]
    assert not foreign, foreign
    print(f"views {when}: {len(VIEWS)} by keyboard, dark, light and at 320 pixels; axe: 0 serious, {minor} others")


def ask_members(page):
    """What only a member itself knows is asked of it, and shown."""
    # What is the name of no view, though of something in JavaScript, shows the first one.
    page.go("constructor")
    for name in ["n2", "n3"]:
        said = lambda: [page.cell(name, column) for column in ["Started after", "Up for", "Free memory"]]
        # All at one look: of a member that was just now suspected nothing is shown.
        until(lambda: (it := said())[0] == "start" and re.match(r"\d", it[1]) and "B" in it[2], SLOW, lambda: f"what {name} says of itself; that is {said()}")
    until(lambda: page.charts() == 2, SLOW, "charts of the round trips to n2 and n3")
    page.go("node")
    until(lambda: page.charts() == 2, SLOW, "charts of memory and signal")
    print("members: two others say how they are; 4 charts are drawn")


def type_key(page, key):
    page.fill("key", key)
    page.browser.press("enter")


def unlock(page, key):
    type_key(page, "ab" * 32)
    page.said("the key of another cluster")
    type_key(page, key)
    page.said("The key fits")
    kept = page.run("return JSON.stringify(sessionStorage) + JSON.stringify(localStorage) + document.documentElement.innerHTML")
    assert key not in kept, "the key is kept"


def tasks(page, cluster):
    page.go("tasks")
    task = lambda name="send-discovery": next(it for it in cluster.get("/api/tasks")["tasks"] if it["name"] == name)
    page.click("Pause send-discovery")
    page.said("send-discovery is paused")
    assert task()["enabled"] is False
    page.says("paused")
    page.click("Resume send-discovery")
    page.said("send-discovery goes on")
    assert task()["enabled"] is True
    runs = task("tick")["runs"]
    page.click("Run tick now")
    page.said("tick was run")
    until(lambda: task("tick")["runs"] == runs + 1, SLOW, "one more run")
    usual = task()["interval_ms"]
    for seconds in [7.5, usual / 1000]:
        page.fill("seconds", f"{seconds:g}", near="Set the interval of send-discovery")
        page.browser.press("enter")
        page.said(f"runs every {seconds:g} s")
        assert task()["interval_ms"] == seconds * 1000, task()
    print("tasks: one is paused, run, resumed and paced")


def node(page, cluster):
    page.go("node")
    for name in ["kitchen", "n1"]:
        page.fill("hostname", name)
        page.click("Rename")
        page.said(f"It is called {name}")
        until(lambda: page.run("return document.title") == f"{name} – SPORE", SLOW, name)
        assert cluster.get("/api/node/status")["hostname"] == name
    up = cluster.get("/api/node/status")["uptime_ms"]
    page.click("Restart this node")
    page.said("It restarts")
    until(lambda: cluster.get("/api/node/status")["uptime_ms"] < up, 60, "a restart")
    until(lambda: not page.text(".banner"), 60, "the page goes on")
    print("node: renamed, and restarted")


def events(page, cluster):
    page.go("services")
    page.click("Call")
    page.says('"identified":true')

    page.go("events")
    page.says("● live", selector="main .note")
    # While a banner says so, the node has in truth not answered in time.
    page.run("""window.notes = [];
        window.watcher = new MutationObserver(() => document.querySelector('.banner') || notes.push(document.querySelector('main .note')?.textContent));
        watcher.observe(document.body, { subtree: true, childList: true, characterData: true });""")
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
    page.says("● live", selector="main .note")
    # Who goes, and comes back, with another key or without one, is told no lie about the node.
    page.go("tasks")
    page.go("events")
    page.says("● live", selector="main .note")
    page.click("Forget the key")
    page.says("the key opens the live stream", selector="main .note")
    type_key(page, cluster.key)
    page.said("The key fits")
    page.says("● live", selector="main .note")
    notes = page.run("watcher.disconnect(); return notes.filter(it => it?.includes('does not answer'))")
    assert not notes, "the page has said that the node does not answer"
    print("events: one published and shown as text; the stream comes back with the view, and with the key")


def network(page, cluster):
    """The modelled radio of the node looks for networks, and joins another one."""
    now = lambda: cluster.get("/api/network/status")
    page.go("network")
    page.click("Look for networks")
    page.says("2 networks")
    assert "open" in page.cell("home", "Network") and "open" not in page.cell("shed", "Network")
    page.click("Choose shed")
    assert page.run("return document.querySelector('[name=ssid]').value") == "shed"
    page.fill("password", "shed-password")
    page.click("Join")
    page.said("It tries shed")
    until(lambda: (now()["ssid"], now()["state"]) == ("shed", "connected"), 60, lambda: f"shed; it is {now()}")
    page.says("shed")
    page.browser.picture("network-joined")
    print("network: 2 networks are heard, one is chosen and joined")
