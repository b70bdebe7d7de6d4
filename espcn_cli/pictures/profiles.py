"""Colour profiles at work: CMYK and Lab to sRGB, and a file's own colours to sRGB where no profile can be kept."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

from espcn_cli.pictures.raster import Raster

SPACES = {"CMYK": "CMYK", "LAB": "Lab"}
"""Pillow's modes and what a profile calls them."""


def space(data: bytes) -> str:
    """The colours that a profile is for, as ICC calls them: "RGB", "GRAY", "CMYK" ...; empty if it is damaged."""
    return data[16:20].decode("latin-1").strip() if len(data) >= 128 and data[36:40] == b"acsp" else ""


def srgb() -> ImageCms.ImageCmsProfile:
    """The colour space of the web, made anew."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _open(data: bytes | None) -> Any:
    """A profile from its bytes; None if there are none or they are damaged."""
    try:
        return ImageCms.ImageCmsProfile(BytesIO(data)) if data else None
    except (OSError, ValueError, TypeError):
        return None


def is_srgb(data: bytes) -> bool:
    """Whether a profile calls itself sRGB."""
    profile = _open(data)
    return profile is not None and "srgb" in (profile.profile.profile_description or "").lower()


def to_rgb(image: Image.Image, data: bytes | None) -> tuple[Image.Image, str]:
    """CMYK or Lab -> RGB in sRGB through the embedded profile, else by the usual formula; and a note on which."""
    profile = _open(data)
    fits = profile is not None and profile.profile.xcolor_space.strip() == SPACES[image.mode]
    if image.mode == "LAB" and not fits:
        profile, fits = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), True
    if fits:
        try:
            return _through(image, profile), f"{image.mode} was converted to sRGB"
        except ImageCms.PyCMSError:
            pass
    return image.convert("RGB"), f"{image.mode} without a usable profile was converted to RGB: colours may differ"


def _through(image: Image.Image, profile: Any) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        profile,
        srgb(),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return converted


def to_srgb(image: Image.Image, data: bytes) -> Image.Image | None:
    """Grey or RGB, with alpha or without, in another colour space -> the same in sRGB's.

    None if the profile is for other colours or damaged, or the picture has 16 bits.
    """
    profile = _open(data)
    mode = image.mode.removesuffix("A")
    if profile is None or profile.profile.xcolor_space.strip() != {"L": "GRAY", "RGB": "RGB"}.get(mode):
        return None
    try:
        converted = _through(image.convert(mode), profile).convert(mode)
    except ImageCms.PyCMSError:
        return None
    if image.mode != mode:
        converted.putalpha(image.getchannel("A"))
    return converted


def given_up(frames: list[Raster], data: bytes) -> tuple[list[Raster], str | None]:
    """Frames of a picture that loses its profile, in sRGB where that can be; and what to add to a note on the loss.

    None if nothing is lost: the profile is that of sRGB.
    """
    if is_srgb(data):
        return frames, None
    images = [to_srgb(frame.data, data) if isinstance(frame.data, Image.Image) else None for frame in frames]
    found = [Raster(image) for image in images if image is not None]
    if len(found) < len(frames):
        return frames, ""
    return found, ": the colours were converted to sRGB"
