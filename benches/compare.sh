#!/usr/bin/env bash
# Times tlkit beside PyTorch and transformers on the same machine and writes docs/src/performance.md, or docs/src/performance-pairs.md on one without AMX.
#
# usage: benches/compare.sh DATA [--pairs 5] [--rows REGEX]
#
# DATA is a folder with checkpoints/all-MiniLM-L6-v2, checkpoints/resnet18-imagenet-trunk, text/sst2 and images/office-caltech10. TLKIT_PYTHON names a Python with torch,
# torchvision, transformers, accelerate and datasets; without it one is made in target/python. With --rows only those rows are printed, and the page stays.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: benches/compare.sh DATA [--pairs N] [--rows REGEX]}
shift
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet -p tlkit -p tlkit-bert -p tlkit-resnet --example bert-step --example resnet-step --bin tlkit
python=${TLKIT_PYTHON:-target/python/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv target/python
    target/python/bin/pip install --quiet torch torchvision transformers accelerate datasets
fi
page=(--out docs/src/performance.md)
grep -q amx_bf16 /proc/cpuinfo || page=(--out docs/src/performance-pairs.md)
case " $* " in *" --rows"*) page=() ;; esac
exec "$python" benches/scripts/compare.py "$python" "$target/release/tlkit" "$data" "$@" ${page[@]+"${page[@]}"}
