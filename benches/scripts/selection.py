"""What `auto` loses to a choice by the test labels: reads two experiments that differ in `select.by` alone, and prints the figures of docs/src/selection.md.

usage: selection.py NAME AUTO_DIR ORACLE_DIR [NAME AUTO_DIR ORACLE_DIR ...]
"""

import collections
import json
import math
import pathlib
import sys


def lines(path):
    return [json.loads(line) for line in open(path)] if path.exists() else []


def runs(folder):
    """Finished runs by method, pair and seed."""
    folder = pathlib.Path(folder)
    found = {}
    for cell in json.load(open(folder / "experiment.json"))["cells"]:
        path = folder / cell["name"] / "result.json"
        if path.exists() and json.load(open(path)).get("status") == "done":
            found[cell["method"], tuple(cell["pair"] or ()), cell["seed"]] = folder / cell["name"]
    return found


def accuracy(run):
    return 100 * json.load(open(run / "result.json"))["metrics"]["test"]["accuracy"]


def effective(run):
    """Effective number of classes that a run predicts on the test rows."""
    said = collections.Counter(line["prediction"] for line in lines(run / "predictions.jsonl"))
    n = sum(said.values())
    return math.exp(-sum(c / n * math.log(c / n) for c in said.values()))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def main(arguments):
    table, methods = [], collections.defaultdict(list)
    for name, auto, oracle in zip(arguments[::3], arguments[1::3], arguments[2::3]):
        auto, oracle = runs(auto), runs(oracle)
        rows = []
        for key in sorted(set(auto) & set(oracle)):
            method, pair, seed = key
            plain = auto.get(("source-only", pair, seed))
            if method == "source-only" or plain is None:
                continue
            row = dict(kept=accuracy(auto[key]), best=accuracy(oracle[key]), source=accuracy(plain))
            row["collapsed"] = effective(auto[key]) < effective(plain) / 2
            rows.append(row)
            methods[method].append(row)
        table.append((name, rows))
    everything = [row for _, rows in table for row in rows]
    for title, groups in (("experiment", table + [("all", everything)]), ("method", sorted(methods.items()))):
        print(f"| {title} | runs | source-only | `auto` | oracle | lost to the oracle | worse than source-only | of the oracle's choices | collapsed, kept | oracle gains 2 or more | of which captured |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for name, rows in groups:
            gains = [r for r in rows if r["best"] - r["source"] >= 2]
            captured = "" if not gains else f"{100 * mean(r['kept'] - r['source'] for r in gains) / mean(r['best'] - r['source'] for r in gains):.0f} %"
            worse = sum(r["kept"] < r["source"] - 1e-9 for r in rows)
            lost = sum(r["best"] < r["source"] - 1e-9 for r in rows)
            print(
                f"| {name} | {len(rows)} | {mean(r['source'] for r in rows):.1f} | {mean(r['kept'] for r in rows):.1f} | {mean(r['best'] for r in rows):.1f} "
                f"| {mean(r['best'] - r['kept'] for r in rows):.1f} | {worse} ({100 * worse / max(1, len(rows)):.0f} %) | {lost} | {sum(r['collapsed'] for r in rows)} "
                f"| {len(gains)} | {captured} |"
            )
        print()


main(sys.argv[1:])
