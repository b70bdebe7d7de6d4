"""Damaged files: each ends in a picture or in one clean line, never in a traceback, a hang or half a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from making import mutations, natural, save_checkpoint
from making_metadata import camera_exif
from making_phones import heic, jxl
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import reading, writing
from espcn_cli.pictures.opening import opened
from espcn_cli.upscaling.upscaler import Upscaler

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "TGA", "ICO", "JPEG2000", "AVIF", "PCX", "HEIF", "JXL")
MADE = {
    "HEIF": lambda: heic(natural(16, 16), exif=camera_exif(orientation=6)),
    "JXL": lambda: jxl(natural(16, 16), exif=camera_exif(orientation=6)),
}
"""What Pillow does not write."""

ROUNDS = 40


def whole(kind: str) -> bytes:
    """A small file with frames, EXIF and a palette where the format has them."""
    image = Image.fromarray(natural(16, 16))
    if kind in MADE:
        return MADE[kind]()
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    frames = [Image.fromarray(natural(16, 16, seed)) for seed in (1, 2)]
    if kind in ("PNG", "GIF", "WEBP", "TIFF"):
        extra = {"exif": exif} if kind != "GIF" else {}
        image.save(out, kind, save_all=True, append_images=frames, duration=50, **extra)
    elif kind == "JPEG":
        image.save(out, kind, exif=exif, dpi=(300, 300))
    else:
        image.save(out, kind)
    return out.getvalue()


def tiff(mode: str, compression: str) -> bytes:
    out = BytesIO()
    Image.fromarray(natural(64, 48)).convert(mode).save(out, "TIFF", compression=compression)
    return out.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_damaged_file_is_a_picture_or_one_line(
    tmp_path: Path, bicubic: Upscaler, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    path = tmp_path / "odd.bin"
    pictures = 0
    for index, data in enumerate((whole(kind), *mutations(whole(kind), FORMATS.index(kind), ROUNDS))):
        path.write_bytes(data)
        output = tmp_path / f"{index}.png"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                writing.write_document(bicubic.document(reading.read_document(path)), output)
            except EspcnError as error:
                assert "\n" not in str(error) and "odd.bin" in str(error), error
                assert not output.exists()
            else:
                pictures += 1
                with Image.open(output) as image:
                    image.load()
    assert pictures >= 1
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_folder_of_damaged_files_through_the_command(tmp_path: Path) -> None:
    """Every file is an output or a line, and nothing else is on standard error: no decoder prints there by itself."""
    model = save_checkpoint(tmp_path / "tiny.safetensors")
    (tmp_path / "in").mkdir()
    kinds = {f"{kind}.{kind.lower()}": whole(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "TIFF")}
    kinds |= {"JPEG2000.jp2": whole("JPEG2000"), "HEIF.heic": whole("HEIF"), "JXL.jxl": whole("JXL")}
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "group3", "group4"):
        kinds[f"{compression}.tif"] = tiff("1" if "group" in compression else "RGB", compression)
    for name, data in kinds.items():
        for index, changed in enumerate((data[: len(data) // 2], *mutations(data, 7, 9))):
            (tmp_path / "in" / f"{index}-{name}").write_bytes(changed)
    command = [sys.executable, "-m", "espcn_cli", "upscale", "in", "out", "-m", str(model), "--max-pixels", "100000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert [line for line in lines if not re.match(r"(espcn: )?in/\d-\w+\.\w+( -> out/\d-\w+\.\w+)?: ", line)] == []
    failed = [line for line in lines if line.startswith("espcn: ")]
    outputs = list((tmp_path / "out").iterdir())
    assert len(failed) + len(outputs) == 10 * len(kinds)
    for path in outputs:
        with opened(path) as image:
            image.load()
