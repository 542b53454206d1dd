"""What a margin between an adaptation and its twin (`select.margin`) would have kept: reads experiments that ran under `auto` with a margin of 0, or without
twins, and have `source-only`. With every larger margin what is kept is either what was kept, or `source-only`'s model, so the accuracies are known.

usage: margins.py [--export] EXPERIMENT_DIR_OR_CSV...     the runs of all together; `--export` prints them as CSV, which is read as well
"""

import csv
import json
import pathlib
import sys

EVIDENCE = ["source-accuracy", "entropy", "infomax", "importance-weighted", "bnm", "class-clustering"]
MINIMISES = {"mcc": {"entropy"}, "shot": {"entropy", "infomax"}}
MARGINS = [None, 0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08]


def finished(folder):
    found = {}
    for cell in json.load(open(folder / "experiment.json"))["cells"]:
        run = folder / cell["name"]
        path = run / "result.json"
        result = json.load(open(path)) if path.exists() else {}
        if result.get("status") == "done":
            found[cell["method"], tuple(cell["pair"] or ()), cell["seed"]] = run, result
    return found


def candidates(run, phase):
    lines = [json.loads(line) for line in open(run / "metrics.jsonl")]
    # A candidate that has collapsed has no `score_auto`.
    return [line for line in lines if line["phase"] == phase and "score_auto" in line]


def rank(line, use):
    return sum(line[f"score_{s}"] for s in use) / len(use)


def cases(folder):
    runs = finished(folder)
    for (method, pair, seed), (run, result) in sorted(runs.items()):
        plain = runs.get(("source-only", pair, seed))
        adapted = candidates(run, method)
        if method in ("source-only", "target-supervised") or plain is None or not adapted or result["selection"]["by"] != "auto":
            continue
        use = [s for s in EVIDENCE if s not in MINIMISES.get(method, ())]
        twin = max(candidates(plain[0], "source-only"), key=lambda line: (rank(line, EVIDENCE), -line["epoch"]))
        gap = max(rank(line, use) for line in adapted) - rank(twin, use)
        points = [100 * r["metrics"]["test"]["accuracy"] for r in (result, plain[1])]
        given_up = result["selection"].get("of") == "source-only"
        yield dict(
            method=method, source=(pair or ("", ""))[0], target=(pair or ("", ""))[1], seed=seed, gap=f"{gap:.9f}", source_only=f"{points[1]:.3f}",
            gain="" if given_up else f"{points[0] - points[1]:.3f}",
        )


def read(path):
    path = pathlib.Path(path)
    return list(csv.DictReader(open(path, newline=""))) if path.suffix == ".csv" else list(cases(path))


def main(arguments):
    export = "--export" in arguments
    rows = [case for path in arguments if path != "--export" for case in read(path)]
    if export:
        out = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        out.writeheader()
        out.writerows(rows)
        return
    print("| margin | runs | adapted kept | worse than source-only | points over source-only, mean of all runs |\n|---|--:|--:|--:|--:|")
    for margin in MARGINS:
        if margin is None and any(row["gain"] == "" for row in rows):
            continue
        kept = [float(row["gain"]) for row in rows if row["gain"] and (margin is None or float(row["gap"]) > margin)]
        worse = sum(gain < -1e-9 for gain in kept)
        name = "no twin" if margin is None else f"{margin:g}"
        print(f"| {name} | {len(rows)} | {len(kept)} | {worse} ({100 * worse / len(rows):.0f} %) | {sum(kept) / len(rows):+.2f} |")


main(sys.argv[1:])
