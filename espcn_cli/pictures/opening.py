"""Opening a file that may be a picture: what it is, whether it is too large, and in one line why it cannot be read."""

from __future__ import annotations

import errno
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import decoders, heif, jxl, pipes
from espcn_cli.pictures.folders import source_name
from espcn_cli.settings import MAX_PIXELS

PngImagePlugin.MAX_TEXT_CHUNK = 2**24
"""Bytes of unpacked text or profile: workflows and histories outgrow Pillow's 1 MB."""

SIGNATURES = (
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "TIFF"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG", "PNG"),
    (rb"GIF8", "GIF"),
    (rb"8BPS", "PSD"),
    (rb"RIFF....WEBP", "WebP"),
    (rb"....ftyp(avi|mif1|msf1)", "AVIF"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"v/1\x01", "OpenEXR"),
    (rb"#\?RADIANCE|#\?RGBE", "Radiance HDR"),
    (rb"P[Ff]\s", "PFM"),
    (rb"P7\s", "PAM"),
    (rb"%PDF", "PDF"),
)
"""How the files begin that people take for pictures, and what they are called when Pillow cannot open one."""

UNREAD = ("OpenEXR", "Radiance HDR", "PDF")
"""Those of them that Pillow never opens."""

EXTRA = "pip install 'espcn[formats]'"
"""What brings the libraries for HEIC and JPEG XL."""

HEAD = 64
"""Bytes by which a file is known: all brands of a HEIC stand there."""

SMALL_FILE = 2**18
"""Bytes of a file that is read at once: looking it over in the file takes longer."""

PILLOWS_LIMIT = 1024**3 // 4 // 3
"""The pixels of which Pillow warns by itself; it refuses twice as many."""

_warnings = threading.Lock()
"""Python's filters of warnings are the process's: of two threads that change them for a moment, one would lose."""


def limit_pixels(most: int) -> None:
    """Refuse files that claim more pixels than this, in this process."""
    Image.MAX_IMAGE_PIXELS = most


@contextmanager
def drawing() -> Iterator[None]:
    """While the block runs there is no limit: Pillow holds the text that it draws to it as well."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


if Image.MAX_IMAGE_PIXELS == PILLOWS_LIMIT:  # a program that has set another one keeps it
    limit_pixels(MAX_PIXELS)


def check_pixels(pixels: int, claimed: int | None = None) -> None:
    """Raise EspcnError if so many pixels are more than the limit; `claimed` says how many the whole file has."""
    if Image.MAX_IMAGE_PIXELS and pixels > Image.MAX_IMAGE_PIXELS:
        raise EspcnError(_too_large(claimed or pixels))


def _too_large(pixels: int) -> str:
    return f"{pixels:,} pixels are more than {Image.MAX_IMAGE_PIXELS:,}: allow them with --max-pixels {pixels}"


def _missing(library: ModuleType) -> NoReturn:
    raise EspcnError(f"{library.NAME} needs {library.PACKAGE}: {EXTRA}")


class DamagedError(EspcnError):
    """A picture whose header could be read, and whose pixels could not be decoded."""


class UnknownTiffError(EspcnError):
    """A TIFF whose kind of samples or compression Pillow does not know."""


class opened:  # noqa: N801 - reads as a function: `with opened(path) as image`
    """Open a picture with Pillow so that every failure, now or while decoding, is an EspcnError naming the file.

    The pixels outlive the block, the file does not. "-" is standard input. `data`: bytes instead of the file's.
    `complaints` are the decoder's about
    damage, which it may get over.
    """

    def __init__(self, path: Path, data: bytes | None = None) -> None:
        self.path = path
        self.image: Image.Image | None = None
        self.complaints: list[str] = []
        self._listening = ExitStack()
        self._input = data

    def __enter__(self) -> Image.Image:
        self.complaints = self._listening.enter_context(decoders.listening())
        try:
            return self._open()
        except Exception as error:
            self._listening.close()
            raise self.explain(error) from None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._listening.close()
        if self.image is not None:
            self.image.__exit__(None, None, None)
        if isinstance(error, Exception) and not isinstance(error, MemoryError):
            raise self.explain(error) from error

    def _open(self) -> Image.Image:
        self._input = self._read_at_once() if self._input is None else self._input
        with self.file() as file:
            head = file.read(HEAD)
        place = self.path if self._input is None else BytesIO(self._input)
        if heif.is_one(head):
            self.image = heif.opened(place) if heif.is_there() else _missing(heif)
        elif jxl.is_one(head):
            self.image = jxl.opened(place, check_pixels) if jxl.is_there() else _missing(jxl)
        else:
            with _warnings, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what matters of them is said in our own words
                self.image = Image.open(place)
        try:
            check_pixels(self.image.width * self.image.height)
        except EspcnError:
            self.image.close()
            raise
        return self.image

    def _read_at_once(self) -> bytes | None:
        """Everything in what can be read only once, and in a small file; None for others."""
        if pipes.reads_once(self.path):
            with pipes.taken(self.path) as pipe:
                return pipe.read()
        found = self.path.stat()
        mode = found.st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise EspcnError("a device, not a picture")
        return self.path.read_bytes() if found.st_size <= SMALL_FILE else None

    def file(self) -> IO[bytes]:
        """The bytes again, from the start."""
        return self.path.open("rb") if self._input is None else BytesIO(self._input)

    def explain(self, error: Exception) -> EspcnError:
        """The same failure in one line for the user."""
        if not isinstance(error, EspcnError):
            error = self._in_our_words(error)
        return error.about(self.path, source_name(self.path))

    def _in_our_words(self, error: Exception) -> EspcnError:
        if isinstance(error, FileNotFoundError):
            return EspcnError("no such file")
        if isinstance(error, IsADirectoryError):
            return EspcnError("this is a folder, not a picture")
        if isinstance(error, PermissionError):
            return EspcnError("no permission to read it")
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            return EspcnError(f"no such file ({error.strerror})")
        if isinstance(error, UnidentifiedImageError):
            return self._unknown()
        if isinstance(error, SyntaxError) and self.image is not None and self.image.format == "TIFF":
            return UnknownTiffError("a kind of TIFF that Pillow does not know")
        if isinstance(error, Image.DecompressionBombError):
            number = re.search(r"\d+", str(error))
            return EspcnError(_too_large(int(number[0]) if number else 0))
        said = self.complaints[0] if self.complaints and isinstance(error, OSError) else str(error)
        return DamagedError(f"cannot be decoded ({' '.join(said.split()) or type(error).__name__}): is it complete?")

    def _unknown(self) -> EspcnError:
        with self.file() as file:
            head = file.read(16)
        if not head:
            return EspcnError("the file is empty")
        kind = next((kind for start, kind in SIGNATURES if re.match(start, head, re.DOTALL)), None)
        if kind is None:
            return EspcnError("not a picture in a format that Pillow knows")
        if kind == "TIFF":
            return UnknownTiffError("a kind of TIFF that Pillow does not know")
        if kind in UNREAD:
            return EspcnError(f"{kind} is not a format that Pillow reads: make it a PNG")
        return EspcnError(f"a damaged {kind} file, or a kind of {kind} that Pillow does not read")
