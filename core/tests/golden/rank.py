"""Reference values of LogME and H-score, from their closed formulas: the evidence of y ~ N(0, 1/beta + F F^T / alpha) is maximised by brute
force over both precisions; the shrunk covariance is inverted as it stands.

    python core/tests/golden/rank.py > core/tests/golden/rank.json
"""
import json

import numpy as np


def features(n, d):
    i, j = np.meshgrid(np.arange(n), np.arange(d), indexing="ij")
    return np.sin(0.7 * i + 1.3 * j + 0.11 * i * j) + 0.5 * (i % 3 == j % 3)


def log_evidence(f, y, a, b):
    n = len(y)
    cov = np.eye(n) / np.exp(b) + f @ f.T / np.exp(a)
    _, logdet = np.linalg.slogdet(cov)
    return -0.5 * (logdet + y @ np.linalg.solve(cov, y) + n * np.log(2 * np.pi)) / n


def best(f, y):
    centre, width = np.zeros(2), 12.0
    for _ in range(60):
        grid = np.linspace(-width, width, 9)
        scores = [(log_evidence(f, y, centre[0] + a, centre[1] + b), a, b) for a in grid for b in grid]
        _, a, b = max(scores)
        centre += [a, b]
        width *= 0.7
    return log_evidence(f, y, *centre)


def h_score(f, y):
    n, d = f.shape
    x = f - f.mean(0)
    cov = x.T @ x / n
    mu = np.trace(cov) / d
    far = np.sum((cov - mu * np.eye(d)) ** 2)
    spread = sum(np.sum((np.outer(r, r) - cov) ** 2) for r in x) / n**2
    a = min(spread / far, 1.0)
    means = np.stack([x[y == c].mean(0) for c in y])
    between = means.T @ means / n
    return float(np.trace(np.linalg.inv((1 - a) * cov + a * mu * np.eye(d)) @ ((1 - a) * between)))


out = []
for n, d in [(40, 6), (24, 60), (30, 30)]:
    f, y = features(n, d), np.arange(n) % 3
    log_me = float(np.mean([best(f, (y == c).astype(float)) for c in range(3)]))
    out.append({"rows": n, "width": d, "log_me": log_me, "h_score": h_score(f, y)})
print(json.dumps(out, indent=1))
