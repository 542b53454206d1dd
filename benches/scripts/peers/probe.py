"""A softmax head on a frozen ResNet-18 trunk, ten epochs on webcam's photographs, tested on dslr's, as a plain loop does it: the trunk runs in every epoch.

usage: probe.py DATA
"""

import pathlib
import sys

import torch
import torchvision
from safetensors.torch import load_file
from torchvision import datasets, transforms

torch.set_num_threads(2)
torch.manual_seed(0)
data = pathlib.Path(sys.argv[1])
resnet = torchvision.models.resnet18(weights=None)
resnet.load_state_dict(load_file(data / "checkpoints/resnet18-imagenet-trunk/model.safetensors"), strict=False)
layers = [resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool, resnet.layer1, resnet.layer2, resnet.layer3]
trunk = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval().requires_grad_(False)
look = transforms.Compose([
    transforms.Resize(256),
    transforms.CenterCrop(224),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])


def batches(domain, shuffled):
    photographs = datasets.ImageFolder(data / "images/office-caltech10" / domain, look)
    return torch.utils.data.DataLoader(photographs, batch_size=32, shuffle=shuffled, num_workers=2)


head = torch.nn.Linear(256, 10)
optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
for _ in range(10):
    for x, y in batches("webcam", True):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(trunk(x)), y).backward()
        optimizer.step()
with torch.no_grad():
    hits = [(head(trunk(x)).argmax(1) == y) for x, y in batches("dslr", False)]
print("accuracy", torch.cat(hits).float().mean().item())
