"""Uses the dashboard of a cluster as its owner does, in a headless Chromium.

    check.py FOLDER SPORE

Runs in a network namespace of its own; see `cargo xtask dashboard`. The nodes are started by `spore launch`, and updated through the page.
What is to be seen there is checked against what the nodes' API and the command say.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import faults
import updates
import views
from browser import Browser, until
from cluster import Cluster
from page import Page

FOLDER, SPORE = sys.argv[1:]
# What the promise is held to.
FIGURES = {"serious": 0, "views": len(views.VIEWS)}


def head_of(*arguments):
    done = subprocess.run(["curl", "-s", "-i", "--max-time", "20", *arguments], capture_output=True)
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


def use(page, cluster):
    """Everything on the page, from a first look to the death of the node that serves it."""
    page.says("3 members")
    views.ask_members(page)
    views.look_around(page, "first")
    views.unlock(page, cluster.key)
    views.tasks(page, cluster)
    views.events(page, cluster)
    views.network(page, cluster)
    FIGURES["rollouts"] = updates.roll_out(page, cluster)
    views.look_around(page, "later")
    updates.halt(page, cluster)
    updates.update_one(page, cluster)
    views.node(page, cluster)
    faults.lie(page)
    faults.miss(page)
    faults.silent_stream(page, cluster)
    took = [faults.fall_silent(page, cluster), faults.die_and_return(page, cluster)]
    FIGURES["banner"] = round(max(took), 1)
    assert page.run("return document.images.length") == 0


def main():
    cluster = Cluster(FOLDER, SPORE, 3)
    browser = None
    try:
        until(lambda: len([it for it in cluster.get("/api/cluster/members")["members"] if it["status"] == "active" and it["version"]]) == 3, 60, "three members")
        browser = Browser(FOLDER)
        browser.width(1200)
        fetch()
        browser.open("http://127.43.0.1/")
        use(Page(browser), cluster)
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
