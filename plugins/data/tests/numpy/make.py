"""Writes the small arrays that tests/formats.rs reads: `python make.py`, with NumPy."""

import numpy as np

x = np.array([[0.5, -1.0, 2.0], [3.25, 0.0, -0.125]])
np.save("x.npy", x.astype(np.float32))
np.save("x-fortran.npy", np.asfortranarray(x))
np.savez("rows.npz", features=x.astype(np.float16), label=np.array(["good", "bad"]))
np.savez_compressed("packed.npz", features=x, label=np.array([1, -1], dtype=np.int64))
np.savez("uneven.npz", features=x, label=np.array([1, 0, 1]))
