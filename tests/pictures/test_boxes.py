"""What Pillow passes over in JPEG 2000 and AVIF is found."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from making_png import ICC, PICTURE, PIXELS, chunks_of, read

from espcn_cli.pictures import writing
from espcn_cli.upscaling.upscaler import Upscaler


def test_a_profile_in_jpeg_2000_is_found(tmp_path: Path, bicubic: Upscaler) -> None:
    out = BytesIO()
    PICTURE.save(out, "JPEG2000")
    data = out.getvalue()
    place = data.index(b"colr") - 4
    (old,) = struct.unpack_from(">I", data, place)
    box = struct.pack(">I", 11 + len(ICC)) + b"colr\2\0\0" + ICC
    header = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, header)
    longer = struct.pack(">I", length + len(box) - old)
    data = data[:header] + longer + data[header + 4 : place] + box + data[place + old :]
    document = read(tmp_path / "in.jp2", data)
    assert document.info["icc_profile"] == ICC
    assert np.array_equal(document.frames[0].array(), PIXELS)


def test_code_points_of_an_hdr_avif_are_kept_in_png(tmp_path: Path) -> None:
    out = BytesIO()
    PICTURE.save(out, "AVIF")
    data = out.getvalue()
    assert "colour" not in read(tmp_path / "in.avif", data).info
    place = data.index(b"nclx") + 4
    hdr = data[:place] + struct.pack(">HH", 9, 16) + data[place + 4 :]
    writing.write_document(read(tmp_path / "in.avif", hdr), tmp_path / "out.png")
    assert chunks_of(tmp_path / "out.png") == {"cICP": bytes((9, 16, 0, 1))}
