"""What libtiff complains of stands in the line of the file that it is about, and nowhere else."""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from making import natural
from making_png import read
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import decoders, opening, reading


def tiff(mode: str = "RGB", **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(natural(64, 48)).convert(mode).save(out, "TIFF", **options)
    return out.getvalue()


def damaged(data: bytes) -> bytes:
    """With other bytes amid the pixels, which come first in these files."""
    return data[:200] + 60 * b"\xff" + data[260:]


@pytest.mark.parametrize(
    ("compression", "reason"),
    [
        ("tiff_lzw", "Using code not yet in table"),
        ("tiff_adobe_deflate", "Decoding error at scanline 0, "),
        ("lzma", "Decoding error at scanline 0, "),
    ],
)
def test_why_a_tiff_cannot_be_decoded_stands_in_its_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], compression: str, reason: str
) -> None:
    with pytest.raises(EspcnError) as caught:
        read(tmp_path / "in.tif", damaged(tiff(compression=compression)))
    assert str(caught.value).startswith(f"{tmp_path / 'in.tif'}: cannot be decoded ({reason}")
    assert str(caught.value).endswith("): is it complete?") and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("mode", "compression", "reason"),
    [("1", "group4", "Bad code word at line "), ("RGB", "jpeg", "Unsupported marker type")],
)
def test_damage_that_libtiff_gets_over_is_a_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], mode: str, compression: str, reason: str
) -> None:
    data = tiff(mode, compression=compression)
    [warning] = read(tmp_path / "in.tif", damaged(data)).warnings
    assert warning.startswith(f"the file is damaged, parts may look wrong ({reason}")
    assert read(tmp_path / "in.tif", data).warnings == ()
    assert capfd.readouterr() == ("", "")


def test_complaints_stay_with_the_thread_whose_file_they_are_about(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.tif").write_bytes(damaged(tiff(compression="tiff_adobe_deflate")))
    errors: list[EspcnError] = []

    def decode() -> None:
        try:
            reading.read_document(tmp_path / "bad.tif")
        except EspcnError as error:
            errors.append(error)

    with decoders.listening() as complaints:
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
        assert complaints == [] and "decoder error" not in str(errors[0])
        source = opening.opened(tmp_path / "bad.tif")
        with pytest.raises(EspcnError), source as image:
            image.load()
        assert complaints == [] and len(source.complaints) == 1
        with Image.open(tmp_path / "bad.tif") as image, pytest.raises(OSError, match="decoder error"):
            image.load()
        assert complaints == source.complaints
    with Image.open(tmp_path / "bad.tif") as image, pytest.raises(OSError, match="decoder error"):
        image.load()
    assert capfd.readouterr() == ("", "")
