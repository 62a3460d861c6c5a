"""Joins a node's access point as a phone does: DHCP, DNS, the probes, and the page in a browser.

    check.py FOLDER [board]

Runs in a network namespace in which the access point is all that there is, behind `wlan0`; see `cargo xtask portal`, which makes
all of it. The node is one on Linux, or a board on the stand-in for the SDK.
"""

import json
import os
import re
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from browser import SLOW, Browser, until

OWN = "192.168.4.1"
PAGE = f"http://{OWN}/"
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
BOARD = sys.argv[2:] == ["board"]
# What the node hears, and where it is when it has joined.
LISTED = ["home", "guest (open)"] + ([] if BOARD else [HOSTILE])
ADDRESS = "10.0.2.15" if BOARD else "127.42.0.6"

# Who asks what, to learn whether a network leads anywhere.
PROBES = [
    "http://connectivitycheck.gstatic.com/generate_204",
    "http://clients3.google.com/gen_204",
    "http://captive.apple.com/hotspot-detect.html",
    "http://www.apple.com/library/test/success.html",
    "http://www.msftncsi.com/ncsi.txt",
    "http://www.msftconnecttest.com/connecttest.txt",
    "http://detectportal.firefox.com/canonical.html",
    "http://detectportal.firefox.com/success.txt?ipv4",
    "http://nmcheck.gnome.org/check_network_status.txt",
    "http://any.name.at.all/any/path?any=query",
]


def curl(*arguments):
    """Status, where it leads, and body."""
    command = ["curl", "-s", "--max-time", "20", "-w", "\n%{http_code} %{redirect_url}", *arguments]
    # The page is compressed.
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    body, _, line = done.stdout.rpartition("\n")
    status, _, location = line.partition(" ")
    return int(status or 0), location, body


def status():
    code, _, body = curl(PAGE + "api/network/status")
    if code != 200:
        raise OSError(f"it answers {code}")
    return json.loads(body)


def join(folder):
    """Gets an address from the node, and keeps it."""
    log = open(f"{folder}/udhcpc.log", "w+")
    client = subprocess.Popen(
        ["udhcpc", "-i", "wlan0", "-f", "-R", "-t", "20", "-T", "1", "-s", f"{HERE}/lease.sh"],
        stdout=log, stderr=subprocess.STDOUT,
    )

    def lease():
        return re.search(r"^bound (.*)$", open(log.name).read(), re.M)

    got = dict(item.split("=") for item in until(lease, SLOW, "a lease")[1].split())
    assert got["ip"] in [f"192.168.4.{last}" for last in range(2, 6)], got
    assert (got["mask"], got["lease"]) == ("24", "600"), got
    assert got["router"] == got["dns"] == got["serverid"] == OWN, got
    print(f"DHCP: {got['ip']} with names and way out by {OWN}")
    return client


def probe():
    for url in PROBES:
        for method in [[], ["-I"], ["--http1.0"]]:
            found = curl(*method, url)[:2]
            assert found == (302, PAGE), f"{url} {method}: {found}"
    code, _, body = curl("--compressed", "-L", PROBES[0])
    assert code == 200 and "<title>SPORE" in body, body
    head = curl("-I", PAGE)[2]
    tag = re.search(r'^ETag: ("[0-9a-f]{16}")\s*$', head, re.M)[1]
    assert re.search(r"^Content-Type: text/html\s*$", head, re.M), head
    assert re.search(r"^X-Content-Type-Options: nosniff\s*$", head, re.M), head
    assert curl("-H", f"If-None-Match: {tag}", PAGE)[::2] == (304, "")
    # Nobody but the page itself may use the API in a browser.
    wifi = ["-X", "PUT", "-d", '{"ssid":"home","password":"home-password"}']
    code, _, body = curl(*wifi, "http://evil.example/api/network/wifi")
    assert code == 421 and json.loads(body)["error"]["code"] == "misdirected", (code, body)
    assert curl("http://evil.example/api/network/status")[:2] == (302, PAGE)
    assert curl("-X", "OPTIONS", "-H", "Origin: http://evil.example", PAGE + "api/network/wifi")[0] == 421
    assert curl(PAGE + "api/none")[0] == 404
    until(lambda: status()["access_point"]["clients"] == 1, SLOW, "a client on the access point")
    assert status()["credentials"] is None
    print(f"probes: {3 * len(PROBES)} led to the page; other names get at nothing")


def fill_in(browser):
    """By keyboard alone, on a narrow screen."""
    browser.width(320)
    browser.open(PROBES[0])
    assert browser.run("return location.href") == PAGE
    names = "return [...document.querySelectorAll('#list button')].map(item => item.textContent)"
    # What is heard first may be shown before the rest.
    listed = until(lambda: sorted(it := browser.run(names)) == sorted(LISTED) and it, SLOW, lambda: f"{LISTED}; it lists {browser.run(names)}")
    assert browser.run("return document.images.length") == 0
    wide = browser.run("return document.documentElement.scrollWidth")
    assert wide <= 320, f"{wide} pixels wide"
    browser.picture("page")
    for _ in range(listed.index("home") + 1):
        browser.press("tab")
    assert browser.run("return document.activeElement.textContent") == "home"
    # Choosing one leads on to the password.
    browser.press("enter", "wrong-password", "enter")
    said = lambda text: text in browser.text("status") and browser.text("status")
    print("page:", until(lambda: said("the password is wrong"), SLOW, "a wrong password"))
    until(lambda: not browser.run("return document.getElementById('send').disabled"), SLOW, "another try")
    browser.picture("wrong")
    browser.run("document.getElementById('password').value = ''; document.getElementById('password').focus()")
    browser.press("home-password", "enter")
    print("page:", until(lambda: said(f"Connected. Address: {ADDRESS}."), SLOW, "a connection"))
    # At once: the access point closes soon.
    now = until(status, SLOW, "the page's node")
    assert (now["state"], now["ssid"], now["credentials"]) == ("connected", "home", "kept"), now
    browser.picture("connected")
    # Nothing was let in from elsewhere, and nothing was tried by the page. It asks its node again when that has no seat for it, or is away.
    again = re.compile(re.escape(PAGE) + r"\S+ - Failed to load resource: (the server responded with a status of (408|503)|net::ERR_)")
    complaints = [entry["message"] for entry in browser.complaints()
                  if "favicon" not in entry["message"] and not again.match(entry["message"])]
    assert not complaints, complaints


def leave():
    """Tells the stand-in that this client leaves, in place of a frame of 802.11, and is silent from then on."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("wlan0", 0))
        raw.send(b"\xff" * 6 + raw.getsockname()[4] + b"\x88\xb6" + bytes(46))
    subprocess.run(["ip", "link", "set", "wlan0", "down"], check=True)


def in_network():
    """What the board says in the network that it has joined."""
    code, _, body = curl("http://127.0.0.1:8080/api/network/status")
    if code != 200:
        raise OSError(f"it answers {code}")
    return json.loads(body)


def main():
    folder = sys.argv[1]
    client = join(folder)
    try:
        probe()
        browser = Browser(folder)
        try:
            fill_in(browser)
        finally:
            browser.close()
    finally:
        # It gives the address back.
        client.terminate()
        client.wait()
    if BOARD:
        leave()
        until(lambda: not in_network()["access_point"]["open"], SLOW, "the access point closed")
        print("the access point is closed")
        return
    subprocess.run(["ip", "addr", "add", "192.168.4.9/24", "dev", "wlan0"], check=True)
    until(lambda: curl(PAGE)[0] == 0, SLOW, "the access point closed")
    print("the access point is closed")


main()
