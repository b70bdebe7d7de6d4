"""Small animations, and a way through for any picture, file to file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from espcn_cli.pictures import reading, writing
from espcn_cli.upscaling.upscaler import Upscaler

DURATIONS = [40, 120, 80, 200]


def through(upscaler: Upscaler, source: Path, output: Path) -> tuple[str, ...]:
    """File to file; returns the warnings."""
    return writing.write_document(upscaler.document(reading.read_document(source)), output).warnings


def disc(index: int, background: tuple[int, ...] = (0, 0, 0, 0)) -> Image.Image:
    """A red disc that moves to the right."""
    image = Image.new("RGBA" if len(background) == 4 else "RGB", (32, 20), background)
    ImageDraw.Draw(image).ellipse((2 + 5 * index, 4, 12 + 5 * index, 14), fill=(220, 30 * index, 20, 255))
    return image


def save_animation(path: Path, background: tuple[int, ...] = (0, 0, 0, 0), **options: Any) -> Path:
    frames = [disc(index, background) for index in range(4)]
    lossless: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=DURATIONS, **lossless, **{"loop": 0} | options
    )
    return path


def frames_of(path: Path) -> list[tuple[Image.Image, float]]:
    found = []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            found.append((image.convert("RGBA"), float(image.info.get("duration", 0))))
    return found
