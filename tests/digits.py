"""Small sets of 28×28 pictures, idx files and untrained autoencoders that the tests make for themselves."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from espcn_cli.autoencoder.network import Autoencoder
from espcn_cli.settings import AutoencoderSettings, Upsampler

Bytes = NDArray[np.uint8]


def strokes(count: int, seed: int = 0, rows: int = 28, columns: int = 28) -> Bytes:
    """Bright bars, upright or lying, on black: (count, rows, columns)."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((count, rows, columns), np.uint8)
    for picture in pictures:
        for _ in range(3):
            y, x = rng.integers(0, rows - 8), rng.integers(0, columns - 8)
            height, width = (8, 2) if rng.integers(2) else (2, 8)
            picture[y : y + height, x : x + width] = rng.integers(120, 256)
    return pictures


def idx(values: Bytes, kind: int = 0x08) -> bytes:
    """The bytes of an idx file."""
    return bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def save_idx(path: Path, values: Bytes) -> Path:
    """An idx file, gzipped if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = idx(values)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def save_mnist(folder: Path, train: int = 48, test: int = 12) -> Path:
    """A folder as MNIST's, with few pictures: training gzipped, test plain."""
    save_idx(folder / "train-images-idx3-ubyte.gz", strokes(train, 1))
    save_idx(folder / "t10k-images-idx3-ubyte", strokes(test, 2))
    return folder


def fresh(upsampler: Upsampler, code: int = 64, seed: int = 0) -> Autoencoder:
    """An autoencoder as it is before training."""
    torch.manual_seed(seed)
    return Autoencoder(AutoencoderSettings(code=code, upsampler=upsampler))
