#!/usr/bin/env bash
# Images a second, from files to augmented batches of 224 pixels, beside torchvision's loader with two workers; in turn.
#
# usage: benches/images.sh FOLDER [PAIRS]     FOLDER has a folder for each class; TLKIT_PYTHON names a Python with torchvision
set -euo pipefail
folder=$(realpath "${1:?usage: benches/images.sh FOLDER [PAIRS]}")
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet -p tlkit -p tlkit-resnet --example loader --bin tlkit
python=${TLKIT_PYTHON:-target/python/bin/python}
for _ in $(seq "${2:-3}"); do
    echo "tlkit        $("$target/release/examples/loader" "$folder")"
    echo "torchvision  $("$python" benches/scripts/peers/loader.py "$folder")"
done
