"""Video: the first frames of a clip, and what H.264 leaves of them. Needs PyAV, the extra `video`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures.encoders import same_everywhere

SUFFIXES = frozenset(f".{name}" for name in ("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "y4m"))
"""What counts as a video, by its name: nothing is opened."""

PRESET, FRAMES_PER_SECOND = "medium", 30
"""How x264 compresses, beside the strength that is asked for; in one thread, so that the bits are always the same."""


def is_there() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def is_clip(path: Path) -> bool:
    """Whether a file is a video by its name."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, count: int) -> Iterator[Levels]:
    """The first `count` frames as grey pictures: luma in full range, uint8 (H, W, 1).

    Raises EspcnError naming the file if it holds no video, cannot be decoded, or PyAV is not installed.
    """
    if not is_there():
        raise EspcnError(f"{path}: videos are measured with PyAV: install 'espcn[video]'", path)
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise EspcnError(f"{path}: there is no video in it", path)
            yield from map(_grey, islice(container.decode(video=0), count))
    except (av.FFmpegError, OSError) as error:
        raise EspcnError(f"{path}: cannot be decoded ({error.strerror}): is it a video?", path) from None


def through_h264(frames: Sequence[Levels], crf: int) -> list[Levels]:
    """What is left of grey frames, uint8 (H, W, 1), even sides, after x264 at a constant rate factor.

    Raises EspcnError if this PyAV has no x264.
    """
    import av

    height, width = frames[0].shape[:2]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        try:
            options = {"preset": PRESET, "crf": str(crf), "threads": "1"} | same_everywhere("libx264")
            stream: Any = container.add_stream("libx264", FRAMES_PER_SECOND, options)
        except ValueError:
            raise EspcnError("this PyAV comes without x264: the wheels of PyPI have it") from None
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"  # full range, and says so
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame[..., 0], format="gray")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as clip:
        return [_grey(frame) for frame in clip.decode(video=0)]


def _grey(frame: Any) -> Levels:
    levels: Levels = frame.to_ndarray(format="gray")
    return np.ascontiguousarray(levels)[..., None]
