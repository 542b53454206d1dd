#!/usr/bin/env bash
# The small BERT on SST-2: fine-tuned, and the same network from fresh weights, over seeds, beside tf-idf; on all training sentences
# and on the first 500. Prints a table of accuracies on the development sentences.
#
# usage: benches/sst2-mini.sh TRAIN_TSV DEV_TSV [SEEDS]
set -euo pipefail
train=$(realpath "$1")
dev=$(realpath "$2")
seeds=${3:-5}
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
[ -n "${TLKIT:-}" ] || cargo build --release --quiet
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for limit in all 500; do
  for method in fine-tune from-scratch; do
    for seed in $(seq 0 $((seeds - 1))); do
      set=()
      [ "$limit" = all ] || set=(--set "target.limit=$limit")
      "$tlkit" run benches/recipes/sst2-mini.toml --seed "$seed" --out "$out/run" --quiet "${set[@]}" \
        --set "target.train=\"$train\"" --set "target.test=\"$dev\"" --set "strategy.method=\"$method\"" >/dev/null
      python3 - "$out/run/result.json" "$limit" "$method" <<'PY' >> "$out/rows"
import json, sys
r = json.load(open(sys.argv[1]))
tfidf = next(b["test"]["accuracy"] for b in r["baselines"] if b["name"] == "tf-idf")
print(sys.argv[2], sys.argv[3], 100 * r["metrics"]["test"]["accuracy"], 100 * tfidf)
PY
      rm -rf "$out/run"
    done
  done
done
python3 - "$out/rows" <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
print("| training sentences | model | accuracy by seed, % | mean | deviation |\n|---|---|---|---|---|")
for limit in ("all", "500"):
    for method in ("fine-tune", "from-scratch"):
        v = [float(r[2]) for r in rows if r[:2] == [limit, method]]
        spread = statistics.stdev(v) if len(v) > 1 else 0.0
        print(f"| {limit} | {method} | {', '.join(f'{x:.2f}' for x in v)} | {statistics.mean(v):.2f} | {spread:.2f} |")
    print(f"| {limit} | tf-idf + logistic regression | | {[float(r[3]) for r in rows if r[0] == limit][0]:.2f} | |")
PY
