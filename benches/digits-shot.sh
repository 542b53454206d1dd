#!/usr/bin/env bash
# SHOT between MNIST and USPS, both ways, by its authors' protocol and network, over seeds. Prints a table of docs/src/digits.md.
#
# usage: benches/digits-shot.sh MNIST_DIR USPS_DIR OUT [SEEDS]
#
# The source alone is not run: it would go thirty passes further over the source, and is not in the protocol.
#
# MNIST_DIR has train- and t10k-images-idx3-ubyte.gz and their labels, USPS_DIR train- and test- ones; all rows are used. OUT keeps the runs, and what is
# finished there is not run again.
set -euo pipefail
mnist=$(realpath "$1")
usps=$(realpath "$2")
mkdir -p "$3/data"
out=$(realpath "$3")
seeds=${4:-5}
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
for what in images-idx3-ubyte labels-idx1-ubyte; do
    gunzip -c "$mnist/train-$what.gz" > "$out/data/mnist-train-$what"
    gunzip -c "$mnist/t10k-$what.gz" > "$out/data/mnist-test-$what"
    gunzip -c "$usps/train-$what.gz" > "$out/data/usps-train-$what"
    gunzip -c "$usps/test-$what.gz" > "$out/data/usps-test-$what"
done
cp benches/recipes/digits-shot.toml benches/recipes/digits-shot-pairs.toml "$out/"
"$tlkit" compare "$out/digits-shot-pairs.toml" --out "$out/shot" --only shot- --jobs "${JOBS:-1}" --format md --set "experiment.seeds=$seeds"
python3 benches/scripts/pairs.py "$out/shot"
