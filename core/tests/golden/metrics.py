"""Reference values for core/tests/metrics.rs, from scikit-learn and scipy. Prints the JSON:

    python core/tests/golden/metrics.py > core/tests/golden/metrics.json
"""

import json
import warnings

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn import metrics as m

warnings.filterwarnings("ignore")


def case(name, logits, truth):
    logits, truth = np.asarray(logits, np.float32), np.asarray(truth)
    k = logits.shape[1]
    labels = list(range(k))
    p = softmax(logits.astype(np.float64), axis=1).astype(np.float32)
    guess = p.argmax(1)
    kw = dict(labels=labels, zero_division=0)
    area = [
        float(m.roc_auc_score(truth == c, p[:, c])) if 0 < (truth == c).sum() < len(truth) else None for c in labels
    ]
    if k == 2:
        area[0] = area[1]
    there = [a for a in area if a is not None]
    # Expected calibration error, 15 bins closed above.
    sure, right = p.max(1).astype(np.float64), guess == truth
    bins = np.clip(np.ceil(sure * 15).astype(int), 1, 15)
    ece = sum(abs(sure[bins == b].sum() - right[bins == b].sum()) for b in range(1, 16)) / len(truth)
    nll = lambda s: -log_softmax(logits.astype(np.float64) / np.exp(s), axis=1)[np.arange(len(truth)), truth].mean()
    found = minimize_scalar(nll, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-10})
    wilson = binomtest(int(right.sum()), len(truth)).proportion_ci(0.9, method="wilson")
    return {
        "name": name,
        "logits": [[float(v) for v in row] for row in logits],
        "truth": truth.tolist(),
        "confusion": m.confusion_matrix(truth, guess, labels=labels).tolist(),
        "accuracy": m.accuracy_score(truth, guess),
        "wilson_90": [wilson.low, wilson.high],
        "precision": m.precision_score(truth, guess, average=None, **kw).tolist(),
        "recall": m.recall_score(truth, guess, average=None, **kw).tolist(),
        "f1": m.f1_score(truth, guess, average=None, **kw).tolist(),
        "macro_precision": m.precision_score(truth, guess, average="macro", **kw),
        "macro_recall": m.recall_score(truth, guess, average="macro", **kw),
        "macro_f1": m.f1_score(truth, guess, average="macro", **kw),
        "micro_f1": m.f1_score(truth, guess, average="micro", **kw),
        "mcc": m.matthews_corrcoef(truth, guess),
        "class_auroc": area,
        "auroc": float(np.mean(there)) if there else None,
        "loss": float(-np.log(np.clip(p[np.arange(len(truth)), truth].astype(np.float64), 1e-12, None)).mean()),
        "ece": float(ece),
        "temperature": float(np.exp(found.x)),
    }


def drawn(seed, n, k, signal, rounded=False):
    r = np.random.default_rng(seed)
    truth = r.integers(0, k, n)
    logits = r.normal(size=(n, k)) + signal * np.eye(k)[truth]
    # Eighths are exact in f32: what is tied here is tied everywhere.
    return (np.round(logits * 8) / 8 if rounded else np.round(logits, 4)), truth


cases = [
    case("two classes", *drawn(0, 150, 2, 1.0)),
    case("two classes, ties", *drawn(1, 80, 2, 0.7, True)),
    case("four classes", *drawn(2, 200, 4, 1.5)),
    case("over-confident", drawn(3, 150, 3, 1.0)[0] * 4, drawn(3, 150, 3, 1.0)[1]),
    case("a class that the rows lack", np.c_[drawn(4, 60, 2, 1.0)[0], np.full(60, -1.5)], drawn(4, 60, 2, 1.0)[1]),
    case("constant", np.tile([0.5, 0.0, -0.5], (30, 1)), np.arange(30) % 3),
]

r = np.random.default_rng(9)
pairs = []
for b, c in [(0, 0), (7, 2), (15, 15), (3, 14), (120, 80)]:
    pairs.append({"first_only": b, "second_only": c, "p": binomtest(b, b + c, 0.5).pvalue if b + c else 1.0})
folds = []
for k, level in [(5, 0.95), (10, 0.9), (3, 0.99)]:
    values = np.round(r.normal(0.8, 0.03, k), 4)
    half = student.ppf(0.5 + level / 2, k - 1) * np.sqrt((1 / k + 1 / (k - 1)) * values.var(ddof=1))
    stat = values.mean() / np.sqrt((1 / k + 1 / (k - 1)) * values.var(ddof=1))
    folds.append({
        "values": values.tolist(), "level": level, "interval": [values.mean() - half, values.mean() + half],
        "p": float(2 * student.sf(abs(stat), k - 1)),
    })
made = f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}"
print(json.dumps({"made_by": made, "cases": cases, "mcnemar": pairs, "folds": folds}, indent=None))
