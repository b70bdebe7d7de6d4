"""Every format that `espcn export` writes, by the suffix that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from espcn_cli.errors import UsageError
from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.page import page
from espcn_cli.exchange.shader import shader

Make = Callable[[Sequence[Network]], Files]


def alone(make: Callable[[Network], Files]) -> Make:
    """A format of one network at one strength. It raises UsageError for several."""

    def only(networks: Sequence[Network]) -> Files:
        if len(networks) != 1:
            raise UsageError(f"{len(networks)} models: only a page (.html) holds several, name one")
        if networks[0].pair is not None:
            raise UsageError("strength auto: only a page (.html) can choose, give a number from 0 to 1")
        return make(networks[0])

    return only


FORMATS: dict[str, Make] = {".html": page, ".glsl": alone(shader)}


def find(suffix: str) -> Make:
    """What makes the files of a format. Raises UsageError if there is none of that suffix."""
    if suffix.lower() not in FORMATS:
        raise UsageError(f"{suffix or 'a name without a suffix'} is no format of export: use {', '.join(FORMATS)}")
    return FORMATS[suffix.lower()]
