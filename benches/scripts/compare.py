"""Runs tlkit and its peers in turn and prints ratios: time and memory of tlkit by those of the peer, medians of pairs. Called by benches/compare.sh.

usage: compare.py PYTHON TLKIT DATA [--pairs 5] [--rows REGEX] [--out FILE]
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("python")
arguments.add_argument("tlkit", type=pathlib.Path, help="the binary; examples lie beside it")
arguments.add_argument("data", type=pathlib.Path)
arguments.add_argument("--pairs", type=int, default=5)
arguments.add_argument("--rows", default="", help="only rows whose name this matches")
arguments.add_argument("--out", type=pathlib.Path)
chosen = arguments.parse_args()
here = pathlib.Path(__file__).resolve().parent
# Not resolved: an environment's Python is a link, and is known by its place.
chosen.python = os.path.abspath(chosen.python)
data = chosen.data.resolve()
tlkit = chosen.tlkit.resolve()
work = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
sentence = "A film that never finds its feet, and does not seem to look for them."


class Side:
    """A command, and how its time is read: from the JSON it prints, or that of the whole process."""

    def __init__(self, command, step=False, more=None, before=None):
        self.command, self.step, self.more, self.before = [str(c) for c in command], step, more or {}, before

    def run(self):
        if self.before:
            self.before()
        begin = time.perf_counter()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=work,
                                   env={**os.environ, "TLKIT_CACHE": str(work / "cache"), "HF_HUB_OFFLINE": "1", **self.more})
        out, err = process.stdout.read(), process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        if status != 0:
            sys.exit(f"{' '.join(self.command)} failed:\n{err.decode()[-2000:]}")
        if self.step:
            seconds = json.loads(out.decode().splitlines()[-1])["step_ms"] / 1e3
        return seconds, used.ru_maxrss / 1024


def peer(script, *more, **how):
    return Side([chosen.python, here / "peers" / script, *more], **how)


def clear(*names):
    def go():
        for name in names:
            subprocess.run(["rm", "-rf", str(work / name)], check=True)
    return go


def step(name, precision, *numbers, **how):
    if name in ("minilm", "bert-base"):
        rows = {"minilm": 16, "bert-base": 8}[name]
        return Side([tlkit.parent / "examples" / "bert-step", precision, rows, 128, name], step=True, **how)
    return Side([tlkit.parent / "examples" / "resnet-step", name, 8, 224, 12], step=True, **how)


def recipe(name, text):
    path = work / f"{name}.toml"
    path.write_text(text)
    return path


text = recipe("text", f"""
[source]
checkpoint = "{data}/checkpoints/all-MiniLM-L6-v2"
[target]
task = "text-classification"
train = "{data}/text/sst2/train.tsv"
test = "{data}/text/sst2/dev.tsv"
header = false
text = 1
label = 2
limit = 2000
split = {{ validation = 0 }}
[strategy]
kind = "inductive"
method = "fine-tune"
[train]
epochs = 1
batch_size = 16
learning_rate = 5e-5
warmup = 0
[evaluate]
baselines = false
""")
images = recipe("images", f"""
[source]
checkpoint = "{data}/checkpoints/resnet18-imagenet-trunk"
[target]
task = "image-classification"
train = "{data}/images/office-caltech10/webcam"
test = "{data}/images/office-caltech10/dslr"
split = {{ validation = 0 }}
[strategy]
kind = "inductive"
method = "feature-extraction"
""")


def run(name, path, *more, cached=False):
    before = clear(f"run-{name}") if cached else clear(f"run-{name}", "cache")
    return Side([tlkit, "run", path, "--out", f"run-{name}", "--quiet", *more], before=before)


bf16 = ["--set", "train.precision=bf16"]
trained = run("text", text)
rows = [
    # name, ours, theirs, mark for time, mark for memory
    ("MiniLM step, 16 x 128, f32", step("minilm", "f32"), peer("step.py", "minilm", "f32", step=True), 0.50, 0.50),
    ("MiniLM step, 16 x 128, bf16", step("minilm", "bf16"), peer("step.py", "minilm", "bf16", step=True), 0.60, 0.50),
    ("BERT-base step, 8 x 128, f32", step("bert-base", "f32"), peer("step.py", "bert-base", "f32", step=True), 0.55, 0.70),
    ("BERT-base step, 8 x 128, bf16", step("bert-base", "bf16"), peer("step.py", "bert-base", "bf16", step=True), 0.60, 0.70),
    ("ResNet-18 step, 8 x 224, f32", step("resnet18", "f32"), peer("step.py", "resnet18", "f32", step=True), 0.75, 0.50),
    ("ResNet-50 step, 8 x 224, f32", step("resnet50", "f32"), peer("step.py", "resnet50", "f32", step=True), 0.75, 0.50),
    ("MiniLM step with TLKIT_CPU=avx2, f32", step("minilm", "f32", more={"TLKIT_CPU": "avx2"}), peer("step.py", "minilm", "f32", step=True), 0.90, 0.50),
    ("SST-2, 2,000 sentences, beside default padding, f32", trained, peer("finetune.py", data, "default", "f32", work / "trainer"), 0.10, 0.50),
    ("SST-2, 2,000 sentences, beside dynamic padding, f32", trained, peer("finetune.py", data, "dynamic", "f32", work / "trainer"), 0.40, 0.50),
    ("SST-2, 2,000 sentences, beside dynamic padding, bf16", run("text", text, *bf16), peer("finetune.py", data, "dynamic", "bf16", work / "trainer"), 0.50, 0.50),
    ("frozen trunk and head, ten epochs", run("images", images), peer("probe.py", data), 0.10, 0.50),
    ("the same again, features cached", run("images", images, cached=True), peer("probe.py", data), 0.01, 0.50),
    ("predict one sentence", Side([tlkit, "predict", work / "run-text", "--text", sentence], before=lambda: None if (work / "run-text").exists() else trained.run()),
     peer("predict.py", work / "run-text/model", sentence), 0.05, 0.50),
]
# Said below the table where a row misses its mark: what the time goes to.
why = {
    "SST-2, 2,000 sentences": "a step has some four hundred tokens (`bert-step -- f32 16 26` times one), so few that reading the weights and splitting them "
    "for the processor's tiles costs a good part of what multiplying by them does; and a whole process also checks, saves and reads back what it trained",
    "the same again, features cached": "what is left is to read and hash the pictures and the checkpoint, to look for pictures that are there twice, to fit the head by "
    "cross-validation, to write the page, and to load the saved model and ask whether it answers alike",
}
cpu = pathlib.Path("/proc/cpuinfo").read_text()
tiles = "amx_bf16" in cpu
if not tiles:
    rate = "without tiles both sides multiply at the rate of the processor's own {} instructions, and products are by far the most of a step"
    why = {"MiniLM step, 16 x 128, f32": rate.format("f32"), "BERT-base step, 8 x 128, f32": rate.format("f32"), "BERT-base step, 8 x 128, bf16": rate.format("bf16"),
           "ResNet-18 step": rate.format("f32"), "ResNet-50 step": rate.format("f32"), **why}
    why["SST-2, 2,000 sentences"] = "not looked into on such a processor; beside the steps a whole process checks, saves and reads back what it trained"
missed = []
left_out = [r[0] for r in rows if not re.search(chosen.rows, r[0])]
rows = [r for r in rows if re.search(chosen.rows, r[0])]


def places(ratio):
    """A ratio, to three places where two say little."""
    return f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}"


def verdict(ratio, mark):
    if ratio <= mark:
        return places(ratio)
    # A mark that is missed by little is not shown as reached.
    shown = places(ratio) if places(ratio) != places(mark) else f"{ratio:.4f}"
    return f"{shown} (mark missed)"


lines = ["| work | tlkit | peer | ratio | of the pairs | mark | memory, MiB | ratio | mark |", "|---|---|---|---|---|---|---|---|---|"]
print("\n".join(lines), flush=True)
for name, ours, theirs, time_mark, memory_mark in rows:
    pairs = [(ours.run(), theirs.run()) for _ in range(chosen.pairs)]
    ratios = sorted(a[0] / b[0] for a, b in pairs)
    if statistics.median(ratios) > time_mark:
        missed += [(row, text) for row, text in why.items() if name.startswith(row)]
    middle = lambda of, i: statistics.median(p[of][i] for p in pairs)
    memory = middle(0, 1) / middle(1, 1)
    shown = lambda s: f"{s:.2f} s" if s >= 1 else f"{1e3 * s:.0f} ms"
    line = (f"| {name} | {shown(middle(0, 0))} | {shown(middle(1, 0))} | {verdict(statistics.median(ratios), time_mark)} "
            f"| {places(ratios[0])} to {places(ratios[-1])} | {time_mark:.2f} | {middle(0, 1):.0f} / {middle(1, 1):.0f} | {verdict(memory, memory_mark)} | {memory_mark:.2f} |")
    lines.append(line)
    print(line, flush=True)
if chosen.out:
    models = [line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")]
    versions = subprocess.run([chosen.python, "-c", "import torch, transformers; print(torch.__version__, transformers.__version__)"],
                              capture_output=True, text=True, check=True).stdout.split()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    kind = "with tiles of bf16 (AMX)" if tiles else "without tiles; it multiplies pairs of bf16" if "avx512_bf16" in cpu else "without tiles and pairs of bf16"
    head = f"""# Measured: speed and memory{"" if tiles else " without AMX"}

    benches/compare.sh DATA

runs tlkit and the same work in PyTorch and transformers in turn, {chosen.pairs} {"pair" if chosen.pairs == 1 else "pairs"} a row, and prints what stands here. A ratio is tlkit's by the peer's, the median over the
pairs; times alone say little on a machine that others use too. A mark is what this project asks of itself.

{models[0] if models else platform.processor()}, {kind}, {os.cpu_count()} cores; PyTorch {versions[0]}, transformers {versions[1]}; tlkit {commit},
{datetime.date.today().isoformat()}; load average {os.getloadavg()[0]:.1f} at the end, two threads on each side.

"""
    reasons = "".join(f"- {row}: {text}.\n" for row, text in dict(missed).items())
    reasons = f"Where a mark is missed:\n\n{reasons}\n" if reasons else ""
    chosen.out.write_text(head + "\n".join(lines) + "\n\n" + reasons + "".join(f"Not measured this time: {name}.\n" for name in left_out)
                          + "Not measured: anything on a GPU. No CUDA device was at hand.\n")
subprocess.run(["rm", "-rf", str(work)], check=False)
