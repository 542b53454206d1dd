#!/usr/bin/env bash
# Every method that works on vectors, on twelve pairs of four domains of frozen features; what benches/amazon-texts.sh and benches/office-photographs.sh end with.
#
# usage: frozen.sh OUT SEEDS HALVES DOMAIN...     OUT/data has DOMAIN.npz; with HALVES = yes DOMAIN-adapt.npz and DOMAIN-test.npz too: rows to adapt on, and
# others to test on
set -euo pipefail
out=$1 seeds=$2 halves=$3
shift 3
tlkit=${TLKIT:-target/release/tlkit}
cp benches/recipes/frozen.toml "$out/"
pairs() {
    for s in "$@"; do
        for t in "$@"; do
            [ "$s" = "$t" ] || printf '    ["%s", "%s"],\n' "$s" "$t"
        done
    done
}
domains() {
    for d in "$@"; do
        printf '[domains.%s]\nlabelled = "data/%s.npz"\n' "$d" "$d"
        if [ "$halves" = yes ]; then
            printf 'unlabelled = "data/%s-adapt.npz"\ntest = "data/%s-test.npz"\n' "$d" "$d"
        else
            printf 'test = "unlabelled"\n'
        fi
    done
}
experiment() { # NAME SEEDS METHODS SET DOMAIN...
    name=$1 of=$2 methods=$3 set=$4
    shift 4
    {
        printf '[experiment]\nbase = "frozen.toml"\nseeds = %s\nbaselines = false\nmethods = [%s]\npairs = [\n' "$of" "$methods"
        pairs "$@"
        printf ']\n[experiment.set]\n"evaluate.overlap" = "keep"\n%s\n' "$set"
        domains "$@"
    } > "$out/$name.toml"
    # A cell that fails is said by the table, and does not keep the other experiments from running.
    "$tlkit" compare "$out/$name.toml" --out "$out/$name" --jobs 1 --format md > "$out/$name.md" || failed=$?
}
failed=0
closed='"source-head", "coral", "linear-ot", "subspace-alignment", "tca", "jda", "ot", { name = "gfk", method = "gfk", head = "1-nn" }'
trained='"dan", "deep-coral", "dann", "cdan", "mcd", "mdd", "deep-jdot", "mcc", "discriminator-weights", "shot", "bbse", "em-prior"'
norm='{ name = "adabn", method = "adabn", set = { "source.batch_norm" = true } }, { name = "tent", method = "tent", set = { "source.batch_norm" = true } }'
for part in ${PARTS:-closed trained norm}; do
    case $part in
    closed) experiment closed "[0]" "$closed" "" "$@" ;;
    trained) experiment trained "$seeds" "$trained" "" "$@" ;;
    norm) experiment norm "$seeds" "$norm" "" "$@" ;;
    # The same five methods twice, to see what `auto` loses to the oracle.
    selection)
        for by in auto oracle; do
            experiment "select-$by" "$seeds" '"deep-coral", "dann", "mdd", "mcc", "shot"' "\"select.by\" = \"$by\"" "$@"
        done
        python3 benches/scripts/measured.py export "$out/select-auto" "$out/select-oracle" > "$out/select-$(basename "$out").csv"
        python3 benches/scripts/measured.py selection "$out/select-$(basename "$out").csv" select-auto select-oracle
        ;;
    esac
done
dirs=
for name in closed trained norm; do
    [ -f "$out/$name/experiment.json" ] && dirs="$dirs $out/$name"
done
[ -z "$dirs" ] || python3 benches/scripts/pairs.py $dirs
exit "$failed"
