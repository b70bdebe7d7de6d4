"""What happens to pictures before people have them: shrunk, sharpened, printed, noisy, dithered, compressed. Seeded.

A `Damage` turns a good picture (HR) into one that a user may bring (LR). Everything is whole levels, uint8 (H, W, C).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image, ImageFilter

from espcn_cli.maths.levels import Levels, rounded
from espcn_cli.maths.resize import degrade

Rng = np.random.Generator
Kernel = Literal["bicubic", "area", "lanczos", "nearest"]
Subsampling = Literal["4:4:4", "4:2:0"]

KERNELS: tuple[Kernel, ...] = get_args(Kernel)

UNSHARP_RADIUS = 1
"""Standard deviation, in LR pixels, of the blur that `sharpen` takes away."""

MOST_NOISE = 8.0
"""Largest standard deviation of the noise that `any_damage` draws, in levels."""

SCANS = 0.02
"""Share of pictures of which `any_damage` makes scans of prints."""

CROPPED = 0.1
"""Share of JPEGs that `any_damage` crops after decoding."""

SCREEN_ANGLES = {1: (45,), 3: (15, 75, 30)}
"""Degrees by which the screens of a print are turned: of grey; of cyan, magenta and yellow."""

PRINT_ZOOM = 4
"""Dots of a printer to a pixel of the scan, along each side."""

SCANNER_BLUR = 0.4
"""Standard deviation of a scanner's blur, in pixels of the scan."""

