#!/usr/bin/env bash
# The photographs of Office with Caltech, twelve pairs, frozen features of an ImageNet trunk, every method. Prints a table of accuracies by pair.
#
# usage: benches/office-photographs.sh IMAGES_DIR CHECKPOINT OUT [SEEDS]
#
# IMAGES_DIR has amazon, caltech10, dslr and webcam, each with a folder a class; CHECKPOINT is a ResNet. All rows of both domains are used, and the test rows
# are those adapted on, as in the published tables of these domains. OUT keeps features and runs; what is finished there is not run again.
# PARTS="closed trained norm selection" says which experiments.
set -euo pipefail
images=$(realpath "$1")
checkpoint=$(realpath "$2")
mkdir -p "$3/data"
out=$(realpath "$3")
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
# A run of any head gives the encoder's features a name.
cat > "$out/encoder.toml" <<TOML
[source]
checkpoint = "$checkpoint"

[target]
task = "image-classification"
train = "$images/webcam"
split = { test = 0.1, validation = 0.1 }

[strategy]
kind = "inductive"
method = "feature-extraction"

[evaluate]
baselines = false
TOML
[ -f "$out/encoder/result.json" ] || "$tlkit" run "$out/encoder.toml" --out "$out/encoder" --quiet
for domain in amazon caltech10 dslr webcam; do
    [ -f "$out/data/$domain.npz" ] && continue
    "$tlkit" predict "$out/encoder" "$images/$domain" --features "$out/data/$domain.npy" --out "$out/data/$domain.csv"
    python3 benches/scripts/npz.py "$out/data/$domain.npy" "$out/data/$domain.csv" "$out/data/$domain.npz"
done
bash benches/scripts/frozen.sh "$out" "${4:-5}" no caltech10 amazon webcam dslr
