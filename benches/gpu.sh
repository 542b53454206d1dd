#!/usr/bin/env bash
# Everything that needs a CUDA GPU, in one call of under ten minutes: the kernels' tests, recipes on CPU and GPU side by side, and training
# steps beside PyTorch. Prints tables; where there is no GPU it prints `skipped: no CUDA device` and ends well.
#
#     benches/gpu.sh pack      # where there is Rust and a toolkit (scripts/cuda-toolkit.sh), GPU or not: builds, into target/gpu.tar.xz
#     benches/gpu.sh           # where there is a GPU: unpacks that and runs it. Needs xz, python3, CUDA 13's libraries; torch for the marks
#
# The second call needs the repository's files, the archive, and no network.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=target/gpu.tar.xz

if [ "${1:-}" = pack ]; then
  rm -rf target/gpu && mkdir -p target/gpu
  cargo build --release --features cuda
  made=${CARGO_TARGET_DIR:-target}/release
  cp "$made/tlkit" target/gpu/tlkit-cuda
  # Builds, and says where the binary is.
  binary() {
    cargo "$@" --message-format=json | python3 -c '
import json, sys
print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])'
  }
  cp "$(binary build --release --features tlkit-bert/cuda -p tlkit-bert --example bert-step)" target/gpu/bert-step
  cp "$(binary build --release --features tlkit-resnet/cuda -p tlkit-resnet --example resnet-step)" target/gpu/resnet-step
  cp "$(binary test --release --features cuda -p tlkit-ops --lib --no-run)" target/gpu/ops-tests
  strip target/gpu/*
  tar -C target -c gpu | xz -T0 -6 > "$archive"
  ls -l "$archive"
  exit 0
fi

if ! nvidia-smi > /dev/null 2>&1; then
  echo "skipped: no CUDA device"
  exit 0
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
[ -d target/gpu ] || tar -C target -xJf "$archive"

# CUDA's libraries, where a toolkit or a Python package has put them.
for folder in /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib \
  $(python3 -c 'import nvidia, glob, os; [print(p) for root in nvidia.__path__ for p in glob.glob(os.path.join(root, "*", "lib"))]' 2> /dev/null); do
  [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH
if ldd target/gpu/tlkit-cuda | grep 'not found'; then
  echo "benches/gpu.sh: a library of CUDA 13 is missing" >&2
  exit 1
fi
out=${OUT:-$(mktemp -d)}

echo; echo "## Kernels against their references"
# In the folder that the emulation finds its source from; without a C++ compiler that half is skipped and says so.
timeout 240 target/gpu/ops-tests --nocapture --test-threads 4 gpu one_launch 2>&1 | tee "$out/ops-tests.log" | grep -E "^test |skipped|panicked|test result" || true

echo; echo "## Recipes, CPU and GPU, 30 steps: the furthest that a loss of the GPU's is from the CPU's"
export XDG_CACHE_HOME=$out/cache
for recipe in sentiment scenes-finetune; do
  for where in cpu cuda cuda-bf16; do
    timeout 100 target/gpu/tlkit-cuda run "recipes/$recipe.toml" --device "${where%-bf16}" --out "$out/$recipe-$where" --quiet \
      --set train.max_steps=30 --set train.cache=false --set "train.precision=\"$([ $where = cuda-bf16 ] && echo bf16 || echo f32)\"" \
      > /dev/null 2> "$out/$recipe-$where.err" || tail -n 3 "$out/$recipe-$where.err"
  done
done
python3 - "$out" << 'PY'
import json, pathlib, sys
out = pathlib.Path(sys.argv[1])
def losses(run):
    path = out / run / "metrics.jsonl"
    rows = map(json.loads, path.read_text().splitlines()) if path.exists() else []
    return {r["step"]: r["loss"] for r in rows if "step" in r and "loss" in r}
print("| recipe | GPU | steps | furthest loss | tolerance |\n|---|---|---|---|---|")
for recipe in ("sentiment", "scenes-finetune"):
    cpu = losses(f"{recipe}-cpu")
    for where, tolerance in (("cuda", 1e-3), ("cuda-bf16", 5e-2)):
        gpu = losses(f"{recipe}-{where}")
        both = cpu.keys() & gpu.keys()
        if not both:
            print(f"| {recipe} | {where} | none | no run | |")
            continue
        gap = max(abs(cpu[s] - gpu[s]) / max(1.0, abs(cpu[s])) for s in both)
        print(f"| {recipe} | {where} | {len(both)} | {gap:.1e}{'' if gap <= tolerance else ' TOO FAR'} | {tolerance:.0e} |")
PY

echo; echo "## A training step beside PyTorch eager, in turn: milliseconds, and MB of the GPU's memory"
python3 - << 'PY'
import json, statistics, subprocess
def last(words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout.strip().splitlines()[-1])
    except Exception as e:
        return {"failed": str(e).splitlines()[-1:]}
cases = [("minilm", 64, "bert", "f32"), ("minilm", 64, "bert", "bf16"), ("bert-base", 64, "bert", "bf16"), ("resnet50", 128, "resnet", "bf16")]
print("| network | batch | precision | tlkit ms | PyTorch ms | ratio | tlkit MB | PyTorch MB |\n|---|---|---|---|---|---|---|---|")
for name, batch, kind, precision in cases:
    ours = {
        "bert": ["target/gpu/bert-step", precision, str(batch), "128", name, "cuda"],
        "resnet": ["target/gpu/resnet-step", name, str(batch), "224", "24", precision, "cuda"],
    }[kind]
    theirs = ["python3", "benches/scripts/peers/step.py", name, precision, str(batch), "cuda"]
    rounds = [(last(ours), last(theirs)) for _ in range(2)]
    def median(i, key):
        values = [r[i][key] for r in rounds if key in r[i]]
        return statistics.median(values) if values else None
    (a, b), (m, n) = (median(0, "step_ms"), median(1, "step_ms")), (median(0, "gpu_mb"), median(1, "gpu_mb"))
    show = lambda v: "failed" if v is None else f"{v:.1f}"
    ratio = f"{a / b:.2f}" if a and b else ""
    print(f"| {name} | {batch} | {precision} | {show(a)} | {show(b)} | {ratio} | {show(m)} | {show(n)} |")
    for r in rounds:
        for side in r:
            if "failed" in side:
                print(f"  {name}: {side['failed']}")
PY
