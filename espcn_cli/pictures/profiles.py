"""Colour profiles at work: CMYK and Lab to sRGB, and a file's own colours to sRGB where no profile can be kept."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

SPACES = {"CMYK": "CMYK", "LAB": "Lab"}
"""Pillow's modes and what a profile calls them."""


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
    """RGB or RGBA in another colour space -> sRGB; None if the profile is no RGB profile or is damaged."""
    profile = _open(data)
    if profile is None or profile.profile.xcolor_space.strip() != "RGB" or image.mode not in ("RGB", "RGBA"):
        return None
    try:
        converted = _through(image.convert("RGB"), profile)
    except ImageCms.PyCMSError:
        return None
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted
