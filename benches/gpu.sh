#!/usr/bin/env bash
# Everything that needs a CUDA GPU, in one call of under ten minutes: the kernels' tests, training steps beside PyTorch, and recipes on CPU and GPU
# side by side. Prints tables, and ends with exit code 1 where a kernel's test failed, a run did not come or a loss was TOO FAR. Where there is
# no GPU it prints `skipped: no CUDA device` and ends well.
#
#     benches/gpu.sh pack      # where there is Rust and a toolkit (scripts/cuda-toolkit.sh), GPU or not: builds, into target/gpu.tar.xz
#     benches/gpu.sh           # where there is a GPU: unpacks that and runs it. Needs python3 and CUDA 13's libraries; PyTorch for the marks
#
# The second call needs the repository's files, the archive, and no network. It takes TLKIT_GPU_SECONDS at most (540): what no longer fits is
# skipped, and said. Logs go to the folder OUT (target/gpu-results), three files.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=target/gpu.tar.xz
# What the tests of kernels have in their names: ops/tests/one_call.rs.
tests="gpu one_launch"
# What travels to the other machine, the repository's files and the archive together.
travel_mib=64

pack() {
  # Beside target/release/tlkit, which is for the CPU, and not in its place.
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/cuda"
  # All four from one choice of packages, so that Cargo resolves features once, and compiles Candle and its kernels once.
  local together=(--release -p tlkit -p tlkit-bert -p tlkit-resnet -p tlkit-ops --features cuda) made=target/gpu
  # Where the binaries are that Cargo says it made: a name and a path a line.
  binaries() {
    python3 -c '
import json, sys
for m in map(json.loads, sys.stdin):
    if m.get("executable"):
        print(m["target"]["name"], m["executable"])'
  }
  rm -rf "$made" && mkdir -p "$made"
  {
    cargo build "${together[@]}" --bin tlkit --example bert-step --example resnet-step --message-format=json-render-diagnostics | binaries
    cargo test "${together[@]}" --lib --no-run --message-format=json-render-diagnostics | binaries | sed -n 's/^tlkit[-_]ops /ops-tests /p'
  } | sed 's/^tlkit /tlkit-cuda /' | while read -r name path; do cp "$path" "$made/$name"; done
  for name in tlkit-cuda bert-step resnet-step ops-tests; do
    [ -x "$made/$name" ] || { echo "benches/gpu.sh: cargo has made no $name" >&2; exit 1; }
  done
  strip "$made"/*
  archive_them
}

# One dictionary for all: the four have most of their bytes in common.
archive_them() {
  tar -C target -c gpu | xz -T1 --lzma2=preset=6,dict=512MiB > "$archive"
  local bytes tracked most
  bytes=$(stat -c %s "$archive")
  # A file that git tracks may have been deleted here.
  tracked=$({ git ls-files -z | xargs -0 stat -c %s 2> /dev/null || true; } | awk '{ all += $1 } END { printf "%d", all }')
  # One is for what git does not track yet.
  most=$((travel_mib - 1 - (tracked >> 20)))
  echo "$archive: $((bytes >> 20)) MiB"
  if [ "$bytes" -gt $((most << 20)) ]; then
    echo "benches/gpu.sh: the archive is larger than $most MiB, too large to travel beside the $((tracked >> 20)) MiB of the repository's files" >&2
    exit 1
  fi
}

unpack() {
  if [ ! -e "$archive" ]; then
    [ -x target/gpu/tlkit-cuda ] && return
    echo "benches/gpu.sh: no $archive; make it by \`benches/gpu.sh pack\` where Rust is" >&2
    exit 1
  fi
  rm -rf target/gpu
  # Python unpacks it where xz is not installed.
  if command -v xz > /dev/null; then
    xz -dc "$archive" | tar -C target --no-same-owner -xf -
  else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r|xz").extractall("target")' "$archive"
  fi
}

# Runs a command for so many seconds at most, and for no longer than the whole call may take; 124 where it was stopped, or not begun.
within() {
  local seconds=$1 left=$((deadline - SECONDS))
  shift
  if [ "$left" -lt 10 ]; then
    echo "skipped, since no time is left: $*"
    return 124
  fi
  timeout -k 5 "$((seconds < left ? seconds : left))" "$@"
}

# CUDA's libraries, where a Python package (PyTorch's own, so that both have one cuBLAS), a toolkit or a container has put them. For our binaries
# alone: PyTorch finds its own.
libraries() {
  local folder all=
  for folder in $(python3 -c 'import nvidia, glob, os; [print(p) for root in nvidia.__path__ for p in glob.glob(os.path.join(root, "*", "lib"))]' 2> /dev/null) \
    /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib /usr/local/nvidia/lib64; do
    if [ -d "$folder" ]; then all=$all:$folder; fi
  done
  all=${LD_LIBRARY_PATH:-}$all
  echo "${all#:}"
}

failed() {
  echo "FAILED: $*"
  echo "$*" >> "$work/failed"
}

kernels() {
  echo; echo "## Kernels against their references"
  local log=$kept/ops-tests.log code=0 name
  # Emulated they are tested where the archive was made; here the device is. One at a time: the first that fails is the culprit.
  within 200 env TLKIT_SKIP_EMULATION=1 LD_LIBRARY_PATH="$cuda" target/gpu/ops-tests --nocapture --test-threads 1 $tests > "$log" 2>&1 || code=$?
  grep -a -A3 -E '^test |panicked|^skipped, |test result|error while loading' "$log" | cut -c 1-300 || true
  if [ "$code" -eq 0 ] && grep -aqE 'test result: ok\. [1-9]' "$log" && ! grep -aq 'no CUDA device' "$log"; then return; fi
  failed "the kernels' tests (exit code $code); $log"
  tail -n 5 "$log" | cut -c 1-300
  # A GPU that one test has led astray fails all that follow: each again, alone.
  for name in $(sed -n '/^failures:$/,$s/^    \([a-z0-9_:]*\)$/\1/p' "$log" | sort -u | head -n 12); do
    code=0
    within 30 env TLKIT_SKIP_EMULATION=1 LD_LIBRARY_PATH="$cuda" target/gpu/ops-tests --nocapture --exact "$name" > "$work/alone" 2>&1 || code=$?
    echo "alone: $name: exit code $code"
    { echo "== alone: $name"; cat "$work/alone"; } >> "$log"
    if [ "$code" -ne 0 ]; then grep -a -A3 panicked "$work/alone" | cut -c 1-300 || true; fi
  done
}

marks() {
  echo; echo "## A training step beside PyTorch eager, in turn: milliseconds, and MB of the GPU's memory"
  # What the recipes need is left for them.
  local left=$((deadline - SECONDS - 140))
  LD_LIBRARY_OF_OURS="$cuda" python3 - "$left" << 'PY' || failed "a training step"
import json, os, statistics, subprocess, sys, time
until = time.monotonic() + float(sys.argv[1])
def last(words, ours):
    """The last line of what a command prints, as JSON; or why there is none."""
    left = until - time.monotonic()
    if left < 10:
        return {"failed": "skipped, since no time is left"}
    env = dict(os.environ, LD_LIBRARY_PATH=os.environ["LD_LIBRARY_OF_OURS"]) if ours else None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=min(60, left), env=env)
    except (OSError, subprocess.TimeoutExpired) as e:
        return {"failed": str(e)}
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        end = " / ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        return {"failed": f"return code {done.returncode}: {end}"}
# At most so many times PyTorch's time.
cases = [("minilm", 64, "bert", "f32", None), ("minilm", 64, "bert", "bf16", 1.0), ("bert-base", 64, "bert", "bf16", 1.0), ("resnet50", 128, "resnet", "bf16", 1.5)]
peers = last(["python3", "-c", "import json, torch, torchvision, transformers; print(json.dumps({'PyTorch': torch.__version__, 'CUDA': torch.cuda.is_available()}))"], False)
alone = not peers.get("CUDA")
print("skipped: no PyTorch beside it:" if alone else "beside", peers)
print("| network | batch | precision | tlkit ms | PyTorch ms | ratio | mark | tlkit MB | PyTorch MB |\n|---|---|---|---|---|---|---|---|---|")
lost = False
for name, batch, kind, precision, mark in cases:
    ours = {
        "bert": ["target/gpu/bert-step", precision, str(batch), "128", name, "cuda"],
        "resnet": ["target/gpu/resnet-step", name, str(batch), "224", "24", precision, "cuda"],
    }[kind]
    theirs = ["python3", "benches/scripts/peers/step.py", name, precision, str(batch), "cuda"]
    rounds = [(last(ours, True), {} if alone else last(theirs, False)) for _ in range(2)]
    def median(i, key):
        values = [r[i][key] for r in rounds if key in r[i]]
        return statistics.median(values) if values else None
    (a, b), (m, n) = (median(0, "step_ms"), median(1, "step_ms")), (median(0, "gpu_mb"), median(1, "gpu_mb"))
    show = lambda v: "none" if v is None else f"{v:.1f}"
    ratio = f"{a / b:.2f}" if a and b else ""
    wanted = "" if mark is None else f"{mark:.1f}{' MISSED' if a and b and a / b > mark else ''}"
    print(f"| {name} | {batch} | {precision} | {show(a)} | {show(b)} | {ratio} | {wanted} | {show(m)} | {show(n)} |")
    for r in rounds:
        for who, side in zip(("tlkit", "PyTorch"), r):
            if "failed" in side:
                lost = True
                print(f"  {name}, {who}: {side['failed'][:600]}")
sys.exit(lost)
PY
}

# A vision transformer of two layers with drawn weights, and a recipe for it: Candle's own layers, frozen.
vision_transformer() {
  python3 - "$work" << 'PY'
import array, json, pathlib, random, struct, sys
out = pathlib.Path(sys.argv[1])
w, hidden, patch, side = 64, 128, 8, 32
shapes = {
    "embeddings.cls_token": [1, 1, w],
    "embeddings.position_embeddings": [1, (side // patch) ** 2 + 1, w],
    "embeddings.patch_embeddings.projection.weight": [w, 3, patch, patch],
    "embeddings.patch_embeddings.projection.bias": [w],
    "layernorm.weight": [w],
    "layernorm.bias": [w],
}
for i in range(2):
    at = f"encoder.layer.{i}."
    dense = {f"attention.attention.{p}": (w, w) for p in ("query", "key", "value")}
    dense |= {"attention.output.dense": (w, w), "intermediate.dense": (hidden, w), "output.dense": (w, hidden)}
    for name, (o, n) in dense.items():
        shapes |= {f"{at}{name}.weight": [o, n], f"{at}{name}.bias": [o]}
    for norm in ("layernorm_before", "layernorm_after"):
        shapes |= {f"{at}{norm}.weight": [w], f"{at}{norm}.bias": [w]}
draw = random.Random(0)
header, blob = {}, b""
for name, shape in shapes.items():
    n = 1
    for d in shape:
        n *= d
    mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
    numbers = array.array("f", (draw.gauss(mean, 0.1) for _ in range(n)))
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(blob), len(blob) + 4 * n]}
    blob += numbers.tobytes()
text = json.dumps(header).encode()
(out / "vit").mkdir()
(out / "vit/model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + blob)
(out / "vit/config.json").write_text(json.dumps({
    "model_type": "vit", "hidden_size": w, "num_attention_heads": 2, "hidden_act": "gelu", "image_size": side, "layer_norm_eps": 1e-12}))
(out / "vit.toml").write_text("""[source]
checkpoint = "vit"
[target]
task = "image-classification"
train = "builtin:scenes/day/train#200"
validation = "builtin:scenes/day/validation#50"
test = "builtin:scenes/day/test#50"
scene_size = 40
[strategy]
kind = "inductive"
method = "fine-tune"
train_from = "head"
""")
PY
}

recipes() {
  echo; echo "## Recipes, CPU and GPU, 30 steps: the furthest that a loss of the GPU's is from the CPU's"
  local recipe where name code
  vision_transformer || failed "the checkpoint of a vision transformer"
  for recipe in recipes/sentiment.toml recipes/scenes-finetune.toml "$work/vit.toml"; do
    name=$(basename "$recipe" .toml)
    for where in cpu cuda cuda-bf16; do
      code=0
      within 100 env LD_LIBRARY_PATH="$cuda" XDG_CACHE_HOME="$work/cache" target/gpu/tlkit-cuda run "$recipe" --device "${where%-bf16}" \
        --out "$work/$name-$where" --quiet --set train.max_steps=30 --set train.cache=false \
        --set "train.precision=\"$([ "$where" = cuda-bf16 ] && echo bf16 || echo f32)\"" > "$work/said" 2>&1 || code=$?
      { echo "== $name, $where: exit code $code"; cat "$work/said"; } >> "$kept/recipes.log"
      if [ "$code" -ne 0 ]; then
        failed "the recipe $name on $where (exit code $code)"
        tail -n 4 "$work/said"
      fi
    done
  done
  python3 - "$work" << 'PY' || failed "the losses of recipes"
import json, math, pathlib, sys
work = pathlib.Path(sys.argv[1])
def losses(run):
    path = work / run / "metrics.jsonl"
    rows = map(json.loads, path.read_text().splitlines()) if path.exists() else []
    return {r["step"]: r["loss"] for r in rows if "step" in r and isinstance(r.get("loss"), (int, float))}
print("| recipe | GPU | steps | furthest loss | tolerance |\n|---|---|---|---|---|")
well = True
for recipe in ("sentiment", "scenes-finetune", "vit"):
    cpu = losses(f"{recipe}-cpu")
    for where, tolerance in (("cuda", 1e-3), ("cuda-bf16", 5e-2)):
        gpu = losses(f"{recipe}-{where}")
        both = cpu.keys() & gpu.keys()
        if not both:
            print(f"| {recipe} | {where} | none | no run | |")
            well = False
            continue
        gap = max(abs(cpu[s] - gpu[s]) / max(1.0, abs(cpu[s])) for s in both)
        near = math.isfinite(gap) and gap <= tolerance and cpu.keys() == gpu.keys()
        print(f"| {recipe} | {where} | {len(both)} of {len(cpu)} | {gap:.1e}{'' if near else ' TOO FAR'} | {tolerance:.0e} |")
        well = well and near
sys.exit(not well)
PY
}

everything() {
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
  unpack
  cuda=$(libraries)
  if LD_LIBRARY_PATH=$cuda ldd target/gpu/tlkit-cuda | grep 'not found'; then
    echo "benches/gpu.sh: what is named above is missing: CUDA 13's libraries are looked for where PyTorch or a toolkit has put them, and in LD_LIBRARY_PATH" >&2
    exit 1
  fi
  kernels
  marks
  recipes
  echo
  if [ -e "$work/failed" ]; then
    echo "## Not well"
    sed 's/^/- /' "$work/failed"
    exit 1
  fi
  echo "## All well, after $SECONDS s"
}

if [ "${1:-}" = pack ]; then
  pack
  exit 0
fi
if ! nvidia-smi > /dev/null 2>&1; then
  echo "skipped: no CUDA device"
  exit 0
fi
deadline=${TLKIT_GPU_SECONDS:-540}
# What is stopped has printed what it knew.
export PYTHONUNBUFFERED=1
kept=${OUT:-target/gpu-results}
mkdir -p "$kept"
rm -f "$kept"/{ops-tests,recipes}.log
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
everything 2>&1 | tee "$kept/tables.md"
