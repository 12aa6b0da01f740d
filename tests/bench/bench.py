# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches share: figures with goals, a lab, and CPU time of everything in it."""
import argparse
import json
import operator
import os
import pathlib
import statistics
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
HOSTS = ("hosta", "hostb")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vmferry"
COMPARE = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


def other(host):
    return HOSTS[1 - HOSTS.index(host)]


class Figures:
    """Collects figures, prints them, and knows whether a goal was missed."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.missed = []

    def add(self, name, value, unit, runs, goal=None):
        value = round(value, 3)
        if goal:
            sign, bound = goal.split()
            if not COMPARE[sign](value, float(bound)):
                self.missed.append(name)
        if self.as_json:
            row = {"figure": name, "value": value, "unit": unit, "runs": runs}
            print(json.dumps(row | ({"goal": goal} if goal else {})), flush=True)
        else:
            verdict = "" if not goal else f"goal {goal}{'  MISSED' if name in self.missed else ''}"
            print(f"{name:36} {value:12} {unit:8} {runs:3} runs  {verdict}", flush=True)

    def exit(self):
        for name in self.missed:
            print(f"goal missed: {name}", file=sys.stderr)
        sys.exit(1 if self.missed else 0)


def note(text):
    """Progress of a long bench, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def parser(description):
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print one JSON object per figure")
    options.add_argument("--build", default=os.environ.get("VMFERRY_BUILD"),
                         help="what to install in the lab (default: build, as the lab does)")
    return options


class Lab:
    """Two hosts, up inside a with statement. See tests/lab/lab --help."""

    def __init__(self, *options, build=None):
        self.options = list(options) + (["--build", build] if build else [])
        self.env = os.environ | {"LAB_NAME": f"bench-{os.getpid()}"}

    def __call__(self, *command, check=True):
        done = subprocess.run([TESTS / "lab/lab", *command], env=self.env, check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise RuntimeError(f"lab {' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.stdout

    def on(self, host, *command, **options):
        return self("on", host, *command, **options)

    def popen(self, host, *command):
        """A process in a host, whose output is read while it runs."""
        return subprocess.Popen([TESTS / "lab/lab", "on", host, *command], env=self.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def __enter__(self):
        self("up", *self.options)
        return self

    def __exit__(self, *exception):
        self("down", check=False)

    def job(self, host, guest):
        """libvirt's completed statistics of the migration that brought a guest to this host."""
        rows = self.on(host, "virsh", "-q", "domjobinfo", "--completed", "--rawstats", guest)
        pairs = (row.split(":", 1) for row in rows.splitlines() if ":" in row)
        return {key.strip(): int(value) for key, value in pairs if value.strip().isdigit()}

    def gap_ms(self, guest, sweep=True):
        """The heartbeat's silence at the latest switch; the guest must be right. sweep: after all of
        its memory was verified once more, for which it must do so."""
        options = ("--wait-sweep", "--json") if sweep else ("--json",)
        return json.loads(self("guest", "check", guest, *options))["switches"][-1]["gap_ms"]

    def cpu(self):
        """CPU seconds used so far in both hosts, by process name; what ended is counted too."""
        script = ("cat /proc/[0-9]*/stat 2>/dev/null")
        used = {}
        for host in HOSTS:
            for row in self.on(host, "sh", "-c", script, check=False).splitlines():
                name, fields = row.split("(", 1)[1].rsplit(")", 1)
                fields = fields.split()
                # utime and stime; then those of ended children, which were QEMUs and pumps
                own = int(fields[11]) + int(fields[12])
                ended = int(fields[13]) + int(fields[14])
                heir = {"lab-host-init": "qemu", "vmferryd": "vmferry-pump"}.get(name, name)
                name = "qemu" if name.startswith("qemu-system") else name
                for key, ticks in ((name, own), (heir, ended)):
                    used[key] = used.get(key, 0) + ticks / os.sysconf("SC_CLK_TCK")
        return used


def median(values):
    return statistics.median(values)
