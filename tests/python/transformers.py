"""Loads a folder `model/` that tlkit wrote, in transformers, and compares: label names, token ids, logits.

    python transformers.py MODEL ROWS

ROWS is JSON Lines: text, ids (tlkit's token ids), probabilities (tlkit's, in the order of the classes), label (the predicted one).
Logits are compared up to a shift of each row, which no probability shows: as log-probabilities, within 1e-4.
Prints one line of JSON, or leaves with what differs.
"""

import json
import sys

# This file is called like the library: the folder it lies in must not be looked into.
sys.path = [p for p in sys.path if not p.endswith("tests/python")]

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main(folder, rows):
    rows = [json.loads(line) for line in open(rows, encoding="utf-8")]
    model, loaded = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    odd = {k: v for k, v in loaded.items() if v}
    if odd:
        sys.exit(f"tensors do not fit: {odd}")
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    worst = 0.0
    for row in rows:
        taken = tokenizer(row["text"], truncation=True, max_length=row["max_length"], return_tensors="pt")
        ids = taken["input_ids"][0].tolist()
        if ids != row["ids"]:
            sys.exit(f"token ids differ for {row['text']!r}: {ids} and {row['ids']}")
        with torch.no_grad():
            logits = model(**taken).logits[0].double()
        ours = torch.tensor(row["probabilities"], dtype=torch.float64).log()
        worst = max(worst, (logits.log_softmax(-1) - ours).abs().max().item())
        if names[int(logits.argmax())] != row["label"]:
            sys.exit(f"{row['text']!r}: {names[int(logits.argmax())]} and {row['label']}")
    if not worst < 1e-4:
        sys.exit(f"log-probabilities differ by {worst:.2e}")
    print(json.dumps({"rows": len(rows), "worst": worst, "labels": names}))


main(*sys.argv[1:])
