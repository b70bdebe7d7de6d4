"""Photoshop's resources, after its file format's specification."""

from __future__ import annotations

import struct

from making_metadata import IPTC, resource

from espcn_cli.pictures import photoshop
from espcn_cli.pictures.photoshop import Resource


def test_resources_come_back_as_they_were() -> None:
    block = resource(1028, IPTC) + resource(2000, b"outline", b"Path 1") + resource(2001, b"odd", b"even name")
    found = photoshop.parse(block)
    assert found == [
        Resource(1028, b"", IPTC),
        Resource(2000, b"Path 1", b"outline"),
        Resource(2001, b"even name", b"odd"),
    ]
    assert photoshop.build(found) == block


def test_a_damaged_block_gives_what_comes_before() -> None:
    block = resource(1034, b"\1") + resource(1028, IPTC)
    assert photoshop.parse(block[:12]) == []
    for length in range(14, len(block) - 1):
        assert photoshop.parse(block[:length]) == [Resource(1034, b"", b"\1")]


def test_a_long_block_takes_several_segments() -> None:
    block = resource(1028, bytes(100_000))
    made = photoshop.segments(block)
    (length,) = struct.unpack_from(">H", made, 2)
    assert made[:2] == b"\xff\xed" and length == 65535
    second = made[2 + length :]
    assert made[18 : 2 + length] + second[18:] == block


def test_resolution_guides_and_slices() -> None:
    assert photoshop.resolution(struct.pack(">IHHIHH", 300 << 16, 1, 1, 150 << 16, 1, 1)) == (300, 150)
    assert photoshop.resolution(b"short") is None
    assert photoshop.guides(struct.pack(">4I", 1, 576, 576, 2)) == 2
    old = struct.pack(">6I", 6, 0, 0, 9, 9, 1) + "a".encode("utf-16-be") + struct.pack(">I", 3)
    assert photoshop.slices(old) == 3
    assert photoshop.slices(b"\0\0\0\7" + bytes(20) + b"slicesVlLs" + struct.pack(">I", 2)) == 2
