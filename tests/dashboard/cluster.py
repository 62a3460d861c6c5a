"""Nodes that `spore launch` runs and that take updates, for `check.py`."""

import json
import os
import signal
import subprocess
import urllib.request

PROGRAM = "#!/bin/sh\n# {}\nexec {} \"$@\"\n"
# What the radio of node 1 hears.
AIR = "home:\nshed:shed-password\n"


class Cluster:
    """Nodes at 127.43.0.1 and so on. The first has a modelled radio and a task, the others are wired."""

    def __init__(self, folder, spore, nodes):
        self.folder, self.program, self.nodes = folder, spore, {}
        for kind in ["cluster", "release"]:
            self.spore("key", "new", kind)
        self.key = self.spore("key", "show").strip()
        self.write("first", PROGRAM.format("first", spore))
        self.write("air", AIR)
        for n in range(1, nodes + 1):
            os.mkdir(f"{folder}/node{n}")
            self.spore("claim", f"node{n}/settings.flash", "--no-wifi", "--hostname", f"n{n}")
            self.start(n)

    def environment(self):
        mine = {name: value for name, value in os.environ.items() if not name.startswith("SPORE_")}
        return {**mine, "XDG_STATE_HOME": self.folder}

    def spore(self, *arguments):
        done = subprocess.run([self.program, *arguments], cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        if done.returncode != 0:
            raise subprocess.SubprocessError(f"spore {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def start(self, n):
        """Starts node `n`, in a process group of its own."""
        log = open(f"{self.folder}/node{n}.log", "a")
        more = ["--radio", "air", "--wifi", "home:", "--task", "tick=3600:true"] if n == 1 else []
        self.nodes[n] = subprocess.Popen(
            [self.program, "launch", "--slots", f"slots{n}", "--program", "first", "--", "node", "--bind", f"127.43.0.{n}",
             "--http-port", "80", "--unclaimed", "--state", f"node{n}", *more],
            cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True,
        )

    def kill(self, n):
        """As a power cut does."""
        node = self.nodes.pop(n)
        os.killpg(node.pid, 9)
        node.wait()

    def pause(self, n):
        """Node `n` takes connections and says nothing, until it goes on."""
        os.killpg(self.nodes[n].pid, signal.SIGSTOP)

    def go_on(self, n):
        os.killpg(self.nodes[n].pid, signal.SIGCONT)

    def end(self):
        for n in list(self.nodes):
            self.kill(n)

    def image(self, sequence, text=None):
        self.write(f"program-{sequence}", text or PROGRAM.format(sequence, self.program))
        self.spore("image", "build", "--program", f"program-{sequence}", "--sequence", str(sequence), "--output", f"{sequence}.spore")
        return f"{self.folder}/{sequence}.spore"

    def get(self, path, n=1):
        with urllib.request.urlopen(f"http://127.43.0.{n}{path}", timeout=20) as answer:
            return json.load(answer)
