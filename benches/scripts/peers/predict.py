"""One sentence through transformers' pipeline. usage: predict.py MODEL SENTENCE"""

import sys

import torch
import transformers

torch.set_num_threads(2)
print(transformers.pipeline("text-classification", model=sys.argv[1], device=-1)(sys.argv[2]))
