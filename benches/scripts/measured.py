"""Finished runs of experiments as lines of a CSV file, which stays in the repository when the runs do not, and tables of such files.

usage: measured.py export EXPERIMENT_DIR...     to standard output; the experiment's name is the folder's
       measured.py table FILE.csv...            accuracies in per cent, methods by pairs, means over seeds
       measured.py differences FILE.csv REFERENCE [METHOD=REFERENCE...]    of each method to a reference of the same pairs and seeds, 95 % over seeds
       measured.py selection FILE.csv... AUTO ORACLE    what `auto` loses to the oracle: two experiments of each file
"""

import collections
import csv
import json
import math
import pathlib
import sys

COLUMNS = ["experiment", "method", "source", "target", "seed", "accuracy", "n", "seconds", "selected_by", "epoch", "of", "classes_said", "recipe"]


def said(run):
    """Effective number of classes that the run predicts on the test rows."""
    path = run / "predictions.jsonl"
    if not path.exists():
        return ""
    counts = collections.Counter(json.loads(line)["prediction"] for line in open(path))
    n = sum(counts.values())
    return f"{math.exp(-sum(c / n * math.log(c / n) for c in counts.values())):.3f}"


def export(folders):
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    for folder in map(pathlib.Path, folders):
        for cell in json.load(open(folder / "experiment.json"))["cells"]:
            run = folder / cell["name"]
            path = run / "result.json"
            result = json.load(open(path)) if path.exists() else {}
            if result.get("status") != "done":
                continue
            source, target = cell["pair"] or ("", "")
            selection, test = result["selection"], result["metrics"]["test"]
            out.writerow([
                folder.name, cell["method"], source, target, cell["seed"], f"{test['accuracy']:.6f}", test["n"], f"{result['seconds']:.1f}", selection["by"],
                selection["epoch"] if selection["epoch"] is not None else "", selection.get("of", ""), said(run), result.get("identity", "")[:12],
            ])


def read(path):
    return list(csv.DictReader(open(path, newline="")))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def table(paths):
    pairs, rows = [], collections.defaultdict(lambda: collections.defaultdict(list))
    for row in (row for path in paths for row in read(path)):
        pair = row["source"], row["target"]
        if pair not in pairs:
            pairs.append(pair)
        rows[row["method"]][pair].append(100 * float(row["accuracy"]))
    print("| | " + " | ".join(f"{s[0].upper()}>{t[0].upper()}" for s, t in pairs) + " | mean | runs |")
    print("|---" * (len(pairs) + 3) + "|")
    for method, of in rows.items():
        cells = " | ".join(f"{mean(of[p]):.1f}" if of[p] else "" for p in pairs)
        whole = f"{mean(mean(of[p]) for p in pairs):.1f}" if all(of[p] for p in pairs) else ""
        print(f"| {method} | {cells} | {whole} | {sum(map(len, of.values()))} |")


# The 97.5 % quantile of Student's t by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def over_seeds(values):
    """Mean and 95 % interval, in points; the seeds are what varies, the test rows are the same."""
    n, middle = len(values), mean(values)
    if n < 2:
        return f"{middle:+.1f}"
    deviation = math.sqrt(sum((v - middle) ** 2 for v in values) / (n - 1))
    half = STUDENT[n - 1] * deviation / math.sqrt(n)
    return f"{middle:+.1f} [{middle - half:+.1f}, {middle + half:+.1f}]"


def differences(path, reference, *others):
    references = dict(o.split("=") for o in others)
    runs = collections.defaultdict(dict)
    for row in read(path):
        runs[row["method"]][row["source"], row["target"], row["seed"]] = 100 * float(row["accuracy"])
    pairs = list(dict.fromkeys(key[:2] for of in runs.values() for key in of))
    print("| | against | " + " | ".join(f"{s} to {t}" for s, t in pairs) + " | all |")
    print("|---|---" + "|--:" * (len(pairs) + 1) + "|")
    for method, of in runs.items():
        against = references.get(method, reference)
        if method == reference or method in references.values():
            continue
        gaps = {key: of[key] - runs[against][key] for key in of if key in runs[against]}
        cells = [over_seeds([g for key, g in gaps.items() if key[:2] == pair]) if any(key[:2] == pair for key in gaps) else "" for pair in pairs]
        seeds = [seed for seed in dict.fromkeys(key[2] for key in gaps) if all((*pair, seed) in gaps for pair in pairs)]
        whole = over_seeds([mean(gaps[(*pair, seed)] for pair in pairs) for seed in seeds]) if seeds else ""
        print(f"| {method} | {against} | " + " | ".join(cells) + f" | {whole} |")


def selection(*arguments):
    *paths, auto, oracle = arguments
    files, methods = collections.defaultdict(list), collections.defaultdict(list)
    for path in map(pathlib.Path, paths):
        runs = {e: {} for e in (auto, oracle)}
        for row in read(path):
            if row["experiment"] in runs:
                runs[row["experiment"]][row["method"], row["source"], row["target"], row["seed"]] = row
        for key, row in runs[auto].items():
            plain = runs[auto].get(("source-only",) + key[1:])
            best = runs[oracle].get(key)
            if key[0] == "source-only" or plain is None or best is None:
                continue
            points = lambda r: 100 * float(r["accuracy"])
            case = dict(kept=points(row), best=points(best), source=points(plain), twin=row["of"] == "source-only")
            # As core/src/select/auto.rs has it.
            said, of = float(row["classes_said"]), float(plain["classes_said"])
            case["collapsed"] = said < max(of / 2, 1 + (of - 1) / 4)
            for group in (files[path.stem.removeprefix("select-")], files["all"], methods[key[0]]):
                group.append(case)
    for title, groups in (("experiment", files), ("method", methods)):
        print(f"| {title} | runs | source-only | `auto` | oracle | lost to the oracle | worse than source-only | of the oracle's choices | collapsed, kept | oracle gains 2 or more | of which captured | the twin kept |")
        print("|---" + "|--:" * 11 + "|")
        for name in sorted(groups, key=lambda n: (n == "all", n)):
            rows = groups[name]
            gains = [r for r in rows if r["best"] - r["source"] >= 2]
            captured = "" if not gains else f"{100 * mean(r['kept'] - r['source'] for r in gains) / mean(r['best'] - r['source'] for r in gains):.0f} %"
            worse, lost = (sum(r[of] < r["source"] - 1e-9 for r in rows) for of in ("kept", "best"))
            print(
                f"| {name} | {len(rows)} | {mean(r['source'] for r in rows):.1f} | {mean(r['kept'] for r in rows):.1f} | {mean(r['best'] for r in rows):.1f} "
                f"| {mean(r['best'] - r['kept'] for r in rows):.1f} | {worse} ({100 * worse / len(rows):.0f} %) | {lost} | {sum(r['collapsed'] for r in rows)} "
                f"| {len(gains)} | {captured} | {sum(r['twin'] for r in rows)} |"
            )
        print()


if __name__ == "__main__":
    commands = {"export": export, "table": table, "differences": lambda a: differences(*a), "selection": lambda a: selection(*a)}
    commands[sys.argv[1]](sys.argv[2:])
