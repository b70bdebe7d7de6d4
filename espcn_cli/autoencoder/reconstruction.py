"""Pictures through a trained autoencoder and back: the contact sheet, and the codes between."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.autoencoder.mnist import SIZE, batches, read_pictures, to_unit
from espcn_cli.autoencoder.network import Autoencoder, load
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination, refuse_existing, replacing, write_csv, write_tensors
from espcn_cli.network.weights import to_arrays
from espcn_cli.pictures import writing
from espcn_cli.scoring import tensors
from espcn_cli.scoring.tensors import Picture
from espcn_cli.settings import SHEET_PICTURES

COLUMNS = 16
"""Pictures in a row of the contact sheet."""

MAGNIFY = 2
"""Screen pixels per pixel of the contact sheet, along each side."""


@dataclass(frozen=True)
class Reconstruction:
    """What `reconstruct` did: MSE over all pictures of the source, how many it has and how many the sheet shows."""

    pictures: int
    shown: int
    mse: float
    skipped: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def reconstruct(
    model: Path,
    source: Path,
    output: Path | None,
    codes: Path | None = None,
    count: int = SHEET_PICTURES,
    overwrite: bool = True,
) -> Reconstruction:
    """Put the pictures of `source` through a trained autoencoder; `output` shows the first `count` of them.

    Of MNIST's folder the test pictures are taken. `codes` gets the codes of all pictures: .npy (N, code),
    .safetensors (the tensor `codes`) or .csv (a row for each, its name first). Raises EspcnError for unusable input,
    an output that would overwrite it, that cannot be written or, without `overwrite`, exists.
    """
    if count < 1:
        raise UsageError(f"the sheet needs at least one picture, not {count}")
    if output is not None:
        writing.format_of(output)
    if codes is not None and codes.suffix.lower() not in CODE_WRITERS:
        raise UsageError(f"{codes}: codes are written as {', '.join(CODE_WRITERS)}: choose one of these suffixes")
    outputs = [path for path in (output, codes) if path is not None]
    for path in outputs:
        check_destination(path, [model, source], streams=True)
    if not overwrite:
        refuse_existing(outputs)
    network, _ = load(model)
    pictures = read_pictures(source)
    for path in outputs:
        check_destination(path, pictures.files, streams=True)
    encoded, decoded = run(network, pictures.pixels)
    if not (encoded.isfinite().all() and decoded.isfinite().all()):
        raise EspcnError(f"{model} gives NaN or infinity on these pictures: train it again", model)
    originals = to_unit(pictures.pixels)
    if codes is not None:
        CODE_WRITERS[codes.suffix.lower()](codes, encoded, pictures.names, overwrite)
    if output is not None:
        tensors.write(Picture(contact_sheet(originals[:count], decoded[:count])), output, overwrite)
    mse = F.mse_loss(decoded, originals).item()
    shown = 0 if output is None else min(count, len(originals))
    return Reconstruction(len(originals), shown, mse, pictures.skipped)


@torch.no_grad()
def run(network: Autoencoder, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (N, code) and reconstructions (N, 1, 28, 28) of uint8 pictures, float32, not clipped."""
    codes = torch.cat([network.encode(to_unit(batch)) for batch in batches(pixels)])
    return codes, torch.cat([network.decode(batch) for batch in batches(codes)])


def contact_sheet(originals: Tensor, reconstructions: Tensor) -> Tensor:
    """Rows of originals (N, 1, 28, 28), each over its reconstruction, on white: (1, 1, H, W) in [0, 1].

    A pixel is left free between pictures, three between the pairs of rows.
    """
    count, gap = len(originals), 1
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    pair_height, cell = 2 * (SIZE + gap) + 2 * gap, SIZE + gap
    sheet = torch.ones(1, 1, rows * pair_height - gap, columns * cell + gap)
    for index in range(count):
        row, column = divmod(index, columns)
        left = column * cell + gap
        for line, picture in enumerate((originals[index], reconstructions[index])):
            top = row * pair_height + line * cell + gap
            sheet[0, :, top : top + SIZE, left : left + SIZE] = picture.clamp(0, 1)
    return sheet.repeat_interleave(MAGNIFY, 2).repeat_interleave(MAGNIFY, 3)


def _write_npy(path: Path, codes: Tensor, names: list[str], overwrite: bool) -> None:
    with replacing(path, overwrite) as temporary, temporary.open("wb") as file:
        np.save(file, codes.numpy())


def _write_csv(path: Path, codes: Tensor, names: list[str], overwrite: bool) -> None:
    rows = ([name, *(f"{value:.9g}" for value in row)] for name, row in zip(names, codes.tolist(), strict=True))
    write_csv(path, [["picture", *(f"c{index}" for index in range(codes.shape[1]))], *rows], overwrite)


def _write_safetensors(path: Path, codes: Tensor, names: list[str], overwrite: bool) -> None:
    about = {"format": "espcn-autoencoder-codes", "pictures": json.dumps(names)}
    write_tensors(path, to_arrays({"codes": codes}), about, overwrite)


CODE_WRITERS = {".npy": _write_npy, ".csv": _write_csv, ".safetensors": _write_safetensors}
