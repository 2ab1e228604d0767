"""The tables of the benches in Markdown, and the line below a table that says which wishes are met."""

import math
import os
import statistics
import sys
import time


def say(text):
    """Progress and what went wrong: on stderr, because stdout is the page."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def head(version):
    print(f"{version}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}.\n", flush=True)


def columns(*names):
    print("\n| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")


def row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def p90(values):
    """The smallest value that nine tenths of the values do not exceed."""
    return sorted(values)[math.ceil(len(values) * 0.9) - 1]


median, slowest = statistics.median, max


def wanted(of, *wishes):
    """One line below a table. A wish is what is measured, the most that is wanted, the figure (None: no run), and its unit."""
    parts = []
    for what, most, figure, unit in wishes:
        digits = 2 if most < 2 else 1 if most < 100 else 0
        got = "failed, not met" if figure is None else f"{figure:.{digits}f}, {'met' if figure <= most else 'not met'}"
        parts.append(f"{what} at most {round(most, digits):g} {unit}: {got}")
    print(f"\nWanted of {of}: {'; '.join(parts)}.", flush=True)
