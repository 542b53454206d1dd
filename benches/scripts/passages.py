"""Makes pre-training data from plain reviews, one a line (text or .xz): passages for masked language modelling, and passages whose
writer gave a mark out of ten, for the second stage of the small BERT.

usage: python3 passages.py REVIEWS OUT_DIR

OUT_DIR gets passages.txt (at most 95 words each, cut at sentence ends where possible) and marks.tsv (`text`, `label`): the last 95 words
of reviews that say "7/10" or "7 out of 10", with every such mark taken out; 1 to 4 are `negative`, 7 to 10 `positive`, as many of
one as of the other.
"""
import lzma
import os
import random
import re
import sys

MARK = re.compile(r"\(?\b(\d{1,2}(?:\.\d)?)\s*(?:/|out of)\s*(?:10|ten)\b\)?[.!]?", re.I)


def passages(text):
    current = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        words = sentence.split()
        while len(words) > 95:
            if current:
                yield current
                current = []
            yield words[:95]
            words = words[95:]
        if len(current) + len(words) > 95:
            yield current
            current = []
        current += words
    if len(current) >= 8:
        yield current


def main(source, folder):
    os.makedirs(folder, exist_ok=True)
    opened = lzma.open(source, "rt", encoding="utf-8") if source.endswith(".xz") else open(source, encoding="utf-8")
    marked = {"negative": [], "positive": []}
    with opened as reviews, open(os.path.join(folder, "passages.txt"), "w", encoding="utf-8") as out:
        for line in reviews:
            text = re.sub(r"\s+", " ", re.sub(r"<br\s*/?>", " ", line)).strip()
            for words in passages(text):
                if words:
                    out.write(" ".join(words) + "\n")
            marks = {float(m) for m in MARK.findall(text)}
            if len(marks) == 1:
                mark = marks.pop()
                label = "negative" if mark <= 4 else "positive" if 7 <= mark <= 10 else None
                words = MARK.sub(" ", text).split()[-95:]
                if label and len(words) >= 20:
                    marked[label].append(" ".join(words).replace("\t", " "))
    n = min(map(len, marked.values()))
    random.seed(0)
    rows = [(text, label) for label, texts in sorted(marked.items()) for text in random.sample(texts, n)]
    random.shuffle(rows)
    with open(os.path.join(folder, "marks.tsv"), "w", encoding="utf-8") as out:
        out.write("text\tlabel\n")
        out.writelines(f"{text}\t{label}\n" for text, label in rows)
    print(f"{len(rows)} marked passages")


main(*sys.argv[1:])
