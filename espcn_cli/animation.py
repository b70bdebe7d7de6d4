"""Frames and their timing: what Pillow's readers say of it, and how its writers want it."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

FORMATS = ("GIF", "PNG", "WEBP", "AVIF")
"""What holds an animation; TIFF holds pages."""

CLEAR = 255
"""The palette entry of a GIF that is transparent."""


def duration(image: Image.Image) -> float:
    """Milliseconds that the frame just loaded is shown; 0 where the file does not say."""
    try:
        return max(float(image.info.get("duration") or 0), 0.0)
    except (TypeError, ValueError):
        return 0.0


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
    cover: bool = False,
) -> None:
    """Write one image, the pages of a TIFF, or, with a duration per frame, an animation."""
    if kind == "GIF":
        images = [_with_palette(image) for image in images]
        options = options | _gif_options(images)
    if len(images) == 1:
        images[0].save(file, format=kind, **options)
        return
    if durations:
        options = options | _timing(images, kind, durations, plays, cover)
    images[0].save(file, format=kind, save_all=True, append_images=images[1:], **options)


def _timing(
    images: list[Image.Image], kind: str, durations: tuple[float, ...], plays: int, cover: bool
) -> dict[str, Any]:
    timed = durations[1:] if cover else durations
    options: dict[str, Any] = {"duration": [round(ms) if kind != "PNG" else ms for ms in timed]}
    if kind == "GIF":
        return options | ({} if plays == 1 else {"loop": max(plays - 1, 0)})
    if kind == "PNG":
        frames = images[1:] if cover else images
        return options | {"loop": plays, "default_image": cover, "blend": 0, "disposal": _disposals(frames)}
    return options | ({"loop": plays} if kind == "WEBP" else {})


def _disposals(frames: list[Image.Image]) -> list[int]:
    """0 (leave) for each frame, but 1 (clear) by turns in a run of equal ones, which Pillow would else merge."""
    found = [0]
    for before, after in pairwise(frames):
        same = before.tobytes() == after.tobytes()
        found.append(1 - found[-1] if same else 0)
    return found


def _with_palette(image: Image.Image) -> Image.Image:
    """RGB, RGBA or grey with alpha -> 255 colours of its own, and a clear entry for what is more than half clear."""
    if image.mode in ("L", "1"):
        return image
    opaque = image.convert("RGB").quantize(CLEAR, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if image.has_transparency_data:
        hole = image.getchannel("A").point([255] * 128 + [0] * 128)
        opaque.paste(CLEAR, mask=hole)
        opaque.info["transparency"] = CLEAR
    return opaque


def _gif_options(images: list[Image.Image]) -> dict[str, Any]:
    """Every frame is whole: cleared away before the next where something shines through."""
    if any("transparency" in image.info for image in images):
        return {"transparency": CLEAR, "disposal": 2, "optimize": False}
    return {"optimize": False}
