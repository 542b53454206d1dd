#!/usr/bin/env bash
# How well `select.by = "auto"` chooses: five methods on twelve pairs of four domains, through a small network on counted features, or on MNIST and USPS, through
# a small convolutional one; each run twice, with `auto` and with the oracle, which looks at the test labels. Prints the tables of docs/src/selection.md, of what
# is finished in OUT.
#
# usage: benches/selection.sh office OFFICE_CALTECH_SURF_DIR OUT [SEEDS]
#        benches/selection.sh amazon AMAZON_DANN_DIR OUT [SEEDS]
#        benches/selection.sh digits DIR OUT [SEEDS]     DIR has mnist/ and usps/; 5,833 rows of each to learn from, all of USPS
#        benches/selection.sh tables OUT      no runs
#
# OUT keeps the runs; what is finished there is not run again.
set -euo pipefail
what=$1
case $what in
office) domains="amazon caltech10 dslr webcam" ;;
amazon) domains="books dvd electronics kitchen" ;;
digits) domains="mnist usps" ;;
tables) set -- tables . "$2" ;;
*) sed -n '6,9s/^# //p' "$0" >&2; exit 2 ;;
esac
data=$(realpath "$2")
mkdir -p "$3/$what"
out=$(realpath "$3")
seeds=${4:-1}
cd "$(dirname "$0")/.."
tlkit=${TLKIT:-target/release/tlkit}
# A domain's rows by their use.
rows() {
    case $what in
    office) echo "$data/$1.svmlight" ;;
    amazon) echo "$data/$1_$2.svmlight" ;;
    digits) echo "$out/digits/data/$1-$2-images-idx3-ubyte" ;;
    esac
}
digits() { # SOURCE TARGET: the network of benches/digits.sh, longer on the source, since a pass is an eighth of that one's
    sed -e '/^#/d' -e "s|data/mnist-train-images-idx3-ubyte|$(rows "$1" train)|" \
        -e "s|data/usps-train-images-idx3-ubyte|$(rows "$2" train)|" -e "s|data/usps-test-images-idx3-ubyte|$(rows "$2" test)|" \
        -e 's/^source_epochs = .*/source_epochs = 10/' -e 's/^epochs = .*/epochs = 10/' benches/recipes/digits.toml
}
base() { # SOURCE TARGET SCALE
    cat <<TOML
[source]
task = "features"
train = "$(rows "$1" train)"
scale = $3
hidden = [100]

[target]
task = "classification"
unlabelled = "$(rows "$2" train)"
test = $(held "$2")

[strategy]
kind = "transductive"
method = "source-only"

[train]
source_epochs = 20
epochs = 10

[evaluate]
overlap = "keep"
TOML
}
held() {
    case $what in
    office) echo '"unlabelled"' ;;
    amazon | digits) echo "\"$(rows "$1" test)\"" ;;
    esac
}
experiment() { # auto or oracle
    printf '[experiment]\nbase = "base.toml"\nseeds = %s\nbaselines = false\n' "$seeds"
    echo 'methods = ["deep-coral", "dann", "mdd", "mcc", "shot"]'
    echo 'pairs = ['
    for s in $domains; do
        for t in $domains; do
            [ "$s" = "$t" ] || echo "  [\"$s\", \"$t\"],"
        done
    done
    printf ']\n[experiment.set]\n"select.by" = "%s"\n' "$1"
    for domain in $domains; do
        printf '[domains.%s]\nlabelled = "%s"\ntest = %s\n' "$domain" "$(rows "$domain" train)" "$(held "$domain")"
    done
}
if [ "$what" != tables ]; then
    case $what in
    office) base amazon webcam '["sum", "zscore"]' ;;
    amazon) base books dvd '["binary"]' ;;
    digits)
        [ -d "$out/digits/data" ] || python3 benches/scripts/digits.py "$data/mnist" "$data/usps" "$out/digits/data" 5833
        digits mnist usps
        ;;
    esac > "$out/$what/base.toml"
    for by in auto oracle; do
        experiment "$by" > "$out/$what/$by.toml"
        "$tlkit" compare "$out/$what/$by.toml" --out "$out/$what/$by" --jobs "${JOBS:-1}" --format md > "$out/$what/$by.md"
    done
fi
tables=()
for of in office amazon digits; do
    [ -f "$out/$of/oracle/experiment.json" ] || continue
    python3 benches/scripts/measured.py export "$out/$of/auto" "$out/$of/oracle" > "$out/select-$of.csv"
    tables+=("$out/select-$of.csv")
done
python3 benches/scripts/measured.py selection "${tables[@]}" auto oracle
python3 benches/scripts/measured.py words "${tables[@]}"
