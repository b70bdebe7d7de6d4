"""Frames and their timing: what Pillow's readers say of it, and how its writers want it."""

from __future__ import annotations

from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import GifImagePlugin, Image

from espcn_cli.pictures import boxes, gif

FORMATS = ("GIF", "PNG", "WEBP", "AVIF")
"""What holds an animation; TIFF holds pages."""


def duration(image: Image.Image) -> float:
    """Milliseconds that the frame just loaded is shown; 0 where the file does not say."""
    try:
        return max(float(image.info.get("duration") or 0), 0.0)
    except (TypeError, ValueError):
        return 0.0


def in_hundredths(durations: tuple[float, ...]) -> tuple[float, ...]:
    """Milliseconds in steps of ten, as GIF has them, at least one step where a frame is shown at all.

    What is cut off one frame is given to the next, so that the animation keeps its pace.
    """
    times, left = [], 0.0
    for wanted in durations:
        time = max(round((wanted + left) / 10) * 10.0, 10.0) if wanted else 0.0
        left += wanted - time
        times.append(time)
    return tuple(times)


def plays(image: Image.Image) -> int:
    """How often an animation runs, 0 for ever.

    A GIF counts the repetitions after the first run, and without a count runs once; the others count the runs.
    """
    count = image.info.get("loop")
    if image.format == "GIF":
        return 1 if count is None else count + 1 if count else 0
    return int(count or 0)


def save(
    images: list[Image.Image],
    kind: str,
    file: Path | BytesIO,
    options: dict[str, Any],
    durations: tuple[float, ...] = (),
    plays: int = 0,
    palettes: tuple[int, ...] = (),
) -> None:
    """Write one image, the pages of a TIFF, or, with a duration per frame, an animation; PNGs are `png`'s affair.

    `palettes` as `gif.palettes` gives them, for a GIF.
    """
    if kind == "GIF":
        repeats = {"loop": max(plays - 1, 0)} if durations and plays != 1 else {}
        gif.write(images, file, options | repeats, durations, palettes)
        return
    if len(images) == 1:
        images[0].save(file, format=kind, **options)
        return
    if durations:
        options = options | {"duration": [round(ms) for ms in durations]} | ({"loop": plays} if kind == "WEBP" else {})
    images[0].save(file, format=kind, save_all=True, append_images=images[1:], **options)


def count(file: Path | BytesIO, kind: str) -> int:
    """How many frames a GIF or WebP of ours has; the limit of pixels is for what others wrote."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        stream.seek(0)
        if kind == "GIF":
            return GifImagePlugin.GifImageFile(stream, "").n_frames
        return max(1, sum(name == b"ANMF" for name in boxes.riff_chunks(stream)))
