"""The dashboard in a browser, for `check.py`. It is used by keyboard alone."""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from browser import SLOW, until

AXE = os.path.join(HERE, "../../web/dashboard/node_modules/axe-core/axe.min.js")
# More elements than this take no focus in any view.
STEPS = 200


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.run = browser.run

    def go(self, view):
        self.run(f"location.hash = '{view}'")
        until(lambda: self.run("return !document.querySelector('main').textContent.includes('Asking…')"), SLOW, view)

    def text(self, selector="main"):
        return self.run(f"return document.querySelector('{selector}')?.innerText ?? ''")

    def says(self, text, seconds=SLOW, selector="main"):
        until(lambda: text in self.text(selector), seconds, f"“{text}” on the page")

    def said(self, text, seconds=SLOW):
        said = lambda: self.text("#said")
        until(lambda: text in said(), seconds, lambda: f"“{text}” on the page; it says “{said()}”")

    def reach(self, name, sought):
        """Tabs to the element `it` of which the expression `sought` is true; how many steps that took."""
        for steps in range(STEPS):
            if self.run(f"const it = document.activeElement; return Boolean({sought})"):
                return steps
            self.browser.press("tab")
        raise AssertionError(f"{name} is not reached by keyboard")

    def click(self, name):
        """Presses the only button that is called so."""
        called = f"(it.getAttribute('aria-label') ?? it.textContent) === {json.dumps(name)}"
        count = lambda: self.run(f"return [...document.querySelectorAll('button, summary')].filter(it => {called}).length")
        found = until(count, SLOW, f"a button “{name}”")
        assert found == 1, f"{found} buttons are called {name}"
        self.reach(name, called)
        self.browser.press("space" if self.run("return document.activeElement.type === 'button'") else "enter")

    def fill(self, name, text, near=""):
        """Types into the field `name` of the form with the button `near`."""
        button = f"[aria-label={json.dumps(near)}]" if near else "button"
        self.reach(name, f"it.name === '{name}' && it.form.querySelector({json.dumps(button)})")
        self.run("document.activeElement.select()")
        self.browser.press(text)

    def drop(self, file, selector):
        """Drops a file onto the middle of the element, as the system does."""
        place = self.run(f"const {{ x, y, width, height }} = document.querySelector('{selector}').getBoundingClientRect(); "
                         "return { x: x + width / 2, y: y + height / 2 }")
        data = {"items": [], "files": [file], "dragOperationsMask": 1}
        for kind in ["dragEnter", "dragOver", "drop"]:
            self.browser.devtools("Input.dispatchDragEvent", type=kind, **place, data=data)

    def accept(self, text):
        """Says yes to what is asked in a dialogue, which must contain `text`."""
        asked = until(self.asked, SLOW, "a question")
        assert text in asked, asked
        self.browser.send("POST", "/alert/accept")

    def asked(self):
        try:
            return self.browser.send("GET", "/alert/text")
        except RuntimeError:
            return None

    def cell(self, name, column):
        """What the table shows of the row that begins so."""
        return self.run(f"""const at = [...document.querySelectorAll('thead th')].findIndex(it => it.innerText === '{column}');
            return [...document.querySelectorAll('tbody tr')].find(it => it.innerText.startsWith('{name}'))?.children[at]?.innerText ?? ''""")

    def charts(self):
        """How many charts are drawn, each with two points at least."""
        return self.run("return [...document.querySelectorAll('.chart polyline')].filter(it => it.points.length > 1 && it.getBoundingClientRect().width > 9).length")

    def accessible(self, view):
        """Fails on what axe-core finds to be serious."""
        if not self.run("return 'axe' in window"):
            self.run(open(AXE).read())
        self.run("window.found = null; axe.run().then(done => window.found = done.violations)")
        until(lambda: self.run("return window.found !== null"), SLOW, "axe")
        found = self.run("return window.found.map(it => [it.impact, it.id, it.nodes[0].html.slice(0, 200)])")
        serious = [it for it in found if it[0] in ("serious", "critical")]
        assert not serious, f"{view}: {serious}"
        return len(found)
