"""Puts features that `tlkit predict --features` wrote and their labels into one `.npz` that the `features` source reads. NumPy is not needed.

usage: npz.py FEATURES.npy LABELS OUT.npz [half]

LABELS is a TSV with a header that has a column `label`, or a CSV of `tlkit predict` whose ids are paths: the label is the folder's name. `half` also writes
OUT-adapt.npz and OUT-test.npz: every second row, from the first and from the second.
"""

import ast
import csv
import pathlib
import struct
import sys
import zipfile


def array(descr, shape, data):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


def labels(path):
    with open(path, newline="") as file:
        if path.endswith(".tsv"):
            at = next(file).rstrip("\n").split("\t").index("label")
            return [line.rstrip("\n").split("\t")[at] for line in file]
        return [pathlib.PurePath(row["id"]).parent.name for row in csv.DictReader(file)]


def write(path, rows, said):
    size = 4 * max(map(len, said))
    text = b"".join(label.encode("utf-32-le").ljust(size, b"\0") for label in said)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("features.npy", array("<f4", (len(rows), len(rows[0]) // 4), b"".join(rows)))
        out.writestr("label.npy", array(f"<U{size // 4}", (len(said),), text))


def main(features, of, out, half=None):
    data = pathlib.Path(features).read_bytes()
    (length,) = struct.unpack("<H", data[8:10])
    head, body = data[10 : 10 + length].decode(), data[10 + length :]
    rows, width = ast.literal_eval(head.split("'shape': ")[1].rsplit(",", 1)[0])
    said = labels(of)
    if rows != len(said):
        sys.exit(f"{features} has {rows} rows and {of} has {len(said)}")
    cut = [body[4 * width * i : 4 * width * (i + 1)] for i in range(rows)]
    write(out, cut, said)
    if half:
        stem = out.removesuffix(".npz")
        write(f"{stem}-adapt.npz", cut[::2], said[::2])
        write(f"{stem}-test.npz", cut[1::2], said[1::2])


main(*sys.argv[1:])
