"""Which files are videos: by how they begin, and which containers can be written. Nothing is decoded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import is_file
from espcn_cli.pictures import pipes
from espcn_cli.pictures.y4m import MAGIC

REMEDY = "pip install 'espcn[video]'"

HEAD = 600
"""Bytes that tell what a file is: three packets of a transport stream."""

Y4M = "yuv4mpegpipe"

MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
    ".y4m": Y4M,
}
"""Suffixes of the videos that are read and written, and FFmpeg's names of the formats."""

SUFFIXES = frozenset(MUXERS) | {".qt", ".3gp", ".3g2", ".f4v", ".mk3d"}
"""What counts as a video when a folder is searched; a file named outright may be called anything."""

_PICTURES = (
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"mif1",
    b"msf1",
    b"avif",
    b"avis",
    b"jpx ",
    b"jp2 ",
    b"crx ",
)
"""Brands of files that begin like MP4 and hold pictures."""

_ATOMS = (b"moov", b"mdat", b"wide", b"pnot", b"skip", b"free")
"""What QuickTime files without a brand begin with."""

_SYNC = 0x47


def demuxer_of(head: bytes) -> str | None:
    """FFmpeg's name of the container that begins so; None for what is no video that is read here."""
    if head.startswith(MAGIC + b" "):
        return Y4M
    if head[4:8] == b"ftyp":
        return None if head[8:12] in _PICTURES else "mov"
    if head[4:8] in _ATOMS:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    return "mpegts" if _is_transport_stream(head) else None


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes, or of 192 with a time before each."""
    for start, step in ((0, 188), (4, 192)):
        places = range(start, min(len(head), start + 2 * step + 1), step)
        if len(places) >= 3 and all(head[place] == _SYNC for place in places):
            return True
    return False


def kind_of(source: Path) -> str | None:
    """What a source's first bytes say, a pipe's too; None for what is no video or cannot be read."""
    try:
        if pipes.reads_once(source):
            return demuxer_of(pipes.head(source, HEAD, lambda head: demuxer_of(head) is not None))
        if not is_file(source):
            return None
        with source.open("rb") as file:
            return demuxer_of(file.read(HEAD))
    except OSError:  # is reported when it is opened
        return None


def muxer_of(destination: Path) -> str:
    """FFmpeg's name of the format of a suffix. Raises UsageError if it is none that videos are written to."""
    suffix = destination.suffix.lower()
    if suffix not in MUXERS:
        kind = destination.suffix or "a file without suffix"
        raise UsageError(
            f"{destination}: cannot write a video to {kind}: use .mp4, .mkv, .mov, .webm or .y4m", destination
        )
    return MUXERS[suffix]


def is_there() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def need_av(path: Path, name: str) -> None:
    """Raise EspcnError if PyAV is not there."""
    if not is_there():
        raise EspcnError(f"{name}: videos need PyAV: {REMEDY}; Y4M goes without", path)
