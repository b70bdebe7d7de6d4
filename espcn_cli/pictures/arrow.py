"""Pillow's own memory as an array and an array as Pillow's, by the Arrow interface: nothing is copied.

Pillow keeps RGB of 8 bits with a fourth byte after each pixel. Levels (H, W, 3) that lie like that are called *padded*
here: a view of (H, W, 4) without its last channel.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from PIL import Image

from espcn_cli.maths.levels import Levels, padded

OWN_LAYOUT = hasattr(Image, "fromarrow")
"""Whether this Pillow shares memory: since 11.2.1."""


def levels_of(image: Image.Image) -> Levels | None:
    """The padded levels of an image in RGB, in its own memory, read-only; None where it does not lie in one piece."""
    if image.mode != "RGB" or not OWN_LAYOUT:
        return None
    try:
        capsules = image.__arrow_c_array__()
    except ValueError:  # it lies in several blocks
        return None
    array = _Array.from_address(_pointer(capsules[1], b"arrow_array"))
    values = _Array.from_address(array.children[0])
    shape = (image.height, image.width, 4)
    if array.offset or values.offset or values.length != shape[0] * shape[1] * 4:
        return None
    levels: Levels = np.asarray(_Shared(shape, values.buffers[1], capsules))[..., :3]
    return levels


def image_of(levels: Levels) -> Image.Image:
    """An image in RGB of padded levels, which it keeps and shares; their fourth bytes must be 255."""
    height, width, _ = levels.shape
    whole = padded(levels)
    if OWN_LAYOUT:
        return Image.fromarrow(_Lender(whole), "RGB", (width, height))
    return Image.frombytes("RGB", (width, height), whole.tobytes(), "raw", "RGBX")


class _Shared:
    """What NumPy takes for an array; it keeps this, and with it whoever owns the memory."""

    def __init__(self, shape: tuple[int, ...], address: int, owner: object) -> None:
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": "|u1", "data": (address, True)}
        self.owner = owner


# --- the structures of Arrow's C interface ---------------------------------------------------------------------------


class _Array(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.POINTER(ctypes.c_void_p)),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _Schema(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ctypes.POINTER(ctypes.c_void_p)),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_raw_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)

_lent: dict[int, Any] = {}
"""By the address of a structure: what it needs, as long as a capsule holds it."""

ARRAY, SCHEMA = b"arrow_array", b"arrow_schema"


def _returns(name: bytes) -> Any:
    def forget(capsule: int) -> None:
        _lent.pop(_raw_pointer(capsule, name), None)

    return _Destructor(forget)


_return_array, _return_schema = _returns(ARRAY), _returns(SCHEMA)


class _Lender:
    """An array (H, W, 4) as Arrow has it: a list of four bytes for each pixel."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        pixels = self.levels.shape[0] * self.levels.shape[1]
        none, data = (ctypes.c_void_p * 1)(None), (ctypes.c_void_p * 2)(None, self.levels.ctypes.data)
        values = _Array(4 * pixels, 0, 0, 2, 0, data)
        inner = (ctypes.c_void_p * 1)(ctypes.addressof(values))
        array = _Array(pixels, 0, 0, 1, 1, none, inner)
        kind = _Schema(b"C", b"pixel")
        kinds = (ctypes.c_void_p * 1)(ctypes.addressof(kind))
        schema = _Schema(b"+w:4", b"", n_children=1, children=kinds)
        return (
            _lend(schema, SCHEMA, _return_schema, (kind, kinds)),
            _lend(array, ARRAY, _return_array, (self.levels, none, data, values, inner)),
        )


def _lend(structure: Any, name: bytes, returned: Any, needs: tuple[Any, ...]) -> Any:
    address = ctypes.addressof(structure)
    _lent[address] = structure, needs
    return _capsule(address, name, ctypes.cast(returned, ctypes.c_void_p))
