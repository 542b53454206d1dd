"""Prints accuracies in per cent, methods by pairs, means over seeds; what is not finished is left open. usage: pairs.py EXPERIMENT_DIR..."""

import json
import pathlib
import sys

pairs, rows = [], {}
for out in map(pathlib.Path, sys.argv[1:]):
    for cell in json.load(open(out / "experiment.json"))["cells"]:
        pair = tuple(cell["pair"])
        if pair not in pairs:
            pairs.append(pair)
        path = out / cell["name"] / "result.json"
        result = json.load(open(path)) if path.exists() else {}
        of = rows.setdefault(cell["method"], {})
        if result.get("status") == "done":
            of.setdefault(pair, []).append(100 * result["metrics"]["test"]["accuracy"])
print("| | " + " | ".join(f"{s[0].upper()}>{t[0].upper()}" for s, t in pairs) + " | mean |")
print("|---" * (len(pairs) + 2) + "|")
for method, of in rows.items():
    means = {pair: sum(v) / len(v) for pair, v in of.items()}
    cells = " | ".join(f"{means[p]:.1f}" if p in means else "" for p in pairs)
    whole = f"{sum(means.values()) / len(means):.1f}" if len(means) == len(pairs) else ""
    print(f"| {method} | {cells} | {whole} |")
