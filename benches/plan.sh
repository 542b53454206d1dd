#!/usr/bin/env bash
# How right `tlkit plan` is: forecasts ten recipes that ship, runs each right after, and prints forecast beside outcome.
#
# usage: benches/plan.sh [RECIPE ...]     (about ten minutes for all ten; on a machine that does nothing else)
set -euo pipefail
cd "$(dirname "$0")/.."
tlkit=$(realpath "${TLKIT:-target/release/tlkit}")
if [ $# -eq 0 ]; then
    set -- sentiment sentiment-frozen sentiment-lora sentiment-scratch sentiment-unfreeze sentiment-domains scenes scenes-finetune scenes-vgg-head day-night
fi
exec python3 benches/scripts/plan.py "$tlkit" "$@"