PILLOW_KERNELS: dict[Kernel, Image.Resampling] = {
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Jpeg:
    """One compression: Pillow's quality, 1 to 95 or more, and whether chroma is halved.

    `cropped`: rows and columns that are cut off afterwards, so that the blocks of 8 no longer start at the corner.
    """

    quality: int
    chroma: Subsampling = "4:2:0"
    cropped: int = 0


@dataclass(frozen=True)
class Damage:
    """How LR comes from HR, in the order of the fields; what is 0 or empty does not happen.

    `blur`: standard deviation of a Gaussian before shrinking, in LR pixels. `kernel`: `bicubic` is MATLAB's; `area` and
    `lanczos` (3 lobes) are Pillow's; `nearest` takes every scale-th pixel. `sharpen`: percent of an unsharp mask.
    `halftone`: from dot to dot of the screen of a print that was scanned, in LR pixels. `noise`: standard deviation of
    Gaussian noise, in levels. `shot`: electrons of white in Poisson noise. `colours`: of a palette chosen for the
    picture, with Floyd-Steinberg dither. `webp`: quality. `jpegs`: one after another. `resaved`: the file that people
    have is a lossless copy, which does not tell how it was compressed before.
    """

    kernel: Kernel = "bicubic"
    blur: float = 0.0
    sharpen: float = 0.0
    halftone: float = 0.0
    noise: float = 0.0
    shot: float = 0.0
    colours: int = 0
    webp: int = 0
    jpegs: tuple[Jpeg, ...] = ()
    resaved: bool = False

    def levels(self, hr: Levels, scale: int, rng: Rng) -> Levels:
        """LR, uint8 (H/scale, W/scale, C), of HR, uint8 (H, W, 1 or 3). Raises ValueError if the scale does not fit."""
        return self.after(shrink(hr, scale, self.kernel, self.blur), rng)

    def after(self, lr: Levels, rng: Rng) -> Levels:
        """What happens to an LR picture once it is small: everything but `blur` and `kernel`."""
        lr = self._before_files(lr, rng)
        if self.webp:
            lr = decoded(as_webp(lr, self.webp), lr)
        for jpeg in self.jpegs:
            lr = through(lr, jpeg)
        return lr

    def file(self, lr: Levels, rng: Rng) -> bytes:
        """The same as a file that people have: its last compression, a GIF of its palette, or a PNG."""
        last = self.jpegs[-1] if self.jpegs else None
        lossless = self.resaved or not (self.jpegs or self.webp or self.colours)
        if lossless or (last and last.cropped):
            return encoded(self.after(lr, rng), "PNG")
        if last:
            return as_jpeg(replace(self, jpegs=self.jpegs[:-1]).after(lr, rng), last)
        lr = replace(self, webp=0).after(lr, rng)
        return as_webp(lr, self.webp) if self.webp else as_gif(lr)

    def _before_files(self, lr: Levels, rng: Rng) -> Levels:
        if self.sharpen:
            lr = unsharp(lr, self.sharpen)
        if self.halftone:
            lr = printed(lr, self.halftone)
        if self.noise:
            lr = rounded(lr + self.noise * rng.standard_normal(lr.shape, np.float32), np.uint8)
        if self.shot:
            lr = rounded(rng.poisson(lr * (self.shot / 255)) * (255 / self.shot), np.uint8)
        return dithered(lr, self.colours) if self.colours else lr


def shrink(hr: Levels, scale: int, kernel: Kernel = "bicubic", blur: float = 0.0) -> Levels:
    """HR, uint8 (H, W, C) -> (H/scale, W/scale, C). Raises ValueError if the scale does not divide the size."""
    height, width = hr.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"{width} x {height} does not divide by {scale}: crop first")
    if blur:
        hr = from_image(to_image(hr).filter(ImageFilter.GaussianBlur(blur * scale)), hr)
    if kernel == "nearest":
        return hr[scale // 2 :: scale, scale // 2 :: scale]
    if kernel == "bicubic":
        planes: Levels = degrade(np.ascontiguousarray(hr.transpose(2, 0, 1))[None], scale)
        return np.ascontiguousarray(planes[0].transpose(1, 2, 0))
    return from_image(to_image(hr).resize((width // scale, height // scale), PILLOW_KERNELS[kernel]), hr)


def unsharp(levels: Levels, percent: float) -> Levels:
    """Add `percent` (rounded to a whole one) of what a Gaussian blur of one pixel takes away: Pillow's unsharp mask."""
    mask = ImageFilter.UnsharpMask(UNSHARP_RADIUS, round(percent), threshold=0)
    return from_image(to_image(levels).filter(mask), levels)


def printed(levels: Levels, period: float) -> Levels:
    """Printed in dots and scanned: each ink in a screen of its own, from dot to dot `period` pixels of the scan.

    Grey is black ink on white; RGB is cyan, magenta and yellow, each of which takes one of R, G and B away.
    """
    height, width, inks = levels.shape
    large = to_image(levels).resize((width * PRINT_ZOOM, height * PRINT_ZOOM), Image.Resampling.BICUBIC)
    paper = from_image(large, levels)
    bare = [
        np.where(paper[..., ink] > screen(paper.shape, angle, period * PRINT_ZOOM), 255, 0)
        for ink, angle in enumerate(SCREEN_ANGLES[inks])
    ]
    scan = to_image(np.stack(bare, axis=2).astype(np.uint8)).filter(ImageFilter.GaussianBlur(SCANNER_BLUR * PRINT_ZOOM))
    return from_image(scan.resize((width, height), Image.Resampling.BOX), levels)


def screen(shape: tuple[int, ...], angle: float, period: float) -> Levels:
    """Levels, uint8 (H, W), above which paper stays bare: dots `period` pixels apart that grow as it gets darker."""
    step, turn = 2 * np.pi / period, np.deg2rad(angle)
    y, x = (np.arange(side, dtype=np.float32) * np.float32(step) for side in shape[:2])
    along = np.cos(turn, dtype=np.float32) * x + np.sin(turn, dtype=np.float32) * y[:, None]
    across = np.cos(turn, dtype=np.float32) * y[:, None] - np.sin(turn, dtype=np.float32) * x
    height = np.cos(along) + np.cos(across)  # in [-2, 2]
    levels: Levels = _shares()[((height + 2) * 255).astype(np.int16)]
    return levels


@cache
def _shares() -> Levels:
    """For each height of a screen, in steps of 1/255 from -2: the share of it that is lower, in 255ths, uint8 (1021,).

    With them as thresholds dots cover as much of the paper as the picture is dark; white stays bare.
    """
    wave = np.cos(np.arange(512) * (2 * np.pi / 512))
    heights = np.sort((wave[:, None] + wave).ravel())
    lower = np.searchsorted(heights, np.arange(1021) / 255 - 2) / heights.size
    return (255 * lower).clip(0, 254).astype(np.uint8)


def dithered(levels: Levels, colours: int) -> Levels:
    """In at most this many colours, chosen for the picture, errors spread to the neighbours (Floyd-Steinberg)."""
    image = to_image(levels).convert("RGB")
    palette = image.quantize(colours, Image.Quantize.MEDIANCUT)
    small = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
    return from_image(small, levels)


def through(levels: Levels, jpeg: Jpeg) -> Levels:
    """What a JPEG leaves of a picture; rows and columns to be cropped are put before it first (its own edge again)."""
    before = ((jpeg.cropped, 0), (jpeg.cropped, 0), (0, 0))
    whole = decoded(as_jpeg(np.pad(levels, before, "edge"), jpeg), levels)
    return whole[jpeg.cropped :, jpeg.cropped :]


def as_jpeg(levels: Levels, jpeg: Jpeg) -> bytes:
    chroma = {} if levels.shape[2] == 1 else {"subsampling": jpeg.chroma}
    return encoded(levels, "JPEG", quality=jpeg.quality, **chroma)


def as_webp(levels: Levels, quality: int) -> bytes:
    return encoded(levels, "WEBP", quality=quality)


def as_gif(levels: Levels) -> bytes:
    """A GIF of exactly these levels. Raises ValueError if they are more than 256 colours."""
    colours, index = np.unique(levels.reshape(-1, levels.shape[2]), axis=0, return_inverse=True)
    if len(colours) > 256:
        raise ValueError(f"a GIF holds 256 colours, not {len(colours)}")
    image = Image.fromarray(index.reshape(levels.shape[:2]).astype(np.uint8)).convert("L")
    image.putpalette(np.broadcast_to(colours, (len(colours), 3)).tobytes())
    file = io.BytesIO()
    image.save(file, "GIF")
    return file.getvalue()


def encoded(levels: Levels, kind: str, **options: Any) -> bytes:
    """A file of one of Pillow's formats."""
    file = io.BytesIO()
    to_image(levels).save(file, kind, **options)
    return file.getvalue()


def decoded(file: bytes, like: Levels) -> Levels:
    """A file's levels, with as many planes as `like`."""
    with Image.open(io.BytesIO(file)) as image:
        return from_image(image, like)


def to_image(levels: Levels) -> Image.Image:
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)


def from_image(image: Image.Image, like: Levels) -> Levels:
    """uint8 (H, W, C) with as many planes as `like`."""
    mode = "L" if like.shape[2] == 1 else "RGB"
    return np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode)))


