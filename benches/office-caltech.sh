#!/usr/bin/env bash
# Runs the closed-form methods on the twelve pairs of Office with Caltech, SURF features, and prints a table of accuracies by pair, in per cent.
#
# usage: benches/office-caltech.sh [DIR]     DIR keeps the runs; what is finished there is not run again
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-$(mktemp -d)}
[ -n "${1:-}" ] || trap 'rm -rf "$out"' EXIT
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet
"$target/release/tlkit" compare benches/recipes/office-caltech-12.toml --out "$out" >/dev/null
python3 - "$out" <<'PY'
import json, pathlib, sys
out = pathlib.Path(sys.argv[1])
plan = json.load(open(out / "experiment.json"))
short = {"amazon": "A", "caltech10": "C", "dslr": "D", "webcam": "W"}
pairs, rows = [], {}
for cell in plan["cells"]:
    result = json.load(open(out / cell["name"] / "result.json"))
    pair = tuple(cell["pair"])
    if pair not in pairs:
        pairs.append(pair)
    rows.setdefault(cell["method"], {})[pair] = (100 * result["metrics"]["test"]["accuracy"], result["seconds"])
print("| | " + " | ".join(f"{short[s]}>{short[t]}" for s, t in pairs) + " | mean | seconds |")
print("|---" * (len(pairs) + 3) + "|")
for method, of in rows.items():
    scores = [of[p][0] for p in pairs]
    cells = " | ".join(f"{s:.1f}" for s in scores)
    print(f"| {method} | {cells} | {sum(scores) / len(scores):.1f} | {sum(of[p][1] for p in pairs):.0f} |")
PY
