"""Cuts passages, one a line, into the sentences that the small BERT is distilled on: 4 to 40 words, each once, in an order of their own.

usage: python3 sentences.py PASSAGES > sentences.txt
"""
import random
import re
import sys


def sentences(path):
    with open(path, encoding="utf-8") as passages:
        for line in passages:
            for sentence in re.split(r"(?<=[.!?])\s+", line.strip()):
                if 4 <= len(sentence.split()) <= 40:
                    yield sentence


found = sorted(set(sentences(sys.argv[1])))
random.seed(1)
random.shuffle(found)
sys.stdout.reconfigure(encoding="utf-8")
sys.stdout.writelines(f"{sentence}\n" for sentence in found)
