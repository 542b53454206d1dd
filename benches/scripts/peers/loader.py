"""Images a second of torchvision's loader: files to batches of 224 pixels, cut, scaled and mirrored at random, two workers. Prints one line of JSON.

usage: loader.py FOLDER [PASSES]     FOLDER has a folder for each class; the passes but the first count
"""

import json
import sys
import time

import torch
from torchvision import datasets, transforms

torch.set_num_threads(2)
passes = int(sys.argv[2]) if len(sys.argv) > 2 else 4
look = transforms.Compose([
    transforms.RandomResizedCrop(224),
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])
photographs = datasets.ImageFolder(sys.argv[1], look)
loader = torch.utils.data.DataLoader(photographs, batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
begin = None
for done in range(passes):
    if done == 1:
        begin = time.perf_counter()
    for _ in loader:
        pass
seconds = time.perf_counter() - begin
print(json.dumps({"images": len(photographs), "images_per_second": len(photographs) * (passes - 1) / seconds}))
