"""One training step in PyTorch: forward, backward, AdamW, on two threads or a GPU. Prints one line of JSON.

usage: step.py {minilm|bert-base|resnet18|resnet50} {f32|bf16} [BATCH] [cpu|cuda]

Texts have 128 tokens, images 224 pixels; batch norm is frozen; bf16 is autocast, with channels last for images. The median of the steps but the
first quarter counts.
"""

import json
import resource
import statistics
import sys
import time

import torch

device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
if device == "cpu":
    torch.set_num_threads(2)
torch.manual_seed(0)
name, precision = sys.argv[1:3]
is_text = name in ("minilm", "bert-base")
rows = int(sys.argv[3]) if len(sys.argv) > 3 else {"minilm": 16}.get(name, 8)


def texts():
    import transformers

    shape = {} if name == "bert-base" else {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    net = transformers.BertForSequenceClassification(transformers.BertConfig(num_labels=2, **shape))
    net.train()
    ids = torch.randint(1000, 30000, (rows, 128))
    whole = torch.ones_like(ids)
    return net, lambda: net(input_ids=ids, attention_mask=whole).logits, torch.randint(0, 2, (rows,))


def images():
    import torchvision

    net = torchvision.models.get_model(name, weights=None, num_classes=10)
    net.eval()  # Batch norm as it is; everything else of these networks does the same in training.
    pixels = torch.randn(rows, 3, 224, 224)
    if precision == "bf16":
        net = net.to(memory_format=torch.channels_last)
        pixels = pixels.to(memory_format=torch.channels_last)
    return net, lambda: net(pixels), torch.randint(0, 10, (rows,))


torch.set_default_device(device)
net, forward, labels = texts() if is_text else images()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
seconds = []
for _ in range(12):
    begin = time.perf_counter()
    optimizer.zero_grad()
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        logits = forward()
    torch.nn.functional.cross_entropy(logits.float(), labels).backward()
    optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds.append(time.perf_counter() - begin)
gpu = torch.cuda.max_memory_reserved() / 2**20 if device == "cuda" else 0
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"step_ms": 1e3 * statistics.median(seconds[3:]), "peak_rss_mb": rss, "gpu_mb": gpu}))
