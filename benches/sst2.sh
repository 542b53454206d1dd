#!/usr/bin/env bash
# Fine-tunes MiniLM on the first 2,000 sentences of SST-2 with tlkit and, where PEER is set, with another tool, in turn and seed by
# seed, and prints a table of accuracies on the 872 development sentences.
#
# usage: PEER="COMMAND" benches/sst2.sh [SEEDS]
# COMMAND is called with a seed and prints one JSON line with `accuracy`, `total_s` and `peak_rss_mb`.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-5}
cargo build --release --quiet
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for seed in $(seq 0 $((seeds - 1))); do
  start=$(date +%s.%N)
  target/release/tlkit run benches/recipes/sst2-minilm.toml --seed "$seed" --out "$out/$seed" --quiet >/dev/null
  end=$(date +%s.%N)
  echo "tlkit $seed $(python3 -c "import json; r = json.load(open('$out/$seed/result.json')); print(r['metrics']['test']['accuracy'], $end - $start, r['peak_rss_mb'])")" | tee -a "$out/rows"
  rm -rf "${out:?}/$seed"
  if [ -n "${PEER:-}" ]; then
    echo "peer $seed $($PEER "$seed" 2>/dev/null | tail -1 | python3 -c "import json, sys; r = json.load(sys.stdin); print(r['accuracy'], r['total_s'], r['peak_rss_mb'])")" | tee -a "$out/rows"
  fi
done
python3 - "$out/rows" <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
print("\n| | seeds | accuracy, mean | deviation | seconds, median | peak MiB |\n|---|---|---|---|---|---|")
for who in ("tlkit", "peer"):
    mine = [r for r in rows if r[0] == who]
    if mine:
        accuracy = [100 * float(r[2]) for r in mine]
        spread = statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0
        print(f"| {who} | {len(mine)} | {statistics.mean(accuracy):.2f} | {spread:.2f} | "
              f"{statistics.median(float(r[3]) for r in mine):.1f} | {max(int(r[4]) for r in mine)} |")
PY
