# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmferry migrate without options against settings by hand: several guests, two rates of the link.
What was measured is noted, one run in a line of a file, so that it can be gone on with."""
import itertools
import json
import sys
import time

import bench

MIB = 2**20
LIMIT = 40  # s, after which the guest is stopped so that the rest gets through
ROUNDS = 1
RATES = {"24": "210mbit", "64": "560mbit"}  # MiB/s of payload
VIRSH = ("virsh", "-q", "migrate", "--live", "--timeout", str(LIMIT), "--timeout-suspend")
FERRY = ("vmferry", "migrate", "--quiet", "--timeout", str(LIMIT))
# What the plan's model puts first for one or the other of the guests, and nothing at all.
WAYS = {
    "pump-64-zstd": (*FERRY, "--cache", "64M", "--zstd", "3"),
    "pump-256-zstd": (*FERRY, "--cache", "256M", "--zstd", "1"),
    "pump-256": (*FERRY, "--cache", "256M", "--zstd", "off"),
    "native-256": (*VIRSH, "--compressed", "--comp-methods", "xbzrle", "--comp-xbzrle-cache",
                   str(256 * MIB)),
    "multifd-zstd": (*VIRSH, "--parallel", "--parallel-connections", "2", "--compressed",
                     "--comp-methods", "zstd"),
    "plain": VIRSH,
}
OURS = ("timeout", "120", "vmferry", "migrate", "--quiet")
# The rules and their numbers were found with the first two; the others judge.
GUESTS = {
    "counter-24": ("counter", "--memory", "192M", "--filled", "96M", "--set", "24M", "--rate",
                   "4000", "--pattern", "words", "--verify", "2048"),
    "phases": ("phases", "--memory", "192M", "--filled", "96M", "--set", "24M"),
    "counter-96": ("counter", "--memory", "256M", "--filled", "160M", "--set", "96M", "--rate",
                   "8000", "--pattern", "words", "--fill", "text", "--verify", "2048"),
    "redis": ("redis", "--memory", "384M", "--filled", "96M"),
}
CELLS = [f"{guest}@{rate}" for guest, rate in itertools.product(GUESTS, RATES)]


class Record:
    """The runs so far."""

    def __init__(self, path, again):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if again:
            path.unlink(missing_ok=True)
        self.runs = [json.loads(row) for row in path.read_text().splitlines()] \
            if path.exists() else []

    def add(self, run):
        self.runs.append(run)
        with open(self.path, "a", encoding="ascii") as file:
            print(json.dumps(run), file=file)

    def of(self, cell, way):
        return [run for run in self.runs if (run["cell"], run["way"]) == (cell, way)]

    def missing(self, cell, rounds):
        """vmferry's own choice comes last: then the link is known, as on any host in use."""
        return [way for _ in range(rounds) for way in (*WAYS, "ours")
                if len(self.of(cell, way)) <= _]


