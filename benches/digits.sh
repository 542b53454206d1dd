#!/usr/bin/env bash
# MNIST and USPS both ways with a small convolutional network, by skada-bench's preparation of the data: eight methods beside the source alone, over seeds.
# Prints the table of docs/src/digits.md.
#
# usage: benches/digits.sh MNIST_DIR USPS_DIR OUT [SEEDS [ROWS]]
#
# The folders hold `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`; OUT keeps the runs, and what is finished there is not run again. ROWS: of
# the rows to learn from the first so many of each domain, and twice as many to test on (all: 48,000 of MNIST and 5,833 of USPS).
set -euo pipefail
mnist=$(realpath "$1")
usps=$(realpath "$2")
mkdir -p "$3"
out=$(realpath "$3")
seeds=${4:-5}
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
[ -d "$out/data" ] || python3 benches/scripts/digits.py "$mnist" "$usps" "$out/data" ${5:-}
cp benches/recipes/digits.toml benches/recipes/digits-pairs.toml "$out/"
"$tlkit" compare "$out/digits-pairs.toml" --out "$out/runs" --jobs "${JOBS:-1}" --format md --set "experiment.seeds=$seeds"
python3 benches/scripts/pairs.py "$out/runs"
