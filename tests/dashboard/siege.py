"""Clients that reload a board's page again and again as browsers do, and readers of its events that come and go.

    siege.py ADDRESS KEY-FILE RELOADS STREAMS

The clients do what eight browsers do with the dashboard: fetch the page, the second time with its tag, then ask the page's first questions. A
board serves three connections: who is refused asks again, as the page does. At the end it must have as much memory free as at the start, and its log tell of one boot.
Before that, a real browser on a slow network opens the page: it must show the members soon. Its log and a picture go where the key is; there is the board's log, too.
"""

import gzip
import hashlib
import hmac
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from browser import Browser, until

ADDRESS, KEY = sys.argv[1:3]
RELOADS, STREAMS = map(int, sys.argv[3:])
# A phone at the edge of the network: milliseconds of latency, bytes a second, and when the members must be there, in milliseconds.
LATENCY, RATE, SOON = 60, 100_000, 1500
BROWSERS = 8
QUESTIONS = ["/api/cluster/members", "/api/node/status", "/api/network/status"]
# How long a board may refuse one client, in seconds.
PATIENCE = 60
# What the board's log says once in each boot: its network stays.
BOOT = "NODE network/connected"


def ask(path, fields={}, connection=None, read=True):
    """The answer to one request: status, fields, body."""
    own = connection or http.client.HTTPConnection(ADDRESS, timeout=20)
    try:
        own.request("GET", path, headers=fields)
        answer = own.getresponse()
        return answer.status, answer.headers, answer.read() if read else b""
    finally:
        if not connection:
            own.close()


class Count:
    refused = 0


def patiently(look):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            status, fields, body = look()
            # No seat, or the seat was lost to another while the request was on its way.
            if status not in (503, 408):
                return status, fields, body
            assert status == 408 or fields["Retry-After"], "503 without Retry-After"
            Count.refused += 1
        except (OSError, http.client.HTTPException):
            # A stack without a queue for connections resets those that come while all its sockets are in use.
            Count.refused += 1
        assert time.monotonic() < end, f"no answer within {PATIENCE} s"
        time.sleep(0.1)


def browse(page, failures):
    try:
        tag = None
        for _ in range(RELOADS):
            status, fields, body = patiently(lambda: ask("/", {"If-None-Match": tag} if tag else {}))
            if tag:
                assert status == 304 and not body, status
            else:
                assert status == 200 and body == page, (status, len(body))
                tag = fields["ETag"]
            for question in QUESTIONS:
                status, _, body = patiently(lambda: ask(question))
                assert status == 200, (question, status)
                json.loads(body)
    except Exception as error:
        failures.append(repr(error))


def sign(signing):
    """A request for the events."""
    nonce = json.loads(patiently(lambda: ask("/api/auth/nonce"))[2])["nonce"]
    text = "\n".join(["GET", "/api/events", nonce, hashlib.sha256(b"").hexdigest()])
    mac = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    return "/api/events", {"Authorization": f"SPORE-HMAC-SHA256 nonce={nonce}, mac={mac}"}


def first_picture():
    """Milliseconds from the opening of the page until it has the members."""
    browser = Browser(os.path.dirname(KEY))
    try:
        browser.devtools("Network.enable")
        browser.devtools("Network.emulateNetworkConditions", offline=False, latency=LATENCY,
                         downloadThroughput=RATE, uploadThroughput=RATE)
        browser.open(f"http://{ADDRESS}/")
        until(lambda: browser.run("return document.querySelector('tbody td')?.textContent"), 20, "a member on the page")
        browser.picture("board")
        return browser.run("return performance.getEntriesByType('resource').find(it => it.name.endsWith('/members')).responseEnd")
    finally:
        browser.close()


def held(signing):
    """Bytes of memory that one open page takes: a connection that is kept, and the stream of events."""
    kept, stream = (http.client.HTTPConnection(ADDRESS, timeout=20) for _ in range(2))
    free = status()["free_memory"]
    assert ask("/api/cluster/members", connection=kept)[0] == 200
    path, fields = sign(signing)
    assert ask(path, fields, stream, read=False)[0] == 200
    with_page = status()["free_memory"]
    kept.close()
    stream.close()
    return free - with_page


def status():
    return json.loads(patiently(lambda: ask("/api/node/status"))[2])


def boots():
    with open(os.path.join(os.path.dirname(KEY), "board.log"), errors="replace") as log:
        return sum(line.startswith(BOOT) for line in log)


def settled():
    """What the board says when nobody else asks it."""
    time.sleep(3)
    return status()


def main():
    key = bytes.fromhex(open(KEY).read().strip())
    signing = hmac.new(key, b"SPORE HTTP request signing 1", hashlib.sha256).digest()
    took = first_picture()
    page = patiently(lambda: ask("/"))
    assert page[1]["Content-Encoding"] == "gzip" and b"<title>SPORE" in gzip.decompress(page[2])
    before = settled()
    page_takes = held(signing)
    failures = []
    begun = time.monotonic()
    browsers = [threading.Thread(target=browse, args=(page[2], failures)) for _ in range(BROWSERS)]
    for browser in browsers:
        browser.start()
    for browser in browsers:
        browser.join()
    assert not failures, failures
    reloaded = time.monotonic() - begun
    begun = time.monotonic()
    for _ in range(STREAMS):
        # The board may not have noticed yet that the last reader is gone.
        code = patiently(lambda: ask(*sign(signing), read=False))[0]
        assert code == 200, code
    streamed = time.monotonic() - begun
    after = settled()
    resets = boots() - 1
    assert resets == 0, f"it has restarted: its log tells of {resets + 1} boots"
    used = before["free_memory"] - after["free_memory"]
    print(f"board: {BROWSERS} clients have reloaded the page {RELOADS} times in {reloaded:.0f} s, events were read anew {STREAMS} times in "
          f"{streamed:.0f} s, {Count.refused} requests were refused before; {resets} resets, {after['free_memory']} bytes free, "
          f"{used} fewer than before; a page of {len(page[2])} bytes, which takes {page_takes} bytes of memory while it is open")
    print(f"first picture: {took:.0f} ms after the page was opened, at {LATENCY} ms and {RATE // 1000} KB/s")
    assert took <= SOON, f"the members were there after {took:.0f} ms"
    print(f"promise D1 reloads={BROWSERS * RELOADS} streams={STREAMS} resets={resets} lost={max(0, used)} open={page_takes} picture={took / 1000:.2f}")
    assert used <= 0, f"{used} bytes of memory are gone"


main()
