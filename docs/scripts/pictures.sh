#!/usr/bin/env bash
# Pictures of a run's page, wide and narrow, light and dark: docs/scripts/pictures.sh RUN FOLDER [HEIGHT]
# RUN is what `tlkit report` takes, or the folder of an experiment. Needs a Chromium: TLKIT_BROWSER, or one in PATH. TLKIT is the binary, target/release/tlkit by default.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
run=$1 to=$2 height=${3:-1500}
tlkit=${TLKIT:-"$(dirname "$0")/../../target/release/tlkit"}

browser=${TLKIT_BROWSER:-}
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
[ -n "$browser" ] || { echo "skipped: no chromium in PATH, and TLKIT_BROWSER is not set"; exit 0; }

mkdir -p "$to"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -f "$run/experiment.json" ]; then
    cp "$run/report.html" "$scratch/"
else
    "$tlkit" report "$run" --out "$scratch/report.html" > /dev/null
fi

# The frame decides scheme and width; a window may have a least width of its own.
for width in 400 1600; do
    for scheme in light dark; do
        cat > "$scratch/frame.html" <<HTML
<!DOCTYPE html><meta charset="utf-8"><style>body { margin: 0 } iframe { border: 0; display: block; color-scheme: $scheme }</style>
<iframe src="report.html" width="$width" height="$height"></iframe>
HTML
        "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=3000 \
            --user-data-dir="$scratch/profile" --window-size="$width,$height" \
            --screenshot="$to/report-$width-$scheme.png" "file://$scratch/frame.html" 2> /dev/null
        echo "$to/report-$width-$scheme.png"
    done
done
