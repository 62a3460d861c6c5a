"""A headless Chromium, driven through chromedriver (W3C WebDriver), with nothing but Python's own library."""

import base64
import http.client
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync""".split()
KEYS = {"tab": "\ue004", "enter": "\ue007", "space": " "}
# What has no time of its own to keep comes within this, in seconds, however busy the machine is.
SLOW = 60
# What comes of asking somebody who is starting or ending: no answer, half of one, or one in which something is not there yet.
NOT_YET = (OSError, http.client.HTTPException, subprocess.SubprocessError, ValueError, LookupError, TypeError)


class Browser:
    def __init__(self, folder):
        log, port = open(f"{folder}/chromedriver.log", "w"), free_port()
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=log, stderr=log
        )
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        options = {"args": [*FLAGS, f"--user-data-dir={folder}/profile"]}
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options,
                                                  "goog:loggingPrefs": {"browser": "ALL"}}}}
        until(lambda: self.send("GET", "/status")["ready"], SLOW, "chromedriver")
        session = self.send("POST", "/session", asked)
        self.url += "/session/" + session["sessionId"]

    def send(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {json.load(error)['value']['message']}") from None

    def open(self, url):
        self.send("POST", "/url", {"url": url})

    def run(self, script):
        return self.send("POST", "/execute/sync", {"script": script, "args": []})

    def text(self, element):
        return self.run(f"return document.getElementById('{element}').textContent")

    def press(self, *keys):
        """Presses keys, and types what is no key, into whatever has the focus."""
        for key in keys:
            strokes = []
            for letter in KEYS.get(key, key):
                strokes += [{"type": "keyDown", "value": letter}, {"type": "keyUp", "value": letter}]
            source = {"type": "key", "id": "keyboard", "actions": strokes}
            self.send("POST", "/actions", {"actions": [source]})

    def choose(self, selector, file):
        """Gives a file to the field that `selector` finds."""
        found = self.send("POST", "/element", {"using": "css selector", "value": selector})
        self.send("POST", f"/element/{found[ELEMENT]}/value", {"text": file})

    def devtools(self, command, **params):
        """Chromium's own protocol, for what WebDriver has no word for."""
        return self.send("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def width(self, pixels):
        self.devtools("Emulation.setDeviceMetricsOverride",
                      width=pixels, height=640, deviceScaleFactor=1, mobile=pixels < 600)

    def picture(self, name):
        with open(f"{self.folder}/{name}.png", "wb") as file:
            file.write(base64.b64decode(self.send("GET", "/screenshot")))

    def complaints(self):
        return self.send("POST", "/se/log", {"type": "browser"})

    def close(self):
        try:
            self.send("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(look, seconds, what):
    """The first true answer of `look`. `what` it is that is looked for is a text, or a function that has one in the end."""
    end = time.monotonic() + seconds
    while True:
        why = ""
        try:
            found = look()
        except NOT_YET as error:
            found, why = None, f" ({error!r})"
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what() if callable(what) else what}{why}: not within {seconds} s")
        time.sleep(0.2)
