"""Trials of reaction: many tools wait at the same time, each for its own thing, which becomes ready at a random moment."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from lib.page import columns, median, p90, row, say, slowest, wanted
from lib.process import Run


class Trial:
    """One tool that waits for one thing. `make` makes the thing, and returns the tool's argv and `appear_after`: a function
    that gets seconds, lets the thing be ready after them and returns that moment."""

    def __init__(self, group, tool, make):
        self.group, self.tool, self.make = group, tool, make

    def run(self, after):
        argv, appear_after, *rest = self.make(self.tool)
        run, moments, trouble = Run(argv), [], []

        def appear():
            try:
                moments.append(appear_after(after))
            except (OSError, RuntimeError) as error:
                trouble.append(error)

        appearance = threading.Thread(target=appear)
        appearance.start()
        # After 15 s of waiting, the longest pause that a tool here makes is 16 s.
        run.end(within=after + 30)
        appearance.join()
        more = rest[0](after) if rest else None
        if run.status != 0 or not moments:
            raise RuntimeError(f"it ended with {run.status} {trouble}: {run.output()[-300:]}")
        if run.ended < moments[0]:
            raise RuntimeError("it ended before the moment")
        return run.ended - moments[0], more


class Results:
    """Seconds from the moment to the end of the tool, of each tool in each group."""

    def __init__(self):
        self.took, self.more, self.failed, self.shown = {}, {}, {}, set()

    def add(self, key, took, more=None):
        self.took.setdefault(key, []).append(took)
        if more is not None:
            self.more.setdefault(key, []).append(more)

    def fail(self, key, why):
        self.failed[key] = self.failed.get(key, 0) + 1
        if key not in self.shown:
            self.shown.add(key)
            say(f"failed: {key[0]}, {key[1]}: {why}")

    def table(self, group, title, names, extra=None):
        """`extra` is a column's title and a function of what the trials gave besides their time."""
        print(f"\n### {title}")
        columns("", "p50", "p90", "slowest", *([extra[0]] if extra else []), "trials")
        for name in names:
            took, failed = self.took.get((group, name), []), self.failed.get((group, name), 0)
            trials = f"{len(took)}" + (f", {failed} more failed" if failed else "")
            figures = [f"{figure(took) * 1000:.0f} ms" for figure in (median, p90, slowest)] if took else ["failed"] * 3
            if extra:
                figures.append(extra[1](self.more[group, name]) if self.more.get((group, name)) else "–")
            row(name, *figures, trials)

    def wish(self, group, name, **most):
        """`most`: the milliseconds that are wanted, of p50, p90 or slowest."""
        took = self.took.get((group, name))
        if self.failed.get((group, name)):
            took = None  # a mean of those that did not fail would be no answer
        of = {"p50": median, "p90": p90, "slowest": slowest}
        wishes = [(what, limit, of[what](took) * 1000 if took else None, "ms") for what, limit in most.items()]
        wanted(name, *wishes)


def run_all(trials, rounds, results):
    """Each round starts all trials at the same time; the moments are 4 to 15 s later, each at random: by then
    node has started, also when eight start at once."""
    for number in range(rounds):
        began = time.monotonic()
        with ThreadPoolExecutor(len(trials)) as pool:
            waiting = [(trial, pool.submit(trial.run, random.uniform(4, 15))) for trial in trials]
            for trial, future in waiting:
                key = (trial.group, trial.tool.name)
                try:
                    results.add(key, *future.result())
                except Exception as why:  # one row must not end the others
                    results.fail(key, why)
        say(f"round {number + 1} of {rounds}: {len(trials)} trials, {time.monotonic() - began:.0f} s")
