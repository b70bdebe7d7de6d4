"""Protocol Buffers' wire format, as much of it as graphs need: to read TensorFlow's and to write ONNX's.

https://protobuf.dev/programming-guides/encoding: a message is a row of fields, each a number and a type, then a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""How a field's value stands in the file."""

SIGN = 1 << 64
"""Negative whole numbers stand there as if they were of 64 bits without a sign."""

Value = int | float | str | bytes
"""What a field can hold; bytes are another message, too."""


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Each field's number and value: a whole number, or the bytes of anything else. Raises ValueError if damaged."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == LENGTH:
            length, place = _varint(message, place)
        else:
            length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind, -1)
        if not 0 <= length <= len(message) - place:
            raise ValueError("cut short, or no such file")
        yield key >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("cut short, or no such file")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value - SIGN if value >= SIGN // 2 else value), place
    raise ValueError("a number is too long")


def field(number: int, value: Value) -> bytes:
    """One field: a whole number, a float of 32 bits, text, or bytes (a message is bytes)."""
    if isinstance(value, int):
        return _to_varint(number << 3 | VARINT) + _to_varint(value % SIGN)
    if isinstance(value, float):
        return _to_varint(number << 3 | FOUR_BYTES) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _to_varint(number << 3 | LENGTH) + _to_varint(len(data)) + data


def _to_varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])
