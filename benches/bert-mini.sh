#!/usr/bin/env bash
# What the small BERT is worth on the embedded reviews: fine-tuned, frozen and from fresh weights, over seeds, on both domains.
#
# usage: benches/bert-mini.sh [SEEDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-3}
cargo build --release --quiet
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
echo "| domain | recipe | test accuracy by seed, % | mean |"
echo "|---|---|---|---|"
for domain in films kitchen; do
  for recipe in sentiment sentiment-frozen sentiment-scratch; do
    : > "$out/rows"
    # A closed-form head has no seed.
    last=$([ "$recipe" = sentiment-frozen ] && echo 1 || echo "$seeds")
    for seed in $(seq 0 $((last - 1))); do
      target/release/tlkit run "recipes/$recipe.toml" --seed "$seed" --out "$out/run" --quiet >/dev/null \
        --set "target.train=\"builtin:reviews/$domain/train\"" \
        --set "target.validation=\"builtin:reviews/$domain/validation\"" \
        --set "target.test=\"builtin:reviews/$domain/test\""
      python3 -c "import json; print(100 * json.load(open('$out/run/result.json'))['metrics']['test']['accuracy'])" >> "$out/rows"
      rm -rf "$out/run"
    done
    python3 -c "
v = [float(l) for l in open('$out/rows')]
print('| $domain | $recipe |', ', '.join(f'{x:.1f}' for x in v), f'| {sum(v) / len(v):.1f} |')"
  done
done
