"""Writes one small BERT in every format that checkpoints come in.

    python formats.py FOLDER

Leaves FOLDER/whole (model.safetensors), sharded (an index and several files), zip (pytorch_model.bin, as PyTorch has written it since 1.6), old (as before) and python2
(as before, with texts and the dictionary as Python 2 wrote them).
"""

import os
import pickle
import struct
import sys

sys.path = [p for p in sys.path if not p.endswith("tests/python")]

import torch
from transformers import BertConfig, BertModel


def main(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film"]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=32
    )
    model = BertModel(config)
    for name in ["whole", "sharded", "zip", "old", "python2"]:
        out = os.path.join(folder, name)
        os.makedirs(out)
        config.save_pretrained(out)
        with open(os.path.join(out, "vocab.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(words) + "\n")
        state, path = model.state_dict(), os.path.join(out, "pytorch_model.bin")
        if name == "whole":
            model.save_pretrained(out)
        elif name == "sharded":
            model.save_pretrained(out, max_shard_size="4KB")
            if not os.path.exists(os.path.join(out, "model.safetensors.index.json")):
                sys.exit("one file, no index")
        elif name == "python2":
            python2(state, path)
        else:
            # Two names of one storage, a view of it, and numbers of another kind.
            state["position_ids"] = torch.arange(32).expand((1, -1))
            state["encoder.layer.1.view.position_ids"] = state["embeddings.word_embeddings.weight"].t()[1:3]
            torch.save(state, path, _use_new_zipfile_serialization=name == "zip")


def python2(state, path):
    """What `torch.save` left under Python 2: the same pickles with texts in one byte each, and the dictionary made of its pairs."""

    def text(t):
        return b"U" + bytes([len(t)]) + t.encode()

    def number(n):
        return b"J" + struct.pack("<i", n)

    # Python 2 calls the dictionary with a list of pairs; Python 3 makes it empty and sets its items.
    body = b"\x80\x02ccollections\nOrderedDict\n]("
    for key, (name, tensor) in enumerate(state.items()):
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(key)) + text("cpu") + number(tensor.numel()) + b"NtQ"
        size = b"(" + b"".join(number(n) for n in tensor.shape) + b"t"
        stride = b"(" + b"".join(number(n) for n in tensor.stride()) + b"t"
        body += b"](" + text(name) + b"ctorch._utils\n_rebuild_tensor\n(" + storage + number(0) + size + stride + b"tRe"
    with open(path, "wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump({"protocol_version": 1001, "little_endian": True}, file, protocol=2)
        file.write(body + b"e\x85R.")
        file.write(b"\x80\x02](" + b"".join(text(str(k)) for k in range(len(state))) + b"e.")
        for tensor in state.values():
            file.write(struct.pack("<q", tensor.numel()) + tensor.contiguous().numpy().tobytes())
    if set(torch.load(path, weights_only=False)) != set(state):
        sys.exit("PyTorch reads something else")


main(*sys.argv[1:])
