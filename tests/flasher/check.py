"""Flashes a board through the page of `spore up`, in a headless Chromium.

    check.py FOLDER SPORE [TERMINAL]

Runs in a network namespace of its own, from which nothing else can be reached; see `cargo xtask flasher`. In FOLDER/browser is the firmware. The
board is a program on a pseudo-terminal (`tests/flash/chip.py`), whose flash is FOLDER/flash.bin; the browser's Web Serial is a stand-in whose bytes
are carried between page and terminal here. What is in the flash at the end is compared, and started by whoever has called this.

With a TERMINAL, a board that knows no WiFi is at that, and is told one in the dialog (Improv).
"""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from browser import SLOW, Browser, until

FOLDER, SPORE, *TERMINAL = sys.argv[1:]
AXE = os.path.join(HERE, "../../web/flasher/node_modules/axe-core/axe.min.js")
FLASH = 1 << 20
SECTOR = 4096

# As the specification of Web Serial has it: a stream that was cancelled is replaced by a new one while the port is open.
SERIAL = """
(() => {
  const sent = [];
  let waiting = [], source = null, readable = null, writable = null;
  const port = {
    get readable() {
      if (!writable) return null;
      return readable ??= new ReadableStream({
        start(controller) { source = controller; waiting.splice(0).forEach(it => controller.enqueue(it)); },
        cancel() { source = readable = null; },
      });
    },
    get writable() { return writable; },
    async open() {
      if (writable) throw new DOMException('it is open', 'InvalidStateError');
      writable = new WritableStream({ write(bytes) { sent.push(...bytes); } });
    },
    async close() {
      if (readable?.locked || writable?.locked) throw new TypeError('a stream is locked');
      source = readable = writable = null;
      waiting = [];
    },
    async setSignals() {},
    async getSignals() { return {}; },
    getInfo() { return { usbVendorId: 0x1A86, usbProductId: 0x7523 }; },
    addEventListener() {},
    removeEventListener() {},
  };
  Object.defineProperty(navigator, 'serial', { value: { requestPort: async () => port } });
  window.carry = text => {
    const bytes = Uint8Array.from(atob(text), it => it.charCodeAt(0));
    if (bytes.length > 0) source ? source.enqueue(bytes) : waiting.push(bytes);
    return btoa(String.fromCharCode(...sent.splice(0, 8192)));
  };
})();
"""
# All text there is, that of components included.
TEXT = """
const text = node => node.nodeType === Node.TEXT_NODE ? node.data
    : [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes].filter(it => it.nodeName !== 'STYLE').map(text).join(' ');
"""
DIALOG = "document.querySelector('ewt-install-dialog')"


