"""Reference values of tests/vit.rs: small vision transformers of transformers with weights by a formula.

usage: vit.py FOLDER KIND SIDE      writes a checkpoint into FOLDER, prints the final hidden states of two images as JSON
       vit.py --load FOLDER SIDE    loads a model/ of tlkit's, prints its logits for the same images
"""

import json
import sys

import numpy as np
import safetensors.torch
import torch
import transformers


def images(side):
    n = 2 * side * side * 3
    x = np.sin(np.arange(n, dtype=np.float64) * 0.37).astype(np.float32)
    return torch.from_numpy(x.reshape(2, side, side, 3)).permute(0, 3, 1, 2)


def value(name, shape):
    n = int(np.prod(shape))
    seed = sum(name.encode()) % 97
    v = 0.2 * np.sin(0.7 * np.arange(n, dtype=np.float64) + seed)
    if "norm" in name and name.endswith("weight"):
        v = v + 1
    if "lambda1" in name:
        v = v + 0.5
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


if sys.argv[1] == "--load":
    folder, side = sys.argv[2], int(sys.argv[3])
    m = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        print(json.dumps(m(images(side)).logits.tolist()))
    sys.exit()

folder, kind, side = sys.argv[1], sys.argv[2], int(sys.argv[3])
size = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, image_size=12, patch_size=4)
if kind == "vit":
    m = transformers.ViTModel(transformers.ViTConfig(intermediate_size=24, **size), add_pooling_layer=False)
else:
    m = transformers.Dinov2Model(transformers.Dinov2Config(mlp_ratio=2, **size))
m.save_pretrained(folder)
# By the names in the file, which are the published ones.
file = folder + "/model.safetensors"
tensors = {k: value(k, tuple(v.shape)) for k, v in safetensors.torch.load_file(file).items()}
safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
m = type(m).from_pretrained(folder, **(dict(add_pooling_layer=False) if kind == "vit" else {})).eval()
more = dict(interpolate_pos_encoding=True) if kind == "vit" else {}
with torch.no_grad():
    print(json.dumps(m(pixel_values=images(side), **more).last_hidden_state.tolist()))
