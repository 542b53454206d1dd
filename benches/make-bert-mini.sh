#!/usr/bin/env bash
# Makes the small BERT of assets/bert-mini from plain reviews, one a line (text or .xz). Five stages, each skipped where its model is
# there already, a stopped one gone on with.
#
# usage: benches/make-bert-mini.sh REVIEWS OUT_DIR [TEACHER_CHECKPOINT]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
reviews=$(realpath "$1")
mkdir -p "$2" && cd "$2"
teacher=${3:-hf:sentence-transformers/all-MiniLM-L6-v2}
(cd "$here" && cargo build --release --quiet)
tlkit=$here/target/release/tlkit

# NAME RECIPE KEY=VALUE...
stage() {
  local name=$1 recipe=$2 resume=()
  shift 2
  [ -d "$name/model" ] && return
  [ -d "$name" ] && resume=(--resume)
  local set=()
  for key in "$@"; do set+=(--set "$key"); done
  "$tlkit" run "$here/$recipe" --out "$name" "${set[@]}" "${resume[@]}"
}
# Sentences FROM to TO with the teacher's labels, as TSV.
labelled() {
  sed -n "$1,$2p" sentences.txt > part.txt
  paste <(cat part.txt) <("$tlkit" predict teacher part.txt --format csv | tail -n +2 | cut -d, -f2) | sed '1i text\tlabel' > "$3"
}

[ -f marks.tsv ] || python3 "$here/benches/scripts/passages.py" "$reviews" .
[ -f sentences.txt ] || python3 "$here/benches/scripts/sentences.py" passages.txt > sentences.txt
stage words recipes/pretrain-bert-mini.toml "target.train=\"$PWD/passages.txt\""
stage marks recipes/pretrain-bert-mini-marks.toml "target.train=\"$PWD/marks.tsv\"" "source.checkpoint=\"$PWD/words/model\""
stage teacher benches/recipes/bert-mini-teacher.toml "target.train=\"$PWD/marks.tsv\"" "source.checkpoint=\"$teacher\""
[ -f first.tsv ] || labelled 1 150000 first.tsv
[ -f second.tsv ] || labelled 150001 270000 second.tsv
stage first benches/recipes/bert-mini-distil.toml "target.train=\"$PWD/first.tsv\"" \
  "source.checkpoint=\"$PWD/marks/model\"" "strategy.teacher=\"$PWD/teacher\""
stage second benches/recipes/bert-mini-distil.toml "target.train=\"$PWD/second.tsv\"" \
  "source.checkpoint=\"$PWD/first/model\"" "strategy.teacher=\"$PWD/teacher\"" train.learning_rate=3e-4
cd "$here" && cargo run --release --quiet -p tlkit-bert --example bert-halve -- "$OLDPWD/second/model" assets/bert-mini