class Chip:
    """The loader of a board, behind its terminal."""

    def __init__(self, terminal=None):
        self.process = None
        if terminal:
            self.terminal = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            return
        with open(f"{FOLDER}/flash.bin", "wb") as file:
            file.write(b"used" * (FLASH // 4))
        log = open(f"{FOLDER}/chip.log", "w")
        program = os.path.join(HERE, "../flash/chip.py")
        self.process = subprocess.Popen(
            ["python3", program, f"{FOLDER}/flash.bin"], stdout=subprocess.PIPE, stderr=log, text=True)
        self.terminal = os.open(self.process.stdout.readline().strip(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def read(self):
        try:
            return os.read(self.terminal, 8192)
        except BlockingIOError:
            return b""

    def write(self, data):
        while data:
            try:
                data = data[os.write(self.terminal, data):]
            except BlockingIOError:
                time.sleep(0.01)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def start(*options):
    """`spore up`, and what it says."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SPORE_")}
    command = [SPORE, "up", "--nodes", "1", "--base", "127.43.0.1", "--json", *options]
    log = open(f"{FOLDER}/spore.log", "a")
    environment = {**mine, "XDG_STATE_HOME": FOLDER}
    up = subprocess.Popen(command, cwd=FOLDER, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    return up, json.loads(up.stdout.readline())


def fill(browser, name, text):
    assert browser.run(f"const it = document.getElementById({json.dumps(name)}); it.focus(); return document.activeElement === it"), name
    browser.press(text)


def dialog(browser):
    return " ".join(browser.run(f"{TEXT} const it = {DIALOG}; return it ? text(it) : ''").split())


def click(browser, chip, tag, name):
    """Clicks in the dialog, as soon as it can be."""
    script = f"""{TEXT} const it = [...({DIALOG}?.shadowRoot.querySelectorAll({json.dumps(tag)}) ?? [])]
        .find(it => text(it).trim() === {json.dumps(name)}); it?.click(); return !!it"""
    carry(browser, chip, lambda: browser.run(script), SLOW, f"“{name}” in the dialog: {dialog(browser)}")


def carry(browser, chip, look, seconds, what):
    """Carries bytes between page and board until `look` is true; how many went to the board."""
    end, total, looked = time.monotonic() + seconds, 0, 0
    while True:
        said = base64.b64encode(chip.read()).decode()
        data = base64.b64decode(browser.run(f"return carry('{said}')"))
        chip.write(data)
        total += len(data)
        if not said and not data or time.monotonic() > looked + 0.5:
            looked = time.monotonic()
            if look():
                return total
            assert looked < end, f"{what}: not within {seconds} s; it says “{dialog(browser)}”"
            time.sleep(0.002)


def findings(browser, where):
    browser.run(open(AXE).read())
    found = browser.send("POST", "/execute/async", {"args": [], "script": """
        const done = arguments[0];
        axe.run().then(it => done(it.violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0].html.slice(0, 200)}`)));"""})
    serious = [it for it in found if it.split()[0] in ("serious", "critical")]
    assert not serious, f"{where}: {serious}"
    return len(found)


def without_firmware(browser):
    """The page says what to do."""
    up, said = start()
    try:
        browser.open(said["flasher"])
        until(lambda: "./ctl.sh build" in browser.text("trouble"), SLOW, "what to do without firmware")
        assert browser.run("return document.getElementById('form').hidden")
    finally:
        up.terminate()
        assert up.wait(SLOW) == 0


def without_web_serial(browser, url):
    script = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source="delete Navigator.prototype.serial")
    browser.open(url)
    until(lambda: "cannot use serial ports" in browser.text("trouble"), SLOW, "what to do without Web Serial")
    browser.devtools("Page.removeScriptToEvaluateOnNewDocument", **script)


def flashed(browser, chip, url):
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=SERIAL)
    browser.open(url)
    until(lambda: not browser.run("return document.getElementById('form').hidden"), SLOW, "the form")
    minor = findings(browser, "the page")
    browser.width(320)
    assert browser.run("return document.documentElement.scrollWidth <= 320"), "it is wider than 320 pixels"
    browser.picture("page-320")
    browser.width(1000)
    fill(browser, "hostname", "kitchen")
    fill(browser, "ssid", "home")
    fill(browser, "password", "short")
    browser.press("enter")
    until(lambda: "the password of the WiFi" in browser.text("trouble"), SLOW, "what is wrong with the password")
    fill(browser, "password", "-but-longer")
    browser.press("enter")
    until(lambda: "Write this on the board" in browser.text("made"), SLOW, "the password of the access point")
    password = browser.run("return document.querySelector('#made output').textContent")
    click(browser, chip, "ew-list-item", "Install SPORE")
    findings(browser, "the dialog")
    browser.picture("dialog")
    begun = time.monotonic()
    click(browser, chip, "ew-text-button", "Install")
    sent = carry(browser, chip, lambda: "Installation complete!" in dialog(browser)
                 or "failed" in dialog(browser), 120, "the flashing")
    assert "complete" in dialog(browser), dialog(browser)
    took = time.monotonic() - begun
    browser.picture("flashed")
    return password, sent, took, minor


def compare(password):
    """What is in the flash is what the folder has, and the settings that were made."""
    with open(f"{FOLDER}/flash.bin", "rb") as file:
        flash = file.read()
    with open(f"{FOLDER}/browser/flash.json") as file:
        parts = json.load(file)["parts"]
    wanted = bytearray(b"\xff" * FLASH)
    for part in parts:
        with open(f"{FOLDER}/browser/{part['name']}.bin", "rb") as file:
            data = file.read()
        start, end = part["address"], part["address"] + part["bytes"]
        if part["name"] == "settings":
            data = flash[start:end]
            with open(f"{FOLDER}/spore/cluster.key") as key:
                key = bytes.fromhex(key.read().strip())
            for what, secret in [("key", key), ("password", password.encode()), ("WiFi", b"short-but-longer"), ("name", b"kitchen")]:
                assert secret in data, f"the settings lack the {what}"
        wanted[start:end] = data
    different = [at for at in range(0, FLASH, SECTOR) if flash[at:at + SECTOR] != wanted[at:at + SECTOR]]
    assert not different, f"the flash differs at {[hex(at) for at in different]}"


def told(terminal):
    """Improv, as esp-web-tools speaks it."""
    browser = Browser(FOLDER)
    board = Chip(terminal)
    up, said = start("--images", f"{FOLDER}/browser")
    try:
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=SERIAL)
        browser.open(said["flasher"])
        until(lambda: not browser.run("return document.getElementById('form').hidden"), SLOW, "the form")
        # What has come so far is of the past.
        time.sleep(2)
        while board.read():
            pass
        fill(browser, "hostname", "")
        browser.press("enter")
        until(lambda: browser.run("return !!document.querySelector('#made button')"), SLOW, "a button for its WiFi")
        carry(browser, board, lambda: "Connected to" in dialog(browser), SLOW, "a board that speaks Improv")
        name = re.search(r"Connected to (\S+) (.*?\))", dialog(browser))
        browser.picture("improv")
        click(browser, board, "ew-list-item", "Connect to Wi-Fi")
        carry(browser, board, lambda: "home" in dialog(browser) and "Connect" in dialog(browser), SLOW, "the networks that it hears")
        browser.picture("networks")
        field = f"{DIALOG}.shadowRoot.querySelector('ew-filled-text-field[name=password]')"
        for password, outcome in [("wrong-password", "Unable to connect"), ("short-but-longer", "Device connected to the network!")]:
            carry(browser, board, lambda: browser.run(f"return !!{field}"), SLOW, "a field for the password")
            browser.run(f"{field}.value = {json.dumps(password)}")
            click(browser, board, "ew-text-button", "Connect")
            carry(browser, board, lambda: outcome in dialog(browser), 90, outcome)
        browser.picture("told")
        link = browser.run(f"return {DIALOG}.shadowRoot.querySelector('ew-list-item[type=link]')?.href ?? null")
        assert link and link.startswith("http://10.0.2."), link
        print(f"Improv: {name[1]}, {name[2]} hears its networks, refuses a wrong password, takes the right one, and says where it is: {link}")
    finally:
        up.terminate()
        browser.close()


def main():
    if TERMINAL:
        told(*TERMINAL)
        return
    browser = Browser(FOLDER)
    chip = Chip()
    try:
        without_firmware(browser)
        up, said = start("--images", f"{FOLDER}/browser")
        url = said["flasher"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/flash/[0-9a-f]{32}/", url), url
        without_web_serial(browser, url)
        print("without firmware, and without Web Serial: the page says what to do")
        browser.complaints()
        password, sent, took, minor = flashed(browser, chip, url)
        # Of what was refused on purpose, and of esp-web-tools itself.
        complaints = [it["message"] for it in browser.complaints() if it["level"] == "SEVERE" and "400 (Bad Request)" not in it["message"]]
        assert not complaints, complaints
        compare(password)
        print(f"flashed through the page: {sent} bytes over the line in {took:.1f} s, and every byte of the flash is right")
        print(f"0 serious findings of axe-core in the page and in the dialog, {minor} minor ones; no request failed, nothing was refused by the policy")
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
        up.terminate()
        assert up.wait(10) == 0
    finally:
        chip.end()
        browser.close()


main()
