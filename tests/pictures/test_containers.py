"""Which files are videos, by how they begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from espcn_cli.errors import UsageError
from espcn_cli.pictures.containers import demuxer_of, kind_of, muxer_of


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypisom\0\0\2\0", "mov"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\x1a\x45\xdf\xa3\1\0\0\0", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        ((b"G" + bytes(187)) * 3, "mpegts"),
        ((bytes(4) + b"G" + bytes(187)) * 3, "mpegts"),
        (b"YUV4MPEG2 W16 H16\n", "yuv4mpegpipe"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", None),
        (b"\0\0\0\x20ftypavif\0\0\0\0", None),
        (b"\0\0\0\x20ftypavis\0\0\0\0", None),
        (b"RIFF\0\0\0\0WEBPVP8 ", None),
        (b"GIF89a", None),
        (b"ffconcat version 1.0\n", None),
        (b"#EXTM3U\n", None),
        (b"GGG" + bytes(600), None),
        (b"", None),
    ],
)
def test_kinds(head: bytes, kind: str | None) -> None:
    assert demuxer_of(head) == kind


def test_a_name_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"GIF89a")
    (tmp_path / "b.gif").write_bytes(b"\x1a\x45\xdf\xa3")
    assert kind_of(tmp_path / "a.mp4") is None
    assert kind_of(tmp_path / "b.gif") == "matroska"
    assert kind_of(tmp_path / "missing.mp4") is None
    assert kind_of(tmp_path) is None


def test_what_cannot_be_written_names_what_can() -> None:
    assert muxer_of(Path("a.MKV")) == "matroska"
    with pytest.raises(UsageError, match=r"\.mp4"):
        muxer_of(Path("a.ogv"))
