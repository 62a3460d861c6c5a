"""What the page does when a node lies, is silent, or is gone."""

import json
import re
import time

from browser import SLOW, until
from views import HOSTILE, VIEWS

# Of a banner, in seconds.
SOON = 5
LIVE, NOTE = "● live", "main .note"


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
    until(lambda: HOSTILE not in page.text(), SLOW, "honest names")
    print(f"lies: names that are markup are shown as text in {len(VIEWS)} views")


def miss(page):
    """What a member has said of itself stays, with its age, while it is not to be asked."""
    page.go("members")
    memory = lambda: page.cell("n2", "Free memory")
    until(lambda: re.fullmatch(r"[\d,]+ M?B", memory()), SLOW, "the memory of n2")
    page.run("""window.honest = window.fetch;
        window.fetch = (...asked) => /members\\/./.test(asked[0]) ? Promise.reject(new TypeError('as if it had not answered')) : honest(...asked)""")
    until(lambda: re.fullmatch(r"[\d,]+ M?B \(\d+ s ago\)", memory()) and page.cell("n2", "Up for").endswith("s ago)"),
          SLOW, lambda: f"how old that is; it says {memory()}, and of the time {page.cell('n2', 'Up for')}")
    page.run("window.fetch = honest")
    until(lambda: re.fullmatch(r"[\d,]+ M?B", memory()), SLOW, "the memory of n2 again")
    print("misses: what a member has said stays, with its age")


def silent_stream(page, cluster):
    """A stream that ends without a word, as that of a board that loses its power, is opened anew. The page waits two seconds in place of forty."""
    page.go("events")
    page.says(LIVE, selector=NOTE)
    page.run("""window.opened = 0;
        const { fetch, setTimeout } = window;
        window.setTimeout = (what, ms) => setTimeout(what, ms === 40_000 ? 2000 : ms);
        window.fetch = (...asked) => String(asked[0]).startsWith('/api/events') && opened++ === 0
            ? Promise.resolve(new Response(new ReadableStream({}))) : fetch(...asked);
        window.heal = () => Object.assign(window, { fetch, setTimeout });""")
    page.click("Show")
    until(lambda: page.run("return opened") > 1, SLOW, "another stream")
    page.run("heal()")
    page.click("Show")
    hear(page, cluster, "after/silence")
    print("events: a silent stream is opened anew")


def hear(page, cluster, topic):
    """What another node publishes comes to the page."""
    page.says(LIVE, selector=NOTE)
    cluster.spore("pub", topic, "on", "--node", "127.43.0.3")
    page.says(topic)


def watch(page):
    """The page notes when it says that its node is gone, since a busy machine lets us ask for that late."""
    page.run("""window.gone = 0;
        new MutationObserver((_, observer) => {
            if (!document.querySelector('.banner')) return;
            window.gone = Date.now() / 1000;
            observer.disconnect();
        }).observe(document.getElementById('page'), { childList: true, subtree: true });""")


def banner(page, begun):
    """The seconds until the page said that its node is gone, which was so at `begun`."""
    page.says("does not answer", SLOW, ".banner")
    took = page.run("return gone") - begun
    assert took <= SOON, f"the banner came after {took:.1f} s"
    age = lambda: int(re.search(r"What is shown is (\d+) s old", page.text(".banner"))[1])
    first = age()
    # As old as the last answer: a round, with its pause and what a member is asked, is no longer than a banner takes.
    now = time.time() - begun
    assert first <= now + SOON, f"{first} s old after {now:.1f} s"
    until(lambda: age() > first, SLOW, "what is shown to grow old")
    return took


def fall_silent(page, cluster):
    """The node hangs, and goes on: it is not live meanwhile, and its events come again after that."""
    watch(page)
    cluster.pause(1)
    took = banner(page, time.time())
    assert "does not answer" in page.text(NOTE), page.text(NOTE)
    cluster.go_on(1)
    until(lambda: not page.text(".banner"), 60, "the page goes on")
    until(lambda: all(it["status"] == "active" for it in cluster.get("/api/cluster/members", 3)["members"]), 60, "n1 is back")
    hear(page, cluster, "after/pause")
    print(f"silence: the banner came after {took:.1f} s, and went by itself")
    return took


def die_and_return(page, cluster):
    page.go("members")
    state = lambda name: page.cell(name, "Status")
    cluster.kill(2)
    until(lambda: "dead" in state("n2"), 60, "a dead n2")
    # There is no such column while nothing is known of n3 either.
    assert page.cell("n2", "Free memory") in ["–", ""], "what the dead have said is not shown"
    page.browser.picture("dead")
    cluster.start(2)
    until(lambda: all("active" in state(name) for name in ["n2", "n3"]), 60, "n2 is back, and n3 is there")

    watch(page)
    cluster.kill(1)
    took = banner(page, time.time())
    page.accessible("banner")
    page.browser.picture("gone")
    others = page.run("return [...document.querySelectorAll('.banner a')].map(it => it.href)")
    assert any(it.startswith("http://127.43.0.3/") for it in others), others
    assert page.run("return document.querySelector('main').classList.contains('stale')")
    cluster.start(1)
    until(lambda: not page.text(".banner"), 60, "the page goes on")
    print(f"death: the banner came after {took:.1f} s, with links to {len(others)} others, and went by itself")
    return took
