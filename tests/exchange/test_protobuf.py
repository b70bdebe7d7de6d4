"""The wire format: the examples of its own documentation, and back."""

from __future__ import annotations

import pytest

from espcn_cli.exchange.protobuf import field, fields


@pytest.mark.parametrize(
    ("number", "value", "data"),
    [
        (1, 150, "089601"),  # protobuf.dev/programming-guides/encoding, "A simple message"
        (2, "testing", "120774657374696e67"),  # the same page, "Length-delimited records"
        (1, -2, "08feffffffffffffffff01"),  # and "Signed integers"
        (3, 1.0, "1d0000803f"),
    ],
)
def test_published_examples(number: int, value: int | float | str, data: str) -> None:
    assert field(number, value).hex() == data
    [(found, back)] = fields(bytes.fromhex(data))
    assert found == number
    assert back == value or isinstance(value, (str, float))


def test_messages_within_messages_come_back() -> None:
    inner = field(4, 2**40) + field(5, b"\x00\xff")
    assert list(fields(field(1, inner) + field(16, 3))) == [(1, inner), (16, 3)]
    assert list(fields(inner)) == [(4, 2**40), (5, b"\x00\xff")]


@pytest.mark.parametrize("data", [b"\x08", b"\x12\x05ab", b"\x0b", b"\x0d\x00", b"\x08" + b"\xff" * 11])
def test_damage_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|too long"):
        list(fields(data))
