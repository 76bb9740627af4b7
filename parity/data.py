"""Writes parity/golden/data: small files by NumPy, PyArrow and Pillow, which genera-data reads in its tests.

Needs pyarrow and pillow besides numpy. The arrays are fixed, so a refresh changes the files only if the libraries do.
"""

import io
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

folder = pathlib.Path(__file__).parent / "golden" / "data"
folder.mkdir(parents=True, exist_ok=True)

images = (np.arange(3 * 6 * 5 * 3) * 7 % 256).astype(np.uint8).reshape(3, 6, 5, 3)
table = np.linspace(-1, 1, 10).reshape(5, 2)
np.save(folder / "images-nhwc.npy", images)
np.save(folder / "table-big-endian.npy", table.astype(">f8"))
np.savez(folder / "stored.npz", x=table.astype(np.float32), y=np.array([0, 1, 2, 1, 0]))
np.savez_compressed(folder / "deflated.npz", x_train=images[:2], y_train=[0, 1], x_test=images[2:], y_test=[1])

columns = {"a": table[:, 0], "b": np.arange(5, dtype=np.int32), "label": ["x", "y", "x", "z", "y"]}
for codec in ["none", "snappy", "zstd"]:
    pq.write_table(pa.table(columns), folder / f"table-{codec}.parquet", compression=codec)


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


rows = [{"bytes": png(image), "path": f"{i}.png"} for i, image in enumerate(images)]
pictures = pa.table({"image": rows, "label": pa.array([2, 0, 1], pa.int64())})
pq.write_table(pictures, folder / "images.parquet", compression="snappy")
(folder / "gradient.png").write_bytes(png(images[0]))
smooth = np.add.outer(np.arange(16) * 6, np.arange(24) * 5).astype(np.uint8)
Image.fromarray(np.stack([smooth, 255 - smooth, smooth // 2], -1)).save(folder / "smooth.jpg", quality=95)
