"""What libtiff complains of: kept for the file that it is about, instead of printed between our lines.

Pillow decodes TIFFs with libtiff, which hands its errors to one function of the whole process; its own prints them.
Where a build of Pillow hides libtiff, it goes on printing.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import _imaging

LONGEST = 300
"""Bytes of a complaint that are kept."""


class _Ear(threading.local):
    """What this thread collects, if it does: a picture is decoded in the thread that opened it."""

    complaints: list[str] | None = None


_ear = _Ear()


@contextmanager
def listening() -> Iterator[list[str]]:
    """An empty list that gets the first complaint of libtiff's in this thread until the end of the block."""
    before, _ear.complaints = _ear.complaints, []
    try:
        yield _ear.complaints
    finally:
        _ear.complaints = before


def _hear(module: bytes | None, form: bytes, arguments: int) -> None:
    """A TIFFErrorHandler; `arguments` is C's va_list for `form`, which every usual platform passes as a pointer."""
    if _ear.complaints is None or _ear.complaints:
        return
    text = ctypes.create_string_buffer(LONGEST)
    ctypes.pythonapi.PyOS_vsnprintf(text, ctypes.c_size_t(LONGEST), form, ctypes.c_void_p(arguments))
    _ear.complaints.append(" ".join(text.value.decode(errors="replace").split()).rstrip("."))


_handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_hear)
"""Kept here, as libtiff calls it as long as the process lives."""


def _listen() -> None:
    """Take the place of libtiff's own handler of errors; Pillow turns off its warnings itself."""
    try:
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler  # found in what Pillow's module is linked to
    except (AttributeError, OSError):
        return
    set_handler.restype = ctypes.c_void_p
    set_handler(_handler)


_listen()
