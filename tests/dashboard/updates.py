"""Updates through the page: rollouts that go well, fail and are halted, and one of the serving node alone."""

import os
import re

from browser import SLOW, until

CARE = ["--waves", "50%,100%", "--gate"]


def counts(text):
    """The numbers of a rollout, from what the page or the command says; none where it says none."""
    names = ["updated", "pending", "failed", "rolled back", "absent", "take no part"]
    found = {name: re.search(rf"(\d+) {name}", text) for name in names}
    return all(found.values()) and {name: int(it[1]) for name, it in found.items()}


def compare(page, cluster):
    """The page counts as the command does: what that says."""
    told = lambda: cluster.spore("ota", "status", "--node", "127.43.0.1").splitlines()[-1]
    until(lambda: counts(page.text(".counts")) == counts(told()), SLOW, lambda: f"{told()}, on the page")
    return told()


def plan(cluster, image, gate):
    cluster.spore("ota", "all", image, "--plan", image + ".plan", "--node", "127.43.0.1", *CARE, gate)
    return image + ".plan"


def roll_out(page, cluster):
    """Two rollouts: the second one's canary fails, and stops it. How many there were."""
    good, bad = cluster.image(5), cluster.image(6, "#!/bin/sh\nexit 3\n")
    for image, end, wanted in [(good, "running", {"updated": 3}), (bad, "halted", {"rolled back": 1, "take no part": 2})]:
        name = os.path.basename(image)
        signed = plan(cluster, image, "1s")
        page.go("updates")
        page.browser.choose("[name=file]", image)
        page.click("Hold it for a rollout")
        page.said("holds it for the others")
        # The same file again: a browser reports only what is another one than before.
        page.browser.choose("[name=file]", image)
        page.said(name)
        page.browser.choose("[name=file]", signed)
        page.says(f"{name}.plan: ")
        page.click("Begin the rollout of this plan")
        page.said("The rollout has begun")

        def settled():
            # All three: a node that has just restarted knows nobody, and one that restarts may be neither updated nor pending.
            now = counts(page.text(".counts"))
            return now and now == {**dict.fromkeys(now, 0), **wanted} and end in page.text()
        until(settled, 120, lambda: f"the end of {name}, {wanted}; it says {page.text('.counts')}")
        page.browser.picture(f"updates-{end}")
        if end == "halted":
            page.says("it crashed, hung, or lost its power")
            row = page.run("return [...document.querySelectorAll('tbody tr')].find(it => it.innerText.includes('canary')).innerText")
            assert "rolled back" in row and "failed" not in row, row
        print(f"updates: image {name[0]}: {compare(page, cluster)}")
    return 2


def halt(page, cluster):
    """A rollout is halted from the page while its gate is still closed. Both files are dropped: on their place, and beside it."""
    image = cluster.image(7)
    signed = plan(cluster, image, "10m")
    page.go("updates")
    page.drop(image, ".drop")
    page.said("7.spore")
    page.click("Hold it for a rollout")
    page.said("holds it for the others")
    page.drop(signed, "#view")
    page.said("7.spore.plan")
    page.click("Begin the rollout of this plan")
    page.said("The rollout has begun")
    # The canary may be the node that serves the page, which restarts, and then answers nobody. The others wait for the gate.
    until(lambda: (it := counts(page.text(".counts"))) and it["updated"] == 1, 120, lambda: f"an updated canary; it says {page.text('.counts')}")
    page.click("Halt the rollout")
    page.accept("on all nodes, for good")
    page.said("The rollout is halted")
    for n in cluster.nodes:
        until(lambda: cluster.get("/api/cluster/update", n)["rollout"]["state"] == "halted", SLOW, f"n{n} to hear of the halt")
    page.says("■ halted")
    assert not page.run("return [...document.querySelectorAll('button')].some(it => it.textContent.includes('Halt'))")
    page.browser.picture("updates-by-hand")
    print(f"halt: image 7: {compare(page, cluster)}")


def update_one(page, cluster):
    """The node that serves the page takes an image alone, and the page comes back with it."""
    image = cluster.image(8)
    # It takes no image before its own is confirmed.
    until(lambda: cluster.get("/api/node/update")["image"]["stage"] == "confirmed", SLOW, "the image before to be confirmed")
    page.go("updates")
    page.drop(image, ".drop")
    page.click("Update this node")
    page.said("It is installed")
    page.says("image 8 ")
    until(lambda: cluster.get("/api/node/update")["image"] == {"sequence": 8, "stage": "confirmed"}, SLOW, "image 8 to be confirmed")
    page.says("confirmed")
    page.go("members")
    page.drop(image, "#view")
    page.says("3 members")
    assert page.run("return location.href") == "http://127.43.0.1/#members", "a file that was dropped has left the page"
    print("drop: image 8 is confirmed on the node that serves the page; a file that is dropped elsewhere does nothing")
