"""Where CORAL's published figures on Office with Caltech, SURF features, come from: three linear machines beside each other, in per cent of the target's rows.

usage: coral.py OFFICE_CALTECH_SURF_DIR     with numpy and scikit-learn

- `similarity`: what published programs run. `A = (Cs + I)^-1/2 (Ct + I)^1/2`; the source's rows are compared by `x A y'`, which is no inner product (not
  symmetric, not positive), and the target's rows with them in the same way; LIBSVM takes both as a kernel that was computed before.
- `moved`: CORAL as the paper writes it: source rows times `A`, a linear machine on them, the target's rows as they are.
- `plain`: no adaptation.

All three are LIBSVM's C-SVC, a class against each other, C of 0.001 to 10,000 chosen by cross-validation on the source. The last two rows are without adaptation,
C = 0.01: LIBSVM's bias, which is free, and LIBLINEAR's, which belongs to what is kept small.
"""

import sys

import numpy as np
from sklearn.datasets import load_svmlight_file
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import SVC, LinearSVC

DOMAINS = {"C": "caltech10", "A": "amazon", "W": "webcam", "D": "dslr"}
PAIRS = "CA CW CD AC AW AD WC WA WD DC DA DW".split()
PUBLISHED = [52.1, 46.4, 45.9, 45.1, 44.4, 39.5, 33.7, 36.0, 86.6, 33.8, 37.7, 84.7]
COSTS = 10.0 ** np.arange(-3, 5)


def load(folder, name):
    x, y = load_svmlight_file(f"{folder}/{name}.svmlight", n_features=800, zero_based=True)
    x = x.toarray()
    x /= x.sum(1, keepdims=True)
    deviation = x.std(0, ddof=1)
    return (x - x.mean(0)) / np.where(deviation > 0, deviation, 1), y


def power(m, p):
    values, vectors = np.linalg.eigh(m)
    return (vectors * values**p) @ vectors.T


def accuracy(kernel, across, y, wanted, folds, seed):
    parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(kernel, y))

    def right(c):
        fit = lambda rows: SVC(C=c, kernel="precomputed").fit(kernel[np.ix_(rows, rows)], y[rows])
        return sum((fit(a).predict(kernel[np.ix_(b, a)]) == y[b]).sum() for a, b in parts)

    cost = max(COSTS, key=right)
    return 100 * (SVC(C=cost, kernel="precomputed").fit(kernel, y).predict(across) == wanted).mean()


def main(folder):
    data = {short: load(folder, name) for short, name in DOMAINS.items()}
    cov = {short: np.cov(x.T) + np.eye(800) for short, (x, _) in data.items()}

    def show(name, scores):
        print(f"{name:24}", " ".join(f"{s:5.1f}" for s in scores), f"  mean {np.mean(scores):.1f}", flush=True)

    print(f"{'':24}", " ".join(f"{s}>{t}".rjust(5) for s, t in PAIRS))
    show("published", PUBLISHED)
    for folds in (2, 5):
        rows = {"similarity": [], "moved": [], "plain": []}
        for s, t in PAIRS:
            (xs, ys), (xt, yt) = data[s], data[t]
            a = power(cov[s], -0.5) @ power(cov[t], 0.5)
            moved = xs @ a
            for name, kernel, across in (
                ("similarity", moved @ xs.T, xt @ a.T @ xs.T),
                ("moved", moved @ moved.T, xt @ moved.T),
                ("plain", xs @ xs.T, xt @ xs.T),
            ):
                rows[name].append(accuracy(kernel, across, ys, yt, folds, 0))
        for name, scores in rows.items():
            show(f"{name}, {folds} folds", scores)
    held = OneVsOneClassifier(LinearSVC(C=0.01, loss="hinge", max_iter=100000))
    for name, machine in (("free bias", SVC(C=0.01, kernel="linear")), ("held bias", held)):
        show(name, [100 * (machine.fit(*data[s]).predict(data[t][0]) == data[t][1]).mean() for s, t in PAIRS])


main(sys.argv[1])
