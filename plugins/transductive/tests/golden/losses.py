"""Reference values for plugins/transductive/src/losses.rs: each loss by its formula in PyTorch, in f64, and its gradients by autograd.

    python losses.py > losses.json
"""

import json

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def matrix(rows, columns, seed):
    i = torch.arange(rows * columns, dtype=torch.float64)
    return (1.7 * torch.sin(0.9 * i + seed) + 0.4 * torch.cos(2.3 * i - seed)).reshape(rows, columns)


def multi_kernel_mmd(s, t):
    x = torch.cat([s, t])
    d = ((x[:, None] - x[None]) ** 2).sum(2)
    n = len(x)
    width = d.detach().sum() / (n * n - n)
    k = sum(torch.exp(-d / (width * 2.0 ** (i - 2))) for i in range(5))
    a = len(s)
    return k[:a, :a].mean() + k[a:, a:].mean() - 2 * k[:a, a:].mean()


def coral(s, t):
    d = s.shape[1]
    return ((torch.cov(s.T) - torch.cov(t.T)) ** 2).sum() / (4 * d * d)


def class_confusion(logits):
    p = F.softmax(logits / 2.5, 1)
    h = -(p * p.log()).sum(1).detach()
    w = 1 + torch.exp(-h)
    w = w * len(p) / w.sum()
    c = (p * w[:, None]).T @ p
    c = c / c.sum(1, keepdim=True)
    return (c.sum() - c.trace()) / c.shape[0]


def entropy(logits):
    p = F.softmax(logits, 1)
    return -(p * p.log()).sum(1).mean()


def diversity(logits):
    p = F.softmax(logits, 1).mean(0)
    return -(p * p.log()).sum()


def discrepancy(a, b):
    return (F.softmax(a, 1) - F.softmax(b, 1)).abs().mean()


def disparity(s, s_adversary, t, t_adversary):
    agree = F.cross_entropy(s_adversary, s.argmax(1))
    p = F.softmax(t_adversary, 1)[torch.arange(len(t)), t.argmax(1)]
    return 4 * agree + -torch.log(1 - p).mean()


def conditional(features, logits, weight, bias, domains):
    """The domain loss of CDAN+E with a linear discriminator."""
    p = F.softmax(logits, 1).detach()
    seen = (p[:, :, None] * features[:, None, :]).reshape(len(p), -1)
    said = seen @ weight.T + bias
    w = 1 + torch.exp((p * p.log()).sum(1))
    return (F.cross_entropy(said, domains, reduction="none") * w).sum() / w.sum()


def case(name, f, **inputs):
    leaves = {k: (v.clone().requires_grad_() if v.is_floating_point() else v) for k, v in inputs.items()}
    value = f(*leaves.values())
    value.backward()
    gradients = {k: v.grad.tolist() for k, v in leaves.items() if v.is_floating_point() and v.grad is not None}
    return name, {"inputs": {k: v.tolist() for k, v in inputs.items()}, "value": value.item(), "gradients": gradients}


s, t = matrix(5, 3, 0.3), matrix(4, 3, 1.9)
logits, other = matrix(6, 4, 0.7), matrix(6, 4, 2.4)
cases = dict(
    [
        case("multi_kernel_mmd", multi_kernel_mmd, source=s, target=t),
        case("coral", coral, source=s, target=t),
        case("class_confusion", class_confusion, logits=logits),
        case("entropy", entropy, logits=logits),
        case("diversity", diversity, logits=logits),
        case("discrepancy", discrepancy, one=logits, other=other),
        case(
            "disparity",
            disparity,
            source=matrix(5, 4, 0.1),
            source_adversary=matrix(5, 4, 1.1),
            target=matrix(4, 4, 3.1),
            target_adversary=matrix(4, 4, 4.1),
        ),
        case(
            "conditional",
            conditional,
            features=matrix(6, 3, 0.5),
            logits=logits,
            weight=matrix(2, 12, 0.2),
            bias=matrix(1, 2, 0.9)[0],
            domains=torch.tensor([0, 0, 0, 1, 1, 1]),
        ),
    ]
)
print(json.dumps({"torch": torch.__version__.split("+")[0], "cases": cases}))