class Mover:
    """Moves a guest from hosta to hostb, one way or another, and back as fast as it goes."""

    def __init__(self, lab, cell):
        self.lab, self.guest = lab, cell.split("@")[0]
        self.rate = RATES[cell.split("@")[1]]
        self.taught = False  # vmferryd knows the link, as on any host in use
        self.wire = f"{lab('root', 'hosta').strip()}/sys/class/net/mig0/statistics/tx_bytes"
        lab("guest", "start", GUESTS[self.guest][0], self.guest, "--on", "hosta",
            *GUESTS[self.guest][1:])

    def sent(self):
        with open(self.wire, encoding="ascii") as file:
            return int(file.read())

    def plan(self):
        """What vmferry foresees, once it has measured what the guest writes."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            plan = json.loads(self.lab.on("hosta", "vmferry", "plan", "--json", self.guest, "hostb"))
            if plan["age"] >= 0:
                return plan
            time.sleep(0.5)
        raise RuntimeError(f"{self.guest} was not measured within a minute")

    def back(self):
        if self.lab.on("hostb", "virsh", "-q", "domstate", self.guest).startswith("paused"):
            self.lab.on("hostb", "virsh", "-q", "resume", self.guest)
        self.lab("rate", "none")
        self.lab.on("hostb", *VIRSH, self.guest, "qemu+tcp://hosta/system")
        if self.lab.on("hosta", "virsh", "-q", "domstate", self.guest).startswith("paused"):
            self.lab.on("hosta", "virsh", "-q", "resume", self.guest)

    def teach(self):
        self.lab("rate", self.rate)
        self.lab.on("hosta", *WAYS["pump-256-zstd"], self.guest, "hostb")
        self.back()

    def move(self, way):
        if way == "ours" and not self.taught:
            self.teach()
        self.taught |= way.startswith("pump")
        plan = self.plan() if way == "ours" else None
        command = OURS if way == "ours" else WAYS[way]
        to = "hostb" if command[0] != "virsh" else "qemu+tcp://hostb/system"
        self.lab("rate", self.rate)
        before, begin = self.sent(), time.monotonic()
        self.lab.on("hosta", *command, self.guest, to)
        run = {"way": way, "time": time.monotonic() - begin, "bytes": self.sent() - before,
               "gap": self.lab.gap_ms(self.guest, False)}
        if plan:
            run |= {"chosen": plan["chosen"], "plan_time": plan["seconds"],
                    "plan_gap": plan["downtime"] * 1000, "plan_bytes": plan["bytes"]}
        bench.note(f"{self.guest} {' '.join(f'{key}={value}' for key, value in run.items())}")
        self.back()
        return run


def measure(options, record, deadline):
    """The runs that are missing; False: time was up before."""
    todo = [cell for cell in CELLS if record.missing(cell, options.rounds)
            and (not options.only or options.only in cell)]
    if not todo:
        return True
    with bench.Lab("--newer", "both", "--rate", "none", build=options.build) as lab:
        for cell in todo:
            mover = Mover(lab, cell)
            for way in record.missing(cell, options.rounds):
                if time.monotonic() > deadline:
                    return False
                record.add({"cell": cell} | mover.move(way))
            lab("guest", "stop", mover.guest)
    return True


def compare(record, figures, rounds):
    """One row for each cell, then the figures over all of them."""
    ratios = {"time": [], "bytes": [], "plain": []}
    for cell in CELLS:
        medians = {way: {key: bench.median([run[key] for run in record.of(cell, way)])
                         for key in ("time", "bytes", "gap")} for way in (*WAYS, "ours")}
        ours = medians.pop("ours")
        best = min(medians, key=lambda way: medians[way]["time"])
        fewest = min(row["bytes"] for row in medians.values())
        bench.note(f"{cell}: the best by hand is {best}")
        ratios["time"].append(ours["time"] / medians[best]["time"])
        ratios["bytes"].append(ours["bytes"] / fewest)
        ratios["plain"].append(ours["time"] / medians["plain"]["time"])
        figures.add(f"auto.time.{cell}", ours["time"], "s", rounds)
        figures.add(f"auto.time_vs_best.{cell}", ratios["time"][-1], "ratio", rounds)
        figures.add(f"auto.bytes_vs_best.{cell}", ratios["bytes"][-1], "ratio", rounds)
        figures.add(f"auto.vs_plain.{cell}", ratios["plain"][-1], "ratio", rounds)
    n = len(CELLS) * rounds
    figures.add("auto.time_vs_best_median", bench.median(ratios["time"]), "ratio", n, "<= 1.1")
    figures.add("auto.time_vs_best_worst", max(ratios["time"]), "ratio", n, "<= 1.2")
    figures.add("auto.bytes_vs_best_median", bench.median(ratios["bytes"]), "ratio", n, "<= 1.1")
    figures.add("auto.vs_plain_worst", max(ratios["plain"]), "ratio", n, "<= 1.05")


def judge_plans(record, figures):
    """How far off the predictions were."""
    runs = [run for run in record.runs if run["way"] == "ours"]
    times = [abs(run["plan_time"] / run["time"] - 1) for run in runs]
    gaps = [abs(run["plan_gap"] - run["gap"]) for run in runs]
    shares = [gap / run["gap"] for gap, run in zip(gaps, runs)]
    figures.add("plan.time_error_median", bench.median(times), "ratio", len(runs), "<= 0.2")
    # either will do
    few_ms = bench.median(gaps) <= 100
    figures.add("plan.downtime_error_median_ms", bench.median(gaps), "ms", len(runs),
                "<= 100" if few_ms else None)
    figures.add("plan.downtime_error_median", bench.median(shares), "ratio", len(runs),
                None if few_ms else "<= 0.5")


def run(options, figures):
    record = Record(bench.CACHE / "auto.json", options.again)
    if not measure(options, record, time.monotonic() + options.minutes * 60):
        bench.note("not all is measured yet")
        sys.exit(75)
    if any(record.missing(cell, options.rounds) for cell in CELLS):
        sys.exit(75)
    compare(record, figures, options.rounds)
    judge_plans(record, figures)
