#!/usr/bin/env bash
# How well `select.by = "auto"` chooses: five methods on the twelve pairs of Office with Caltech, SURF features, through a small network, each run twice, with
# `auto` and with the oracle, which looks at the test labels. Prints the tables of docs/src/selection.md.
#
# usage: benches/selection.sh OFFICE_CALTECH_SURF_DIR OUT [SEEDS]     OUT keeps the runs; what is finished there is not run again
set -euo pipefail
data=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
seeds=${3:-1}
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
cat > "$out/base.toml" <<TOML
[source]
task = "features"
train = "$data/amazon.svmlight"
scale = ["sum", "zscore"]
hidden = [100]

[target]
task = "classification"
unlabelled = "$data/webcam.svmlight"
test = "unlabelled"

[strategy]
kind = "transductive"
method = "source-only"

[train]
source_epochs = 20
epochs = 10

[evaluate]
overlap = "keep"
TOML
for by in auto oracle; do
    {
        printf '[experiment]\nbase = "base.toml"\nseeds = %s\nbaselines = false\n' "$seeds"
        echo 'methods = ["deep-coral", "dann", "mdd", "mcc", "shot"]'
        echo 'pairs = ['
        for s in amazon caltech10 dslr webcam; do
            for t in amazon caltech10 dslr webcam; do
                [ "$s" = "$t" ] || echo "  [\"$s\", \"$t\"],"
            done
        done
        printf ']\n[experiment.set]\n"select.by" = "%s"\n' "$by"
        for domain in amazon caltech10 dslr webcam; do
            printf '[domains.%s]\nlabelled = "%s/%s.svmlight"\ntest = "unlabelled"\n' "$domain" "$data" "$domain"
        done
    } > "$out/$by.toml"
    "$tlkit" compare "$out/$by.toml" --out "$out/$by" --format md > "$out/$by.md"
done
python3 benches/scripts/selection.py "Office with Caltech, SURF" "$out/auto" "$out/oracle"
