"""Writes crates/genera-data/assets/digits.bin.gz from scikit-learn's copy of the UCI optical digits.

Layout before gzip: 1797 labels (0..9), then 1797 images of 64 grey levels (0..16), one byte each, in scikit-learn's order.
Prints the SHA-256 of the uncompressed bytes, which digits.rs holds.
"""

import gzip
import hashlib
import pathlib

import numpy as np
from sklearn.datasets import load_digits

images, labels = load_digits(return_X_y=True)
assert images.shape == (1797, 64) and images.min() == 0 and images.max() == 16
payload = labels.astype(np.uint8).tobytes() + images.astype(np.uint8).tobytes()
path = pathlib.Path(__file__).parent.parent / "crates/genera-data/assets/digits.bin.gz"
path.write_bytes(gzip.compress(payload, compresslevel=9, mtime=0))
print(path.stat().st_size, hashlib.sha256(payload).hexdigest())
