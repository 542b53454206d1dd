"""How the cost of a training step and of reading grows. Called by benches/growth.sh.

usage: growth.py FOLDER_OF_EXAMPLES
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

examples = pathlib.Path(sys.argv[1])


def said(*command, cores=2):
    out = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=True, env={**os.environ, "RAYON_NUM_THREADS": str(cores)}).stdout
    return json.loads(out.decode().splitlines()[-1])


def bert(precision, rows, length, name, cores=2):
    return said(examples / "bert-step", precision, rows, length, name, cores=cores)


def resnet(name, rows, side, cores=2):
    return said(examples / "resnet-step", name, rows, side, 8, cores=cores)


def table(what, unit, rows):
    print(f"| {what} | step | by {unit} | memory, MiB |\n|---|--:|--:|--:|")
    for name, count, result in rows:
        print(f"| {name} | {result['step_ms']:.0f} ms | {result['step_ms'] / count:.2f} ms | {result['peak_rss_mb']:.0f} |", flush=True)
    print()


table("MiniLM, f32, 128 tokens, batch", "text", [(n, n, bert("f32", n, 128, "minilm")) for n in (1, 4, 16, 64)])
table("MiniLM, f32, batch of 16, tokens", "token of a text", [(n, n, bert("f32", 16, n, "minilm")) for n in (32, 64, 128, 256, 512)])
table("f32, 8 x 128, network", "text", [(name, 8, bert("f32", 8, 128, name)) for name in ("minilm", "bert-base")])
table("ResNet-18, f32, 224 pixels, batch", "image", [(n, n, resnet("resnet18", n, 224)) for n in (1, 4, 16)])
table("ResNet-18, f32, batch of 8, side", "image", [(n, 8, resnet("resnet18", 8, n)) for n in (64, 112, 224, 320)])
for name, run in (("MiniLM, f32, 16 x 128", lambda c: bert("f32", 16, 128, "minilm", c)), ("MiniLM, bf16, 16 x 128", lambda c: bert("bf16", 16, 128, "minilm", c)),
                  ("ResNet-18, f32, 8 x 224", lambda c: resnet("resnet18", 8, 224, c))):
    one, two = run(1), run(2)
    print(f"{name}: one core {one['step_ms']:.0f} ms, two {two['step_ms']:.0f} ms: {one['step_ms'] / two['step_ms']:.2f} times as fast", flush=True)

print("\n| table of | rows read twice in | memory, MiB |\n|---|--:|--:|")
with tempfile.TemporaryDirectory(prefix="growth-") as work:
    for megabytes in (10, 100, 400):
        file = f"{work}/{megabytes}.csv"
        subprocess.run([examples / "rows", "--make", str(megabytes), file], stdout=subprocess.DEVNULL, check=True)
        begin = time.perf_counter()
        child = subprocess.Popen([examples / "rows", file], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit("rows failed")
        print(f"| {megabytes} MB of CSV | {time.perf_counter() - begin:.1f} s | {used.ru_maxrss / 1024:.0f} |", flush=True)
        os.remove(file)
