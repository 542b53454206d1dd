#!/usr/bin/env bash
# Amazon's reviews, three pairs, a sentence encoder that is fine-tuned: five adaptations beside the source alone, three seeds.
#
# usage: benches/amazon-texts-tuned.sh TEXTS_DIR CHECKPOINT OUT [SEEDS] [--dry-run]
#
# As benches/amazon-texts.sh has the rows: a domain's 2,000 reviews are the source's, every second of the target's is adapted on, the others are the test. OUT
# keeps the runs; what is finished there is not run again.
set -euo pipefail
texts=$(realpath "$1")
checkpoint=$(realpath "$2")
mkdir -p "$3/data"
out=$(realpath "$3")
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
for domain in books dvd electronics kitchen; do
    awk 'NR == 1 || NR % 2 == 0' "$texts/$domain.tsv" > "$out/data/$domain-adapt.tsv"
    awk 'NR % 2 == 1' "$texts/$domain.tsv" > "$out/data/$domain-test.tsv"
done
cat > "$out/tuned.toml" <<TOML
[source]
checkpoint = "$checkpoint"
train = "$texts/books.tsv"
max_length = 128

[target]
task = "text-classification"
unlabelled = "data/dvd-adapt.tsv"
test = "data/dvd-test.tsv"

[strategy]
kind = "transductive"
method = "source-only"

[train]
batch_size = 16
precision = "bf16"
source_epochs = 2
epochs = 2
TOML
{
    printf '[experiment]\nbase = "tuned.toml"\nseeds = %s\nbaselines = false\nmethods = ["dann", "deep-coral", "mcc", "shot", "tapt"]\n' "${4:-3}"
    echo 'pairs = [["books", "dvd"], ["dvd", "electronics"], ["kitchen", "books"]]'
    for d in books dvd electronics kitchen; do
        printf '[domains.%s]\nlabelled = "%s/%s.tsv"\nunlabelled = "data/%s-adapt.tsv"\ntest = "data/%s-test.tsv"\n' "$d" "$texts" "$d" "$d" "$d"
    done
} > "$out/tuned-pairs.toml"
"$tlkit" compare "$out/tuned-pairs.toml" --out "$out/tuned" --jobs "${JOBS:-1}" "${5:---format=md}"
