"""Finished runs of experiments as lines of a CSV file, which stays in the repository when the runs do not, and tables of such files.

usage: measured.py export EXPERIMENT_DIR...     to standard output; the experiment's name is the folder's
       measured.py table FILE.csv...            accuracies in per cent, methods by pairs, means over seeds
       measured.py differences FILE.csv REFERENCE [METHOD=REFERENCE...]    of each method to a reference of the same pairs and seeds, 95 % over seeds
       measured.py selection FILE.csv... AUTO ORACLE    what `auto` loses to the oracle: two experiments of each file
       measured.py words FILE.csv...            how often what was said without labels was right, by file and in all
"""

import collections
import csv
import json
import math
import pathlib
import sys

COLUMNS = ["experiment", "method", "source", "target", "seed", "accuracy", "n", "seconds", "selected_by", "epoch", "of", "classes_said", "recipe", "words", "diverged", "end"]


def said(run):
    """Effective number of classes that the run predicts on the test rows."""
    path = run / "predictions.jsonl"
    if not path.exists():
        return ""
    counts = collections.Counter(json.loads(line)["prediction"] for line in open(path))
    n = sum(counts.values())
    return f"{math.exp(-sum(c / n * math.log(c / n) for c in counts.values())):.3f}"


def end(run, result):
    """Accuracy on the test rows after the adaptation's last epoch, which the oracle alone looks at; where the adaptation diverged there is none."""
    path = run / "metrics.jsonl"
    if result["selection"]["by"] != "oracle" or "diverged" in result["selection"] or not path.exists():
        return ""
    seen = [line["target_accuracy"] for line in map(json.loads, open(path)) if "target_accuracy" in line]
    return f"{seen[-1]:.6f}" if seen else ""


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
                selection.get("without_labels") or "", "yes" if "diverged" in selection else "", end(run, result),
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
    print("| | " + " | ".join(f"{s[:1].upper()}>{t[:1].upper()}" for s, t in pairs) + " | mean | runs |")
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


# What a difference must be to be worth having, in points, as core and report have it; accuracies are of six digits.
WORTH = 1.0
ROUNDING = 1e-3


def wilson(k, n):
    """A share and its 95 % interval."""
    if not n:
        return ""
    z = 1.959964
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return f"{k} of {n}, {100 * k / n:.0f} % [{100 * max(middle - half, 0):.0f}, {100 * min(middle + half, 1):.0f}]"


def words(paths):
    sets, silent = collections.defaultdict(list), collections.Counter()
    for path in map(pathlib.Path, paths):
        rows = read(path)
        plain = {(r["experiment"], r["source"], r["target"], r["seed"]): r for r in rows if r["method"] == "source-only"}
        # An adaptation has the same weights after each epoch whatever chooses among them.
        ends = {(r["method"], r["source"], r["target"], r["seed"]): r["end"] for r in rows if r.get("end")}
        name = path.stem.removeprefix("select-")
        for row in rows:
            source_only = plain.get((row["experiment"], row["source"], row["target"], row["seed"]))
            if row["method"].startswith("source-only") or row["selected_by"] in ("oracle", "last"):
                continue
            if source_only is None or not row.get("words"):
                silent[name] += 1
                continue
            points = lambda accuracy: 100 * (float(accuracy) - float(source_only["accuracy"]))
            last = ends.get((row["method"], row["source"], row["target"], row["seed"]))
            kept = "the twin" if row["of"] else "the start" if row["epoch"] == "0" else "an adapted epoch"
            case = dict(words=row["words"], kept=kept, gain=points(row["accuracy"]), last=None if last is None else points(last), diverged=bool(row["diverged"]))
            for group in (name, "all"):
                sets[group].append(case)
    harm = lambda gain: gain < -WORTH - ROUNDING
    print("| runs of | said | kept | runs | better | up to 1 point worse | more than 1 point worse | right | last epoch more than 1 point worse | diverged |")
    print("|---|---|---" + "|--:" * 7 + "|")
    order = ["no sign of harm", "signs of collapse", "cannot tell"]
    for name in sorted(sets, key=lambda n: (n == "all", n)):
        for said in order:
            of = [c for c in sets[name] if c["words"] == said]
            for kept in ("an adapted epoch", "the start", "the twin", "any"):
                cases = [c for c in of if kept in (c["kept"], "any")]
                if not cases or kept == "any" and (name != "all" or all(c["kept"] == of[0]["kept"] for c in of)):
                    continue
                better = sum(c["gain"] > ROUNDING for c in cases)
                worse = sum(harm(c["gain"]) for c in cases)
                right = {"no sign of harm": len(cases) - worse, "signs of collapse": worse}
                lasts = [c["last"] for c in cases if c["last"] is not None]
                print(
                    f"| {name} | {said} | {kept} | {len(cases)} | {better} | {len(cases) - better - worse} | {worse} "
                    f"| {wilson(right[said], len(cases)) if said in right else ''} | {wilson(sum(map(harm, lasts)), len(lasts))} | {sum(c['diverged'] for c in cases)} |"
                )
    for name, n in silent.items():
        print(f"\n{name}: {n} runs without the words, or without a source-only beside them")


if __name__ == "__main__":
    commands = {"export": export, "table": table, "differences": lambda a: differences(*a), "selection": lambda a: selection(*a), "words": words}
    commands[sys.argv[1]](sys.argv[2:])
