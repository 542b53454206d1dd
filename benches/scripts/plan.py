"""Forecasts of `tlkit plan` beside what the runs then take. Called by benches/plan.sh.

usage: plan.py TLKIT RECIPE ...
"""

import json
import os
import subprocess
import sys
import tempfile
import time

tlkit, recipes = sys.argv[1], sys.argv[2:]
right = inside = 0
print("| recipe | forecast | between | it took | ratio | memory forecast, MiB | it took, MiB | ratio |")
print("|---|--:|---|--:|--:|--:|--:|--:|", flush=True)
for name in recipes:
    path = f"recipes/{name}.toml"
    with tempfile.TemporaryDirectory(prefix="plan-") as work:
        # Nothing is found in a cache of an earlier run.
        environment = {**os.environ, "TLKIT_CACHE": f"{work}/cache"}
        planned = subprocess.run([tlkit, "plan", path, "--json"], stdout=subprocess.PIPE, check=True, env=environment)
        plan = json.loads(planned.stdout)
        environment["TLKIT_CACHE"] = f"{work}/cache-of-the-run"
        begin = time.perf_counter()
        child = subprocess.Popen([tlkit, "run", path, "--quiet", "--out", f"{work}/run"], stdout=subprocess.DEVNULL, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        if status != 0:
            sys.exit(f"{path} failed")
    low, high = plan["between"]
    ratio, memory = plan["seconds"] / seconds, used.ru_maxrss / 1024
    right += abs(ratio - 1) <= 0.2
    inside += low <= seconds <= high
    print(f"| {name} | {plan['seconds']:.1f} s | {low:.1f} to {high:.1f} | {seconds:.1f} s | {ratio:.2f} "
          f"| {plan['memory_mib']:.0f} | {memory:.0f} | {plan['memory_mib'] / memory:.2f} |", flush=True)
print(f"\nWithin 20 %: {right} of {len(recipes)}. Within the interval: {inside} of {len(recipes)}.")
