"""Reference values of the closed-form methods, from numpy, scipy, scikit-learn and POT: prints the JSON that lies beside this file.

    python shallow.py > shallow.json

The data are drawn by a formula: three classes in five dimensions, the target turned, stretched and moved. What is compared is free of the signs of
eigenvectors: aligned rows where a method moves rows, distances between all rows where it makes new features.
"""

import json

import numpy as np
import ot
import scipy
import scipy.linalg as sl
import sklearn
from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import LinearSVC

NS, NT, D, K = 24, 21, 5, 3


def draw():
    def noise(rows, seed):
        i = np.arange(rows * D, dtype=np.float64)
        return np.sin(12.9898 * (i + 1) + 78.233 * seed).reshape(rows, D) * 1.3

    ys, yt = np.arange(NS) % K, np.arange(NT) % K
    centres = np.array([[2, 0, 0, 1, 0], [-1, 1.7, 0, 0, 1], [-1, -1.7, 1, 0, 0]], dtype=np.float64)
    xs, xt = centres[ys] + noise(NS, 1), centres[yt] + noise(NT, 2)
    turn = np.eye(D)
    turn[:2, :2] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
    xt = xt @ turn @ np.diag([1.5, 0.7, 1.0, 2.0, 0.5]) + np.array([1.0, -0.5, 0.0, 0.3, 2.0])
    # What Rust reads: single precision.
    return xs.astype(np.float32).astype(np.float64), ys, xt.astype(np.float32).astype(np.float64), yt


def power(c, p):
    w, v = np.linalg.eigh(c)
    return (v * w**p) @ v.T


def squared(z):
    return ((z[:, None] - z[None]) ** 2).sum(-1)


def relative(share, *covs):
    return share * np.mean([np.trace(c) / len(c) for c in covs])


def coral(xs, xt):
    cs, ct = np.cov(xs.T), np.cov(xt.T)
    r = relative(1.0, cs, ct) * np.eye(D)
    return (xs - xs.mean(0)) @ power(cs + r, -0.5) @ power(ct + r, 0.5) + xt.mean(0)


def linear_ot(xs, xt):
    cs, ct = np.cov(xs.T), np.cov(xt.T)
    r = relative(0.01, cs, ct) * np.eye(D)
    # POT takes the covariances over n.
    return (xs - xs.mean(0)) @ monge(cs + r, ct + r) + xt.mean(0)


def monge(cs, ct):
    a, _ = ot.gaussian.bures_wasserstein_mapping(np.zeros(D), np.zeros(D), cs, ct)
    return a


def basis(x, dim):
    return np.linalg.svd(x - x.mean(0))[2][:dim].T


def subspace_alignment(xs, xt, dim):
    ps, pt = basis(xs, dim), basis(xt, dim)
    return np.r_[(xs - xs.mean(0)) @ ps @ ps.T @ pt, (xt - xt.mean(0)) @ pt]


def gfk(xs, xt, dim):
    # The definition, by quadrature along the geodesic; no closed form.
    ps, pt = basis(xs, dim), basis(xt, dim)
    u, c, vt = np.linalg.svd(ps.T @ pt)
    a, q = ps @ u, pt @ vt.T
    b = q - a * c
    s = np.linalg.norm(b, axis=0)
    b = b / s
    theta = np.arctan2(s, c)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    g = np.zeros((D, D))
    for t, w in zip((nodes + 1) / 2, weights / 2):
        p = a * np.cos(t * theta) + b * np.sin(t * theta)
        g += w * p @ p.T
    x = np.r_[xs, xt]
    diag = np.einsum("ij,jk,ik->i", x, g, x)
    return diag[:, None] + diag[None] - 2 * x @ g @ x.T


def columns(ys, yt):
    e = [np.r_[np.ones(NS) / NS, -np.ones(NT) / NT] * np.sqrt(K)]
    for c in range(K):
        if yt is not None and (yt == c).any():
            e.append(np.r_[(ys == c) / (ys == c).sum(), -1.0 * (yt == c) / (yt == c).sum()])
    return np.array(e).T


def components(xs, xt, e, dim, rbf):
    x = np.r_[xs, xt]
    n = len(x)
    if rbf:
        d = squared(x)
        x = np.exp(-d / (2 * np.sort(d[np.triu_indices(n, 1)])[n * (n - 1) // 4]))
    m = e @ e.T
    m = m / np.linalg.norm(m)
    h = np.eye(n) - 1.0 / n
    a = x.T @ m @ x + np.eye(x.shape[1])
    w, v = sl.eigh(x.T @ h @ x, a)
    return x @ v[:, ::-1][:, :dim]


def jda(xs, ys, xt, dim, rounds):
    guess = None
    for _ in range(rounds):
        z = components(xs, xt, columns(ys, guess), dim, False)
        d = ((z[NS:, None] - z[None, :NS]) ** 2).sum(-1)
        guess = ys[d.argmin(1)]
    return z, guess


def transport(xs, ys, xt, classes):
    cost = ot.dist(xs, xt)
    cost /= cost.mean()
    a, b = np.ones(NS) / NS, np.ones(NT) / NT
    plan = lambda m: ot.sinkhorn(a, b, m, 0.05, method="sinkhorn_log", numItermax=20000, stopThr=1e-14)
    if classes:
        # POT's sinkhorn_lpl1_mm, over its Sinkhorn in logarithms: the plain one does not converge here.
        more = np.zeros_like(cost)
        for _ in range(10):
            moved = plan(cost + 0.1 * more)
            for c in np.unique(ys):
                more[ys == c] = 0.5 * (moved[ys == c].sum(0) + 1e-3) ** -0.5
        return moved
    return plan(cost)


xs, ys, xt, yt = draw()
z, guess = jda(xs, ys, xt, 2, 4)
svm = LinearSVC(C=0.1, loss="hinge", tol=1e-10, max_iter=1000000).fit(xs, ys)
each = OneVsOneClassifier(LinearSVC(C=0.1, loss="hinge", tol=1e-10, max_iter=1000000)).fit(xs, ys)
out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, POT {ot.__version__}",
    "source": xs,
    "labels": ys,
    "target": xt,
    "coral": coral(xs, xt),
    "linear_ot": linear_ot(xs, xt),
    "subspace_alignment_distances": squared(subspace_alignment(xs, xt, 2)),
    "gfk_distances": gfk(xs, xt, 2),
    "tca_distances": squared(components(xs, xt, columns(ys, None)[:, :1], 2, False)),
    "tca_rbf_distances": squared(components(xs, xt, columns(ys, None)[:, :1], 3, True)),
    "jda_distances": squared(z),
    "ot": transport(xs, ys, xt, False) @ xt * NS,
    "ot_classes": transport(xs, ys, xt, True) @ xt * NS,
    "svm_weights": svm.coef_,
    "svm_bias": svm.intercept_,
    "svm_each_against_each": each.decision_function(xt),
}
print(json.dumps({k: np.asarray(v).round(9).tolist() if not isinstance(v, str) else v for k, v in out.items()}))
