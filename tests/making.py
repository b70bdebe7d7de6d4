"""Small pictures and checkpoints that the tests make for themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.network import checkpoint, mixing, weights
from espcn_cli.network.espcn import ESPCN
from espcn_cli.settings import ModelSettings

Bytes = NDArray[np.uint8]


def natural(width: int, height: int, seed: int = 0) -> Bytes:
    """A smooth picture with edges and some grain, RGB uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        128 + 70 * np.sin(x / a + phase) * np.cos(y / b) + 40 * ((x // 7 + y // 5) % 2)
        for a, b, phase in zip((9, 13, 17), (11, 7, 5), rng.uniform(0, 6, 3), strict=True)
    ]
    grain = rng.normal(0, 3, (height, width, 3))
    return np.clip(np.stack(waves, axis=-1) + grain, 0, 255).astype(np.uint8)


def save_picture(path: Path, width: int = 24, height: int = 18, seed: int = 0, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(natural(width, height, seed)).convert(mode).save(path)
    return path


def save_checkpoint(path: Path, settings: ModelSettings | None = None, name: str = "tiny", tail: float = 0.02) -> Path:
    """A small network with random weights; `tail` is the size of the last layer's."""
    torch.manual_seed(0)
    network = ESPCN(settings or ModelSettings(widths=(4,), kernels=(3, 3)))
    with torch.no_grad():
        list(network.parameters())[-2].normal_(0, tail)
    weights.save(path, network, checkpoint.Card(network.settings, name))
    return path


def save_pair(folder: Path, settings: ModelSettings | None = None, name: str = "tiny") -> tuple[Path, Path]:
    """Clean weights, which are bicubic, and real ones of the same form, which are not, called `name`-real."""
    scale = settings.scale if settings else 2
    clean = save_checkpoint(folder / f"{name}_x{scale}.safetensors", settings, name, tail=0)
    real = save_checkpoint(folder / f"{name}-real_x{scale}.safetensors", settings, f"{name}-real", tail=0.1)
    card, arrays = checkpoint.read(real)
    checkpoint.write(real, arrays, replace(card, sister=mixing.sister_of(clean, card.settings)))
    return clean, real


def mutations(data: bytes, seed: int, rounds: int) -> Iterator[bytes]:
    """Cut short, bytes changed, pieces swapped, doubled or left out."""
    rng = random.Random(seed)
    for _ in range(rounds):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            where, other = sorted(rng.randrange(len(changed) or 1) for _ in range(2))
            way = rng.randrange(5)
            if way == 0:
                changed = changed[:where]
            elif way == 1 and changed:
                changed[where] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            elif way == 2:
                changed = changed[:where] + changed[other:]
            elif way == 3:
                changed = changed[:other] + changed[where:]
            else:
                piece = changed[where : where + 8]
                changed = changed[:where] + changed[where + 8 : other] + piece + changed[other:]
        yield bytes(changed)
