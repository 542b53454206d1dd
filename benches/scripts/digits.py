"""MNIST and USPS as skada-bench prepares them, as IDX files: USPS with a border of 6 pixels instead of a larger picture, each domain standardised by its own
mean and deviation, four fifths of the training rows to learn from and one fifth to test on.

usage: digits.py MNIST_DIR USPS_DIR OUT_DIR [ROWS]     ROWS: of the rows to learn from the first so many of each domain, and twice as many to test on

A byte holds 24 + 50 z of a standardised value z, so that `mean = 24 / 255` and `std = 50 / 255` give z back.
"""

import gzip
import pathlib
import random
import struct
import sys


def idx(path):
    data = gzip.open(path).read()
    dims = data[3]
    sizes = struct.unpack(f">{dims}I", data[4 : 4 + 4 * dims])
    return sizes, data[4 + 4 * dims :]


def write(folder, name, pictures, labels):
    head = struct.pack(">4I", 0x803, len(pictures), 28, 28)
    (folder / f"{name}-images-idx3-ubyte").write_bytes(head + b"".join(pictures))
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, len(labels)) + bytes(labels))


def main(mnist, usps, out, rows=None):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name, folder, mean, std in (("mnist", mnist, 0.1307, 0.3081), ("usps", usps, 0.0806, 0.2063)):
        (n, side, _), pixels = idx(pathlib.Path(folder) / "train-images-idx3-ubyte.gz")
        _, labels = idx(pathlib.Path(folder) / "train-labels-idx1-ubyte.gz")
        table = bytes(max(0, min(255, round(24 + 50 * (v / 255 - mean) / std))) for v in range(256))
        border = (28 - side) // 2
        empty, margin = table[:1] * (28 * border), table[:1] * border

        def picture(i):
            start = i * side * side
            lines = (pixels[start + y * side : start + (y + 1) * side].translate(table) for y in range(side))
            return empty + b"".join(margin + line + margin for line in lines) + empty

        # The same rows for every method and seed.
        order = list(range(n))
        random.Random(27).shuffle(order)
        held = n // 5
        test, train = order[:held], order[held:]
        if rows:
            test, train = test[: 2 * int(rows)], train[: int(rows)]
        for split, of in (("test", test), ("train", train)):
            write(out, f"{name}-{split}", [picture(i) for i in of], [labels[i] for i in of])


main(*sys.argv[1:])
