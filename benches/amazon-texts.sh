#!/usr/bin/env bash
# Amazon's reviews in four domains, twelve pairs, frozen features of a sentence encoder, every method. Prints a table of accuracies by pair.
#
# usage: benches/amazon-texts.sh TEXTS_DIR CHECKPOINT OUT [SEEDS]
#
# TEXTS_DIR has books.tsv, dvd.tsv, electronics.tsv and kitchen.tsv, each with a header `label text`; CHECKPOINT is a BERT in the HF layout. A domain's 2,000
# reviews are the source's labelled rows; as a target every second of them is adapted on, and the others are the test. OUT keeps features and runs; what is
# finished there is not run again. PARTS="closed trained norm selection" says which experiments.
set -euo pipefail
texts=$(realpath "$1")
checkpoint=$(realpath "$2")
mkdir -p "$3/data"
out=$(realpath "$3")
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
# A run of any head gives the encoder's features a name.
cat > "$out/encoder.toml" <<TOML
[source]
checkpoint = "$checkpoint"
max_length = 128

[target]
task = "text-classification"
train = "$texts/kitchen.tsv"
split = { test = 0.1, validation = 0.1 }
per_class = 50

[strategy]
kind = "inductive"
method = "feature-extraction"

[evaluate]
baselines = false
TOML
[ -f "$out/encoder/result.json" ] || "$tlkit" run "$out/encoder.toml" --out "$out/encoder" --quiet
for domain in books dvd electronics kitchen; do
    [ -f "$out/data/$domain-test.npz" ] && continue
    "$tlkit" predict "$out/encoder" "$texts/$domain.tsv" --features "$out/data/$domain.npy" --out "$out/data/$domain.csv"
    python3 benches/scripts/npz.py "$out/data/$domain.npy" "$texts/$domain.tsv" "$out/data/$domain.npz" half
done
bash benches/scripts/frozen.sh "$out" "${4:-5}" yes books dvd electronics kitchen
