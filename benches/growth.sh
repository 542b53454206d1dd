#!/usr/bin/env bash
# How cost grows: a training step by batch, length, width, size of images and cores; reading by size of the data set. Prints a table.
#
# usage: benches/growth.sh     (three to four minutes; on a machine that does nothing else)
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet -p tlkit -p tlkit-bert -p tlkit-resnet -p tlkit-data \
    --example bert-step --example resnet-step --example rows --bin tlkit
exec python3 benches/scripts/growth.py "$target/release/examples"
