#!/usr/bin/env bash
# Amazon's word counts, twelve pairs: logistic regression with an L2 penalty on what occurs in a review and what does not, learned on the source's 2,000 rows
# and tested on the target's official test rows, nothing adapted. Prints a table by pair, in per cent.
#
# usage: benches/amazon-logistic.sh DATA OUT     DATA as for benches/amazon-dann.sh; OUT keeps the runs; what is finished there is not run again
set -euo pipefail
data=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
cat > "$out/logistic.toml" <<TOML
[source]
task = "features"
train = "$data/books_train.svmlight"
scale = ["binary"]

[target]
task = "classification"
unlabelled = "$data/dvd_train.svmlight"
test = "$data/dvd_test.svmlight"

[strategy]
kind = "transductive"
method = "source-head"
head = "logistic"
TOML
{
    printf '[experiment]\nbase = "logistic.toml"\nseeds = [0]\nbaselines = false\npairs = [\n'
    for s in books dvd electronics kitchen; do
        for t in books dvd electronics kitchen; do
            [ "$s" = "$t" ] || printf '    ["%s", "%s"],\n' "$s" "$t"
        done
    done
    printf ']\n'
    for domain in books dvd electronics kitchen; do
        printf '[domains.%s]\nlabelled = "%s/%s_train.svmlight"\ntest = "%s/%s_test.svmlight"\n' "$domain" "$data" "$domain" "$data" "$domain"
    done
} > "$out/experiment.toml"
"$tlkit" compare "$out/experiment.toml" --out "$out/runs" --format md > "$out/table.md"
python3 benches/scripts/pairs.py "$out/runs"