def any_damage(rng: Rng) -> Damage:
    """What a picture off the web, a camera or a game may have gone through; one in four is only made small."""
    kernel, blur, sharpen = _any_kernel(rng)
    noise = shot = 0.0
    if rng.random() < 0.35:
        noise = MOST_NOISE * rng.random()
        if rng.random() < 0.25:
            noise, shot = 0.0, 255 / max(noise, 0.5)  # as much, in the lights
    jpegs: tuple[Jpeg, ...] = ()
    webp = colours = 0
    last = rng.random()
    if last < 0.47:
        jpegs = tuple(_any_jpeg(rng) for _ in range(2 if rng.random() < 0.15 else 1))
    elif last < 0.55:
        webp = int(rng.integers(40, 96))
    elif last < 0.62:
        colours = int(2 ** rng.uniform(3, 8))
    halftone = rng.uniform(2, 5) if rng.random() < SCANS else 0.0
    return Damage(kernel, blur, sharpen, halftone, noise, shot, colours, webp, jpegs)


def _any_kernel(rng: Rng) -> tuple[Kernel, float, float]:
    """How a picture is made small: kernel, blur before and sharpening after it."""
    kind = rng.random()
    if kind < 0.3:
        return "bicubic", 0.0, 0.0
    if kind < 0.45:
        return "area", 0.0, 0.0
    if kind < 0.7:
        return "lanczos", 0.0, 0.0
    if kind < 0.8:
        return "nearest", 0.0, 0.0
    if kind < 0.9:
        return "lanczos", 0.0, rng.uniform(30, 120)
    return "bicubic", rng.uniform(0.2, 0.8), 0.0


def _any_jpeg(rng: Rng) -> Jpeg:
    quality = int(rng.integers(30, 98))
    chroma: Subsampling = "4:2:0" if rng.random() < 0.6 else "4:4:4"
    return Jpeg(quality, chroma, int(rng.integers(1, 8)) if rng.random() < CROPPED else 0)
