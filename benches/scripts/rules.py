"""What rules between an adaptation and its twin would have chosen: reads experiments that differ in `select.by` alone (`auto`, `oracle`; each with
`source-only`), takes every epoch's scores from the one and its accuracy on the test rows from the other, and prints, rule by rule, what STATISTICS asks.

usage: rules.py NAME AUTO_DIR ORACLE_DIR [NAME AUTO_DIR ORACLE_DIR ...]
"""

import collections
import json
import pathlib
import sys

EVIDENCE = ["source-accuracy", "entropy", "infomax", "importance-weighted", "bnm", "class-clustering"]
MINIMISES = {"mcc": {"entropy"}, "shot": {"entropy", "infomax"}, "tent": {"entropy"}}


def finished(folder):
    folder = pathlib.Path(folder)
    found = {}
    for cell in json.load(open(folder / "experiment.json"))["cells"]:
        run = folder / cell["name"]
        if (run / "result.json").exists() and json.load(open(run / "result.json")).get("status") == "done":
            found[cell["method"], tuple(cell["pair"] or ()), cell["seed"]] = run
    return found


def epochs(run, method):
    """Epoch to its line, of the phase that adapts."""
    lines = [json.loads(line) for line in open(run / "metrics.jsonl")]
    return {line["epoch"]: line for line in lines if "epoch" in line and line["phase"] == method}


def candidates(auto, oracle, method):
    scored, known = epochs(auto, method), epochs(oracle, method)
    out = []
    for epoch, line in scored.items():
        if epoch in known and "target_accuracy" in known[epoch]:
            scores = {s: line[f"score_{s}"] for s in EVIDENCE if f"score_{s}" in line}
            out.append(dict(epoch=epoch, scores=scores, right=100 * known[epoch]["target_accuracy"], classes=line["effective_classes"]))
    return out


def cases(auto, oracle):
    auto, oracle = finished(auto), finished(oracle)
    for key in sorted(set(auto) & set(oracle)):
        method, pair, seed = key
        plain = "source-only", pair, seed
        if method == "source-only" or plain not in auto or plain not in oracle:
            continue
        twin = candidates(auto[plain], oracle[plain], "source-only")
        adapted = candidates(auto[key], oracle[key], method)
        if not twin or not adapted:
            continue
        # The same weights after every epoch, or the accuracies of the one say nothing of the scores of the other.
        same = lambda run: [(e, line.get("source_loss")) for e, line in sorted(epochs(run, key_of(run)).items()) if e]
        key_of = lambda run: method if run in (auto[key], oracle[key]) else "source-only"
        if same(auto[key]) != same(oracle[key]) or same(auto[plain]) != same(oracle[plain]):
            continue
        start = next(c for c in adapted if c["epoch"] == 0)
        use = [s for s in EVIDENCE if s not in MINIMISES.get(method, ())]
        for c in twin + adapted:
            c["rank"] = sum(c["scores"][s] for s in use) / len(use)
            # The twin minimises none of them: its epoch is that of `source-only`.
            c["own"] = sum(c["scores"].values()) / len(c["scores"])
            forgot = c["scores"]["source-accuracy"] < start["scores"]["source-accuracy"] - 0.1
            c["collapsed"] = c["classes"] < 0.5 * start["classes"] or forgot
        yield method, use, twin, adapted, 100 * json.load(open(auto[plain] / "result.json"))["metrics"]["test"]["accuracy"]


def best(all_, by):
    # The first of equals, as a run keeps it.
    standing = [c for c in all_ if not c["collapsed"]]
    return max(standing, key=lambda c: (c[by], -c["epoch"]))


def rules():
    yield "own epochs alone", lambda use, t, a: a
    yield "the larger", lambda use, t, a: a if a["rank"] > t["rank"] else t
    for margin in (0.005, 0.01, 0.02, 0.03, 0.05):
        yield f"larger by {margin}", lambda use, t, a, m=margin: a if a["rank"] > t["rank"] + m else t
    for share in (0.5, 0.6, 0.75, 1.0):
        def agree(use, t, a, s=share):
            better = sum(a["scores"][k] > t["scores"][k] for k in use)
            return a if a["rank"] > t["rank"] and better >= s * len(use) else t
        yield f"larger, and {share:.0%} of the scores agree", agree
    for margin in (0.01, 0.02, 0.03):
        def both(use, t, a, m=margin):
            kept = all(a["scores"][k] >= t["scores"][k] - 0.01 for k in ("source-accuracy", "importance-weighted"))
            return a if a["rank"] > t["rank"] + m and kept else t
        yield f"larger by {margin}, the source kept", both
    def clusters(use, t, a):
        return a if a["rank"] > t["rank"] and a["scores"]["class-clustering"] > t["scores"]["class-clustering"] else t
    yield "larger, and clusters better", clusters
    for margin in (0.0, 0.02, 0.05):
        yield f"bnm larger by {margin}", lambda use, t, a, m=margin: a if a["scores"]["bnm"] > t["scores"]["bnm"] + m else t


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def main(arguments):
    for name, auto, oracle in zip(arguments[::3], arguments[1::3], arguments[2::3]):
        all_ = list(cases(auto, oracle))
        print(f"\n{name}: {len(all_)} runs\n")
        print("| rule | kept | lost to the oracle | worse than source-only | collapsed | captured | twin kept |\n|---|--:|--:|--:|--:|--:|--:|")
        for rule, choose in rules():
            rows = collections.Counter()
            lost, kept, gains, got = [], [], [], []
            for method, use, twin, adapted, plain in all_:
                c = choose(use, best(twin, "own"), best(adapted, "rank"))
                most = max(a["right"] for a in adapted)
                lost.append(most - c["right"])
                kept.append(c["right"])
                rows["worse"] += c["right"] < plain - 1e-9
                rows["collapsed"] += c["collapsed"]
                rows["twin"] += any(c is t for t in twin)
                if most - plain >= 2:
                    gains.append(most - plain)
                    got.append(c["right"] - plain)
            captured = f"{100 * mean(got) / mean(gains):.0f} % of {len(gains)}" if gains else ""
            print(f"| {rule} | {mean(kept):.1f} | {mean(lost):.1f} | {rows['worse']} | {rows['collapsed']} | {captured} | {rows['twin']} |")


main(sys.argv[1:])
