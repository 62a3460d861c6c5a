"""A headless Chromium, driven through chromedriver (W3C WebDriver), with nothing but Python's own library."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request

PORT = 9515
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync""".split()
KEYS = {"tab": "\ue004", "enter": "\ue007", "space": " "}


class Browser:
    def __init__(self, folder):
        log = open(f"{folder}/chromedriver.log", "w")
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={PORT}"], stdout=log, stderr=log
        )
        self.folder = folder
        self.url = f"http://127.0.0.1:{PORT}"
        options = {"args": [*FLAGS, f"--user-data-dir={folder}/profile"]}
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options,
                                                  "goog:loggingPrefs": {"browser": "ALL"}}}}
        until(lambda: self.send("GET", "/status")["ready"], 20, "chromedriver")
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


def until(look, seconds, what):
    """The first true answer of `look`."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except OSError as error:
            found, what = None, f"{what.split(' (')[0]} ({error})"
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.2)
