#!/usr/bin/env bash
# What bf16 costs in accuracy: MiniLM fine-tuned on the first 2,000 sentences of SST-2 in f32 and in bf16, by the same seeds, tested on the 872 development
# sentences. Prints the table of docs/src/sst2.md.
#
# usage: benches/sst2-precision.sh OUT [SEEDS]     OUT keeps the runs; what is finished there is not run again
set -euo pipefail
mkdir -p "$1"
out=$(realpath "$1")
cd "$(dirname "$0")/.."
"${TLKIT:-target/release/tlkit}" compare benches/recipes/sst2-precision.toml --out "$out" --format md --set "experiment.seeds=${2:-5}"
