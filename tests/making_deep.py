"""Files with more than 8 bits per sample, made without the code that reads them. Needs the extra `deep`."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from making import natural
from numpy.typing import NDArray

imagecodecs = pytest.importorskip("imagecodecs")

tifffile = pytest.importorskip("tifffile")

Samples = NDArray[np.uint16]


def colours(bits: int = 16, channels: int = 3) -> Samples:
    """(12, 16, channels) up to `bits`, with all the low bits in use."""
    rng = np.random.default_rng(3)
    values = natural(16, 12).astype(np.uint32)[..., [0, 1, 2, 0][:channels]] * 257 + rng.integers(
        0, 200, (12, 16, channels)
    )
    return (values.clip(0, 65535) >> (16 - bits)).astype(np.uint16)


def spread(values: Samples, white: int) -> NDArray[np.int64]:
    return np.rint(values.astype(float) * 65535 / white).astype(np.int64)


def ppm(values: Samples, white: int = 65535) -> bytes:
    height, width, channels = values.shape
    return f"P{5 if channels == 1 else 6}\n{width} {height}\n{white}\n".encode() + values.astype(">u2").tobytes()


def plain_ppm(values: Samples) -> bytes:
    height, width, _ = values.shape
    return f"P3\n# made by hand\n{width} {height}\n65535\n{' '.join(map(str, values.ravel()))}\n".encode()


def tiff(values: Any, **options: Any) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, values, metadata=None, **{"photometric": "rgb"} | options)
    return out.getvalue()


FILES: dict[str, tuple[Callable[[], bytes], int]] = {
    "png": (lambda: imagecodecs.png_encode(colours()), 16),
    "ppm": (lambda: ppm(colours()), 16),
    "plain.ppm": (lambda: plain_ppm(colours()), 16),
    "1023.ppm": (lambda: ppm(colours(10), 1023), 10),
    "jp2": (lambda: imagecodecs.jpeg2k_encode(colours(), level=0, codecformat="jp2"), 16),
    "j2k": (lambda: imagecodecs.jpeg2k_encode(colours(12), level=0, codecformat="j2k", bitspersample=12), 12),
    "tif": (lambda: tiff(colours(), compression="zlib", predictor=True), 16),
    "big-endian.tif": (lambda: tiff(colours(), byteorder=">"), 16),
    "big.tif": (lambda: tiff(colours(), bigtiff=True), 16),
    "planes.tif": (lambda: tiff(np.moveaxis(colours(), -1, 0), planarconfig="separate"), 16),
    "tiled.tif": (lambda: tiff(colours(), tile=(16, 16)), 16),
    "10.tif": (lambda: tiff(colours(10), bitspersample=10), 10),
}
