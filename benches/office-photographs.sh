#!/usr/bin/env bash
# Runs the closed-form methods on the twelve pairs of photographs of Office with Caltech, on frozen features of an ImageNet trunk, and prints a table of
# accuracies by pair, in per cent.
#
# usage: benches/office-photographs.sh OUT [PART]     OUT keeps the runs; what is finished there is not run again. PART runs the cells with this in their name
set -euo pipefail
mkdir -p "$1"
out=$(realpath "$1")
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
"$tlkit" compare benches/recipes/office-photographs-12.toml --out "$out/runs" ${2:+--only "$2"} > "$out/table.txt"
python3 benches/scripts/pairs.py "$out/runs"
