#!/bin/sh
# Amazon's word counts, twelve pairs of domains, after the protocol of the DANN paper and its authors' program: one hidden layer of 50 logistic units, plain
# gradient descent, at most 200 epochs, 2,000 labelled source rows of which a tenth decide when to stop (30 epochs without a better one), the target's 2,000 rows
# without labels, the official test rows. DANN with its lambda, and with lambda = 0 beside it: the same network, batches and stopping, and no adaptation. One thing
# is not the authors': batches of 64 at 64 times their rate of 0.001, where they take row by row.
#
#     benches/amazon-dann.sh DATA OUT [SEEDS] [PAIRS]
#
# DATA is a folder with books_train.svmlight, books_test.svmlight and so on for dvd, electronics and kitchen; OUT a folder for the runs;
# SEEDS their number (5); PAIRS a list like "books:dvd kitchen:books" (all twelve). Prints a table like that in
# docs/src/adaptation.md, with a row `source-only`, which `compare` adds.
set -eu
data=$(cd "$1" && pwd)
out=$2
seeds=${3:-5}
pairs=${4:-books:dvd books:electronics books:kitchen dvd:books dvd:electronics dvd:kitchen electronics:books electronics:dvd electronics:kitchen kitchen:books kitchen:dvd kitchen:electronics}
tlkit=${TLKIT:-target/release/tlkit}
mkdir -p "$out"

cat > "$out/amazon.toml" <<TOML
[source]
task = "features"
train = "$data/books_train.svmlight"
hidden = [50]
activation = "sigmoid"

[target]
task = "classification"
unlabelled = "$data/dvd_train.svmlight"
test = "$data/dvd_test.svmlight"

[strategy]
kind = "transductive"
method = "dann"

[train]
source_epochs = 0
epochs = 200
patience = 30
optimizer = "sgd"
momentum = 0.0
batch_size = 64
learning_rate = 0.064

[select]
by = "source-accuracy"
TOML

{
    echo '[experiment]'
    echo 'base = "amazon.toml"'
    echo "seeds = $seeds"
    echo 'methods = ['
    echo '  { name = "lambda-0", method = "dann", lambda = 0.0, discriminator = [] },'
    echo '  { name = "dann", method = "dann", lambda = 0.1, gamma = 0.0, discriminator = [] },'
    echo ']'
    echo 'reference = "lambda-0"'
    printf 'pairs = ['
    for pair in $pairs; do
        printf '["%s", "%s"], ' "${pair%%:*}" "${pair##*:}"
    done
    echo ']'
    for domain in books dvd electronics kitchen; do
        echo "[domains.$domain]"
        echo "labelled = \"$data/${domain}_train.svmlight\""
        echo "test = \"$data/${domain}_test.svmlight\""
    done
} > "$out/experiment.toml"

"$tlkit" compare "$out/experiment.toml" --out "$out/runs" --format md
