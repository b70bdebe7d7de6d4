"""Damaged files: each ends in a picture or in one clean line, never in a traceback, a hang or half a file."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from making import mutations, natural, save_checkpoint
from PIL import Image

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures import reading, writing
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import upscaler

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "TGA", "ICO", "JPEG2000", "AVIF", "PCX")
ROUNDS = 40


def whole(kind: str) -> bytes:
    """A small file with frames, EXIF and a palette where the format has them."""
    image = Image.fromarray(natural(16, 16))
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


@pytest.fixture(scope="module")
def bicubic() -> upscaler.Upscaler:
    return upscaler.Upscaler(TorchEngine(ESPCN(ModelSettings(widths=(4,), kernels=(3, 3)))))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_damaged_file_is_a_picture_or_one_line(
    tmp_path: Path, bicubic: upscaler.Upscaler, kind: str, monkeypatch: pytest.MonkeyPatch
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
    model = save_checkpoint(tmp_path / "tiny.safetensors")
    (tmp_path / "in").mkdir()
    for kind, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("TIFF", "tif"), ("GIF", "gif"), ("WEBP", "webp")):
        for index, data in enumerate(mutations(whole(kind), 7, 12)):
            (tmp_path / "in" / f"{kind}{index}.{suffix}").write_bytes(data)
    command = [sys.executable, "-m", "espcn_cli", "upscale", "in", "out", "-m", str(model), "--max-pixels", "100000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    failed = [line for line in result.stderr.splitlines() if line.startswith("espcn: ")]
    outputs = list((tmp_path / "out").iterdir())
    assert len(failed) + len(outputs) == 60
    for path in outputs:
        with Image.open(path) as image:
            image.load()
