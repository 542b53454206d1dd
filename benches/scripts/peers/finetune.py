"""MiniLM on 2,000 sentences of SST-2 with transformers' Trainer: one epoch, batches of 16, rate 5e-5 without warm-up, then the development rows.

usage: finetune.py DATA {default|dynamic} {f32|bf16}

default pads every sentence to 128 tokens, as the task's example script does; dynamic pads a batch to its longest and groups by length.
"""

import pathlib
import sys

import torch
import transformers
from datasets import Dataset

torch.set_num_threads(2)
data, padding, precision = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
checkpoint = data / "checkpoints/all-MiniLM-L6-v2"
tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)


def rows(split, most=None):
    lines = (data / "text/sst2" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[:most]
    pairs = [line.split("\t") for line in lines]
    whole = Dataset.from_dict({"text": [p[0] for p in pairs], "label": [int(p[1]) for p in pairs]})
    more = {"padding": "max_length"} if padding == "default" else {}
    return whole.map(lambda some: tokenizer(some["text"], truncation=True, max_length=128, **more), batched=True)


group = {"train_sampling_strategy": "group_by_length"} if padding == "dynamic" else {}
trainer = transformers.Trainer(
    model=transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2),
    args=transformers.TrainingArguments(
        sys.argv[4] if len(sys.argv) > 4 else "target/finetune", num_train_epochs=1, per_device_train_batch_size=16,
        per_device_eval_batch_size=32, learning_rate=5e-5, eval_strategy="no", save_strategy="no", report_to=[], use_cpu=True,
        bf16=precision == "bf16", logging_steps=10000, disable_tqdm=True, **group),
    train_dataset=rows("train", 2000),
    eval_dataset=rows("dev"),
    data_collator=transformers.DataCollatorWithPadding(tokenizer),
)
trainer.train()
print(trainer.evaluate())
